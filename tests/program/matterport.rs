//! Matterport's network through the program: its own threshold, the user's, and its canonical form.
//! What it computes is held to Matterport's run in `crates/maskrcnn/src/detector/parity.rs`.

use std::fs;
use std::path::Path;

use assert_cmd::Command;
use image::RgbImage;
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};
use serde_json::Value;
use tempfile::TempDir;

use crate::repository::{PROGRAM, repository};

/// Its tensors under Keras's names, filled by the formula, as `weights.safetensors`; what it has
/// otherwise than its defaults, as `small.json`; and the picture of a fixture, as `dog.png`.
fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let layout = include_str!("../fixtures/parity/matterport.tsv");
    let tensor = |line: &'static str| {
        let fields: Vec<&str> = line.split('\t').collect();
        let shape: Vec<i64> = fields[2].split(',').map(|n| n.parse().unwrap()).collect();
        let (shape, values) = crate::formula::of_matterport(fields[0], fields[1], &shape);
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
    let fixture = fixture();
    let image = SafeTensors::deserialize(&fixture).unwrap();
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
