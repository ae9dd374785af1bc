//! What results are called, over one run and over several into one directory: nothing is lost
//! without a word.

use std::fs;
use std::path::Path;

use assert_cmd::Command;
use predicates::str::{contains, is_empty};
use serde_json::Value;
use tempfile::TempDir;

use crate::repository::PROGRAM;

/// A folder with small images of these names in it, each of another size.
fn folder(names: &[&str]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, side) in names.iter().zip(40..) {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let image = image::RgbImage::from_pixel(side, 30, image::Rgb([90, 120, 60]));
        image.save(path).unwrap();
    }
    folder
}

fn maskrcnn(folder: &TempDir, args: &[&str]) -> Command {
    let mut command = Command::new(PROGRAM);
    command.current_dir(folder).args(args);
    command
}

/// The names in `out`, sorted.
fn listing(folder: &TempDir) -> Vec<String> {
    let entries = fs::read_dir(folder.path().join("out")).unwrap();
    let mut names: Vec<_> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

fn report(folder: &TempDir, stem: &str) -> Value {
    let path = folder.path().join("out").join(format!("{stem}.json"));
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

#[test]
fn two_screenshots_of_one_day_in_two_runs_both_stay() {
    let names = [
        "Screenshot 2024-05-01 at 10.23.45.png",
        "Screenshot 2024-05-01 at 10.47.02.png",
    ];
    let folder = folder(&names);
    for name in names {
        let run = maskrcnn(&folder, &[name]).assert().success();
        run.stdout(contains(name)).stderr(is_empty());
    }
    let stems = [
        "Screenshot_2024-05-01_at_10.23.45",
        "Screenshot_2024-05-01_at_10.47.02",
    ];
    for (stem, name) in stems.iter().zip(names) {
        assert_eq!(report(&folder, stem)["image"]["source"], name);
    }
    assert_eq!(listing(&folder).len(), 4);
}

#[test]
fn another_image_of_the_name_gets_a_number_and_is_told() {
    let folder = folder(&["a/photo.png", "b/photo.png"]);
    let run = |name: &str| maskrcnn(&folder, &[name]).assert().success();
    run("a/photo.png").stdout(contains("-> out/photo.png, out/photo.json\n"));
    let told = "-> out/photo-2.png, out/photo-2.json (`out/photo.json` is of a/photo.png)\n";
    run("b/photo.png").stdout(contains(told));
    // Each again, in the other order: each replaces its own.
    run("b/photo.png").stdout(contains("-> out/photo-2.png, out/photo-2.json"));
    run("a/photo.png").stdout(contains("-> out/photo.png, out/photo.json\n"));
    assert_eq!(
        listing(&folder),
        ["photo-2.json", "photo-2.png", "photo.json", "photo.png"]
    );
    assert_eq!(report(&folder, "photo")["image"]["width"], 40);
    assert_eq!(report(&folder, "photo-2")["image"]["width"], 41);
}

#[test]
fn one_name_in_two_folders_loses_nothing() {
    let folder = folder(&["a/photo.png", "b/photo.png"]);
    let run = |place: &str, name: &str| {
        let mut command = Command::new(PROGRAM);
        command.current_dir(folder.path().join(place));
        command.args(["-o", "../out", name]).assert().success()
    };
    run("a", "photo.png").stdout(contains("-> ../out/photo.png, "));
    let told = "-> ../out/photo-2.png, ../out/photo-2.json (`../out/photo.json` is of another photo.png)\n";
    run("b", "photo.png").stdout(contains(told));
    run("a", "photo.png").stdout(contains("-> ../out/photo.png, "));
    // The same files under other names.
    run("a", "./photo.png").stdout(contains("-> ../out/photo.png, "));
    run("a", "../b/photo.png").stdout(contains("-> ../out/photo-2.png, "));
    let absolute = folder.path().join("a/photo.png");
    run("b", absolute.to_str().unwrap()).stdout(contains("-> ../out/photo.png, "));
    assert_eq!(listing(&folder).len(), 4);
    let [first, second] = ["photo", "photo-2"].map(|stem| report(&folder, stem)["image"].clone());
    assert_eq!(
        (&first["width"], &second["width"]),
        (&40.into(), &41.into())
    );
    assert_ne!(first["id"], second["id"]);
}

#[test]
fn images_from_standard_input_are_told_by_their_bytes() {
    let folder = folder(&["a.png", "b.png"]);
    let run = |name: &str| {
        let image = fs::read(folder.path().join(name)).unwrap();
        maskrcnn(&folder, &["-"])
            .write_stdin(image)
            .assert()
            .success()
    };
    run("a.png").stdout(contains("-> out/stdin.png, out/stdin.json\n"));
    run("b.png").stdout(contains("-> out/stdin-2.png, out/stdin-2.json ("));
    run("a.png").stdout(contains("-> out/stdin.png, out/stdin.json\n"));
    assert_eq!(listing(&folder).len(), 4);
    assert_eq!(report(&folder, "stdin")["image"]["width"], 40);
}

#[test]
fn files_that_are_nobodys_results_stay() {
    let folder = folder(&["photo.png", "out/photo.png"]);
    let told = "-> out/photo-2.png, out/photo-2.json (`out/photo.png` is there already)\n";
    maskrcnn(&folder, &["photo.png"])
        .assert()
        .success()
        .stdout(contains(told));
    let picture = image::image_dimensions(folder.path().join("out/photo.png"));
    assert_eq!(picture.unwrap(), (41, 30));
}

#[test]
fn two_processes_at_once_lose_nothing() {
    let folder = folder(&["a/photo.png", "b/photo.png", "c/photo.png"]);
    let start = |name: &str| {
        let mut command = std::process::Command::new(PROGRAM);
        command
            .current_dir(&folder)
            .arg("-q")
            .arg(name)
            .spawn()
            .unwrap()
    };
    let runs = ["a/photo.png", "b/photo.png", "c/photo.png"].map(start);
    for mut run in runs {
        assert!(run.wait().unwrap().success());
    }
    let mut sources: Vec<_> = ["photo", "photo-2", "photo-3"]
        .map(|stem| {
            report(&folder, stem)["image"]["source"]
                .as_str()
                .unwrap()
                .to_owned()
        })
        .into();
    sources.sort();
    assert_eq!(sources, ["a/photo.png", "b/photo.png", "c/photo.png"]);
}

#[test]
fn marks_that_macos_writes_apart_stay_with_their_letters() {
    let folder = folder(&["cafe\u{301}.png"]);
    maskrcnn(&folder, &["cafe\u{301}.png"]).assert().success();
    assert_eq!(listing(&folder), ["cafe\u{301}.json", "cafe\u{301}.png"]);
}

/// The number of an image in the report of a run over these images.
fn id(folder: &TempDir, images: &[&str], stem: &str) -> u64 {
    let out = folder.path().join("out");
    if out.exists() {
        fs::remove_dir_all(out).unwrap();
    }
    maskrcnn(folder, &["-q", "--json-only", "-t", "0"])
        .args(images)
        .assert()
        .success();
    let report = report(folder, stem);
    let id = report["image"]["id"].as_u64().unwrap();
    for detection in report["detections"].as_array().unwrap() {
        assert_eq!(detection["image_id"], id);
    }
    id
}

#[test]
fn ids_come_from_names_and_not_from_the_place_in_the_run() {
    let coco = "COCO_val2014_000000000139.png";
    let folder = folder(&["IMG_0001.png", "IMG_0002.png", coco, "000000000007.png"]);
    assert_eq!(id(&folder, &[coco], "COCO_val2014_000000000139"), 139);
    assert_eq!(id(&folder, &["000000000007.png"], "000000000007"), 7);
    let alone = id(&folder, &["IMG_0001.png"], "IMG_0001");
    let among = id(&folder, &[coco, "IMG_0002.png", "IMG_0001.png"], "IMG_0001");
    assert_eq!(alone, among);
    assert!((1 << 30..1 << 53).contains(&alone), "{alone}");
    assert_ne!(alone, id(&folder, &["IMG_0002.png"], "IMG_0002"));
    let path = folder.path().join("IMG_0001.png");
    assert_eq!(alone, id(&folder, &[path.to_str().unwrap()], "IMG_0001"));
}

#[test]
fn images_of_one_run_never_share_an_id() {
    let folder = folder(&["a/IMG_1.png", "b/IMG_1.png"]);
    let both = ["a/IMG_1.png", "b/IMG_1.png"];
    let first = id(&folder, &both, "IMG_1");
    let second = report(&folder, "IMG_1-2")["image"]["id"].as_u64().unwrap();
    assert_ne!(first, second);
    let turned = id(&folder, &["b/IMG_1.png", "a/IMG_1.png"], "IMG_1");
    assert_eq!(
        turned, second,
        "from the path, so the order is nothing to it"
    );
    assert!(Path::new(&folder.path().join("out/IMG_1-2.json")).exists());
}
