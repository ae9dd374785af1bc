//! Any environment of a task and any arguments: which files are read, how the results are named.
//! Nothing is read, fetched or written.

#![no_main]

use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path};

use libfuzzer_sys::fuzz_target;
use maskrcnn_dapp::cli::Args;
use maskrcnn_dapp::iexec::Task;
use maskrcnn_dapp::options::Options;
use maskrcnn_dapp::output::{OutputDir, names};
use maskrcnn_dapp::run;

/// The variables that the first lines of the input are the values of; the other lines are the
/// arguments.
const VARIABLES: [&str; 6] = [
    "IEXEC_INPUT_FILES_NUMBER",
    "IEXEC_INPUT_FILE_NAME_1",
    "IEXEC_INPUT_FILE_NAME_2",
    "IEXEC_DATASET_FILENAME",
    "IEXEC_BOT_TASK_INDEX",
    "IEXEC_BOT_SIZE",
];

/// Longest name of a file that a worker takes back, in bytes.
const MAX_NAME: usize = 31;

fuzz_target!(|input: &[u8]| {
    let mut lines = input
        .split(|&byte| byte == b'\n')
        .map(|line| OsString::from(OsStr::from_bytes(line)));
    let values: Vec<_> = lines.by_ref().take(VARIABLES.len()).collect();
    let variable = |name: &str| match name {
        "IEXEC_OUT" => Some("/tmp".into()),
        "IEXEC_IN" => Some("/iexec_in".into()),
        _ => values
            .get(VARIABLES.iter().position(|known| *known == name)?)
            .filter(|value| !value.is_empty())
            .cloned(),
    };
    let words = ["maskrcnn".into(), "--quiet".into()]
        .into_iter()
        .chain(lines);
    let Ok(Some(task)) = Task::from_variables(&variable) else {
        return;
    };
    for path in task.given() {
        let mut components = path
            .components()
            .skip_while(|component| !matches!(component, Component::Normal(_)));
        assert_eq!(
            components.next(),
            Some(Component::Normal("iexec_in".as_ref())),
            "{path:?}"
        );
        let name = components.next();
        assert!(
            matches!(name, Some(Component::Normal(_))) && components.next().is_none(),
            "{path:?}"
        );
    }
    let Ok(args) = Args::parse_in_task(words) else {
        return;
    };
    let named = task.named(&args);
    let images = named.images.clone();
    let Ok((place, _)) = task.place(&args, named) else {
        return;
    };
    let Ok(options) = Options::new(args, place) else {
        return;
    };
    assert!(options.fetch.public_only);
    let files = run::planned_files(&options, &OutputDir::at(task.output()));
    let in_task = files.iter().map(|path| {
        assert_eq!(path.parent(), Some(Path::new("/tmp")));
        let name = path.file_name().and_then(OsStr::to_str);
        name.expect("names are text").to_owned()
    });
    let in_task: Vec<_> = in_task.collect();
    assert!(in_task.iter().all(|name| name.len() <= MAX_NAME));
    let different: HashSet<_> = in_task.iter().collect();
    assert_eq!(different.len(), in_task.len(), "{in_task:?}");
    check_names(in_task);
    // As the same images would be called outside of a task.
    check_names(images.iter().map(names::stem).collect());
});

fn check_names(names: Vec<String>) {
    for name in &names {
        assert!(
            !name.is_empty() && !name.starts_with(['.', '-']),
            "{name:?}"
        );
        assert!(
            !name.contains(|c: char| c == '/' || c.is_control()),
            "{name:?}"
        );
    }
}
