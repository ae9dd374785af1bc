//! Tasks that fail: by the requester's fault, which is reported to him as the task's result, and by
//! anybody else's, which leaves no computed.json, so that no worker contributes anything.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::sleep;
use std::time::Duration;

use serde_json::Value;

use crate::task::assert_done;
use crate::worker::{Cause, Outcome, Task, Worker};
use crate::{photo, web};

/// Asserts that the requester is told of an error with `code`; gives the content of error.json.
pub fn assert_reported(outcome: &Outcome, code: &str) -> Value {
    assert_eq!(outcome.exit, Some(1), "{}", outcome.stderr);
    let contribution = outcome
        .contribution
        .as_ref()
        .unwrap_or_else(|cause| panic!("{cause:?}: {}", outcome.stderr));
    assert_eq!(
        contribution.computed["deterministic-output-path"], "/iexec_out/error.json",
        "{code}"
    );
    assert!(
        !contribution.computed["error-message"]
            .as_str()
            .unwrap()
            .is_empty()
    );
    assert_eq!(contribution.computed.get("callback-data"), None);
    let error = outcome.json("error.json");
    assert_eq!(error["schema"], "urn:maskrcnn:error:1");
    assert_eq!(error["errors"][0]["code"], code, "{error}");
    assert!(!outcome.archive.iter().any(|name| name == "consensus.json"));
    error
}

/// Asserts that nothing is contributed and nothing half-written stays.
pub fn assert_not_contributed(outcome: &Outcome) {
    assert_eq!(
        outcome.contribution,
        Err(Cause::PostComputeSendComputedFileFailed),
        "{outcome:?}"
    );
    assert!(
        outcome
            .archive
            .iter()
            .all(|name| !name.starts_with(".maskrcnn-")),
        "{:?}",
        outcome.archive
    );
}

/// A task for a photo in its input folder.
fn with_photo(worker: &Worker, task: Task) -> Task {
    let (input, _) = worker.folders(&task);
    fs::create_dir_all(&input).unwrap();
    fs::write(input.join("photo.jpg"), photo("dog1.jpg")).unwrap();
    task
}

#[test]
fn errors_of_the_requester_are_the_result_for_all_workers() {
    let web = web();
    let dog = web.url("/dog1.jpg");
    for (args, code) in [
        (web.url("/absent.jpg"), "http-status"),
        (web.url("/note.txt"), "not-an-image"),
        ("http://127.0.0.1/dog.jpg".to_owned(), "not-public"),
        (
            "http://169.254.169.254/latest/meta-data".to_owned(),
            "not-public",
        ),
        ("gopher://example.org/dog.jpg".to_owned(), "bad-address"),
        ("absent.jpg".to_owned(), "image-file"),
        (format!("--classes unicorn {dog}"), "unknown-class"),
        (
            format!("--max-megapixels 1 --max-bytes 1k {dog}"),
            "too-large",
        ),
        (
            format!("--weights {} {dog}", web.url("/note.txt")),
            "not-a-checkpoint",
        ),
        (format!("--threshold 2 {dog}"), "command-line"),
        (format!("--no-such-option {dog}"), "command-line"),
        (String::new(), "command-line"),
        (format!("'{dog}"), "command-line"),
    ] {
        let worker = Worker::new();
        let first = worker.run(&Task::new(args.as_str()));
        assert_reported(&first, code);
        let second = Worker::new().run(&Task::new(args.as_str()));
        assert_eq!(
            first.read("error.json"),
            second.read("error.json"),
            "{args}"
        );
    }
}

#[test]
fn images_that_are_fine_are_done_beside_one_that_is_not() {
    let web = web();
    let args = [
        web.url("/dog1.jpg"),
        web.url("/absent.jpg"),
        web.url("/chelsea.png"),
    ]
    .join(" ");
    let outcome = Worker::new().run(&Task::new(args));
    let error = assert_reported(&outcome, "http-status");
    assert_eq!(error["errors"][0]["image"], 2);
    assert_eq!(
        outcome.archive,
        [
            "1.json",
            "1.png",
            "3.json",
            "3.png",
            "computed.json",
            "error.json"
        ]
    );
}

#[test]
fn an_error_reaches_a_contract_too() {
    let web = web();
    let task = Task {
        callback: true,
        ..Task::new(format!("--callback {}", web.url("/absent.jpg")))
    };
    let outcome = Worker::new().run(&task);
    assert_eq!(outcome.exit, Some(1), "{}", outcome.stderr);
    let data = outcome.contribution.unwrap().computed["callback-data"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_eq!(data.len(), 2 + 5 * 64, "{data}");
    assert_ne!(&data[2..66], "0".repeat(64), "the status");
    assert_eq!(
        &data[66..130],
        "0".repeat(64),
        "the sha256 of an image that nobody has"
    );
}

#[test]
fn an_input_file_that_cannot_be_had_keeps_the_app_from_running() {
    let web = web();
    let task = Task {
        input_files: vec![web.url("/absent.jpg")],
        ..Task::new("")
    };
    let outcome = Worker::new().run(&task);
    assert_eq!(
        (outcome.exit, outcome.contribution),
        (None, Err(Cause::InputFilesDownloadFailed))
    );
}

#[test]
fn nothing_is_contributed_when_the_time_is_over() {
    let web = web();
    let task = Task {
        time_limit: Duration::from_secs(3),
        ..Task::new(web.url("/silence"))
    };
    let outcome = Worker::new().run(&task);
    assert!(outcome.timed_out);
    // The engine sends SIGTERM and, right after it, SIGKILL.
    assert!(
        matches!(outcome.exit, Some(143 | 137)),
        "{:?}",
        outcome.exit
    );
    assert_not_contributed(&outcome);
}

#[test]
fn nothing_is_contributed_without_a_network() {
    let web = web();
    let outcome = Worker::new().run(&Task::new(web.url("/dog1.jpg")).under("--network", "none"));
    assert_eq!(outcome.exit, Some(1));
    assert_not_contributed(&outcome);
}

/// Sends `signal` while the program waits for its second image, with results of an earlier run in
/// the output folder.
fn interrupted(signal: &str) -> Outcome {
    let web = web();
    let worker = Worker::new();
    let task = Task::new(format!("{} {}", web.url("/dog1.jpg"), web.url("/silence")));
    let (_, output) = worker.folders(&task);
    fs::create_dir_all(&output).unwrap();
    fs::write(output.join("consensus.json"), "{}").unwrap();
    let computed = r#"{"deterministic-output-path": "/iexec_out/consensus.json"}"#;
    fs::write(output.join("computed.json"), computed).unwrap();
    let running = worker.start(&task).unwrap();
    for _ in 0..600 {
        if running.output().join("1.json").exists()
            && web.heads().iter().any(|head| head.contains("/silence"))
        {
            break;
        }
        sleep(Duration::from_millis(50));
    }
    running.signal(signal);
    let outcome = running.finish();
    assert!(!outcome.timed_out);
    assert_eq!(outcome.archive, ["1.json", "1.png"], "{}", outcome.stderr);
    outcome
}

#[test]
fn a_signal_half_way_leaves_no_computed_json_even_if_old() {
    let outcome = interrupted("TERM");
    assert_eq!(outcome.exit, Some(143));
    assert_not_contributed(&outcome);
}

#[test]
fn a_crash_half_way_leaves_no_computed_json_even_if_old() {
    let outcome = interrupted("KILL");
    assert_eq!(outcome.exit, Some(137));
    assert_not_contributed(&outcome);
}

#[test]
fn nothing_is_contributed_when_memory_or_threads_run_out() {
    for (name, value) in [("--memory", "48m"), ("--pids-limit", "1")] {
        let worker = Worker::new();
        let task = with_photo(
            &worker,
            Task::new("photo.jpg")
                .under("--network", "none")
                .under(name, value),
        );
        let outcome = worker.run(&task);
        assert_ne!(outcome.exit, Some(0), "{name}");
        assert_not_contributed(&outcome);
    }
}

#[test]
fn nothing_is_contributed_when_an_image_exceeds_the_memory() {
    // Enough for the program, its model and a photo; 60 megapixels alone are 180 MB more. The
    // engine cannot limit the address space (RLIMIT_AS); this is RLIMIT_DATA.
    let within = |args: &str| {
        Task::new(args)
            .under("--network", "none")
            .under("--ulimit", "data=300000000")
    };
    let worker = Worker::new();
    assert_done(
        &worker.run(&with_photo(&worker, within("--threads 1 photo.jpg"))),
        &[1],
    );

    let worker = Worker::new();
    let task = within("--threads 1 large.png");
    let (input, _) = worker.folders(&task);
    fs::create_dir_all(&input).unwrap();
    image::RgbImage::new(7500, 8000)
        .save(input.join("large.png"))
        .unwrap();
    let outcome = worker.run(&task);
    assert_eq!(outcome.exit, Some(1), "{}", outcome.stderr);
    assert!(
        outcome
            .stderr
            .contains("large.png: cannot decode the PNG image: there is not enough memory"),
        "{outcome:?}"
    );
    assert_not_contributed(&outcome);
    assert_eq!(outcome.archive, [""; 0]);
}

/// A small file system in memory, gone when it is dropped.
struct Disk(PathBuf);

impl Disk {
    fn new(path: &Path, size: &str) -> Self {
        fs::create_dir_all(path).unwrap();
        let options = format!("size={size}");
        let mut mount = Command::new("mount");
        let mounted = mount
            .args(["-t", "tmpfs", "-o", &options, "tmpfs"])
            .arg(path)
            .status()
            .unwrap();
        assert!(
            mounted.success(),
            "mounting needs root, so run this test as root"
        );
        Self(path.to_owned())
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        Command::new("umount")
            .arg("--lazy")
            .arg(&self.0)
            .status()
            .ok();
    }
}

#[test]
fn nothing_is_contributed_when_the_disk_is_full() {
    // No room for the picture; room for the picture, not for the rest: 4096 bytes are a page of the
    // file system.
    for size in ["64k", "4k"] {
        let worker = Worker::new();
        let task = with_photo(&worker, Task::new("photo.jpg").under("--network", "none"));
        let _disk = Disk::new(&worker.folders(&task).1, size);
        let outcome = worker.run(&task);
        assert_eq!(outcome.exit, Some(1), "{size}: {}", outcome.stderr);
        assert!(
            outcome.stderr.contains("No space left"),
            "{}",
            outcome.stderr
        );
        assert_not_contributed(&outcome);
    }
}
