//! The search for dicts of tensors among a pickle's values.

use std::borrow::Cow;
use std::collections::{HashSet, VecDeque};

use super::candidates::Candidate;
use super::format::Format;
use super::modules::{self, Budget, Spent};
use super::pickle::{Object, Pickle, Value, ValueId};
use super::printable::printable;
use crate::error::Result;

/// How deep dicts are looked for. Lightning's callbacks are 4 deep.
const DEEPEST: usize = 16;

/// The most tensors in all dicts together, which bounds what a small file can make of shared ones.
/// Empirical: a ResNet-101 with an average of its weights and Adam's two moments has 2 000.
const MOST_TENSORS: usize = 1 << 15;

/// What [`find`] found.
pub(super) struct Found<'a> {
    /// The dicts of tensors, the shallowest first.
    pub(super) candidates: Vec<Candidate<'a>>,
    /// Whether there is an optimizer's state, which is looked for no tensors.
    pub(super) optimizer: bool,
}

/// All dicts of tensors in a pickle. Each value is looked at once, however often it is shared.
///
/// # Errors
///
/// [`Error::Malformed`](crate::Error::Malformed) when two have the same key, or there are too many tensors.
pub(super) fn find<'a>(pickle: &Pickle<'a>, format: Format) -> Result<Found<'a>> {
    let mut search = Search {
        pickle,
        format,
        seen: HashSet::new(),
        nodes: Vec::new(),
        queue: VecDeque::from([(
            pickle.root_id(),
            Place {
                node: None,
                depth: 0,
            },
        )]),
        candidates: Vec::new(),
        keys: HashSet::new(),
        tensors: 0,
        budget: Budget::new(),
        optimizer: false,
    };
    while let Some((id, place)) = search.queue.pop_front() {
        search.look_at(id, place)?;
    }
    Ok(Found {
        candidates: search.candidates,
        optimizer: search.optimizer,
    })
}

/// How a value is reached: by a key from what stands at another place.
#[derive(Clone, Copy)]
struct Place {
    /// Which of the nodes; none for the root.
    node: Option<usize>,
    depth: usize,
}

/// A key in a dict, an attribute of an object, or a place in a list.
#[derive(Clone, Copy)]
enum Key<'a> {
    Name(&'a str),
    Number(i64),
}

/// A breadth-first walk through a pickle's values.
struct Search<'p, 'a> {
    pickle: &'p Pickle<'a>,
    format: Format,
    seen: HashSet<ValueId>,
    /// The places below the root: that above it, and the key that leads from there to it.
    nodes: Vec<(Option<usize>, Key<'a>)>,
    /// What is still to be looked at.
    queue: VecDeque<(ValueId, Place)>,
    candidates: Vec<Candidate<'a>>,
    /// Keys of the candidates.
    keys: HashSet<String>,
    /// Tensors of all candidates.
    tensors: usize,
    budget: Budget,
    optimizer: bool,
}

impl<'a> Search<'_, 'a> {
    fn look_at(&mut self, id: ValueId, place: Place) -> Result<()> {
        let pickle = self.pickle;
        match pickle.get(id) {
            Value::Dict(entries) => {
                if is_optimizer(pickle, id) {
                    self.optimizer = true;
                    return Ok(());
                }
                self.add_dict(id, place, entries)?;
                self.enter(entries, place);
            }
            Value::Object(object) => self.look_at_object(object, place)?,
            Value::List(items) | Value::Tuple(items) => {
                for (number, &item) in (0..).zip(items) {
                    self.push(item, place, Key::Number(number));
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn look_at_object(&mut self, object: &Object, place: Place) -> Result<()> {
        let pickle = self.pickle;
        let tensors = modules::flatten(pickle, object, &mut self.budget);
        let tensors = tensors.map_err(|Spent| {
            self.format
                .malformed(format!("modules of more than {} steps", Budget::STEPS))
        })?;
        if let Some(tensors) = tensors {
            if tensors.is_empty() {
                return Ok(());
            }
            let class = pickle.class_of(object);
            let (names, tensors) = tensors
                .into_iter()
                .map(|(name, id)| (Cow::Owned(name), id))
                .unzip();
            return self.add(
                place,
                Candidate {
                    key: String::new(),
                    class: class.map(|(module, name)| format!("{module}.{name}")),
                    names,
                    tensors,
                    dict: None,
                },
            );
        }
        // Its attributes and what it holds are as if it were a dict.
        for part in [object.state, object.entries].into_iter().flatten() {
            if let Value::Dict(entries) = pickle.get(part)
                && self.seen.insert(part)
            {
                if Some(part) == object.entries {
                    self.add_dict(part, place, entries)?;
                }
                self.enter(entries, place);
            }
        }
        self.push(object.arguments, place, Key::Number(0));
        Ok(())
    }

    /// Remembers to look at the values of a dict.
    fn enter(&mut self, entries: &[(ValueId, ValueId)], place: Place) {
        for &(name, value) in entries {
            match *self.pickle.get(name) {
                Value::Str(name) => self.push(value, place, Key::Name(name)),
                Value::Int(number) => self.push(value, place, Key::Number(number)),
                _ => {}
            }
        }
    }

    /// Remembers to look at a value, if it can hold others.
    fn push(&mut self, id: ValueId, place: Place, key: Key<'a>) {
        let holds = matches!(
            self.pickle.get(id),
            Value::Dict(_) | Value::List(_) | Value::Tuple(_) | Value::Object(_)
        );
        if holds && place.depth < DEEPEST && self.seen.insert(id) {
            let node = Some(self.nodes.len());
            self.nodes.push((place.node, key));
            let depth = place.depth + 1;
            self.queue.push_back((id, Place { node, depth }));
        }
    }

    /// Adds a dict to the candidates if it holds tensors under names.
    fn add_dict(
        &mut self,
        dict: ValueId,
        place: Place,
        entries: &[(ValueId, ValueId)],
    ) -> Result<()> {
        let pickle = self.pickle;
        let named = entries.iter().filter_map(|&(name, value)| {
            match (pickle.get(name), pickle.get(value)) {
                (&Value::Str(name), tensor) if tensor.is_tensor() => {
                    Some((Cow::Borrowed(name), value))
                }
                _ => None,
            }
        });
        let (names, tensors): (Vec<_>, Vec<_>) =
            named.take(MOST_TENSORS + 1 - self.tensors).unzip();
        if names.is_empty() {
            return Ok(());
        }
        self.add(
            place,
            Candidate {
                key: String::new(),
                class: None,
                names,
                tensors,
                dict: Some(dict),
            },
        )
    }

    /// Adds a candidate that stands at that place.
    fn add(&mut self, place: Place, mut candidate: Candidate<'a>) -> Result<()> {
        self.tensors += candidate.names.len();
        if self.tensors > MOST_TENSORS {
            return Err(self
                .format
                .malformed(format!("more than {MOST_TENSORS} tensors")));
        }
        let Some(key) = self.key(place) else {
            return Ok(());
        };
        if !self.keys.insert(key.clone()) {
            return Err(self
                .format
                .malformed(format!("`{}` stands twice", printable(&key))));
        }
        candidate.key = key;
        self.candidates.push(candidate);
        Ok(())
    }

    /// The keys that lead to a place, joined by dots; none when that is longer than any user would
    /// want to type.
    fn key(&self, place: Place) -> Option<String> {
        /// Lightning has its callbacks' arguments in their keys.
        const LONGEST: usize = 512;
        let mut keys = Vec::new();
        let mut node = place.node;
        let mut len = 0;
        while let Some(at) = node {
            let (above, key) = self.nodes[at];
            let key = match key {
                Key::Name(name) => Cow::Borrowed(name),
                Key::Number(number) => Cow::Owned(number.to_string()),
            };
            len += key.len() + 1;
            if len > LONGEST {
                return None;
            }
            keys.push(key);
            node = above;
        }
        keys.reverse();
        Some(keys.join("."))
    }
}

/// Whether a dict is the state of an optimizer, as `torch.optim.Optimizer.state_dict` writes it: its
/// moments have the shapes of the weights, and may have their names.
fn is_optimizer(pickle: &Pickle<'_>, dict: ValueId) -> bool {
    let kind = |key| pickle.entry(dict, key).map(|id| pickle.get(id));
    matches!(kind("state"), Some(Value::Dict(_)))
        && matches!(kind("param_groups"), Some(Value::List(_)))
}
