//! Matterport's network through the program: its own threshold, the user's, and its canonical form.
//! What it computes is held to Matterport's run in `crates/maskrcnn/src/detector/parity.rs`.

use std::fs;
use std::path::Path;

use assert_cmd::Command;
use image::RgbImage;
use maskrcnn::{Rle, Size};
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};
use serde_json::Value;
use tempfile::TempDir;

use crate::formula::{MATTERPORT_FULL, MATTERPORT_SMALL, of_matterport};
use crate::repository::{PROGRAM, repository};

/// The network for small pictures, and the picture of the first fixture.
fn folder() -> TempDir {
    folder_with(MATTERPORT_SMALL, &fixture())
}

/// A network's tensors under Keras's names, filled by the formula with a gain of the classifier, as
/// `weights.safetensors`; what the one for small pictures has otherwise than its defaults, as
/// `small.json`; and the picture of a fixture, as `dog.png`.
fn folder_with(class_gain: f32, fixture: &[u8]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let layout = include_str!("../fixtures/parity/matterport.tsv");
    let tensor = |line: &'static str| {
        let fields: Vec<&str> = line.split('\t').collect();
        let shape: Vec<i64> = fields[2].split(',').map(|n| n.parse().unwrap()).collect();
        let (shape, values) = of_matterport(fields[0], fields[1], &shape, class_gain);
        let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        let shape: Vec<usize> = shape.iter().map(|&side| side as usize).collect();
        (fields[0], shape, bytes)
    };
    let tensors: Vec<_> = layout.lines().map(tensor).collect();
    let views = tensors.iter().map(|(name, shape, bytes)| {
        let view = TensorView::new(Dtype::F32, shape.clone(), bytes);
        (*name, view.unwrap())
    });
    let path = folder.path().join("weights.safetensors");
    safetensors::serialize_to_file(views, None, &path).unwrap();
    let blueprint = repository("tests/fixtures/parity/matterport-blueprint.json");
    fs::copy(blueprint, folder.path().join("small.json")).unwrap();
    let image = SafeTensors::deserialize(fixture).unwrap();
    let image = image.tensor("image").unwrap();
    let (height, width) = (image.shape()[0] as u32, image.shape()[1] as u32);
    let image = RgbImage::from_raw(width, height, image.data().to_vec()).unwrap();
    image.save(folder.path().join("dog.png")).unwrap();
    folder
}

fn fixture() -> Vec<u8> {
    fs::read(repository("tests/fixtures/parity/matterport-1.safetensors")).unwrap()
}

fn run(folder: &Path, args: &[&str]) {
    let mut command = Command::new(PROGRAM);
    command.current_dir(folder).args(args).assert().success();
}

/// The report of the picture with these weights and arguments.
fn report(folder: &TempDir, weights: &str, args: &[&str]) -> Value {
    let common = ["-w", weights, "--json-only", "-q", "dog.png"];
    run(folder.path(), &[&common, args].concat());
    let bytes = fs::read(folder.path().join("out/dog.json")).unwrap();
    serde_json::from_slice(&bytes).unwrap()
}

fn scores(report: &Value) -> Vec<f64> {
    let detections = report["detections"].as_array().unwrap();
    let score = |detection: &Value| detection["score"].as_f64().unwrap();
    detections.iter().map(score).collect()
}

#[test]
fn matterports_threshold_holds_until_the_user_says_another() {
    let folder = folder();
    let small = ["--blueprint", "small.json"];
    let usual = report(&folder, "weights.safetensors", &small);
    assert_eq!(usual["model"]["family"], "matterport");
    assert_eq!(usual["options"]["score_threshold"], 0.7);
    let fixture = fixture();
    let fixture = SafeTensors::deserialize(&fixture).unwrap();
    let expected = fixture.tensor("detections.labels").unwrap().shape()[0];
    assert_eq!(scores(&usual).len(), expected);

    let low = [&small[..], &["-t", "0.3"]].concat();
    let low = report(&folder, "weights.safetensors", &low);
    assert_eq!(low["options"]["score_threshold"], 0.3);
    let found = scores(&low);
    assert!(found.len() > expected, "{found:?}");
    assert!(found.iter().all(|&score| score >= 0.3) && found.iter().any(|&score| score < 0.7));
    // The sure ones of a class are not suppressed by less sure ones.
    assert_eq!(found[..expected], scores(&usual)[..]);

    let high = [&small[..], &["-t", "0.9"]].concat();
    let high = scores(&report(&folder, "weights.safetensors", &high));
    assert!(high.len() < expected && high.iter().all(|&score| score >= 0.9));
}

/// At Matterport's own size. Boxes are equal: they are whole pixels, and none was near a half. Masks are
/// compared as the report has them, in COCO's run-length encoding.
#[test]
fn matterports_defaults_find_what_its_own_code_finds() {
    let fixture = repository("tests/fixtures/parity/matterport-3.safetensors");
    let folder = folder_with(MATTERPORT_FULL, &fs::read(fixture).unwrap());
    let found = report(&folder, "weights.safetensors", &[]);
    let expected = include_str!("../fixtures/parity/matterport-full.json");
    let expected: Value = serde_json::from_str(expected).unwrap();
    let numbers = |name: &str| expected[name].as_array().unwrap().clone();
    let (labels, boxes) = (numbers("labels"), numbers("boxes"));
    let (masks, areas) = (numbers("masks"), numbers("areas"));
    let found = found["detections"].as_array().unwrap();
    assert!(
        found.len() == labels.len() && labels.len() >= 20,
        "{}",
        found.len()
    );
    let ids = coco_ids();
    let scores = numbers("scores");
    for (place, found) in found.iter().enumerate() {
        let label = labels[place].as_u64().unwrap() as usize;
        assert_eq!(found["category_id"], ids[label - 1], "{place}");
        let [x1, y1, x2, y2] = [0, 1, 2, 3].map(|edge| boxes[place][edge].as_f64().unwrap());
        let bbox = serde_json::json!([x1, y1, x2 - x1, y2 - y1]);
        assert_eq!(found["bbox"], bbox, "{place}");
        let apart = found["score"].as_f64().unwrap() - scores[place].as_f64().unwrap();
        assert!(apart.abs() <= 1e-4, "{place}: {apart}");
        let area = found["area"].as_u64().unwrap() as usize;
        let (found, expected) = (pixels(&found["segmentation"]), pixels(&masks[place]));
        assert_eq!(count(&expected), areas[place], "{place}");
        assert_eq!(count(&found), area, "{place}");
        let both = found.iter().zip(&expected).filter(|(a, b)| **a && **b);
        let both = both.count() as f64;
        let either = (count(&found) + count(&expected)) as f64 - both;
        assert!(both >= 0.99 * either, "{place}: {both} of {either}");
    }
}

/// The pixels of a compressed run-length encoding, column by column.
fn pixels(segmentation: &Value) -> Vec<bool> {
    let [height, width] = [0, 1].map(|axis| segmentation["size"][axis].as_u64().unwrap());
    let size = Size::new(height as usize, width as usize);
    let counts = segmentation["counts"].as_str().unwrap();
    let runs = Rle::from_compressed(size, counts).unwrap().counts;
    let runs = runs.into_iter().enumerate();
    runs.flat_map(|(place, run)| std::iter::repeat_n(place % 2 == 1, run as usize))
        .collect()
}

fn count(pixels: &[bool]) -> usize {
    pixels.iter().filter(|&&is_set| is_set).count()
}

/// COCO's numbers of its 80 classes, in their order.
fn coco_ids() -> Vec<u64> {
    const UNUSED: [u64; 10] = [12, 26, 29, 30, 45, 66, 68, 69, 71, 83];
    (1..=90).filter(|id| !UNUSED.contains(id)).collect()
}

#[test]
fn matterports_network_in_canonical_form_finds_the_same() {
    let folder = folder();
    let small = ["--blueprint", "small.json"];
    let expected = report(&folder, "weights.safetensors", &small);
    let convert = ["convert", "weights.safetensors", "canonical.safetensors"];
    run(folder.path(), &[&convert[..], &small].concat());
    let found = report(&folder, "canonical.safetensors", &[]);
    assert_eq!(found["detections"], expected["detections"]);
    assert_eq!(found["options"]["score_threshold"], 0.7);
}
