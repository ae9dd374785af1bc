//! What fuzzing found is read again through the public faces, as the fuzz targets read it; the
//! tests of each part say more of its own.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStrExt;

use intake::Address;
use maskrcnn::checkpoint::Checkpoint;
use maskrcnn_dapp::cli::Args;
use maskrcnn_dapp::iexec::Task;

use crate::repository::repository;

/// Reads a finding: what is said when it is refused.
type Reader = fn(&[u8]) -> Option<String>;

/// Each kind of finding, which is the name of its folder and of its fuzz target, with its reader.
const READERS: [(&str, Reader); 7] = [
    ("address", address),
    ("checkpoint", checkpoint),
    ("hdf5", checkpoint),
    ("iexec", iexec),
    ("image", image),
    ("pickle", pickle),
    ("unixfs", unixfs),
];

/// What is shown of it: every text is an address.
fn address(bytes: &[u8]) -> Option<String> {
    let address = Address::new(OsStr::from_bytes(bytes));
    Some(format!("{address} {:?}", address.file_name()))
}

fn checkpoint(bytes: &[u8]) -> Option<String> {
    let read = Checkpoint::from_bytes(bytes.to_vec());
    read.err().map(|error| error.to_string())
}

/// The first lines are the values of variables, the others are arguments.
fn iexec(bytes: &[u8]) -> Option<String> {
    let names = [
        "IEXEC_INPUT_FILES_NUMBER",
        "IEXEC_INPUT_FILE_NAME_1",
        "IEXEC_INPUT_FILE_NAME_2",
        "IEXEC_DATASET_FILENAME",
        "IEXEC_BOT_TASK_INDEX",
        "IEXEC_BOT_SIZE",
    ];
    let lines = bytes.split(|&byte| byte == b'\n');
    let lines: Vec<OsString> = lines.map(|line| OsStr::from_bytes(line).into()).collect();
    let variable = |name: &str| match name {
        "IEXEC_OUT" => Some("/tmp".into()),
        "IEXEC_IN" => Some("/iexec_in".into()),
        _ => {
            let place = names.iter().position(|known| *known == name)?;
            lines.get(place).filter(|value| !value.is_empty()).cloned()
        }
    };
    let task = Task::from_variables(&variable).ok().flatten()?;
    let words = ["maskrcnn".into()].into_iter();
    let args = Args::parse_in_task(words.chain(lines.iter().skip(names.len()).cloned())).ok()?;
    let placed = task.place(&args, task.named(&args));
    placed.err().map(|error| format!("{error:#}"))
}

fn image(bytes: &[u8]) -> Option<String> {
    let decoded = intake::decode(bytes.to_vec(), intake::DEFAULT_MAX_PIXELS);
    decoded.err().map(|error| error.to_string())
}

/// The pickle of a checkpoint of the older form that is otherwise good: before it the pickles of
/// the magic number, of the protocol version and of the byte order, after it that of the storages'
/// keys, and the one storage, of six floats.
fn pickle(bytes: &[u8]) -> Option<String> {
    let before = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.\
                   \x80\x02M\xe9\x03.\
                   \x80\x02}X\x0d\0\0\0little_endian\x88s.";
    let keys = b"\x80\x02]X\x01\0\0\0\x30a.";
    checkpoint(&[&before[..], bytes, keys, &6i64.to_le_bytes(), &[0x3f; 24]].concat())
}

fn unixfs(bytes: &[u8]) -> Option<String> {
    intake::unixfs::Node::parse(bytes);
    None
}

/// Names in a folder of the repository, without extensions, sorted.
fn names(folder: &str) -> Vec<String> {
    let entries = fs::read_dir(repository(folder))
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let mut names: Vec<_> = entries
        .map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    names.sort();
    names
}

#[test]
fn every_finding_is_read_or_refused_in_one_clean_line() {
    for kind in names("tests/fixtures/regressions") {
        let (_, read) = READERS
            .into_iter()
            .find(|(known, _)| *known == kind)
            .unwrap_or_else(|| panic!("nobody reads tests/fixtures/regressions/{kind}"));
        for file in fs::read_dir(repository(&format!("tests/fixtures/regressions/{kind}"))).unwrap()
        {
            let path = file.unwrap().path();
            let message = read(&fs::read(&path).unwrap()).unwrap_or_default();
            assert!(
                message.len() < 1000 && !message.contains(char::is_control),
                "{}: {message:?}",
                path.display()
            );
        }
    }
}

/// Nothing was found in pickles yet, so the seeds show that they get as far as their reader.
#[test]
fn the_pickles_that_fuzzing_starts_from_are_read() {
    for file in fs::read_dir(repository("fuzz/seeds/pickle")).unwrap() {
        let path = file.unwrap().path();
        let refused = pickle(&fs::read(&path).unwrap());
        assert_eq!(refused, None, "{}", path.display());
    }
}

#[test]
fn every_fuzz_target_and_every_finding_is_in_the_tables() {
    let text = fs::read_to_string(repository("fuzz/README.md")).unwrap();
    for target in names("fuzz/fuzz_targets") {
        // What it reads, and what was run.
        assert!(
            text.matches(&format!("\n| `{target}` |")).count() == 2,
            "{target}"
        );
    }
    for kind in names("tests/fixtures/regressions") {
        for finding in names(&format!("tests/fixtures/regressions/{kind}")) {
            assert!(
                text.contains(&format!("| `{kind}/{finding}")),
                "{kind}/{finding}"
            );
        }
    }
}
