//! Checkpoints in several files, with an index that says which tensor is in which.
//!
//! Hugging Face's libraries cut large checkpoints so (`huggingface_hub/serialization/_torch.py`,
//! `save_torch_state_dict`): `model-00001-of-00003.safetensors`, …, and beside them
//! `model.safetensors.index.json`. The index may come from a stranger, so a shard is a plain name of
//! a file in the index's own folder, and nothing else.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use serde::Deserialize;

use super::bytes::Bytes;
use super::candidates;
use super::contents::Contents;
use super::format::Format;
use super::printable::printable;
use super::read;
use crate::error::{Error, Result};

/// What the name of an index ends with.
pub(super) const INDEX: &str = ".index.json";

/// The largest index that is read. One of 1 000 tensors has 100 KB.
const LARGEST_INDEX: usize = 16 << 20;

/// The most shards. A shard of Hugging Face's default size has 5 GB; ours are below 1.
const MOST_SHARDS: usize = 256;

/// The index, as far as it is of use here.
#[derive(Deserialize)]
struct Index {
    /// Names of files by the names of tensors.
    weight_map: BTreeMap<String, String>,
}

/// A checkpoint that was put together.
pub(super) struct Sharded {
    /// The format of its first shard.
    pub(super) format: Format,
    /// Its tensors.
    pub(super) contents: Contents,
    /// The shards one after the other, in the order of their names.
    pub(super) bytes: Vec<u8>,
    /// How many they are.
    pub(super) shards: usize,
}

/// The index that a file is, or that stands beside a shard and names it; none for other files.
pub(super) fn index_of(path: &Path, bytes: &[u8]) -> Option<PathBuf> {
    if bytes.first() == Some(&b'{') {
        return parse(bytes).map(|_| path.to_owned());
    }
    let name = path.file_name()?.to_str()?;
    let (stem, extension) = name.rsplit_once('.')?;
    // `model-00001-of-00003`
    let (rest, count) = stem.rsplit_once("-of-")?;
    let (model, number) = rest.rsplit_once('-')?;
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if !is_number(count) || !is_number(number) {
        return None;
    }
    let index = path.with_file_name(format!("{model}.{extension}{INDEX}"));
    let listed = parse(&Bytes::map(&index).ok()?)?;
    let names_it = listed.weight_map.values().any(|shard| shard == name);
    names_it.then_some(index)
}

fn parse(bytes: &[u8]) -> Option<Index> {
    let is_small = bytes.len() <= LARGEST_INDEX;
    is_small.then(|| serde_json::from_slice(bytes).ok())?
}

/// Reads the shards that `index` names into memory, where their tensors become those of one
/// checkpoint.
///
/// # Errors
///
/// [`Error::ReadFile`] when a shard is missing, [`Error::Malformed`] when the index names a file
/// elsewhere or does not agree with the shards, and those of each shard.
pub(super) fn open(index: &Path) -> Result<Sharded> {
    let read_error = |path: &Path, source| Error::ReadFile {
        path: path.to_owned(),
        source,
    };
    let text = Bytes::map(index).map_err(|source| read_error(index, source))?;
    let Some(Index { mut weight_map }) = parse(&text) else {
        return Err(malformed("it is not JSON with a `weight_map`".to_owned()));
    };
    let names: BTreeSet<String> = weight_map.values().cloned().collect();
    if names.len() > MOST_SHARDS {
        return Err(malformed(format!("more than {MOST_SHARDS} shards")));
    }
    if let Some(name) = names.iter().find(|name| !is_plain(name)) {
        let name = printable(name);
        return Err(malformed(format!("`{name}` is no name of a shard")));
    }

    let mut joined: Vec<u8> = Vec::new();
    let mut contents = Contents::new(BTreeMap::new());
    let mut format = None;
    for name in &names {
        let path = index.with_file_name(name);
        let shard = Bytes::map(&path).map_err(|source| read_error(&path, source))?;
        let shard = Arc::new(shard);
        let (shard_format, read) = read::read(&shard, &mut candidates::usual)?;
        format.get_or_insert(shard_format);
        if contents.metadata.is_empty() {
            contents.metadata = read.metadata;
        }
        let start = joined.len();
        for (tensor, view) in read.views {
            if weight_map.remove(&tensor).as_ref() != Some(name) {
                let (tensor, name) = (printable(&tensor), printable(name));
                return Err(malformed(format!(
                    "shard `{name}` has tensor `{tensor}`, which the index does not have there"
                )));
            }
            contents.views.insert(tensor, view.shifted(start));
        }
        joined
            .try_reserve_exact(shard.len())
            .map_err(|_| read_error(&path, std::io::ErrorKind::OutOfMemory.into()))?;
        joined.extend_from_slice(&shard);
    }
    if let Some((tensor, name)) = weight_map.first_key_value() {
        let (tensor, name) = (printable(tensor), printable(name));
        return Err(malformed(format!(
            "tensor `{tensor}` is missing in shard `{name}`"
        )));
    }
    let Some(format) = format else {
        return Err(malformed("it names no shards".to_owned()));
    };
    Ok(Sharded {
        format,
        contents,
        bytes: joined,
        shards: names.len(),
    })
}

/// Whether this is a plain name of a file, on any system, of a kind that shards have.
fn is_plain(name: &str) -> bool {
    let extension = Path::new(name).extension().and_then(|text| text.to_str());
    let mut components = Path::new(name).components();
    let one = matches!(
        (components.next(), components.next()),
        (Some(Component::Normal(_)), None)
    );
    one && matches!(extension, Some("safetensors" | "bin" | "pt" | "pth"))
        && name.len() <= 255
        && !name.contains(|c: char| matches!(c, '/' | '\\' | ':') || c.is_control())
}

fn malformed(reason: String) -> Error {
    Error::Malformed {
        format: "shard index",
        reason,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shard_is_a_plain_name_and_nothing_else() {
        for name in ["model-00001-of-00002.safetensors", "pytorch_model.bin"] {
            assert!(is_plain(name), "{name}");
        }
        for name in [
            "",
            ".",
            "..",
            "../model.safetensors",
            "/etc/model.safetensors",
            "a/model.safetensors",
            "model.safetensors/",
            "./model.safetensors",
            "..\\model.safetensors",
            "C:model.safetensors",
            "C:\\model.safetensors",
            "0",
            "passwd",
            ".safetensors",
            "a\nb.safetensors",
            "a\0.safetensors",
        ] {
            assert!(!is_plain(name), "{name:?}");
        }
    }
}
