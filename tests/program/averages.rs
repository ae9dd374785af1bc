//! A file of a network and of its average over the training, as training scripts save them: which one
//! is taken is said. And what `inspect` takes to explain a file.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use assert_cmd::Command;
use assert_cmd::assert::Assert;
use predicates::prelude::PredicateBooleanExt;
use predicates::str::{contains, is_empty};
use safetensors::SafeTensors;
use tempfile::TempDir;

use crate::repository::{PROGRAM, repository};

/// Beside one another: the network that is built in, the same again as its average, and an image.
fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let bytes = fs::read(repository("weights/compact.safetensors")).unwrap();
    let (_, header) = SafeTensors::read_metadata(&bytes).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let both: BTreeMap<String, _> = tensors
        .iter()
        .flat_map(|(name, tensor)| {
            let place = |key: &str| (format!("{key}.{name}"), tensor.clone());
            [place("model"), place("model_ema")]
        })
        .collect();
    let file = folder.path().join("both.safetensors");
    safetensors::serialize_to_file(both, header.metadata().clone(), &file).unwrap();
    let image = repository("tests/fixtures/images/png-rgb.png");
    fs::copy(image, folder.path().join("a.png")).unwrap();
    folder
}

fn run(folder: &Path, args: &[&str]) -> Assert {
    let mut command = Command::new(PROGRAM);
    command.current_dir(folder).args(args).assert()
}

#[test]
fn which_of_two_networks_was_taken_is_said_unless_it_was_asked() {
    let folder = folder();
    let said = "note: the weights hold several networks: took `model`, not `model_ema`; \
                --checkpoint-key chooses\n";
    let weights = ["-w", "both.safetensors", "a.png"];
    run(folder.path(), &weights).success().stderr(said);
    for more in [&["-q"][..], &["--checkpoint-key", "model_ema"]] {
        let args = [&weights, more].concat();
        run(folder.path(), &args).success().stderr(is_empty());
    }
}

#[test]
fn inspect_lays_a_blueprint_and_labels_over_a_file() {
    let folder = folder();
    let names: Vec<String> = (1..=20).map(|number| format!("part {number}")).collect();
    fs::write(folder.path().join("names.txt"), names.join("\n")).unwrap();
    fs::write(
        folder.path().join("blueprint.json"),
        r#"{"postprocess": {"score_thresh": 0.125}}"#,
    )
    .unwrap();
    let more = ["--labels", "names.txt", "--blueprint", "blueprint.json"];
    run(
        folder.path(),
        &[&["inspect", "compact"], &more[..]].concat(),
    )
    .success()
    .stdout(contains("classes     20: part 1, part 2, ").and(contains("\"score_thresh\": 0.125")));
    fs::write(folder.path().join("names.txt"), "one\ntwo\n").unwrap();
    run(
        folder.path(),
        &[&["inspect", "compact"], &more[..]].concat(),
    )
    .code(1)
    .stderr(contains("cannot use the labels `names.txt`"));
}
