//! Any environment of a task and any arguments: which files are read, how the results are named.
//! Nothing is read, fetched or written.

#![no_main]

/// The program, all of it: a task is where everything comes together.
#[allow(dead_code)]
#[path = "../../src/bin/maskrcnn"]
mod program {
    pub mod app;
    pub mod cli;
    pub mod code;
    pub mod environment;
    pub mod iexec;
    pub mod memory;
    pub mod output;
    pub mod signals;
    pub mod source;
    pub mod temporary;
}

use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path};

use libfuzzer_sys::fuzz_target;
// The modules call each other as they do in the program, where they are at the root.
use program::{app, cli, code, environment, iexec, memory, output, signals, source, temporary};

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
    let Some(task) = iexec::fuzzing::plan(&variable, words) else {
        return;
    };
    for path in task.given {
        let mut components = path
            .components()
            .skip_while(|component| !matches!(component, Component::Normal(_)));
        assert_eq!(
            components.next(),
            Some(Component::Normal("iexec_in".as_ref())),
            "{path:?}"
        );
        assert!(
            matches!(components.next(), Some(Component::Normal(_))) && components.next().is_none(),
            "{path:?}"
        );
    }
    assert!(task.options.fetch.public_only);
    let in_task = task.results.iter().map(|path| {
        assert_eq!(path.parent(), Some(Path::new("/tmp")));
        path.file_name()
            .and_then(OsStr::to_str)
            .expect("names are text")
            .to_owned()
    });
    check_names(in_task.collect());
    // As the same images would be called outside of a task.
    let stems = output::stems(&task.options.sources, "json").into_iter();
    check_names(stems.map(|stem| format!("{stem}.json")).collect());
});

fn check_names(names: Vec<String>) {
    for name in &names {
        assert!(
            name.len() <= MAX_NAME && !name.starts_with(['.', '-']),
            "{name:?}"
        );
        assert!(
            !name.contains(|c: char| c == '/' || c.is_control()),
            "{name:?}"
        );
    }
    let different: HashSet<_> = names.iter().collect();
    assert_eq!(different.len(), names.len(), "{names:?}");
}
