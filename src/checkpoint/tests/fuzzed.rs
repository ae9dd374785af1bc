//! What the fuzz targets of `fuzz/` start from and what they found, read as they read it.

use std::path::Path;

use super::assemble::{legacy, zip};
use super::*;

/// The files of a folder of the repository by name; none when there is no such folder.
fn files(folder: &str) -> Vec<(String, Vec<u8>)> {
    let Ok(entries) = std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)) else {
        return Vec::new();
    };
    let paths = entries.map(|entry| entry.unwrap().path());
    paths.map(|path| (path.display().to_string(), std::fs::read(&path).unwrap())).collect()
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
fn what_fuzzing_found_is_read_or_refused_without_a_panic() {
    for (_, bytes) in files("tests/fixtures/regressions/checkpoint") {
        let _ = outcome(bytes);
    }
    for (_, pickle) in files("tests/fixtures/regressions/pickle") {
        for bytes in [zip(&pickle), legacy(&pickle)] {
            let _ = outcome(bytes);
        }
    }
}
