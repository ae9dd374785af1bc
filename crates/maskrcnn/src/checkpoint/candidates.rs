//! The dicts of tensors in a file, one of which is the network's.
//!
//! Training scripts save much beside the weights: optimizers, averages of the weights, counters,
//! settings. Which dict is wanted only whoever knows networks can tell, so all are collected
//! ([`super::search`]) with the keys that lead to them, and a [`Choose`] picks one. Only then is it
//! looked at whether its tensors lie within the file.

use std::borrow::Cow;
use std::collections::HashSet;

use super::format::Format;
use super::pickle::{Pickle, Value, ValueId};
use super::printable::printable;
use crate::error::{Error, Result};

/// Keys under which programs expect the state dict, the likeliest first: torchvision and
/// detectron2, MMDetection and Lightning, PyTorch's tutorials, DeepSpeed, Keras.
const USUAL_KEYS: [&str; 5] = [
    "model",
    "state_dict",
    "model_state_dict",
    "module",
    "model_weights",
];

/// A dict of tensors, or a module that was saved whole, as a dict of its tensors.
pub(crate) struct Candidate<'a> {
    /// The keys that lead to it, joined by dots; empty for the file's whole. Foreign text.
    pub(crate) key: String,
    /// The class of a module that was saved whole. Foreign text.
    pub(crate) class: Option<String>,
    /// The names of its tensors.
    pub(crate) names: Vec<Cow<'a, str>>,
    /// Its tensors in the same order, in files of PyTorch and in other pickles.
    pub(super) tensors: Vec<ValueId>,
    /// The dict itself, where it is one.
    pub(super) dict: Option<ValueId>,
}

/// Picks one of the candidates, of which there is at least one.
pub(crate) type Choose<'c> = dyn FnMut(&[Candidate<'_>]) -> Result<usize> + 'c;

impl<'a> Candidate<'a> {
    /// The one candidate of a format that holds tensors and nothing else.
    pub(super) fn whole(names: impl Iterator<Item = &'a str>) -> Self {
        Self::named(String::new(), names)
    }

    /// The candidate under a key of a format that has no values but tensors.
    pub(super) fn named(key: String, names: impl Iterator<Item = &'a str>) -> Self {
        Self {
            key,
            class: None,
            names: names.map(Cow::Borrowed).collect(),
            tensors: Vec::new(),
            dict: None,
        }
    }

    /// Where its key stands among those that programs expect; the file's whole comes first, and an
    /// unusual key last.
    pub(crate) fn rank(&self) -> usize {
        let usual = || USUAL_KEYS.iter().position(|key| *key == self.key);
        match &*self.key {
            "" => 0,
            _ => usual().map_or(usize::MAX, |place| place + 1),
        }
    }
}

/// The choice of those who know of no network: the file's whole, else what stands under a usual
/// key, else the only dict.
///
/// # Errors
///
/// [`Error::Unsupported`] when there are several dicts, none under such a key.
pub(super) fn usual(candidates: &[Candidate<'_>]) -> Result<usize> {
    let ranked = candidates.iter().enumerate();
    let best = ranked.min_by_key(|(_, candidate)| candidate.rank());
    match best {
        Some((place, best)) if best.rank() < usize::MAX || candidates.len() == 1 => Ok(place),
        _ => Err(several(candidates.iter().map(|candidate| &*candidate.key))),
    }
}

/// The error about several state dicts, any of which may be meant.
pub(crate) fn several<'k>(keys: impl Iterator<Item = &'k str>) -> Error {
    Error::Unsupported {
        what: format!("a checkpoint with several state dicts ({})", listed(keys)),
        remedy: "choose one by its key (--checkpoint-key KEY)",
    }
}

/// The first few keys, in backquotes.
pub(crate) fn listed<'k>(keys: impl Iterator<Item = &'k str>) -> String {
    const SHOWN: usize = 5;
    let mut keys = keys.map(|key| format!("`{}`", printable(key)));
    let shown: Vec<_> = keys.by_ref().take(SHOWN).collect();
    match keys.count() {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

/// Refuses a dict in which a name stands twice, or a tensor has none.
///
/// # Errors
///
/// [`Error::DuplicateTensor`], [`Error::Malformed`].
pub(super) fn check_names(pickle: &Pickle<'_>, dict: ValueId, format: Format) -> Result<()> {
    let Value::Dict(entries) = pickle.get(dict) else {
        return Ok(());
    };
    let mut names = HashSet::new();
    for &(name, value) in entries {
        let is_tensor = pickle.get(value).is_tensor();
        match pickle.get(name) {
            Value::Str(name) if names.insert(*name) => {}
            Value::Str(name) => {
                return Err(Error::DuplicateTensor {
                    name: printable(name),
                });
            }
            name if is_tensor => {
                let kind = name.kind();
                return Err(format.malformed(format!("a tensor has {kind} for a name")));
            }
            _ => {}
        }
    }
    Ok(())
}
