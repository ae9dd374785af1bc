//! PyTorch's `.pth` files: a pickle that describes the tensors, and their storages beside it.
//!
//! PyTorch `torch/serialization.py`: `_save` and `_load` for [`zip`], `_legacy_save` and
//! `_legacy_load` for [`legacy`].

pub(super) mod legacy;
pub(super) mod zip;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::Range;

use super::format::Format;
use super::pickle::{Pickle, StorageRef, TensorRef, Value, ValueId};
use super::printable::printable;
use super::view::View;
use crate::error::{Error, Result};

/// Where training scripts keep the state dict among other things, the likeliest first: torchvision
/// and detectron2, MMDetection and Lightning, PyTorch's tutorials, DeepSpeed.
const USUAL_KEYS: [&str; 4] = ["model", "state_dict", "model_state_dict", "module"];

/// How to write a file that is read.
const SAVE_STATE_DICT: &str = "save it with torch.save(model.state_dict(), …)";

/// Bytes of the file by the key of the storage that they belong to.
type Storages<'a> = HashMap<&'a str, Range<usize>>;

/// The tensors of the state dict in `pickle`.
///
/// # Errors
///
/// [`Error::Unsupported`] when there is none to be found, [`Error::DuplicateTensor`], and
/// [`Error::Malformed`] when a storage is missing or a tensor leaves it.
fn views(pickle: &Pickle, storages: &Storages, format: Format) -> Result<BTreeMap<String, View>> {
    let mut views = BTreeMap::new();
    let mut keys = HashSet::new();
    for &(key, value) in state_dict(pickle, format)? {
        let (key, tensor) = match (pickle.get(key), pickle.get(value)) {
            (&Value::Str(key), Value::Tensor(tensor)) => (key, Some(tensor)),
            (&Value::Str(key), _) => (key, None), // an epoch, a loss, and the like
            (key, Value::Tensor(_)) => {
                return Err(format.malformed(format!("a tensor has {} for a name", key.kind())));
            }
            _ => continue,
        };
        if !keys.insert(key) {
            return Err(Error::DuplicateTensor {
                name: printable(key),
            });
        }
        if let Some(tensor) = tensor {
            format.check_name(key)?;
            views.insert(key.to_owned(), view(pickle, key, tensor, storages, format)?);
        }
    }
    Ok(views)
}

/// The entries of the state dict: the root itself when it holds tensors, else a dict that stands in
/// it, under one of the usual keys or as the only one with tensors.
fn state_dict<'p>(pickle: &'p Pickle, format: Format) -> Result<&'p [(ValueId, ValueId)]> {
    let has_tensors = |entries: &[_]| {
        let is_tensor = |&(key, value)| {
            matches!(
                (pickle.get(key), pickle.get(value)),
                (Value::Str(_), Value::Tensor(_))
            )
        };
        entries.iter().any(is_tensor)
    };
    let Value::Dict(root) = pickle.root() else {
        let what = format!(
            "a PyTorch file that holds {} in place of a state dict",
            pickle.root().kind()
        );
        return Err(Error::Unsupported {
            what,
            remedy: SAVE_STATE_DICT,
        });
    };
    if has_tensors(root) {
        return Ok(root);
    }

    let mut found: BTreeMap<&str, &[_]> = BTreeMap::new();
    let mut seen = HashSet::new(); // a shared dict is looked through once
    for &(key, value) in root {
        let (&Value::Str(key), Value::Dict(entries)) = (pickle.get(key), pickle.get(value)) else {
            continue;
        };
        if seen.insert(value) && has_tensors(entries) && found.insert(key, entries).is_some() {
            return Err(format.malformed(format!("`{}` stands twice", printable(key))));
        }
    }
    if let Some(entries) = USUAL_KEYS.iter().find_map(|key| found.get(key)) {
        return Ok(entries);
    }
    if let (1, Some((_, entries))) = (found.len(), found.first_key_value()) {
        return Ok(entries);
    }
    let what = match found.len() {
        0 => "a PyTorch file without a state dict".to_owned(),
        _ => {
            let keys = found
                .into_keys()
                .take(5)
                .map(|key| format!("`{}`", printable(key)))
                .collect::<Vec<_>>();
            format!(
                "a PyTorch file with several state dicts ({})",
                keys.join(", ")
            )
        }
    };
    Err(Error::Unsupported {
        what,
        remedy: SAVE_STATE_DICT,
    })
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
