//! The codes of errors, as docs/errors.md promises them.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

/// The words between `start` and `end` that consist of small letters and hyphens.
fn codes(text: &str, start: &str, end: &str) -> BTreeSet<String> {
    let words = text
        .split(start)
        .skip(1)
        .filter_map(|rest| rest.split_once(end).map(|(word, _)| word.to_owned()));
    words
        .filter(|word| word.chars().all(|c| c.is_ascii_lowercase() || c == '-'))
        .collect()
}

#[test]
fn every_code_is_documented_and_every_documented_code_exists() {
    let sources = [
        "src/error.rs",
        "src/bin/maskrcnn/code.rs",
        "src/bin/maskrcnn/source/fetch_error.rs",
    ]
    .map(read);
    let existing = codes(&sources.concat(), "=> \"", "\",");
    let documented = codes(&read("docs/errors.md"), "\n| `", "` |");
    assert_eq!(existing, documented);
    // That the search finds them.
    assert!(
        documented.len() >= 40 && documented.contains("not-an-image"),
        "{documented:?}"
    );
}
