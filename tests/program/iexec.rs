//! The program in a task, through its environment and the files that the worker reads.
//! `tests/container.rs` does the same in the container.

use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::thread::sleep;
use std::time::{Duration, Instant};
use std::{fs, process};

use assert_cmd::Command;
use predicates::prelude::*;
use predicates::str::contains;
use serde_json::Value;
use tempfile::TempDir;

use crate::repository::{PROGRAM, repository};

const NO_DATASET: &str = "0x0000000000000000000000000000000000000000";

/// A task's folders and environment, as a worker makes them.
struct Task {
    folder: TempDir,
    variables: BTreeMap<String, String>,
}

impl Task {
    /// Task `index` of a bag of `size`, with `inputs` (name, file of the repository).
    fn new(index: usize, size: usize, inputs: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("in")).unwrap();
        let path = |name| folder.path().join(name).to_str().unwrap().to_owned();
        let mut variables: BTreeMap<String, String> = [
            ("IEXEC_TASK_ID", "0x01".to_owned()),
            ("IEXEC_IN", path("in")),
            ("IEXEC_OUT", path("out")),
            ("IEXEC_DATASET_FILENAME", NO_DATASET.to_owned()),
            ("IEXEC_INPUT_FILES_NUMBER", inputs.len().to_string()),
            ("IEXEC_BOT_SIZE", size.to_string()),
            ("IEXEC_BOT_FIRST_INDEX", "0".to_owned()),
            ("IEXEC_BOT_TASK_INDEX", index.to_string()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into();
        for (n, (name, from)) in (1..).zip(inputs) {
            fs::copy(repository(from), folder.path().join("in").join(name)).unwrap();
            variables.insert(format!("IEXEC_INPUT_FILE_NAME_{n}"), (*name).to_owned());
        }
        Self { folder, variables }
    }

    fn dataset(mut self, name: &str, content: &[u8]) -> Self {
        fs::write(self.folder.path().join("in").join(name), content).unwrap();
        self.variables
            .insert("IEXEC_DATASET_FILENAME".to_owned(), name.to_owned());
        self
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(PROGRAM);
        command
            .env_clear()
            .envs(&self.variables)
            .current_dir(self.folder.path().join("in"))
            .args(args);
        command
    }

    fn output(&self, name: &str) -> PathBuf {
        self.folder.path().join("out").join(name)
    }

    fn json(&self, name: &str) -> Value {
        serde_json::from_slice(&fs::read(self.output(name)).unwrap()).unwrap()
    }

    fn listing(&self) -> Vec<String> {
        let entries = fs::read_dir(self.output("")).unwrap();
        let mut names: Vec<_> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    /// Runs it to a result that is the requester's fault, and gives `error.json`.
    fn refused(&self, args: &[&str]) -> Value {
        self.command(args).assert().code(1);
        let computed = self.json("computed.json");
        assert_eq!(
            computed["deterministic-output-path"],
            self.output("error.json").to_str().unwrap()
        );
        assert!(
            computed["error-message"]
                .as_str()
                .is_some_and(|message| !message.is_empty()),
            "{computed}"
        );
        assert!(!self.output("consensus.json").exists());
        self.json("error.json")
    }
}

const DOG: (&str, &str) = ("0x51bb", "examples/photos/dog1.jpg");
const CAT: (&str, &str) = ("0x0a0f", "examples/photos/chelsea.png");
const NO_IMAGE: (&str, &str) = ("0x77ff", "README.md");

#[test]
fn an_input_file_without_extension_gives_numbered_results() {
    let task = Task::new(0, 1, &[DOG]);
    task.command(&[]).assert().success().stderr("");
    assert_eq!(
        task.listing(),
        ["1.json", "1.png", "computed.json", "consensus.json"]
    );
    let computed = task.json("computed.json");
    assert_eq!(
        computed,
        serde_json::json!({"deterministic-output-path": task.output("consensus.json").to_str()})
    );

    let (report, consensus) = (task.json("1.json"), task.json("consensus.json"));
    assert_eq!(consensus["schema"], "urn:maskrcnn:consensus:1");
    assert_eq!(consensus["weights"], report["model"]["sha256"]);
    let image = &consensus["images"][0];
    for field in ["sha256", "width", "height"] {
        assert_eq!(image[field], report["image"][field], "{field}");
    }
    let (agreed, found) = (
        image["detections"].as_array().unwrap(),
        report["detections"].as_array().unwrap(),
    );
    assert!(!agreed.is_empty());
    assert_eq!(agreed.len(), found.len());
    assert_eq!(agreed[0]["label"], "dog");
    for (agreed, found) in agreed.iter().zip(found) {
        assert_eq!(agreed.as_object().unwrap().len(), 3, "{agreed}");
        assert!(
            (agreed["score"].as_f64().unwrap() - found["score"].as_f64().unwrap()).abs() <= 0.005
        );
        let (x1, width) = (
            found["bbox"][0].as_f64().unwrap(),
            found["bbox"][2].as_f64().unwrap(),
        );
        assert!((agreed["box"][0].as_i64().unwrap() as f64 - x1).abs() <= 0.5);
        assert!((agreed["box"][2].as_i64().unwrap() as f64 - (x1 + width)).abs() <= 0.501);
    }
}

#[test]
fn images_of_the_arguments_come_first_and_may_be_relative() {
    let task = Task::new(0, 1, &[DOG, CAT]);
    task.command(&[CAT.0, "--json-only", "-q"])
        .assert()
        .success()
        .stdout("")
        .stderr("");
    assert_eq!(
        task.listing(),
        [
            "1.json",
            "2.json",
            "3.json",
            "computed.json",
            "consensus.json"
        ]
    );
    assert_eq!(
        task.json("1.json")["image"]["sha256"],
        task.json("3.json")["image"]["sha256"]
    );
    assert_ne!(
        task.json("1.json")["image"]["sha256"],
        task.json("2.json")["image"]["sha256"]
    );
    let images = task.json("consensus.json")["images"].clone();
    assert_eq!(
        images
            .as_array()
            .unwrap()
            .iter()
            .map(|image| &image["image"])
            .collect::<Vec<_>>(),
        [1, 2, 3]
    );
}

#[test]
fn each_task_of_a_bag_does_its_own_image_and_keeps_its_number() {
    for (index, number) in [(0, 1), (1, 2), (3, 2)] {
        let task = Task::new(index, 4, &[DOG, CAT]);
        task.command(&["--json-only"])
            .assert()
            .success()
            .stderr(contains(format!("image {number} of 2")));
        assert_eq!(
            task.listing(),
            [
                format!("{number}.json"),
                "computed.json".into(),
                "consensus.json".into()
            ]
        );
        assert_eq!(task.json("consensus.json")["images"][0]["image"], number);
    }
}

#[test]
fn a_dataset_brings_the_weights_and_an_option_goes_before_it() {
    let weights = fs::read(repository("weights/compact.safetensors")).unwrap();
    let name = "0x00000000000000000000000000000000000000d5";
    let task = Task::new(0, 1, &[DOG]).dataset(name, &weights);
    task.command(&["--json-only"]).assert().success();
    assert_eq!(task.json("1.json")["model"]["file"], name);

    let task = Task::new(0, 1, &[DOG]).dataset(name, b"no weights");
    let error = task.refused(&[]);
    assert_eq!(error["errors"][0]["code"], "not-a-checkpoint");
    assert_eq!(error["errors"][0].get("image"), None);
    let path = repository("weights/compact.safetensors");
    task.command(&["--json-only", "--weights", path.to_str().unwrap()])
        .assert()
        .success();
    assert_eq!(
        task.listing(),
        ["1.json", "computed.json", "consensus.json"]
    );
}

#[test]
fn a_dataset_that_the_worker_did_not_bring_is_as_none() {
    let mut task = Task::new(0, 1, &[DOG]);
    task.variables.insert(
        "IEXEC_DATASET_FILENAME".into(),
        "0x00000000000000000000000000000000000000d5".into(),
    );
    task.command(&["--json-only"])
        .assert()
        .success()
        .stderr(contains("the dataset is not at"));
    assert_eq!(task.json("1.json")["model"]["file"], "compact.safetensors");
}

#[test]
fn the_requesters_faults_have_codes_fixed_sentences_and_numbers() {
    for (args, code) in [
        (&["--treshold", "0.5", DOG.0][..], "command-line"),
        (&["--help"], "command-line"),
        (&[], "command-line"),
        (&["no-such.jpg"], "image-file"),
        (&["-"], "not-an-image"),
        (&["--classes", "unicorn", DOG.0], "unknown-class"),
        (&["--device", "cuda:99", DOG.0], "command-line"),
        (
            &["--device", "cuda:99", "--no-deterministic", DOG.0],
            "device",
        ),
        (&["--weights", "no-such.pth", DOG.0], "read-file"),
        (&["http://169.254.169.254/latest/meta-data"], "not-public"),
        (&["http://[::1]:1/a.jpg"], "not-public"),
        (&["ftp://example.org/a.jpg"], "bad-address"),
        (&["--max-megapixels", "1", "huge.png"], "bad-image"),
        (&["1x1.png", DOG.0, "--callback"], "many-images"),
    ] {
        let task = Task::new(0, 1, &[]);
        let folder = task.folder.path().join("in");
        fs::copy(repository(DOG.1), folder.join(DOG.0)).unwrap();
        image::RgbImage::new(1500, 900)
            .save(folder.join("huge.png"))
            .unwrap();
        let (error, again) = (task.refused(args), task.refused(args));
        assert_eq!(error, again);
        assert_eq!(error["schema"], "urn:maskrcnn:error:1");
        assert_eq!(error["errors"].as_array().unwrap().len(), 1, "{error}");
        assert_eq!(error["errors"][0]["code"], code, "{args:?}: {error}");
        let sentence = error["errors"][0]["message"].as_str().unwrap();
        assert!(
            !sentence.contains(DOG.0) && !sentence.contains("os error"),
            "{sentence}"
        );
        assert_eq!(task.listing(), ["computed.json", "error.json"], "{args:?}");
    }
}

#[test]
fn where_one_image_fails_the_others_are_done_and_agreed_on() {
    let task = Task::new(0, 1, &[DOG, NO_IMAGE, CAT]);
    let error = task.refused(&["--json-only"]);
    assert_eq!(
        task.listing(),
        ["1.json", "3.json", "computed.json", "error.json"]
    );
    assert_eq!(error["errors"][0]["image"], 2);
    assert_eq!(error["images"].as_array().unwrap().len(), 2);
    assert_eq!(error["images"][1]["image"], 3);
    let message = task.json("computed.json")["error-message"].clone();
    assert!(message.as_str().unwrap().contains(NO_IMAGE.0), "{message}");
}

#[test]
fn what_is_not_the_requesters_fault_leaves_the_worker_no_word() {
    // A directory where a result should go, as good as a disk that refuses.
    let task = Task::new(0, 1, &[DOG]);
    fs::create_dir_all(task.output("1.json")).unwrap();
    fs::write(
        task.output("computed.json"),
        "{\"deterministic-output-path\":\"old\"}",
    )
    .unwrap();
    task.command(&[])
        .assert()
        .code(1)
        .stderr(contains("it is a directory"));
    assert_eq!(task.listing(), ["1.json"]);

    // An environment that contradicts itself.
    let mut task = Task::new(0, 1, &[DOG]);
    task.variables.remove("IEXEC_INPUT_FILE_NAME_1");
    fs::create_dir(task.output("")).unwrap();
    fs::write(
        task.output("computed.json"),
        "{\"deterministic-output-path\":\"old\"}",
    )
    .unwrap();
    task.command(&[])
        .assert()
        .code(1)
        .stderr(contains("IEXEC_INPUT_FILE_NAME_1"));
    assert!(task.listing().is_empty(), "{:?}", task.listing());

    // An input file that the worker did not bring.
    let task = Task::new(0, 1, &[CAT, DOG]);
    fs::remove_file(task.folder.path().join("in").join(DOG.0)).unwrap();
    task.command(&["-v"])
        .assert()
        .code(1)
        .stderr(contains("error[input-file]").and(contains(DOG.0)));
    assert!(task.listing().is_empty(), "{:?}", task.listing());

    // An output folder that cannot be: nothing is left to say it in.
    let mut task = Task::new(0, 1, &[DOG]);
    task.variables
        .insert("IEXEC_OUT".into(), "/dev/null/out".into());
    task.command(&[])
        .assert()
        .code(1)
        .stderr(contains("/dev/null/out"));
}

#[test]
fn a_task_that_is_ended_half_way_leaves_no_word_to_the_worker() {
    // The second image never comes: the first is done, and the program waits.
    let task = Task::new(0, 1, &[DOG]);
    let pipe = task.folder.path().join("in/pipe");
    assert!(
        process::Command::new("mkfifo")
            .arg(&pipe)
            .status()
            .unwrap()
            .success()
    );
    let mut child = process::Command::new(PROGRAM)
        .env_clear()
        .envs(&task.variables)
        .args([task.folder.path().join("in").join(DOG.0), pipe])
        .arg("--json-only")
        .stdout(process::Stdio::null())
        .spawn()
        .unwrap();
    let since = Instant::now();
    while !task.output("1.json").exists() {
        assert!(
            since.elapsed() < Duration::from_secs(60),
            "the first image was not done"
        );
        sleep(Duration::from_millis(20));
    }
    assert!(
        process::Command::new("kill")
            .arg(child.id().to_string())
            .status()
            .unwrap()
            .success()
    );
    assert_eq!(child.wait().unwrap().signal(), Some(15));
    assert_eq!(task.listing(), ["1.json"]);
}

#[test]
fn an_unreachable_server_may_be_the_workers_own_trouble() {
    let task = Task::new(0, 1, &[]);
    // A public address, and no network at all (needs root, as the tests of faults do).
    let program = PROGRAM;
    let mut command = Command::new("unshare");
    command
        .envs(&task.variables)
        .args(["--net", program, "http://93.184.215.14/a.jpg"]);
    command.assert().code(1).stderr(contains("93.184.215.14"));
    assert!(task.listing().is_empty(), "{:?}", task.listing());
}

#[test]
fn callback_data_is_written_when_asked_for_even_for_faults() {
    let word = |data: &str, n: usize| data[2 + 64 * n..][..64].to_owned();
    let number = |data: &str, n: usize| u64::from_str_radix(&word(data, n), 16).unwrap();
    let task = Task::new(0, 1, &[DOG]);
    task.command(&["--callback"]).assert().success();
    let data = task.json("computed.json")["callback-data"]
        .as_str()
        .unwrap()
        .to_owned();
    let (report, consensus) = (task.json("1.json"), task.json("consensus.json"));
    let agreed = consensus["images"][0]["detections"].as_array().unwrap();
    assert_eq!(
        (number(&data, 0), number(&data, 3)),
        (0, 4 * 32),
        "status, and where the list begins"
    );
    assert_eq!(word(&data, 1), report["image"]["sha256"].as_str().unwrap());
    assert_eq!(word(&data, 2), report["model"]["sha256"].as_str().unwrap());
    assert_eq!(number(&data, 4), agreed.len() as u64);
    let bbox: Vec<i64> = agreed[0]["box"]
        .as_array()
        .unwrap()
        .iter()
        .map(|side| side.as_i64().unwrap())
        .collect();
    let expected = [
        report["detections"][0]["category_id"].as_u64().unwrap(),
        (agreed[0]["score"].as_f64().unwrap() * 10_000.0).round() as u64,
        bbox[0] as u64,
        bbox[1] as u64,
        (bbox[2] - bbox[0]) as u64,
        (bbox[3] - bbox[1]) as u64,
    ];
    assert_eq!([5, 6, 7, 8, 9, 10].map(|n| number(&data, n)), expected);

    task.command(&[]).assert().success();
    assert_eq!(task.json("computed.json").get("callback-data"), None);

    for (args, status) in [
        (&["--callback", "--treshold", "1"][..], 1),
        (&["--callback", "--classes", "unicorn"], 15),
    ] {
        task.refused(args);
        let data = task.json("computed.json")["callback-data"]
            .as_str()
            .unwrap()
            .to_owned();
        assert_eq!(
            [0, 1, 2, 3, 4].map(|n| number(&data, n)),
            [status, 0, 0, 4 * 32, 0],
            "{args:?}"
        );
    }
    // Behind `--` it is the name of a file.
    task.refused(&["--treshold", "1", "--", "--callback"]);
    assert_eq!(task.json("computed.json").get("callback-data"), None);

    let no_image = Task::new(0, 1, &[NO_IMAGE]);
    no_image.refused(&["--callback"]);
    let data = no_image.json("computed.json")["callback-data"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_eq!(
        (number(&data, 0), word(&data, 2)),
        (3, report["model"]["sha256"].as_str().unwrap().to_owned())
    );
}

#[test]
fn limits_can_be_lowered_in_a_task_and_not_raised() {
    let task = Task::new(0, 1, &[]);
    let path = task.folder.path().join("in/wide.png");
    // A PNG of 20000×6000 pixels, of which hardly one is there.
    let mut png = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR".to_vec();
    png.extend(20_000u32.to_be_bytes());
    png.extend(6_000u32.to_be_bytes());
    png.extend([8, 2, 0, 0, 0]);
    png.extend(crc32(&png[12..]).to_be_bytes());
    png.extend(b"\0\0\0\x01IDAT\0");
    png.extend(crc32(b"IDAT\0").to_be_bytes());
    fs::write(&path, png).unwrap();
    task.command(&["wide.png", "--max-megapixels", "4000"])
        .assert()
        .code(1)
        .stderr(contains("100 megapixels"));
    let line = Command::new(PROGRAM)
        .env_clear()
        .arg(&path)
        .arg("--max-megapixels=4000")
        .assert();
    line.code(1).stderr(contains("100 megapixels").not());
}

/// The checksum of PNG chunks: PNG specification, annex D.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |c, _| {
            (c >> 1) ^ (0xedb8_8320 & (c & 1).wrapping_neg())
        })
    })
}

#[test]
fn outside_a_task_callback_makes_no_sense() {
    let mut command = Command::new(PROGRAM);
    command
        .env_clear()
        .args(["--callback", "a.jpg"])
        .assert()
        .code(2)
        .stderr(contains("iExec task only"));
}

#[test]
fn where_the_results_go_is_not_the_requesters_choice() {
    let task = Task::new(0, 1, &[DOG]);
    let other = task.folder.path().join("elsewhere");
    task.command(&["-o", other.to_str().unwrap(), "--json-only"])
        .assert()
        .success()
        .stderr(contains("elsewhere"));
    assert!(!other.exists());
    assert_eq!(
        task.listing(),
        ["1.json", "computed.json", "consensus.json"]
    );
}

#[test]
fn other_files_of_the_output_folder_stay_and_old_words_go() {
    let task = Task::new(0, 1, &[DOG]);
    fs::create_dir(task.output("")).unwrap();
    for name in [
        "computed.json",
        "consensus.json",
        "error.json",
        "notes.txt",
        "1.png",
    ] {
        fs::write(task.output(name), "old").unwrap();
    }
    task.command(&[]).assert().success();
    assert_eq!(
        task.listing(),
        [
            "1.json",
            "1.png",
            "computed.json",
            "consensus.json",
            "notes.txt"
        ]
    );
    assert_eq!(fs::read(task.output("notes.txt")).unwrap(), b"old");
    assert_ne!(fs::read(task.output("1.png")).unwrap(), b"old");
}

#[test]
fn an_input_is_not_taken_for_an_earlier_result() {
    let mut task = Task::new(0, 1, &[("error.json", DOG.1)]);
    task.variables
        .insert("IEXEC_OUT".into(), task.variables["IEXEC_IN"].clone());
    task.command(&[])
        .assert()
        .code(1)
        .stderr(contains("refused to replace the input"));
    assert_eq!(
        fs::read(task.folder.path().join("in/error.json")).unwrap(),
        fs::read(repository(DOG.1)).unwrap()
    );
}

#[test]
fn the_bytes_are_the_same_for_any_threads_unless_turned_off() {
    let results = |args: &[&str], kernels: bool| {
        let task = Task::new(0, 1, &[DOG]);
        let mut command = task.command(&[&["-q", "-t", "0.05"], args].concat());
        if kernels {
            command
                .env("ONEDNN_MAX_CPU_ISA", "SSE41")
                .env("ATEN_CPU_CAPABILITY", "default");
        }
        command.assert().success();
        ["1.png", "consensus.json"]
            .map(|name| fs::read(task.output(name)).unwrap())
            .into_iter()
            .chain([without_source(task.json("1.json"))])
            .collect::<Vec<_>>()
    };
    let plain = results(&[], false);
    for threads in ["1", "2", "3", "4"] {
        assert_eq!(
            results(&["--threads", threads], threads == "2"),
            plain,
            "{threads} threads"
        );
    }
    // SSE4.1 has no fused multiply-add, so its sums must be others.
    assert_ne!(results(&["--no-deterministic"], true), plain);
}

/// The report without the folder of the test.
fn without_source(mut report: Value) -> Vec<u8> {
    report["image"]["source"].take();
    report.to_string().into_bytes()
}

#[test]
fn nothing_else_of_the_environment_counts() {
    let task = Task::new(0, 1, &[DOG]);
    task.command(&[]).assert().success();
    let read = |task: &Task| {
        ["1.json", "1.png", "consensus.json"].map(|name| fs::read(task.output(name)).unwrap())
    };
    let plain = read(&task);
    let mut command = task.command(&[]);
    for (name, value) in [
        ("TMPDIR", "/no/such/folder"),
        ("HTTP_PROXY", "http://127.0.0.1:1"),
        ("IEXEC_APP_DEVELOPER_SECRET", "secret"),
        ("COLUMNS", "3"),
        ("LANG", "fr_FR.UTF-8"),
    ] {
        command.env(name, value);
    }
    command.assert().success();
    assert_eq!(read(&task), plain);
}
