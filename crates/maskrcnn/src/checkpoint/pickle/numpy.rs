//! What the pickle machine makes of NumPy's arrays: their descriptions, as of PyTorch's tensors.
//!
//! NumPy `_core/src/multiarray/methods.c`, `array_reduce`, `array_reduce_ex_picklebuffer` and
//! `array_setstate`; `descriptor.c`, `arraydescr_reduce` and `arraydescr_setstate`;
//! `_core/numeric.py`, `_frombuffer`. Arrays of subclasses (`matrix`, masked arrays) stay objects.

use super::Machine;
use super::global::Global;
use super::value::{ArrayRef, ElementType, Order, Value, ValueId};
use crate::checkpoint::view::MAX_AXES;
use crate::error::Result;

/// Items of a state: 5 of an array, up to 9 of an element type.
const MOST_ITEMS: usize = 16;

impl<'a> Machine<'a> {
    /// Whether this is `_reconstruct`, asked for something else than an `ndarray`.
    pub(super) fn is_array_of_other_class(&self, global: ValueId, arguments: ValueId) -> bool {
        let is_reconstruct = matches!(self.get(global), Value::Global(Global::Reconstruct));
        is_reconstruct
            && !self.tuple(arguments, MOST_ITEMS).is_some_and(|items| {
                let class = items.first().map(|&class| self.get(class));
                matches!(class, Some(Value::Global(Global::NdArray)))
            })
    }

    /// What `_codecs.encode` makes of a text and the name of an encoding.
    pub(super) fn encoded(&mut self, arguments: &[ValueId]) -> ValueId {
        let value = match *arguments {
            [text, encoding] => match (self.get(text), self.get(encoding)) {
                (&Value::Str(text), Value::Str("latin1" | "latin-1")) => Value::Latin1(text),
                _ => Value::Plain("bytes"),
            },
            _ => Value::Plain("bytes"),
        };
        self.add(value)
    }

    /// `numpy.dtype(code, …)`. The order of its bytes is the machine's, unless it is set.
    pub(super) fn element_type(&mut self, code: ValueId) -> ValueId {
        let code = match *self.get(code) {
            Value::Str(code) => code,
            Value::Global(Global::Inert(_, name)) => name,
            _ => "",
        };
        let (order, rest) = code.split_at_checked(1).unwrap_or_default();
        let (code, big_endian) = match order {
            "<" | "=" | "|" => (rest, false),
            ">" => (rest, true),
            _ => (code, false),
        };
        self.add(Value::ElementType(ElementType { code, big_endian }))
    }

    /// Sets the byte order of an element type, or the contents of an array.
    pub(super) fn set_numpy_state(&mut self, object: ValueId, state: ValueId) -> Result<()> {
        let Some(items) = self.tuple(state, MOST_ITEMS) else {
            return Err(self.malformed("sets what an array is by something else than a tuple"));
        };
        if let &Value::ElementType(element) = self.get(object) {
            let order = items.get(1).map(|&order| self.get(order));
            let big_endian = match order {
                Some(Value::Str("<" | "|" | "=")) => false,
                Some(Value::Str(">")) => true,
                _ => return Err(self.malformed("an element type without an order of bytes")),
            };
            let element = ElementType {
                big_endian,
                ..element
            };
            self.values[object.0 as usize] = Value::ElementType(element);
            return Ok(());
        }
        // Version, shape, type, whether it is in Fortran's order, elements.
        let &[_, shape, element, fortran, data] = &*items else {
            return Err(self.malformed(format!("an array of {} parts", items.len())));
        };
        let order = match *self.get(fortran) {
            Value::Bool(true) | Value::Int(1) => Order::Fortran,
            Value::Bool(false) | Value::Int(0) => Order::C,
            _ => return Err(self.malformed("an array without an order of its elements")),
        };
        let array = self.array_of(data, element, shape, order)?;
        self.values[object.0 as usize] = array;
        Ok(())
    }

    /// `_frombuffer(buffer, dtype, shape, order, axis_order)`.
    pub(super) fn array_of_buffer(
        &mut self,
        data: ValueId,
        element: ValueId,
        shape: ValueId,
        order: ValueId,
        axes: Option<ValueId>,
    ) -> Result<ValueId> {
        let axes = axes.and_then(|axes| {
            let axes = self.tuple(axes, MAX_AXES)?.into_iter();
            let axes = axes.map(|axis| self.int(axis).and_then(|axis| usize::try_from(axis).ok()));
            axes.collect::<Option<Vec<_>>>()
        });
        let order = match (self.get(order), axes) {
            (Value::Str("C"), _) => Order::C,
            (Value::Str("F"), _) => Order::Fortran,
            (Value::Str("K"), Some(axes)) => Order::Transposed(axes),
            _ => return Err(self.malformed("an array without an order of its elements")),
        };
        let array = self.array_of(data, element, shape, order)?;
        Ok(self.add(array))
    }

    fn array_of(
        &mut self,
        data: ValueId,
        element: ValueId,
        shape: ValueId,
        order: Order,
    ) -> Result<Value<'a>> {
        let &Value::ElementType(element) = self.get(element) else {
            return Err(self.malformed("an array without an element type"));
        };
        let sides = self.tuple(shape, MAX_AXES).and_then(|sides| {
            let sides = sides.into_iter().map(|side| self.int(side));
            sides.collect::<Option<Vec<_>>>()
        });
        let Some(shape) = sides else {
            return Err(self.malformed(format!(
                "an array whose shape is no tuple of integers of up to 64 bits, at most {MAX_AXES} of them"
            )));
        };
        self.spend(2 * shape.len())?;
        Ok(Value::Array(Some(Box::new(ArrayRef {
            element,
            shape,
            order,
            data,
        }))))
    }
}
