//! The whole command through the built binary. What is found is the model's affair: here it only
//! matters that a dog is.

use std::fs;
use std::io::Read;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::process::Stdio;

use assert_cmd::Command;
use predicates::prelude::*;
use predicates::str::{contains, is_empty, starts_with};
use serde_json::Value;
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use crate::repository::{PROGRAM, repository};

/// A folder with `dog.jpg` (a photo with a dog), `cat.png` and `small.png` in it, where the program
/// is run.
fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, from) in [
        ("dog.jpg", "examples/photos/dog1.jpg"),
        ("cat.png", "examples/photos/chelsea.png"),
        ("small.png", "tests/fixtures/images/png-rgb.png"),
    ] {
        fs::copy(repository(from), folder.path().join(name)).unwrap();
    }
    folder
}

fn maskrcnn(folder: &TempDir, args: &[&str]) -> Command {
    let mut command = Command::new(PROGRAM);
    command.current_dir(folder).args(args);
    command
}

fn report(folder: &TempDir, path: &str) -> Value {
    serde_json::from_str(&fs::read_to_string(folder.path().join(path)).unwrap()).unwrap()
}

fn labels(report: &Value) -> Vec<&str> {
    report["detections"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| entry["label"].as_str().unwrap())
        .collect()
}

/// Names of the files in `path`, sorted, hidden ones included.
fn listing(folder: &TempDir, path: &str) -> Vec<String> {
    let entries = fs::read_dir(folder.path().join(path)).unwrap();
    let mut names: Vec<_> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn a_photo_gives_a_picture_a_valid_report_and_one_line() {
    let folder = folder();
    let line = contains("× dog").and(predicate::str::ends_with(" -> out/dog.png, out/dog.json\n"));
    let line = line
        .and(starts_with("dog.jpg: "))
        .and(predicate::str::contains("\n").count(1));
    maskrcnn(&folder, &["dog.jpg"])
        .assert()
        .success()
        .stdout(line)
        .stderr(is_empty());

    assert_eq!(listing(&folder, "out"), ["dog.json", "dog.png"]);
    let photo = image::open(folder.path().join("dog.jpg"))
        .unwrap()
        .into_rgb8();
    let picture = image::open(folder.path().join("out/dog.png"))
        .unwrap()
        .into_rgb8();
    assert_eq!(picture.dimensions(), photo.dimensions());
    assert!(picture != photo, "nothing is drawn");

    let report = report(&folder, "out/dog.json");
    let schema = fs::read_to_string(repository("schema/detections-2.schema.json")).unwrap();
    let schema: Value = serde_json::from_str(&schema).unwrap();
    jsonschema::draft202012::new(&schema)
        .unwrap()
        .validate(&report)
        .unwrap();
    assert_eq!(report["image"]["source"], "dog.jpg");
    // `sha256sum` of the photo.
    assert_eq!(
        report["image"]["sha256"],
        "828986ba0cdd909e3f6029d357938efba67d236350f724224b2e45cf0af0841f"
    );
    assert_eq!(
        report["model"]["sha256"],
        sha256(&repository("weights/compact.safetensors"))
    );
    assert_eq!(
        report["detections"][0]["category_id"], 18,
        "COCO's id of dogs, not the network's slot"
    );
    assert_eq!(report["model"]["file"], "compact.safetensors");
    assert_eq!(
        (&report["image"]["width"], &report["image"]["height"]),
        (&500.into(), &500.into())
    );
    assert!(labels(&report).contains(&"dog"));
}

fn sha256(file: &Path) -> String {
    Sha256::digest(fs::read(file).unwrap())
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

#[test]
fn two_runs_write_the_same_bytes_over_the_first() {
    let folder = folder();
    let read = |name: &str| fs::read(folder.path().join("out").join(name)).unwrap();
    maskrcnn(&folder, &["dog.jpg"]).assert().success();
    let first = (read("dog.png"), read("dog.json"));
    fs::write(folder.path().join("out/dog.png"), "of an earlier run").unwrap();
    maskrcnn(&folder, &["dog.jpg"]).assert().success();
    assert!(first == (read("dog.png"), read("dog.json")));
}

#[test]
fn every_kind_of_image_is_read_from_the_command_line() {
    let folder = folder();
    let kinds = [
        ("png-grey-16.png", 1),
        ("png-palette-8.png", 0),
        ("png-rgba.png", 1),
        ("jpeg-cmyk.jpg", 3),
        ("jpeg-orientation-6.jpg", 3),
        ("webp-lossy.webp", 0),
        ("gif-animated.gif", 0),
        ("bmp-24.bmp", 0),
        ("tiff-lzw.tif", 0),
    ];
    let image = |name: &str| repository("tests/fixtures/images").join(name);
    let undrawn = ["--no-masks", "--no-boxes", "--no-captions"];
    maskrcnn(&folder, &undrawn)
        .args(kinds.map(|(kind, _)| image(kind)))
        .assert()
        .success();
    for (kind, most) in kinds {
        let stem = kind.split('.').next().unwrap();
        let report = report(&folder, &format!("out/{stem}.json"));
        let size = (
            report["image"]["width"].as_u64().unwrap(),
            report["image"]["height"].as_u64().unwrap(),
        );
        assert_eq!(
            size,
            if kind.contains("orientation") {
                (29, 46)
            } else {
                (46, 29)
            },
            "{kind}"
        );
        // What Pillow reads (`tests/reference/make_images.py`), within `most` of 255.
        let expected = image::open(image(&format!("{kind}.expected.png")))
            .unwrap()
            .into_rgb8();
        let found = image::open(folder.path().join(format!("out/{stem}.png")))
            .unwrap()
            .into_rgb8();
        let apart = found
            .iter()
            .zip(expected.iter())
            .map(|(a, b)| a.abs_diff(*b))
            .max()
            .unwrap();
        assert!(apart <= most, "{kind} differs by {apart}");
    }
}

#[test]
fn an_image_comes_from_standard_input() {
    let folder = folder();
    let photo = fs::read(folder.path().join("dog.jpg")).unwrap();
    let line = starts_with("standard input: ").and(contains("-> out/stdin.png, out/stdin.json"));
    maskrcnn(&folder, &["-"])
        .write_stdin(photo)
        .assert()
        .success()
        .stdout(line);
    assert_eq!(report(&folder, "out/stdin.json")["image"]["source"], "-");
    let empty = "error: standard input: it is empty\n";
    maskrcnn(&folder, &["-"])
        .write_stdin("")
        .assert()
        .code(1)
        .stderr(empty);
}

#[test]
fn nothing_found_is_a_success_and_says_so() {
    let folder = folder();
    let line =
        "small.png: nothing found with a score of 1 or more -> out/small.png, out/small.json\n";
    maskrcnn(&folder, &["-t", "1", "small.png"])
        .assert()
        .success()
        .stdout(line);
    assert_eq!(
        report(&folder, "out/small.json")["detections"],
        Value::Array(Vec::new())
    );
}

#[test]
fn a_failing_image_stops_no_other_and_the_exit_code_tells() {
    let folder = folder();
    let path = |name: &str| folder.path().join(name);
    fs::write(path("empty.jpg"), "").unwrap();
    fs::write(path("text.jpg"), "no image").unwrap();
    let photo = fs::read(path("dog.jpg")).unwrap();
    fs::write(path("half.jpg"), &photo[..photo.len() / 2]).unwrap();
    fs::create_dir(path("directory")).unwrap();
    let bad = [
        "missing.jpg",
        "empty.jpg",
        "text.jpg",
        "half.jpg",
        "directory",
        "ftp://example.org/a.jpg",
    ];
    let images: Vec<&str> = ["small.png"]
        .into_iter()
        .chain(bad)
        .chain(["dog.jpg"])
        .collect();
    let output = maskrcnn(&folder, &images)
        .assert()
        .code(1)
        .get_output()
        .clone();

    let (stdout, stderr) = (
        String::from_utf8(output.stdout).unwrap(),
        String::from_utf8(output.stderr).unwrap(),
    );
    assert_eq!(stdout.lines().count(), 2, "{stdout}");
    assert_eq!(stderr.lines().count(), bad.len() + 1, "{stderr}");
    for (line, expected) in stderr.lines().zip([
        "error: missing.jpg: cannot open the file: No such file or directory",
        "error: empty.jpg: it is empty",
        "error: text.jpg: it is no image of a known format; PNG, JPEG, WebP, GIF, BMP and TIFF are read",
        "error: half.jpg: cannot decode the JPEG image: the file is cut short",
        "error: directory: it is a directory; name the images in it, for example directory/*.jpg",
        "error: ftp://example.org/a.jpg: `ftp` addresses are not fetched, only http, https, data and ipfs; fetch it",
        "error: 6 of 8 images failed",
    ]) {
        assert!(line.starts_with(expected), "{line}");
    }
    assert_eq!(
        listing(&folder, "out"),
        ["dog.json", "dog.png", "small.json", "small.png"]
    );
}

#[test]
fn the_output_directory_is_made_with_its_parents() {
    let folder = folder();
    let line = contains("-> a/b/small.png, a/b/small.json");
    maskrcnn(&folder, &["-o", "a/b", "small.png"])
        .assert()
        .success()
        .stdout(line);
    assert_eq!(listing(&folder, "a/b"), ["small.json", "small.png"]);
}

#[test]
fn an_unusable_output_directory_is_reported_before_reading() {
    let folder = folder();
    for (output, expected) in [
        (
            "cat.png",
            "error: cannot write to `cat.png`: it is a file, not a directory; name another with -o\n",
        ),
        (
            "cat.png/out",
            "error: cannot make the output directory `cat.png/out`; name another with -o: ",
        ),
        (
            "/proc/out",
            "error: cannot make the output directory `/proc/out`; name another with -o: ",
        ),
    ] {
        // The weights do not exist: nobody has looked.
        let run = maskrcnn(&folder, &["-o", output, "-w", "missing.pth", "dog.jpg"])
            .assert()
            .code(1);
        run.stderr(starts_with(expected).and(predicate::str::contains("\n").count(1)))
            .stdout(is_empty());
    }
}

#[test]
fn a_result_never_replaces_an_input() {
    let folder = folder();
    let cat = fs::read(folder.path().join("cat.png")).unwrap();
    let refusal = |path: &str| {
        format!(
            "error: refused to replace the input `{path}` by its result; name another directory with -o\n"
        )
    };
    maskrcnn(&folder, &["-o", ".", "cat.png"])
        .assert()
        .code(1)
        .stderr(refusal("./cat.png"));
    // Nor the input that another image of the same run needs, nor one that is seen through another
    // name.
    fs::copy(folder.path().join("dog.jpg"), folder.path().join("cat.jpg")).unwrap();
    maskrcnn(&folder, &["-o", ".", "cat.jpg", "./cat.png"])
        .assert()
        .code(1)
        .stderr(refusal("./cat.png"));
    symlink(folder.path(), folder.path().join("link")).unwrap();
    maskrcnn(&folder, &["-o", "link", "cat.png"])
        .assert()
        .code(1)
        .stderr(refusal("link/cat.png"));
    assert!(fs::read(folder.path().join("cat.png")).unwrap() == cat);

    // The JSON alone is in nobody's way, nor is the picture of a JPEG.
    maskrcnn(&folder, &["-o", ".", "--json-only", "cat.png"])
        .assert()
        .success();
    maskrcnn(&folder, &["-o", ".", "dog.jpg"])
        .assert()
        .success();
    assert!(fs::read(folder.path().join("cat.png")).unwrap() == cat);
}

#[test]
fn images_of_the_same_name_do_not_replace_each_others_results() {
    let folder = folder();
    fs::create_dir(folder.path().join("other")).unwrap();
    fs::copy(
        folder.path().join("small.png"),
        folder.path().join("other/dog.png"),
    )
    .unwrap();
    maskrcnn(&folder, &["dog.jpg", "other/dog.png"])
        .assert()
        .success();
    assert_eq!(
        listing(&folder, "out"),
        ["dog-2.json", "dog-2.png", "dog.json", "dog.png"]
    );
    assert_eq!(report(&folder, "out/dog.json")["image"]["width"], 500);
    assert_eq!(report(&folder, "out/dog-2.json")["image"]["width"], 46);
}

#[test]
fn hostile_names_become_safe_ones_and_are_shown_in_one_line() {
    let folder = folder();
    let name = "-a line\nbreak and a very long name indeed\u{1b}[31m.png";
    fs::copy(folder.path().join("small.png"), folder.path().join(name)).unwrap();
    let line = contains("\\n")
        .and(contains("\u{1b}").not())
        .and(predicate::str::contains("\n").count(1));
    maskrcnn(&folder, &["--", name])
        .assert()
        .success()
        .stdout(line);
    assert_eq!(
        listing(&folder, "out"),
        [
            "a_line_break_and_a_very_long_name_indeed_31m.json",
            "a_line_break_and_a_very_long_name_indeed_31m.png"
        ]
    );
    assert_eq!(
        report(
            &folder,
            "out/a_line_break_and_a_very_long_name_indeed_31m.json"
        )["image"]["source"],
        name
    );
}

#[test]
fn results_have_the_usual_permissions_and_leave_nothing_else() {
    let folder = folder();
    maskrcnn(&folder, &["small.png"]).assert().success();
    fs::write(folder.path().join("new"), "").unwrap();
    let expected = fs::metadata(folder.path().join("new"))
        .unwrap()
        .permissions()
        .mode();
    for name in ["out/small.png", "out/small.json"] {
        assert_eq!(
            fs::metadata(folder.path().join(name))
                .unwrap()
                .permissions()
                .mode(),
            expected,
            "{name}"
        );
    }
    assert_eq!(listing(&folder, "out").len(), 2);
}

#[test]
fn a_result_is_a_new_file_not_the_old_one_written_over() {
    let folder = folder();
    maskrcnn(&folder, &["small.png"]).assert().success();
    let path = folder.path().join("out/small.json");
    // Whoever has the old file open, or a second name of it, keeps it whole.
    fs::hard_link(&path, folder.path().join("second")).unwrap();
    let before = fs::metadata(&path).unwrap().ino();
    maskrcnn(&folder, &["-t", "0.75", "small.png"])
        .assert()
        .success();
    assert_ne!(fs::metadata(&path).unwrap().ino(), before);
    assert_eq!(report(&folder, "second")["options"]["score_threshold"], 0.5);
    assert_eq!(
        report(&folder, "out/small.json")["options"]["score_threshold"],
        0.75
    );
}

#[test]
fn a_result_that_cannot_get_its_name_leaves_nothing_behind() {
    let folder = folder();
    fs::create_dir_all(folder.path().join("out/dog.png")).unwrap();
    let expected = starts_with("error: dog.jpg: cannot write `out/dog.png`: ");
    maskrcnn(&folder, &["dog.jpg", "small.png"])
        .assert()
        .code(1)
        .stderr(expected)
        .stdout(starts_with("small.png: "));
    assert_eq!(
        listing(&folder, "out"),
        ["dog.png", "small.json", "small.png"]
    );
}

#[test]
fn threshold_classes_and_limit_narrow_the_report() {
    let folder = folder();
    let run = |args: &[&str]| {
        maskrcnn(&folder, &[args, &["--json-only"]].concat())
            .assert()
            .success();
        report(
            &folder,
            if args.contains(&"cat.png") {
                "out/cat.json"
            } else {
                "out/dog.json"
            },
        )
    };
    // The cat is found a second time, with a low score.
    let all = run(&["-t", "0.1", "cat.png"]);
    assert!(labels(&all).len() > 1);
    // Exactly the second score: a threshold that is met is met.
    let second = &all["detections"][1]["score"];
    let sure = run(&["-t", &second.to_string(), "cat.png"]);
    assert_eq!(
        sure["detections"].as_array().unwrap()[..],
        all["detections"].as_array().unwrap()[..2]
    );
    assert_eq!(&sure["options"]["score_threshold"], second);
    let limited = run(&["-t", "0.1", "--max-detections", "1", "cat.png"]);
    assert_eq!(
        limited["detections"].as_array().unwrap()[..],
        all["detections"].as_array().unwrap()[..1]
    );
    assert_eq!(limited["options"]["max_detections"], 1);

    let dogs = run(&["--classes", "dog, potted plant", "dog.jpg"]);
    assert!(labels(&dogs).iter().all(|label| *label == "dog") && !labels(&dogs).is_empty());
    assert_eq!(
        dogs["options"]["classes"],
        serde_json::json!(["dog", "potted plant"])
    );
    assert!(!labels(&run(&["--classes", "person", "dog.jpg"])).contains(&"dog"));
}

#[test]
fn an_unknown_class_is_refused_once_with_a_suggestion() {
    let folder = folder();
    let expected = starts_with("error: unknown class `dgo`, did you mean `dog`?")
        .and(contains("potted plant"));
    let run = maskrcnn(&folder, &["--classes", "dgo", "dog.jpg", "small.png"])
        .assert()
        .code(1);
    run.stderr(expected.and(predicate::str::contains("\n").count(1)))
        .stdout(is_empty());
}

#[test]
fn each_drawing_option_changes_the_picture() {
    let folder = folder();
    let picture = |args: &[&str]| {
        maskrcnn(&folder, &[args, &["dog.jpg"]].concat())
            .assert()
            .success();
        image::open(folder.path().join("out/dog.png"))
            .unwrap()
            .into_rgb8()
    };
    let default = picture(&[]);
    for option in [
        &["--no-masks"][..],
        &["--no-boxes"],
        &["--no-captions"],
        &["--mask-opacity", "0.9"],
    ] {
        assert!(picture(option) != default, "{option:?}");
    }
    let photo = image::open(folder.path().join("dog.jpg"))
        .unwrap()
        .into_rgb8();
    let bare = picture(&["--no-masks", "--no-boxes", "--no-captions"]);
    let worst = bare
        .iter()
        .zip(photo.iter())
        .map(|(a, b)| a.abs_diff(*b))
        .max()
        .unwrap();
    assert!(worst <= 1, "the photo itself is changed by {worst}");
}

#[test]
fn json_only_writes_no_picture() {
    let folder = folder();
    let line = predicate::str::ends_with(" -> out/dog.json\n");
    maskrcnn(&folder, &["--json-only", "dog.jpg"])
        .assert()
        .success()
        .stdout(line);
    assert_eq!(listing(&folder, "out"), ["dog.json"]);
}

#[test]
fn quiet_prints_errors_only() {
    let folder = folder();
    maskrcnn(&folder, &["-q", "small.png"])
        .assert()
        .success()
        .stdout(is_empty())
        .stderr(is_empty());
    let errors = starts_with("error: missing.png: ").and(predicate::str::contains("\n").count(1));
    maskrcnn(&folder, &["-q", "missing.png", "small.png"])
        .assert()
        .code(1)
        .stdout(is_empty())
        .stderr(errors);
}

#[test]
fn verbose_prints_what_each_stage_took_to_standard_error() {
    let folder = folder();
    let stages = [
        "weights: compact.safetensors, read as safetensors",
        "load the model",
        "small.png: 46×29 pixels",
    ];
    let stages = stages.into_iter().chain([
        "read and decode",
        "transform",
        "backbone",
        "draw",
        "encode",
        "write",
    ]);
    let stderr = maskrcnn(&folder, &["-v", "small.png"])
        .assert()
        .success()
        .stdout(starts_with("small.png: "));
    let stderr = String::from_utf8(stderr.get_output().stderr.clone()).unwrap();
    let mut rest = stderr.as_str();
    for stage in stages {
        let at = rest
            .find(stage)
            .unwrap_or_else(|| panic!("`{stage}` is not, or not in its order, in\n{stderr}"));
        rest = &rest[at..];
    }
    assert!(
        stderr
            .lines()
            .all(|line| !line.starts_with("  ") || line.ends_with(" ms")),
        "{stderr}"
    );
    assert!(
        !fs::read_to_string(folder.path().join("out/small.json"))
            .unwrap()
            .contains(" ms")
    );
}

#[test]
fn threads_and_device_are_accepted_and_stay_out_of_the_report() {
    let folder = folder();
    let run = |args: &[&str]| {
        maskrcnn(&folder, &[args, &["-v", "dog.jpg"]].concat())
            .assert()
            .success();
        let mut report = report(&folder, "out/dog.json");
        let found = report["detections"].take();
        (report, found.as_array().unwrap().len())
    };
    for (count, line) in [("1", "1 threads"), ("3", "3 threads")] {
        let verbose = maskrcnn(&folder, &["-v", "--threads", count, "small.png"])
            .assert()
            .success();
        verbose.stderr(contains(format!("model: compact on cpu with {line};")));
    }
    // Scores may differ in the last digit, what else the report says may not.
    assert_eq!(run(&["--threads", "1", "--device", "cpu"]), run(&[]));
}

#[test]
fn weights_of_a_file_are_named_in_the_report() {
    let folder = folder();
    fs::create_dir(folder.path().join("models")).unwrap();
    fs::copy(
        repository("weights/compact.safetensors"),
        folder.path().join("models/mine.bin"),
    )
    .unwrap();
    maskrcnn(&folder, &["-w", "models/mine.bin", "dog.jpg"])
        .assert()
        .success()
        .stdout(contains("× dog"));
    let model = &report(&folder, "out/dog.json")["model"];
    assert_eq!(model["file"], "mine.bin");
    assert_eq!(
        model["sha256"],
        sha256(&folder.path().join("models/mine.bin"))
    );
}

#[test]
fn weights_that_cannot_be_used_are_reported_in_one_line() {
    let folder = folder();
    let weights = fs::read(repository("weights/compact.safetensors")).unwrap();
    fs::write(folder.path().join("text.pth"), "no weights").unwrap();
    fs::write(folder.path().join("empty.pth"), "").unwrap();
    fs::write(folder.path().join("short.safetensors"), &weights[..7]).unwrap();
    for file in [
        "missing.pth",
        "text.pth",
        "empty.pth",
        "short.safetensors",
        "dog.jpg",
        ".",
    ] {
        let expected = starts_with(format!("error: cannot load the weights `{file}`: "));
        let run = maskrcnn(&folder, &["-w", file, "dog.jpg"]).assert().code(1);
        run.stderr(expected.and(predicate::str::contains("\n").count(1)))
            .stdout(is_empty());
    }
}

#[test]
fn unusable_weights_are_reported_while_standard_input_is_open() {
    let folder = folder();
    let mut child = std::process::Command::new(PROGRAM)
        .current_dir(&folder)
        .args(["-w", "missing.pth", "-"])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let _still_open = child.stdin.take();
    let mut stderr = String::new();
    child
        .stderr
        .take()
        .unwrap()
        .read_to_string(&mut stderr)
        .unwrap();
    assert!(
        stderr.starts_with("error: cannot load the weights `missing.pth`"),
        "{stderr}"
    );
    assert_eq!(child.wait().unwrap().code(), Some(1));
}

#[test]
fn a_device_that_is_absent_is_a_clear_error() {
    let folder = folder();
    let expected = "error: cannot set up the model: device `cuda:63` cannot be used: ";
    maskrcnn(&folder, &["--device", "cuda:63", "dog.jpg"])
        .assert()
        .code(1)
        .stderr(starts_with(expected));
}

#[test]
fn a_reader_that_leaves_early_loses_no_results() {
    let folder = folder();
    let mut child = std::process::Command::new(PROGRAM)
        .current_dir(&folder)
        .args(["small.png", "dog.jpg", "cat.png"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(
        (
            output.status.code(),
            String::from_utf8(output.stderr).unwrap()
        ),
        (Some(0), String::new())
    );
    assert_eq!(listing(&folder, "out").len(), 6);
}

#[test]
#[cfg(target_os = "linux")]
fn a_summary_that_cannot_be_written_is_an_error() {
    let folder = folder();
    let full = fs::File::options().write(true).open("/dev/full").unwrap();
    let mut command = std::process::Command::new(PROGRAM);
    let output = command
        .current_dir(&folder)
        .arg("small.png")
        .stdout(full)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(
        stderr.starts_with("error: cannot write to standard output: No space left on device"),
        "{stderr}"
    );
}

#[test]
fn senseless_command_lines_are_refused_and_touch_nothing() {
    let folder = folder();
    for (args, expected) in [
        (&[][..], "required arguments were not provided"),
        (
            &["--treshold", "0.3", "dog.jpg"],
            "a similar argument exists: '--threshold'",
        ),
        (
            &["--mask-opacit", "0.3", "dog.jpg"],
            "a similar argument exists: '--mask-opacity'",
        ),
        (
            &["-t", "1.5", "dog.jpg"],
            "invalid value '1.5' for '--threshold <SCORE>': expected a number from 0 to 1",
        ),
        (&["-t", "NaN", "dog.jpg"], "expected a number from 0 to 1"),
        (
            &["-t", "-1", "dog.jpg"],
            "invalid value '-1' for '--threshold <SCORE>'",
        ),
        (
            &["--threads", "0", "dog.jpg"],
            "invalid value '0' for '--threads <N>'",
        ),
        (
            &["--threads", "1000000", "dog.jpg"],
            "expected a whole number from 1 to 256",
        ),
        (
            &["--max-detections", "-1", "dog.jpg"],
            "invalid value '-1' for '--max-detections <N>'",
        ),
        (
            &["--device", "gpu", "dog.jpg"],
            "invalid value 'gpu' for '--device <DEVICE>': expected cpu, cuda, cuda:N or mps",
        ),
        (
            &["--max-detections", "1.5", "dog.jpg"],
            "expected a whole number from 1",
        ),
        (
            &["--classes", "dog,,cat", "dog.jpg"],
            "expected names of classes, separated by commas",
        ),
        (&["-q", "-v", "dog.jpg"], "cannot be used with"),
        (&["-", "-"], "standard input can be read only once"),
        (
            &["--json-only", "--no-masks", "dog.jpg"],
            "cannot be used with",
        ),
        (&["-o"], "a value is required for '--output <DIR>'"),
    ] {
        let hint = contains(expected).and(contains("try '--help'"));
        maskrcnn(&folder, args)
            .assert()
            .code(2)
            .stderr(hint)
            .stdout(is_empty());
    }
    assert_eq!(listing(&folder, "."), ["cat.png", "dog.jpg", "small.png"]);
}

#[test]
fn help_and_version_go_to_standard_output() {
    let folder = folder();
    let help = contains("Usage: maskrcnn [OPTIONS] <IMAGE>...")
        .and(contains("Examples:\n"))
        .and(contains("Exit status"));
    maskrcnn(&folder, &["--help"])
        .assert()
        .success()
        .stdout(help)
        .stderr(is_empty());
    let version = format!("maskrcnn {} (libtorch 2.", env!("CARGO_PKG_VERSION"));
    maskrcnn(&folder, &["--version"])
        .assert()
        .success()
        .stdout(starts_with(version))
        .stderr(is_empty());
}

#[test]
fn classes_can_be_named_by_a_file() {
    let folder = folder();
    let names: String = (1..=20).map(|n| format!("thing {n}\n")).collect();
    fs::write(folder.path().join("names.txt"), &names).unwrap();
    let args = ["--labels", "names.txt", "--json-only", "dog.jpg"];
    maskrcnn(&folder, &args).assert().success();
    // The embedded network's dog is its eleventh class.
    assert!(labels(&report(&folder, "out/dog.json")).contains(&"thing 11"));

    let address = format!("data:,{}", names.trim_end().replace('\n', "%0A"));
    let args = ["--labels", &address, "--classes", "thing 11", "dog.jpg"];
    maskrcnn(&folder, &args).assert().success();

    fs::write(folder.path().join("names.txt"), "dog\ncat\n").unwrap();
    let args = ["-v", "--labels", "names.txt", "dog.jpg"];
    let expected = "error[labels]: cannot use the labels `names.txt`: the names of the classes are unusable: expected \
                    20, one for each class of the network beside the background, found 2";
    maskrcnn(&folder, &args)
        .assert()
        .code(1)
        .stderr(contains(expected));
    let args = ["-v", "--labels", "none.txt", "dog.jpg"];
    let missing = maskrcnn(&folder, &args).assert().code(1);
    missing.stderr(contains(
        "error[read-file]: cannot use the labels `none.txt`",
    ));
}

#[test]
fn a_blueprint_changes_what_the_weights_do_not_hold() {
    let folder = folder();
    let strict = r#"{"postprocess": {"score_thresh": 0.999, "detections_per_image": 1}}"#;
    fs::write(folder.path().join("strict.json"), strict).unwrap();
    let args = ["--blueprint", "strict.json", "-t", "0", "dog.jpg"];
    maskrcnn(&folder, &args).assert().success();
    assert!(labels(&report(&folder, "out/dog.json")).len() <= 1);

    let wrong = r#"{"postprocess": {"score_treshold": 0.9}}"#;
    fs::write(folder.path().join("wrong.json"), wrong).unwrap();
    let args = ["-v", "--blueprint", "wrong.json", "dog.jpg"];
    let expected = "error[blueprint]: cannot use the blueprint `wrong.json`: the blueprint is unusable: \
                    postprocess.score_treshold: there is no such field; there are ";
    maskrcnn(&folder, &args)
        .assert()
        .code(1)
        .stderr(contains(expected));
}
