//! What the pickle machine makes of a global and its arguments: the whole of what a pickle can do.

use super::Machine;
use super::global::Global;
use super::value::{Object, StorageRef, TensorRef, Value, ValueId};
use crate::checkpoint::dtype::DType;
use crate::checkpoint::view::MAX_AXES;
use crate::error::{Error, Result};

/// The most arguments that any of the listed globals takes, with room.
const MOST_ARGUMENTS: usize = 16;

impl<'a> Machine<'a> {
    /// The items of a tuple of at most `most` items.
    pub(super) fn tuple(&self, id: ValueId, most: usize) -> Option<Vec<ValueId>> {
        match self.get(id) {
            Value::Tuple(items) if items.len() <= most => Some(items.clone()),
            _ => None,
        }
    }

    pub(super) fn int(&self, id: ValueId) -> Option<i64> {
        match *self.get(id) {
            Value::Int(value) => Some(value),
            _ => None,
        }
    }

    /// Whether this is something of which nothing is known but that it does no harm to name it.
    pub(super) fn is_inert(&self, id: ValueId) -> bool {
        matches!(
            self.get(id),
            Value::Global(Global::Inert(..)) | Value::Object(_)
        )
    }

    /// Pushes what a global makes of its arguments.
    pub(super) fn push_made(&mut self, global: ValueId, arguments: ValueId) -> Result<()> {
        if self.is_inert(global) || self.is_array_of_other_class(global, arguments) {
            if !matches!(self.get(arguments), Value::Tuple(_)) {
                return Err(self.malformed("a call without a tuple of arguments"));
            }
            self.push(Value::Object(Object {
                class: global,
                arguments,
                state: None,
                entries: None,
            }));
            return Ok(());
        }
        let &Value::Global(global) = self.get(global) else {
            return Err(self.malformed(format!("calls {}", self.get(global).kind())));
        };
        let Some(arguments) = self.tuple(arguments, MOST_ARGUMENTS) else {
            return Err(self.malformed("a call without a tuple of arguments"));
        };
        let made = self.make(global, &arguments)?;
        self.stack.push(made);
        Ok(())
    }

    fn make(&mut self, global: Global<'a>, arguments: &[ValueId]) -> Result<ValueId> {
        match (global, arguments) {
            (Global::Plain(kind), _) => Ok(self.add(Value::Plain(kind))),
            (Global::OrderedDict, []) | (Global::DefaultDict, _) => {
                Ok(self.add(Value::Dict(Vec::new())))
            }
            (Global::OrderedDict, &[pairs]) => self.ordered_dict(pairs),
            (Global::Set, []) => Ok(self.add(Value::Set(Vec::new()))),
            (Global::Set, &[items]) => self.set(items),
            (Global::Size, &[tuple]) if matches!(self.get(tuple), Value::Tuple(_)) => Ok(tuple),
            (Global::Parameter, &[tensor, ..]) if matches!(self.get(tensor), Value::Tensor(_)) => {
                Ok(tensor)
            }
            (Global::RebuildTensor, &[storage, offset, shape, strides, ref rest @ ..]) => {
                // After v2's `requires_grad` and `backward_hooks`.
                self.refuse_tensor_metadata(rest.get(2))?;
                self.tensor(storage, offset, shape, strides, None)
            }
            (
                Global::RebuildTensorV3,
                &[storage, offset, shape, strides, _, _, dtype, ref rest @ ..],
            ) => {
                self.refuse_tensor_metadata(rest.first())?;
                let &Value::Global(Global::DType(dtype)) = self.get(dtype) else {
                    return Err(self.malformed("a tensor without an element type"));
                };
                self.tensor(storage, offset, shape, strides, Some(dtype))
            }
            (Global::RebuildFromType, &[function, _, arguments, ref rest @ ..])
                if matches!(self.get(function), Value::Global(Global::RebuildWrapper)) =>
            {
                self.wrapped(arguments, rest.first().copied())
            }
            (Global::RebuildFromType, &[function, class, arguments, ..]) => {
                let &Value::Global(
                    function
                    @ (Global::RebuildTensor | Global::RebuildTensorV3 | Global::Parameter),
                ) = self.get(function)
                else {
                    return Err(self.malformed("a tensor rebuilt by something else"));
                };
                if !matches!(
                    self.get(class),
                    Value::Global(Global::Tensor | Global::Parameter)
                ) {
                    return Err(self.malformed("a tensor of another class"));
                }
                let arguments = self.tuple(arguments, MOST_ARGUMENTS);
                self.make(
                    function,
                    &arguments.ok_or_else(|| self.malformed("a tensor without arguments"))?,
                )
            }
            (Global::RebuildWrapper, &[class, ..]) => Err(self.other_wrapper(class)),
            (Global::Encode, _) => Ok(self.encoded(arguments)),
            (Global::ElementType, &[code, ..]) => Ok(self.element_type(code)),
            (Global::Reconstruct, _) => Ok(self.add(Value::Array(None))),
            (Global::FromBuffer, &[data, element, shape, order, ref rest @ ..]) => {
                self.array_of_buffer(data, element, shape, order, rest.first().copied())
            }
            _ => Err(self.malformed(format!(
                "{} arguments of the wrong kind for {global:?}",
                arguments.len()
            ))),
        }
    }

    /// Python 2 writes an OrderedDict as its constructor's argument, a list of pairs.
    fn ordered_dict(&mut self, pairs: ValueId) -> Result<ValueId> {
        let (Value::List(pairs) | Value::Tuple(pairs)) = self.get(pairs) else {
            return Err(self.malformed("an OrderedDict of something else than pairs"));
        };
        // The list may be shared, and is copied each time.
        let len = pairs.len();
        let entries = pairs
            .iter()
            .take(self.budget)
            .map(|&pair| match self.get(pair) {
                Value::List(pair) | Value::Tuple(pair) => {
                    pair.as_array().map(|&[key, value]| (key, value))
                }
                _ => None,
            });
        let entries = entries.collect::<Option<Vec<_>>>();
        self.spend(len)?;
        let entries =
            entries.ok_or_else(|| self.malformed("an OrderedDict of something else than pairs"))?;
        Ok(self.add(Value::Dict(entries)))
    }

    /// Protocols before 4 write a set as its constructor's argument, a list of its items.
    fn set(&mut self, items: ValueId) -> Result<ValueId> {
        let (Value::List(items) | Value::Tuple(items)) = self.get(items) else {
            return Err(self.malformed("a set of something else than items"));
        };
        // The list may be shared, and is copied each time.
        let len = items.len();
        let items = items.iter().take(self.budget).copied().collect();
        self.spend(len)?;
        Ok(self.add(Value::Set(items)))
    }

    /// Tensors may carry flags that change their values when they are looked at.
    fn refuse_tensor_metadata(&self, metadata: Option<&ValueId>) -> Result<()> {
        match metadata.map(|&id| self.get(id)) {
            None | Some(Value::None) => Ok(()),
            Some(Value::Dict(flags)) if flags.is_empty() => Ok(()),
            Some(_) => Err(Error::Unsupported {
                what: "a tensor that is yet to be conjugated or negated".to_owned(),
                remedy: "call resolve_conj() and resolve_neg() before saving",
            }),
        }
    }

    fn tensor(
        &mut self,
        storage: ValueId,
        offset: ValueId,
        shape: ValueId,
        strides: ValueId,
        dtype: Option<DType>,
    ) -> Result<ValueId> {
        let &Value::Storage(StorageRef { dtype: stored, .. }) = self.get(storage) else {
            return Err(self.malformed(format!("a tensor on {}", self.get(storage).kind())));
        };
        let ints = |id| {
            let items = self.tuple(id, MAX_AXES)?;
            items
                .into_iter()
                .map(|item| self.int(item))
                .collect::<Option<Vec<_>>>()
        };
        let (Some(offset), Some(shape), Some(strides)) =
            (self.int(offset), ints(shape), ints(strides))
        else {
            return Err(self.malformed(format!(
                "a tensor whose offset, shape and strides are not integers of up to 64 bits, at most {MAX_AXES} of them"
            )));
        };
        self.spend(shape.len() + strides.len())?;
        let tensor = TensorRef {
            storage,
            dtype: dtype.unwrap_or(stored),
            offset,
            shape,
            strides,
        };
        Ok(self.add(Value::Tensor(Box::new(tensor))))
    }

    /// What a persistent id stands for: a storage, or in the legacy format a class of modules that
    /// was saved whole, ('module', class, file, source code). The code is left alone.
    pub(super) fn persistent(&self, id: ValueId) -> Result<Value<'a>> {
        if let Some(items) = self.tuple(id, 4)
            && let &[tag, class, _file, _source] = &*items
            && let (Value::Str("module"), &Value::Global(class @ Global::Inert(..))) =
                (self.get(tag), self.get(class))
        {
            return Ok(Value::Global(class));
        }
        self.storage(id).map(Value::Storage)
    }

    /// The storage that a persistent id stands for: ('storage', class, key, location, number of
    /// elements), and in the legacy format a part of it, or None. The location is where the tensor
    /// lived; here all live on the CPU.
    fn storage(&self, id: ValueId) -> Result<StorageRef<'a>> {
        let wrong = || self.malformed("a persistent id that is no storage");
        let items = self.tuple(id, 6).ok_or_else(wrong)?;
        let (&[tag, class, key, _location, len], part) =
            items.split_first_chunk().ok_or_else(wrong)?;
        let (Value::Str("storage"), &Value::Global(Global::Storage(dtype)), &Value::Str(key)) =
            (self.get(tag), self.get(class), self.get(key))
        else {
            return Err(wrong());
        };
        let size = |id| {
            self.int(id)
                .and_then(|len| usize::try_from(len).ok())
                .ok_or_else(wrong)
        };
        let part = match part.first() {
            Some(&part) if !matches!(self.get(part), Value::None) => {
                let part = self.tuple(part, 3).ok_or_else(wrong)?;
                let &[_key, offset, len] = part.as_array().ok_or_else(wrong)?;
                Some((size(offset)?, size(len)?))
            }
            _ => None,
        };
        Ok(StorageRef {
            key,
            dtype,
            len: size(len)?,
            part,
        })
    }
}
