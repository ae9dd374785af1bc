//! Modules that were saved whole, as the state dicts that they would have given.
//!
//! `torch.save(model, …)` pickles a module as an object of its class with its attributes, among
//! which are dicts of its parameters, buffers and submodules (PyTorch `torch/nn/modules/module.py`,
//! `Module.__init__`, `_save_to_state_dict`). `torch.jit.save` pickles the attributes themselves, in
//! an object of a class that the archive defines (`torch/csrc/jit/serialization/export_module.cpp`).
//! Neither needs the class to be read.

use std::collections::HashSet;

use super::pickle::{Object, Pickle, Value, ValueId};

/// How deep modules may nest. A Mask R-CNN's do 7 deep.
const DEEPEST: usize = 64;

/// The module of Python that the classes of TorchScript live in.
const TORCHSCRIPT: &str = "__torch__";

/// What may still be done for all modules of a file together. A step is an entry of a dict that is
/// looked at or a byte of a name that is made: a shared submodule counts for each of its names, of
/// which there can be very many.
pub(super) struct Budget(usize);

/// There is nothing left of the budget.
pub(super) struct Spent;

impl Budget {
    /// Empirical: torchvision's Mask R-CNN takes 40 000.
    pub(super) const STEPS: usize = 1 << 20;

    pub(super) fn new() -> Self {
        Self(Self::STEPS)
    }

    fn spend(&mut self, steps: usize) -> Result<(), Spent> {
        self.0 = self.0.checked_sub(steps).ok_or(Spent)?;
        Ok(())
    }
}

/// The tensors of a module with their names in its state dict; none when `object` is no module.
pub(super) fn flatten(
    pickle: &Pickle<'_>,
    object: &Object,
    budget: &mut Budget,
) -> Result<Option<Vec<(String, ValueId)>>, Spent> {
    let Some(root) = children(pickle, object, budget)? else {
        return Ok(None);
    };
    let mut tensors = Vec::new();
    let mut stack = vec![(root, String::new(), 0)];
    while let Some((children, prefix, depth)) = stack.pop() {
        // A module in itself ends here.
        if depth == DEEPEST {
            return Err(Spent);
        }
        for (name, id) in children.tensors {
            budget.spend(prefix.len() + name.len())?;
            tensors.push((format!("{prefix}{name}"), id));
        }
        for (name, id) in children.modules {
            budget.spend(prefix.len() + name.len() + 1)?;
            if let Value::Object(child) = pickle.get(id)
                && let Some(grandchildren) = self::children(pickle, child, budget)?
            {
                stack.push((grandchildren, format!("{prefix}{name}."), depth + 1));
            }
        }
    }
    Ok(Some(tensors))
}

/// What a module holds directly.
struct Children<'a> {
    tensors: Vec<(&'a str, ValueId)>,
    modules: Vec<(&'a str, ValueId)>,
}

/// What a module holds directly; none when the object is no module.
fn children<'a>(
    pickle: &Pickle<'a>,
    object: &Object,
    budget: &mut Budget,
) -> Result<Option<Children<'a>>, Spent> {
    let Some(state) = object.state else {
        return Ok(None);
    };
    budget.spend(1 + len(pickle, state))?;
    let is_tensor = |&(_, id): &(&str, ValueId)| pickle.get(id).is_tensor();
    if let (Some(parameters), Some(modules)) = (
        pickle.entry(state, "_parameters"),
        pickle.entry(state, "_modules"),
    ) {
        budget.spend(len(pickle, parameters) + len(pickle, modules))?;
        let mut tensors: Vec<_> = named(pickle, parameters).filter(is_tensor).collect();
        if let Some(buffers) = pickle.entry(state, "_buffers") {
            let left_out = match pickle.entry(state, "_non_persistent_buffers_set") {
                Some(id) if let Value::Set(names) = pickle.get(id) => names.as_slice(),
                _ => &[],
            };
            budget.spend(len(pickle, buffers) + left_out.len())?;
            let left_out: HashSet<_> = left_out
                .iter()
                .filter_map(|&id| match *pickle.get(id) {
                    Value::Str(name) => Some(name),
                    _ => None,
                })
                .collect();
            let buffers = named(pickle, buffers).filter(is_tensor);
            tensors.extend(buffers.filter(|(name, _)| !left_out.contains(name)));
        }
        let modules = named(pickle, modules).collect();
        return Ok(Some(Children { tensors, modules }));
    }
    let is_script = pickle.class_of(object).is_some_and(|(module, _)| {
        module
            .strip_prefix(TORCHSCRIPT)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    });
    let is_object = |&(_, id): &(&str, ValueId)| matches!(pickle.get(id), Value::Object(_));
    Ok(is_script.then(|| Children {
        tensors: named(pickle, state).filter(is_tensor).collect(),
        modules: named(pickle, state).filter(is_object).collect(),
    }))
}

/// The number of entries of a dict.
fn len(pickle: &Pickle<'_>, dict: ValueId) -> usize {
    match pickle.get(dict) {
        Value::Dict(entries) => entries.len(),
        _ => 0,
    }
}

/// The entries of a dict that have names.
fn named<'p, 'a>(
    pickle: &'p Pickle<'a>,
    dict: ValueId,
) -> impl Iterator<Item = (&'a str, ValueId)> + use<'p, 'a> {
    let entries = match pickle.get(dict) {
        Value::Dict(entries) => entries.as_slice(),
        _ => &[],
    };
    entries
        .iter()
        .filter_map(|&(name, value)| match *pickle.get(name) {
            Value::Str(name) => Some((name, value)),
            _ => None,
        })
}
