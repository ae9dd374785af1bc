//! The example programs, run as the README says.

use std::path::Path;

use assert_cmd::Command;
use predicates::str::contains;

use crate::repository::{PROGRAM, repository};

/// The example that `cargo test` built beside this test.
fn example(name: &str) -> Command {
    let test = std::env::current_exe().unwrap();
    let program = test
        .parent()
        .and_then(Path::parent)
        .unwrap()
        .join("examples")
        .join(name);
    assert!(
        program.exists(),
        "`{}` is not built: run the whole of cargo test, not this file alone",
        program.display()
    );
    Command::new(program)
}

#[test]
fn segment_finds_the_dog_and_draws_it() {
    let folder = tempfile::tempdir().unwrap();
    let picture = folder.path().join("found.png");
    let assert = example("segment")
        .args([repository("examples/photos/dog1.jpg"), picture.clone()])
        .assert();
    assert.success().stdout(contains("dog 1.00 at "));
    assert_eq!(image::image_dimensions(picture).unwrap(), (500, 500));
}

#[test]
fn convert_writes_a_readable_checkpoint_or_names_the_trouble() {
    let folder = tempfile::tempdir().unwrap();
    let (half, again) = (
        folder.path().join("half.safetensors"),
        folder.path().join("again.safetensors"),
    );
    let embedded = repository("weights/compact.safetensors");
    let converted = example("convert")
        .arg(&embedded)
        .arg(&half)
        .arg("--half")
        .assert()
        .success();
    converted
        .stdout(contains("compact, 20 classes"))
        .stdout(contains("sha256 "));
    example("convert").arg(&half).arg(&again).assert().success();
    // fp16 in, fp16 out: nothing is lost; fp32 takes twice the room.
    let bytes = |path: &Path| std::fs::metadata(path).unwrap().len();
    assert!(
        bytes(&half).abs_diff(bytes(&embedded)) < 4096 && bytes(&again) > 2 * bytes(&half) - 32_768
    );

    let photo = repository("examples/photos/dog1.jpg");
    let run = |weights: &Path| {
        let output = folder.path().join(weights.file_stem().unwrap());
        let mut program = Command::new(PROGRAM);
        program
            .arg("-w")
            .arg(weights)
            .arg("-o")
            .arg(&output)
            .arg(&photo)
            .assert()
            .success();
        std::fs::read(output.join("dog1.png")).unwrap()
    };
    assert_eq!(run(&half), run(&again));

    let refused = example("convert")
        .arg(&photo)
        .arg(folder.path().join("x.safetensors"))
        .assert()
        .failure();
    refused.stderr(contains("not a checkpoint"));
}
