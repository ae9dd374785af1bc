//! What fuzzing found is read again by the tests of each part; here, that no part was forgotten.

use std::fs;

use crate::repository::repository;

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
fn every_kind_of_finding_is_read_again_by_a_test() {
    let readers = [
        ("address", "crates/intake/src/address.rs"),
        (
            "checkpoint",
            "crates/maskrcnn/src/checkpoint/tests/fuzzed.rs",
        ),
        ("iexec", "src/iexec/tests.rs"),
        ("image", "crates/intake/src/decode/tests.rs"),
        ("pickle", "crates/maskrcnn/src/checkpoint/tests/fuzzed.rs"),
        ("unixfs", "crates/intake/src/fetch/unixfs.rs"),
    ];
    for (kind, reader) in readers {
        let text = fs::read_to_string(repository(reader)).unwrap();
        assert!(
            text.contains(&format!("regressions/{kind}\"")),
            "{reader} reads no regressions/{kind}"
        );
    }
    for kind in names("tests/fixtures/regressions") {
        assert!(
            readers.iter().any(|(known, _)| *known == kind),
            "nobody reads tests/fixtures/regressions/{kind}"
        );
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
