//! A directory where a checkpoint was expected.

use std::fs;
use std::path::{Path, PathBuf};

use super::printable::printable;
use super::shards::INDEX;
use crate::error::{Error, Result};

/// The endings of files that may be a checkpoint.
const CHECKPOINTS: [&str; 8] = [
    ".safetensors",
    ".pth",
    ".pt",
    ".ckpt",
    ".bin",
    ".pkl",
    ".h5",
    ".hdf5",
];

/// The most names that are looked at: a folder of photos may have millions.
const MOST_NAMES: usize = 10_000;

/// The index of a checkpoint in several files, which a directory holds.
///
/// # Errors
///
/// [`Error::ReadFile`] when the directory cannot be listed, [`Error::UnknownFormat`] when it holds no
/// index or several, saying what it looks like.
pub(super) fn index_in(directory: &Path) -> Result<PathBuf> {
    let read_error = |source| Error::ReadFile {
        path: directory.to_owned(),
        source,
    };
    let mut names = Vec::new();
    for entry in fs::read_dir(directory)
        .map_err(read_error)?
        .take(MOST_NAMES)
    {
        names.extend(entry.map_err(read_error)?.file_name().into_string());
    }
    names.sort();
    let indices: Vec<&String> = names.iter().filter(|name| name.ends_with(INDEX)).collect();
    if let [index] = *indices {
        return Ok(directory.join(index));
    }
    Err(Error::UnknownFormat {
        found: describe(&names, indices.len()),
    })
}

/// What a directory of files with these names is.
fn describe(names: &[String], indices: usize) -> String {
    let has = |name: &str| names.iter().any(|other| other == name);
    if indices > 1 {
        return format!(
            "a directory with {indices} indices of shards (name the one that is meant)"
        );
    }
    if has("saved_model.pb") || has("keras_metadata.pb") {
        return "a directory of TensorFlow's (SavedModel); save the weights with \
                model.save_weights(\"weights.h5\")"
            .to_owned();
    }
    // torch/distributed/checkpoint/filesystem.py, `FileSystemWriter`.
    if has(".metadata") && names.iter().any(|name| name.ends_with(".distcp")) {
        return "a directory of torch.distributed.checkpoint; \
                `python -m torch.distributed.checkpoint.format_utils dcp_to_torch DIRECTORY \
                weights.pth` makes one file of it"
            .to_owned();
    }
    let is_checkpoint = |name: &&String| CHECKPOINTS.iter().any(|ending| name.ends_with(ending));
    match names.iter().find(is_checkpoint) {
        Some(name) => format!(
            "a directory; name a file in it, such as `{}`",
            printable(name)
        ),
        None => "a directory without a checkpoint in it".to_owned(),
    }
}
