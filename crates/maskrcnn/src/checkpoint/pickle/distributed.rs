//! What the pickle machine makes of tensors that wrap others: of `DTensor`, which FSDP2
//! (`fully_shard`) and tensor parallelism make of parameters, the tensor that this process had of
//! it, if that is the whole.
//!
//! PyTorch `torch/_tensor.py`, `Tensor._reduce_ex_internal`, writes such a tensor as
//! `_rebuild_wrapper_subclass` with its class, element type and shape, and its attributes as a state;
//! `torch/distributed/tensor/_api.py` has `_local_tensor` and `_spec` in it.

use super::Machine;
use super::global::Global;
use super::value::{Value, ValueId, entry};
use crate::checkpoint::printable::printable;
use crate::checkpoint::view::MAX_AXES;
use crate::error::{Error, Result};

/// Class, element type, shape, strides, offset, layout, device, whether it has a gradient, with room.
const MOST_ARGUMENTS: usize = 16;

/// The placements of a tensor, one an axis of the mesh of processes.
const MOST_PLACEMENTS: usize = 8;

/// The Python that gathers a tensor: `StateDictOptions` leaves it to the first process alone.
const GATHER: &str = "gather it in all processes with state = get_model_state_dict(model, \
    options=StateDictOptions(full_state_dict=True, cpu_offload=True)) of \
    torch.distributed.checkpoint.state_dict, and torch.save(state, …) in the first";

impl Machine<'_> {
    /// The tensor that a wrapper with these arguments and this state holds.
    ///
    /// # Errors
    ///
    /// [`Error::Unsupported`] for a part of a tensor, and for wrappers of other classes;
    /// [`Error::Malformed`] for a `DTensor` without a tensor.
    pub(super) fn wrapped(
        &mut self,
        arguments: ValueId,
        state: Option<ValueId>,
    ) -> Result<ValueId> {
        let arguments = self.tuple(arguments, MOST_ARGUMENTS).unwrap_or_default();
        let &[class, _dtype, shape, ..] = arguments.as_slice() else {
            return Err(self.malformed("a wrapped tensor without a class and a shape"));
        };
        if !self.is_dtensor(class) {
            return Err(self.other_wrapper(class));
        }
        let local = self.attribute(state, "_local_tensor")?;
        let spec = self.attribute(state, "_spec")?;
        let Some((local, tensor)) = local.and_then(|id| match self.get(id) {
            Value::Tensor(tensor) => Some((id, tensor)),
            _ => None,
        }) else {
            return Err(self.malformed("a DTensor without a tensor"));
        };
        let shape: Option<Vec<i64>> = self
            .tuple(shape, MAX_AXES)
            .and_then(|sides| sides.into_iter().map(|side| self.int(side)).collect());
        let Some(shape) = shape else {
            return Err(self.malformed("a DTensor without a shape"));
        };
        if tensor.shape != shape {
            let what = format!(
                "a piece {:?} of a tensor {shape:?} that is spread over several processes (DTensor)",
                tensor.shape
            );
            return Err(unsupported(what));
        }
        // What is still to be summed over processes has the whole's shape, too.
        if !self.is_whole(spec)? {
            let what = "a tensor whose values are spread over several processes (DTensor)";
            return Err(unsupported(what.to_owned()));
        }
        Ok(local)
    }

    fn is_dtensor(&self, class: ValueId) -> bool {
        matches!(
            *self.get(class),
            // `_tensor` until PyTorch 2.4.
            Value::Global(Global::Inert(module, "DTensor"))
                if module.starts_with("torch.distributed.tensor")
                    || module.starts_with("torch.distributed._tensor")
        )
    }

    pub(super) fn other_wrapper(&self, class: ValueId) -> Error {
        let what = match *self.get(class) {
            Value::Global(Global::Inert(module, name)) => {
                format!(
                    "a tensor of the class `{}`",
                    printable(&format!("{module}.{name}"))
                )
            }
            _ => "a tensor that wraps another".to_owned(),
        };
        super::global::unsupported_tensor(what)
    }

    /// An attribute of an object in its state: a dict, or one of attributes and one of slots.
    fn attribute(&mut self, state: Option<ValueId>, name: &str) -> Result<Option<ValueId>> {
        let Some(state) = state else { return Ok(None) };
        for part in self.tuple(state, 2).unwrap_or_else(|| vec![state]) {
            if let Value::Dict(entries) = self.get(part) {
                // It may be shared, and is searched each time.
                self.spend(entries.len())?;
                if let Some(found) = entry(&self.values, part, name) {
                    return Ok(Some(found));
                }
            }
        }
        Ok(None)
    }

    /// Whether a tensor of the whole's shape is the whole: each placement is a share of an axis, or a
    /// copy (`torch/distributed/tensor/placement_types.py`).
    fn is_whole(&mut self, spec: Option<ValueId>) -> Result<bool> {
        let state = spec.and_then(|spec| match self.get(spec) {
            Value::Object(object) => object.state,
            _ => None,
        });
        let placements = self.attribute(state, "placements")?;
        let Some(placements) = placements.and_then(|id| self.tuple(id, MOST_PLACEMENTS)) else {
            return Ok(false);
        };
        Ok(placements.into_iter().all(|placement| {
            let Value::Object(object) = self.get(placement) else {
                return false;
            };
            matches!(
                self.get(object.class),
                Value::Global(Global::Inert(_, "Shard" | "_StridedShard" | "Replicate"))
            )
        }))
    }
}

fn unsupported(what: String) -> Error {
    Error::Unsupported {
        what,
        remedy: GATHER,
    }
}
