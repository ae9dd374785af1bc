//! What the fuzz targets of `fuzz/` start from and what they found, read as they read it.

use std::path::Path;

use super::assemble::{legacy, safetensors, zip};
use super::*;

/// The files of a folder of the repository by name; none when there is no such folder.
fn files(folder: &str) -> Vec<(String, Vec<u8>)> {
    let Ok(entries) = std::fs::read_dir(
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../..")
            .join(folder),
    ) else {
        return Vec::new();
    };
    let paths = entries.map(|entry| entry.unwrap().path());
    paths
        .map(|path| (path.display().to_string(), std::fs::read(&path).unwrap()))
        .collect()
}

#[test]
fn the_pickles_that_fuzzing_starts_from_are_good_in_both_forms() {
    let seeds = files("fuzz/seeds/pickle");
    assert!(seeds.len() >= 8, "{}", seeds.len());
    for (name, pickle) in seeds {
        for bytes in [zip(&pickle), legacy(&pickle)] {
            outcome(bytes).unwrap_or_else(|error| panic!("{name}: {error}"));
        }
    }
}

#[test]
fn what_fuzzing_found_is_read_or_refused_in_one_clean_line() {
    let found = files("tests/fixtures/regressions/checkpoint");
    assert!(!found.is_empty());
    let in_hdf5 = files("tests/fixtures/regressions/hdf5");
    for (name, bytes) in found.into_iter().chain(in_hdf5) {
        if let Err(error) = outcome(bytes) {
            assert!(
                !error.to_string().contains(char::is_control),
                "{name}: {error:?}"
            );
        }
    }
    // The parser quotes an unknown type of elements, too.
    let header = r#"{"a":{"dtype":"F\u001b[2J","shape":[],"data_offsets":[0,4]}}"#;
    let message = error(safetensors(header, &[0; 4])).to_string();
    assert!(
        message.contains("unknown variant") && !message.contains(char::is_control),
        "{message:?}"
    );
    for (_, pickle) in files("tests/fixtures/regressions/pickle") {
        for bytes in [zip(&pickle), legacy(&pickle)] {
            let _ = outcome(bytes);
        }
    }
}
