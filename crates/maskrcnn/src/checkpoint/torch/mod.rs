//! PyTorch's `.pth` files: a pickle that describes the tensors, and their storages beside it.
//!
//! PyTorch `torch/serialization.py`: `_save` and `_load` for [`zip`], `_legacy_save` and
//! `_legacy_load` for [`legacy`].

pub(super) mod legacy;
pub(super) mod zip;

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

use super::candidates::{self, Candidate, Choose};
use super::contents::Contents;
use super::format::Format;
use super::numpy::Arrays;
use super::pickle::{Pickle, StorageRef, TensorRef, Value};
use super::printable::printable;
use super::search;
use super::view::View;
use crate::error::{Error, Result};

/// How to write a file that is read.
const SAVE_STATE_DICT: &str = "save it with torch.save(model.state_dict(), …)";

/// How to make such a file of the folder that `torch.distributed.checkpoint.save` writes.
const GATHER_FOLDER: &str = "make one file of the folder with dcp_to_torch_save(folder, \
    \"model.pth\") of torch.distributed.checkpoint.format_utils";

/// The class of the `.metadata` in such a folder.
const DISTRIBUTED_METADATA: (&str, &str) = ("torch.distributed.checkpoint.metadata", "Metadata");

/// Bytes of the file by the key of the storage that they belong to.
pub(super) type Storages<'a> = HashMap<&'a str, Range<usize>>;

/// The dict of tensors in `pickle`, which is part of `file`, that `choose` picks.
///
/// # Errors
///
/// [`Error::Unsupported`] when there is none to be found, those of `choose`,
/// [`Error::DuplicateTensor`], and [`Error::Malformed`] when a storage is missing or a tensor leaves
/// it.
pub(super) fn read(
    file: &[u8],
    pickle: &Pickle,
    storages: &Storages,
    format: Format,
    choose: &mut Choose<'_>,
) -> Result<Contents> {
    let found = search::find(pickle, format)?;
    if found.candidates.is_empty() {
        return Err(match pickle.root() {
            Value::Object(object) if pickle.class_of(object) == Some(DISTRIBUTED_METADATA) => {
                Error::Unsupported {
                    what: "the index of a checkpoint of torch.distributed, in several files,"
                        .to_owned(),
                    remedy: GATHER_FOLDER,
                }
            }
            _ => Error::Unsupported {
                what: without_state_dict(pickle, format, found.optimizer),
                remedy: SAVE_STATE_DICT,
            },
        });
    }
    let Candidate {
        key,
        class,
        names,
        tensors,
        dict,
    } = &found.candidates[choose(&found.candidates)?];
    if let Some(dict) = *dict {
        candidates::check_names(pickle, dict, format)?;
    }
    let mut arrays = Arrays::of(file);
    let mut views = BTreeMap::new();
    for (name, &id) in names.iter().zip(tensors) {
        format.check_name(name)?;
        let view = match pickle.get(id) {
            Value::Tensor(tensor) => view(pickle, name, tensor, storages, format)?,
            Value::Array(Some(array)) => arrays.view(pickle, name, array, format)?,
            _ => unreachable!("candidates are made of tensors"),
        };
        if views.insert(name.to_string(), view).is_some() {
            return Err(Error::DuplicateTensor {
                name: printable(name),
            });
        }
    }
    Ok(Contents {
        key: key.clone(),
        class: class.clone(),
        ..Contents::new(views)
    })
}

/// What a file is in which no dict of tensors was found.
fn without_state_dict(pickle: &Pickle, format: Format, has_optimizer: bool) -> String {
    let file = match format {
        Format::Pickle => "a pickle",
        _ => "a PyTorch file",
    };
    match pickle.root() {
        _ if has_optimizer => format!("{file} of an optimizer's state and no weights"),
        Value::Dict(_) => format!("{file} without a state dict"),
        Value::Object(object) => match pickle.class_of(object) {
            Some((module, name)) => format!(
                "a pickled `{}` in which no parameters are found",
                printable(&format!("{module}.{name}"))
            ),
            None => "a pickled object in which no parameters are found".to_owned(),
        },
        other => format!(
            "{file} that holds {} in place of a state dict",
            other.kind()
        ),
    }
}

fn view(
    pickle: &Pickle,
    name: &str,
    tensor: &TensorRef,
    storages: &Storages,
    format: Format,
) -> Result<View> {
    let wrong = |reason: String| format.malformed(format!("tensor `{name}` {reason}"));
    let storage = pickle.storage_of(tensor);
    let range = elements(storage, storages).map_err(wrong)?;
    let expanded = tensor
        .shape
        .iter()
        .zip(&tensor.strides)
        .any(|(&length, &stride)| length > 1 && stride == 0);
    let count = tensor
        .shape
        .iter()
        .try_fold(1i64, |count, &length| count.checked_mul(length))
        .unwrap_or(i64::MAX);
    if expanded
        && usize::try_from(count).is_ok_and(|count| count > range.len() / tensor.dtype.size())
    {
        return Err(Error::Unsupported {
            what: format!("tensor `{name}`, an expanded view with more elements than are stored,"),
            remedy: "call contiguous() on it before saving",
        });
    }
    View::strided(
        tensor.dtype,
        tensor.shape.clone(),
        &tensor.strides,
        tensor.offset,
        range,
    )
    .map_err(wrong)
}

/// The bytes of a storage, or of the part of it that is meant. The error is a predicate of the
/// tensor that asks.
fn elements(storage: &StorageRef, storages: &Storages) -> Result<Range<usize>, String> {
    let key = printable(storage.key);
    let range = storages
        .get(storage.key)
        .ok_or_else(|| format!("lies in storage `{key}`, which is missing"))?;
    let size = storage.dtype.size();
    if storage.len.checked_mul(size) != Some(range.len()) {
        let (found, expected) = (range.len(), storage.len);
        return Err(format!(
            "lies in storage `{key}` of {expected} elements of {size} bytes, but {found} bytes are there"
        ));
    }
    let Some((first, len)) = storage.part else {
        return Ok(range.clone());
    };
    let part = || {
        let (start, len) = (first.checked_mul(size)?, len.checked_mul(size)?);
        let end = start.checked_add(len).filter(|&end| end <= range.len())?;
        Some(range.start + start..range.start + end)
    };
    part().ok_or_else(|| format!("lies in a part of storage `{key}` that leaves it"))
}
