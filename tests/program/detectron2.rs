//! A file as detectron2's model zoo has them, through the built program, against what detectron2 itself
//! found (`tests/reference/make_detectron2.py`).

use std::fs;
use std::path::Path;

use assert_cmd::Command;
use predicates::str::contains;
use safetensors::SafeTensors;
use serde_json::Value;

use crate::formula;
use crate::repository::{PROGRAM, repository};

/// {"model": {name: array}, "__author__": "formula"}, by protocol 3, which the zoo's files have.
fn zoo(layout: &str) -> Vec<u8> {
    let text = |pickle: &mut Vec<u8>, text: &str| {
        pickle.push(b'X');
        pickle.extend((text.len() as u32).to_le_bytes());
        pickle.extend(text.as_bytes());
    };
    let int = |pickle: &mut Vec<u8>, int: u32| {
        pickle.push(b'J');
        pickle.extend(int.to_le_bytes());
    };
    let mut pickle = b"\x80\x03}(".to_vec();
    text(&mut pickle, "model");
    pickle.extend(b"}(");
    for line in layout.lines() {
        let [name, canonical, shape] = line.split('\t').collect::<Vec<_>>()[..] else {
            panic!("not three fields: {line}")
        };
        let shape: Vec<i64> = shape.split(',').map(|side| side.parse().unwrap()).collect();
        let values = formula::of_detectron2(name, canonical, &shape);
        text(&mut pickle, name);
        pickle.extend(
            b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\0\x85C\x01b\x87R(K\x01(",
        );
        shape.iter().for_each(|&side| int(&mut pickle, side as u32));
        pickle.extend(b"tcnumpy\ndtype\n");
        text(&mut pickle, "f4");
        pickle.extend(b"K\0K\x01\x87R(K\x03");
        text(&mut pickle, "<");
        pickle.extend(b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\0tb\x89B");
        pickle.extend((4 * values.len() as u32).to_le_bytes());
        pickle.extend(values.iter().flat_map(|value| value.to_le_bytes()));
        pickle.extend(b"tb");
    }
    pickle.push(b'u');
    text(&mut pickle, "__author__");
    text(&mut pickle, "formula");
    pickle.extend(b"u.");
    pickle
}

fn floats(tensors: &SafeTensors<'_>, name: &str) -> Vec<f64> {
    let data = tensors.tensor(name).unwrap().data().to_vec();
    let floats = data.as_chunks().0.iter();
    floats
        .map(|&bytes| f64::from(f32::from_le_bytes(bytes)))
        .collect()
}

#[test]
fn a_file_of_the_zoo_finds_what_detectron2_finds() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let parity = |name: &str| repository("tests/fixtures/parity").join(name);
    let layout = fs::read_to_string(parity("detectron2-r50.tsv")).unwrap();
    fs::write(at("model_final_f10217.pkl"), zoo(&layout)).unwrap();
    fs::copy(parity("detectron2-config.yaml"), at("config.yaml")).unwrap();
    let fixture = fs::read(parity("detectron2-r50-1.safetensors")).unwrap();
    let expected = SafeTensors::deserialize(&fixture).unwrap();
    let pixels = expected.tensor("image").unwrap();
    let sides: Vec<u32> = pixels.shape().iter().map(|&side| side as u32).collect();
    let image = image::RgbImage::from_raw(sides[1], sides[0], pixels.data().to_vec()).unwrap();
    image.save(at("dog.png")).unwrap();

    let run = |args: &[&str], folder: &Path| {
        let mut command = Command::new(PROGRAM);
        command.current_dir(folder).args(args);
        command.assert().success()
    };
    let weights = "model_final_f10217.pkl";
    let args = ["-w", weights, "-t", "0", "--json-only", "-v", "dog.png"];
    run(&args, folder.path())
        .stderr(contains("model: detectron2 on cpu"))
        .stderr(contains("weights of `model`"))
        .stderr(contains(
            "read the config.yaml beside the weights, which says the same",
        ));
    let report: Value = serde_json::from_slice(&fs::read(at("out/dog.json")).unwrap()).unwrap();
    let found = report["detections"].as_array().unwrap();

    // From 1 without gaps, to COCO's numbers with them.
    let ids: Vec<u64> = (1..=90)
        .filter(|id| ![12, 26, 29, 30, 45, 66, 68, 69, 71, 83].contains(id))
        .collect();
    let labels = expected
        .tensor("detections.labels")
        .unwrap()
        .data()
        .to_vec();
    let labels: Vec<u64> = labels
        .as_chunks()
        .0
        .iter()
        .map(|&bytes| ids[i64::from_le_bytes(bytes) as usize - 1])
        .collect();
    let classes: Vec<u64> = found
        .iter()
        .map(|d| d["category_id"].as_u64().unwrap())
        .collect();
    assert_eq!(classes, labels);
    assert!(classes.len() >= 30);
    let (boxes, scores) = (
        floats(&expected, "detections.boxes"),
        floats(&expected, "detections.scores"),
    );
    for ((found, corners), score) in found.iter().zip(boxes.as_chunks::<4>().0).zip(scores) {
        let bbox: Vec<f64> = serde_json::from_value(found["bbox"].clone()).unwrap();
        let edges = [bbox[0], bbox[1], bbox[0] + bbox[2], bbox[1] + bbox[3]];
        let apart = edges.iter().zip(corners).map(|(a, b)| (a - b).abs());
        assert!(apart.fold(0.0, f64::max) <= 0.05, "{edges:?} {corners:?}");
        let apart = (found["score"].as_f64().unwrap() - score).abs();
        assert!(apart <= 3e-4, "{score}: {apart}");
    }

    let inspected = run(&["inspect", weights], folder.path());
    inspected
        .stdout(contains("family      detectron2\nbackbone    ResNet-50"))
        .stdout(contains("format      pickle\n"))
        .stdout(contains(
            "note        read the config.yaml beside the weights",
        ));
}
