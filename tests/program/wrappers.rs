//! Checkpoints with a network in a wrapper, through the built program: the embedded network under
//! other names, alone, twice and in pieces.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use assert_cmd::Command;
use predicates::str::{contains, diff};
use safetensors::SafeTensors;
use safetensors::tensor::TensorView;
use serde_json::json;
use tempfile::TempDir;

use crate::repository::{PROGRAM, repository};

/// Runs the program in a folder with `dog.jpg` in it.
fn maskrcnn(folder: &TempDir, args: &[&str]) -> Command {
    let mut command = Command::new(PROGRAM);
    command.current_dir(folder).args(args);
    command
}

fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let photo = repository("examples/photos/dog1.jpg");
    fs::copy(photo, folder.path().join("dog.jpg")).unwrap();
    folder
}

/// Writes the embedded network's tensors, each under what `names` makes of its name.
fn write(path: &Path, names: impl Fn(&str) -> Vec<String>) {
    let bytes = fs::read(repository("weights/compact.safetensors")).unwrap();
    let (_, header) = SafeTensors::read_metadata(&bytes).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let renamed: Vec<(String, TensorView<'_>)> = tensors
        .iter()
        .flat_map(|(name, view)| {
            let names = names(name).into_iter();
            names.map(move |name| (name, view.clone()))
        })
        .collect();
    safetensors::serialize_to_file(renamed, header.metadata().clone(), path).unwrap();
}

/// What the report says was found, without the file's name and digest.
fn found(folder: &TempDir, args: &[&str]) -> serde_json::Value {
    let args = [args, &["--json-only", "dog.jpg"]].concat();
    maskrcnn(folder, &args).assert().success();
    let report = fs::read(folder.path().join("out/dog.json")).unwrap();
    let mut report: serde_json::Value = serde_json::from_slice(&report).unwrap();
    report["detections"].take()
}

#[test]
fn a_wrapped_network_finds_what_it_finds_bare() {
    let folder = folder();
    let bare = found(&folder, &[]);
    assert!(!bare.as_array().unwrap().is_empty());

    let path = folder.path().join("last.ckpt");
    write(&path, |name| {
        ["net", "net_ema.module"]
            .map(|prefix| format!("{prefix}.{name}"))
            .into()
    });
    assert_eq!(found(&folder, &["-w", "last.ckpt"]), bare);
    let tensors = SafeTensors::deserialize(&fs::read(&path).unwrap())
        .unwrap()
        .len()
        / 2;
    let place = format!(
        "weights of the whole file, behind `net.`; not `net_ema.module`; \
         {tensors} tensors beside it ignored: `net_ema.module."
    );
    let verbose = ["-v", "--json-only", "-w", "last.ckpt"];
    let mut run = maskrcnn(&folder, &[&verbose[..], &["dog.jpg"]].concat());
    run.assert().success().stderr(contains(place));
    let averages = [&verbose[..], &["--checkpoint-key", "net_ema", "dog.jpg"]].concat();
    maskrcnn(&folder, &averages)
        .assert()
        .success()
        .stderr(contains(
            "weights of the whole file, behind `net_ema.module.`; ",
        ));
}

#[test]
fn a_key_that_leads_nowhere_is_one_line() {
    let folder = folder();
    write(&folder.path().join("w.pt"), |name| {
        vec![format!("net.{name}")]
    });
    maskrcnn(
        &folder,
        &["-v", "-w", "w.pt", "--checkpoint-key", "ema", "dog.jpg"],
    )
    .assert()
    .code(1)
    .stderr(diff(
        "error[checkpoint-key]: cannot load the weights `w.pt`: the checkpoint has no network \
             under the key `ema`; it has `net`\n",
    ));
    maskrcnn(&folder, &["--checkpoint-key", "ema", "dog.jpg"])
        .assert()
        .code(1)
        .stderr(contains(
            "--checkpoint-key is for a checkpoint that -w names",
        ));
}

/// Writes the network in two files, and an index that says so under `named`.
fn write_shards(folder: &Path, named: impl Fn(usize) -> String) {
    let mut weight_map = BTreeMap::new();
    let in_first = |name: &str| name.starts_with("backbone");
    for (number, first) in [(1, true), (2, false)] {
        let path = folder.join(format!("model-0000{number}-of-00002.safetensors"));
        write(&path, |name| {
            (in_first(name) == first)
                .then(|| name.to_owned())
                .into_iter()
                .collect()
        });
        let bytes = fs::read(&path).unwrap();
        for name in SafeTensors::deserialize(&bytes).unwrap().names() {
            weight_map.insert(name.to_owned(), named(number));
        }
    }
    let index = json!({"metadata": {"total_size": 1}, "weight_map": weight_map});
    fs::write(
        folder.join("model.safetensors.index.json"),
        index.to_string(),
    )
    .unwrap();
}

#[test]
fn a_network_in_shards_is_read_by_its_index_or_any_of_them() {
    let folder = folder();
    let bare = found(&folder, &[]);
    write_shards(folder.path(), |number| {
        format!("model-0000{number}-of-00002.safetensors")
    });
    for file in [
        "model.safetensors.index.json",
        "model-00002-of-00002.safetensors",
    ] {
        assert_eq!(found(&folder, &["-w", file]), bare, "{file}");
    }
    maskrcnn(
        &folder,
        &["-v", "-w", "model.safetensors.index.json", "dog.jpg"],
    )
    .assert()
    .success()
    .stderr(contains("read as safetensors in 2 files"));
    fs::remove_file(folder.path().join("model-00001-of-00002.safetensors")).unwrap();
    maskrcnn(&folder, &["-w", "model.safetensors.index.json", "dog.jpg"])
        .assert()
        .code(1)
        .stderr(contains("cannot read `model-00001-of-00002.safetensors`"));
}

#[test]
fn an_index_names_no_file_outside_of_its_folder() {
    let folder = folder();
    let inner = folder.path().join("inner");
    fs::create_dir(&inner).unwrap();
    for name in [
        "../model-00001-of-00002.safetensors",
        "/dev/zero",
        "/etc/passwd",
        "..",
        "",
    ] {
        write_shards(&inner, |_| name.to_owned());
        let expected = format!("damaged shard index file: `{name}` is no name of a shard\n");
        maskrcnn(
            &folder,
            &["-w", "inner/model.safetensors.index.json", "dog.jpg"],
        )
        .assert()
        .code(1)
        .stderr(contains(expected));
    }
    // Of an index that is fetched there is nothing beside it.
    let index = "data:application/json,{\"weight_map\":{\"a\":\"0.bin\"}}";
    maskrcnn(&folder, &["-w", index, "dog.jpg"])
        .assert()
        .code(1)
        .stderr(contains(
            "the index of a checkpoint in several files, without its folder",
        ));
}
