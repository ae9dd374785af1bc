//! Where in a file the network is: in which of its dicts, and behind what.
//!
//! Training scripts keep a network under keys, and wrappers put words into the names of its tensors:
//! before them (`module.`, `model.`, `_orig_mod.`, whatever an attribute is called), and between
//! their parts (`backbone._fsdp_wrapped_module.body.…`). No list of wrappers is kept here. The
//! network is where names end as a network's do, and what stands before and between is the wrapper.

use super::landmarks::{LANDMARKS, Place, RELATIVES, find, private_parts, without};
use super::wrapper::Wrapper;
use crate::checkpoint::{Candidate, StateDict, listed, several};
use crate::error::{Error, Result};

/// Words that say that a dict holds averages of the weights over the training: exponential moving
/// averages, stochastic weight averages, a teacher's.
const AVERAGES: [&str; 9] = [
    "ema", "avg", "average", "averaged", "averages", "moving", "swa", "shadow", "teacher",
];

/// The network that is to be read of a file.
#[derive(Debug)]
pub(crate) struct Choice {
    /// Which of the candidates it is in.
    pub candidate: usize,
    /// Its place in the file.
    pub wrapper: Wrapper,
    /// Prefixes of other networks in the same dict, such as an average of this one.
    others: Vec<String>,
}

/// Finds the network among a file's dicts of tensors: where most of the landmarks are. Of several
/// equal ones an average of the weights comes after what it is the average of, which is what
/// training scripts load to go on; then a usual key counts (`model`, `state_dict`), then the one
/// under fewer keys. `key` names one instead: a run of whole parts of its keys and its prefix, which
/// are joined by dots.
///
/// Without any landmark it is the largest dict, which is then for the families to recognise.
///
/// # Errors
///
/// [`Error::UnknownKey`] when `key` leads to no tensors, [`Error::Unsupported`] when several
/// networks have the same right.
pub(crate) fn choose(candidates: &[Candidate<'_>], key: Option<&str>) -> Result<Choice> {
    let mut places: Vec<Place> = Vec::new();
    for (at, candidate) in candidates.iter().enumerate() {
        places.extend(find(at, candidate, &LANDMARKS));
    }
    if let Some(key) = key {
        let keys = if places.is_empty() {
            candidates.iter().map(|other| &*other.key).collect()
        } else {
            places.iter().map(|place| &*place.key).collect::<Vec<_>>()
        };
        let known = listed(keys.into_iter().filter(|key| !key.is_empty()));
        let unknown = Error::UnknownKey {
            key: key.to_owned(),
            known,
        };
        places.retain(|place| names(key, &place.key));
        if places.iter().any(|place| place.key == key) {
            places.retain(|place| place.key == key);
        }
        if places.is_empty() {
            let named = candidates.iter().position(|other| names(key, &other.key));
            return named.map_or(Err(unknown), |at| Ok(nowhere(at, candidates)));
        }
    }
    let Some(most) = places.iter().map(|place| place.landmarks).max() else {
        let sizes = candidates.iter().map(|candidate| candidate.names.len());
        // Of equally large ones the first.
        let largest = sizes.enumerate().rev().max_by_key(|&(_, size)| size);
        return Ok(nowhere(largest.map_or(0, |(at, _)| at), candidates));
    };

    let mut equal: Vec<&Place> = places
        .iter()
        .filter(|place| place.landmarks == most)
        .collect();
    let also: Vec<String> = equal.iter().map(|place| place.key.clone()).collect();
    if equal.iter().any(|place| !is_average(&place.key)) {
        equal.retain(|place| !is_average(&place.key));
    }
    let right = |place: &&Place| {
        let depth = place.key.split('.').count();
        (candidates[place.candidate].rank(), depth)
    };
    let best = equal.iter().map(right).min();
    equal.retain(|place| Some(right(place)) == best);
    let &[chosen] = &*equal else {
        return Err(several(equal.iter().map(|place| &*place.key)));
    };

    let candidate = &candidates[chosen.candidate];
    let mut inserted = chosen.inserted.clone();
    let private = private_parts(candidate, chosen);
    inserted.extend(private.iter().map(String::as_str));
    // A part that is taken out of names is taken out of what stands before them, too.
    let prefix = |place: &Place| without(&place.prefix, &inserted).into_owned();
    // Another network, or most of one: averages may be of the parameters alone.
    let is_other = |place: &&Place| {
        place.candidate == chosen.candidate
            && place.prefix != chosen.prefix
            && place.prefix.starts_with(&chosen.prefix)
            && 2 * place.landmarks >= most
    };
    let others = places.iter().filter(is_other).map(prefix).collect();
    Ok(Choice {
        candidate: chosen.candidate,
        wrapper: Wrapper {
            key: candidate.key.clone(),
            prefix: prefix(chosen),
            inserted: inserted.iter().map(|&part| part.to_owned()).collect(),
            class: candidate.class.clone(),
            also: also.into_iter().filter(|key| *key != chosen.key).collect(),
            ignored: Vec::new(),
        },
        others,
    })
}

/// A dict without a network that is known, with what may stand before the names of a relative.
fn nowhere(at: usize, candidates: &[Candidate<'_>]) -> Choice {
    let candidate = &candidates[at];
    let relatives = find(at, candidate, &RELATIVES);
    let covers_most = |place: &&Place| {
        let inside = candidate.names.iter();
        let inside = inside.filter(|name| name.starts_with(&place.prefix));
        2 * inside.count() > candidate.names.len()
    };
    let prefix = relatives.iter().find(covers_most);
    Choice {
        candidate: at,
        wrapper: Wrapper {
            key: candidate.key.clone(),
            prefix: prefix.map_or(String::new(), |place| place.prefix.clone()),
            class: candidate.class.clone(),
            ..Wrapper::default()
        },
        others: Vec::new(),
    }
}

/// Leaves the chosen network's tensors under their own names, and remembers the names of the others
/// in the wrapper. What stands outside of the network's prefix (the loss of a Lightning module, a
/// counter) is no concern of the network; inside of it everything must have its place.
///
/// # Errors
///
/// [`Error::DuplicateTensor`] when two tensors get the same name.
pub(crate) fn unwrap(tensors: &mut StateDict, choice: Choice) -> Result<Wrapper> {
    let Choice {
        mut wrapper,
        others,
        ..
    } = choice;
    let inserted: Vec<&str> = wrapper.inserted.iter().map(String::as_str).collect();
    let is_outside = |name: &&str| {
        let name = without(name, &inserted);
        let has = |prefix: &String| name.starts_with(&**prefix);
        !has(&wrapper.prefix) || others.iter().any(has)
    };
    let outside = tensors.names().filter(is_outside).map(str::to_owned);
    let ignored: Vec<String> = outside.collect();
    tensors.retain(|name| !is_outside(&name));
    if !wrapper.prefix.is_empty() || !inserted.is_empty() {
        tensors.rename(|name| without(name, &inserted)[wrapper.prefix.len()..].to_owned())?;
    }
    wrapper.ignored = ignored;
    Ok(wrapper)
}

/// Whether `key` is a run of whole parts of `of`.
fn names(key: &str, of: &str) -> bool {
    !key.is_empty() && format!(".{of}.").contains(&format!(".{key}."))
}

/// Whether a key says of a dict that it holds averages.
fn is_average(key: &str) -> bool {
    let words = key.split(|c: char| !c.is_ascii_alphanumeric());
    words
        .map(str::to_ascii_lowercase)
        .any(|word| AVERAGES.contains(&&*word))
}
