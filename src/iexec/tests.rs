use std::collections::HashMap;
use std::ffi::OsString;
use std::fs;
use std::path::Path;

use anyhow::Result;
use intake::Address;

use super::task::{NO_DATASET, Task};
use crate::cli::Args;
use crate::options::Options;
use crate::weights::Source;

const FILE: &str = "0x3a1f0c5d7e9b2a4c6d8e0f1a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d5e";

/// The environment that a worker gives, with `changes`; an empty value takes a variable away.
fn task(changes: &[(&str, &str)]) -> Result<Option<Task>> {
    let mut variables = HashMap::from([
        ("IEXEC_TASK_ID", "0x01"),
        ("IEXEC_OUT", "/iexec_out"),
        ("IEXEC_IN", "/iexec_in"),
        ("IEXEC_DATASET_FILENAME", NO_DATASET),
        ("IEXEC_INPUT_FILES_NUMBER", "0"),
        ("IEXEC_BOT_SIZE", "1"),
        ("IEXEC_BOT_TASK_INDEX", "0"),
    ]);
    variables.extend(changes.iter().copied());
    Task::from_variables(&|name| {
        variables
            .get(name)
            .filter(|value| !value.is_empty())
            .map(OsString::from)
    })
}

fn of(changes: &[(&str, &str)]) -> Task {
    task(changes).unwrap().unwrap()
}

/// What the program does in a task with these arguments.
fn options(task: &Task, args: &[&str]) -> Options {
    let words = ["maskrcnn"].iter().chain(args).map(OsString::from);
    let args = Args::parse_in_task(words).unwrap();
    let (place, _) = task.place(&args, task.named(&args)).unwrap();
    Options::new(args, place).unwrap()
}

#[test]
fn without_an_output_folder_it_is_no_task() {
    assert_eq!(task(&[("IEXEC_OUT", "")]).unwrap(), None);
    assert_eq!(of(&[]).output, Path::new("/iexec_out"));
}

#[test]
fn input_files_are_those_that_the_numbered_variables_name() {
    let changes = [
        ("IEXEC_INPUT_FILES_NUMBER", "2"),
        ("IEXEC_INPUT_FILE_NAME_1", FILE),
        ("IEXEC_INPUT_FILE_NAME_2", "b.jpg"),
    ];
    let expected = [Path::new("/iexec_in").join(FILE), "/iexec_in/b.jpg".into()];
    assert_eq!(of(&changes).inputs, expected);
    // A variable beyond the number does not count.
    assert_eq!(
        of(&[
            changes[0],
            changes[1],
            changes[2],
            ("IEXEC_INPUT_FILE_NAME_3", "c")
        ])
        .inputs,
        expected
    );
}

#[test]
fn names_that_lead_out_of_the_input_folder_are_refused() {
    for name in [
        "..",
        ".",
        "/etc/passwd",
        "../secret",
        "a/b",
        "a/",
        "./a",
        "a/../../b",
    ] {
        let changes = [
            ("IEXEC_INPUT_FILES_NUMBER", "1"),
            ("IEXEC_INPUT_FILE_NAME_1", name),
        ];
        assert!(
            task(&changes).unwrap_err().to_string().contains(name),
            "{name}"
        );
        assert!(task(&[("IEXEC_DATASET_FILENAME", name)]).is_err(), "{name}");
    }
    for name in [
        "...",
        "..a",
        "a b",
        "photo..jpg",
        "été.png",
        "-",
        "--callback",
        "a\\b",
        "https:x",
    ] {
        let changes = [
            ("IEXEC_INPUT_FILES_NUMBER", "1"),
            ("IEXEC_INPUT_FILE_NAME_1", name),
        ];
        assert_eq!(
            of(&changes).inputs,
            [Path::new("/iexec_in").join(name)],
            "{name}"
        );
    }
}

#[test]
fn an_environment_that_contradicts_itself_is_an_error() {
    for (name, value) in [
        ("IEXEC_INPUT_FILES_NUMBER", "1"),
        ("IEXEC_INPUT_FILES_NUMBER", "many"),
        ("IEXEC_INPUT_FILES_NUMBER", "18446744073709551615"),
        ("IEXEC_BOT_TASK_INDEX", "-1"),
        ("IEXEC_BOT_SIZE", "1.5"),
        ("IEXEC_OUT", "relative"),
    ] {
        assert!(task(&[(name, value)]).is_err(), "{name}={value}");
    }
    let files = [
        ("IEXEC_INPUT_FILES_NUMBER", "1"),
        ("IEXEC_INPUT_FILE_NAME_1", FILE),
        ("IEXEC_IN", ""),
    ];
    assert!(task(&files).unwrap_err().to_string().contains("IEXEC_IN"));
}

#[test]
fn the_dataset_counts_when_it_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let (folder_name, dataset) = (
        folder.path().to_str().unwrap(),
        "0x00000000000000000000000000000000000000d5",
    );
    let changes = [
        ("IEXEC_IN", folder_name),
        ("IEXEC_DATASET_FILENAME", dataset),
    ];
    let weights =
        |task: &Task, args: &[&str]| options(task, &[&["-q", "a.png"], args].concat()).weights;
    let at = |path| Some(Source::At(Address::File(path)));
    let file = at(folder.path().join(dataset));
    assert_eq!(weights(&of(&changes), &[]), None);
    fs::write(folder.path().join(dataset), "weights").unwrap();
    assert_eq!(weights(&of(&changes), &[]), file);
    assert_eq!(weights(&of(&changes), &["-w", "b.pth"]), at("b.pth".into()));
    fs::write(folder.path().join(NO_DATASET), "none").unwrap();
    assert_eq!(of(&[changes[0]]).dataset, None);
}

#[test]
fn what_is_named_is_parsed_once_and_what_is_worth_knowing_is_returned() {
    let task = of(&[
        ("IEXEC_INPUT_FILES_NUMBER", "1"),
        ("IEXEC_INPUT_FILE_NAME_1", "data:x"),
        ("IEXEC_DATASET_FILENAME", "0xd5"),
        ("IEXEC_BOT_SIZE", "2"),
    ]);
    let words = ["maskrcnn", "-o", "elsewhere", "https://example.org/a.png"];
    let args = Args::parse_in_task(words.map(OsString::from)).unwrap();
    let named = task.named(&args);
    let web = Address::new("https://example.org/a.png".as_ref());
    let file = Address::File("/iexec_in/data:x".into());
    assert_eq!(named.images, [web.clone(), file]);
    assert_eq!(named.weights, None);
    let (place, notes) = task.place(&args, named).unwrap();
    assert_eq!((place.images, place.weights), (vec![web], None));
    assert_eq!(
        notes,
        [
            "in a task the results go to `/iexec_out`, and not to `elsewhere`",
            "task 0 of the bag does image 1 of 2",
            "the dataset is not at `/iexec_in/0xd5`: the weights are those that the program \
             brings itself",
        ]
    );
}

#[test]
fn a_task_has_limits_that_its_arguments_cannot_raise() {
    let limits = |args: &[&str]| {
        let options = options(&of(&[]), &[&["a.png"], args].concat());
        let fetch = options.fetch;
        (
            options.max_pixels,
            fetch.max_image_bytes,
            fetch.max_weights_bytes,
        )
    };
    assert_eq!(limits(&[]), (100_000_000, 64 << 20, Some(2 << 30)));
    assert_eq!(
        limits(&["--max-megapixels", "7", "--max-bytes", "100M"]),
        (7_000_000, 100 << 20, Some(2 << 30))
    );
    assert_eq!(
        limits(&["--max-megapixels", "400", "--max-bytes", "4G"]),
        (100_000_000, 512 << 20, Some(2 << 30))
    );
}

#[test]
fn a_task_of_a_bag_does_one_image_and_a_task_alone_does_all() {
    let own = |bag: &str, index: &str, images| {
        of(&[("IEXEC_BOT_SIZE", bag), ("IEXEC_BOT_TASK_INDEX", index)]).own(images)
    };
    for (bag, index, images, expected) in [
        ("1", "0", 3, vec![0, 1, 2]),
        ("3", "0", 3, vec![0]),
        ("3", "2", 3, vec![2]),
        ("5", "4", 3, vec![1]),
        ("2", "1", 3, vec![1]),
        // The second deal of an order that was matched in parts.
        ("1", "2", 3, vec![2]),
        ("2", "3", 4, vec![3]),
        ("4", "3", 1, vec![0]),
        ("4", "3", 0, vec![]),
        ("1", "0", 0, vec![]),
    ] {
        assert_eq!(
            own(bag, index, images),
            expected,
            "task {index} of {bag}, {images} images"
        );
    }
}

/// The seeds of fuzzing and what it found: the first lines are the values of variables.
#[test]
fn no_name_from_fuzzing_leads_out_of_the_input_folder() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files: Vec<_> = fs::read_dir(root.join("fuzz/seeds/iexec"))
        .unwrap()
        .collect();
    assert!(files.len() >= 4);
    // None so far.
    files.extend(
        fs::read_dir(root.join("tests/fixtures/regressions/iexec"))
            .into_iter()
            .flatten(),
    );
    for file in files {
        let bytes = fs::read(file.unwrap().path()).unwrap();
        let text = String::from_utf8_lossy(&bytes);
        let names = [
            "IEXEC_INPUT_FILES_NUMBER",
            "IEXEC_INPUT_FILE_NAME_1",
            "IEXEC_INPUT_FILE_NAME_2",
        ];
        let changes: Vec<_> = names.into_iter().zip(text.lines()).collect();
        for input in task(&changes)
            .ok()
            .flatten()
            .into_iter()
            .flat_map(|task| task.inputs)
        {
            assert_eq!(
                input.parent(),
                Some(Path::new("/iexec_in")),
                "{}",
                input.display()
            );
        }
    }
}
