//! NumPy's arrays in a pickle: where their elements lie in the file.
//!
//! detectron2's model zoo is of pickles of such (`DetectionCheckpointer._load_file`). An array's bytes
//! stand in the pickle itself: as they are, or, where protocol 2 was asked for, as text in which
//! each byte is a character of Latin-1, which UTF-8 writes in one byte or in two.

use std::collections::HashMap;
use std::ops::Range;

use super::dtype::DType;
use super::format::Format;
use super::pickle::{ArrayRef, ElementType, Order, Pickle, Value};
use super::printable::printable;
use super::view::View;
use crate::error::{Error, Result};

/// The arrays of a file.
pub(super) struct Arrays<'a> {
    file: &'a [u8],
    /// How many bytes each text is that was looked at, by its place: many arrays may share one.
    texts: HashMap<Range<usize>, Option<usize>>,
}

impl<'a> Arrays<'a> {
    /// Those of this file.
    pub(super) fn of(file: &'a [u8]) -> Self {
        Self {
            file,
            texts: HashMap::new(),
        }
    }

    /// The array called `name` of a pickle in this file.
    ///
    /// # Errors
    ///
    /// [`Error::Unsupported`] for elements that are no numbers, [`Error::Malformed`] when there are
    /// more bytes or fewer than its shape has.
    pub(super) fn view(
        &mut self,
        pickle: &Pickle<'_>,
        name: &str,
        array: &ArrayRef<'_>,
        format: Format,
    ) -> Result<View> {
        let wrong = |reason: String| format.malformed(format!("array `{name}` {reason}"));
        let dtype = dtype(name, array.element)?;
        let count = array.shape.iter().try_fold(1usize, |count, &length| {
            count.checked_mul(usize::try_from(length).ok()?)
        });
        let expected = count.and_then(|count| count.checked_mul(dtype.size()));
        let Some(expected) = expected else {
            return Err(wrong(format!("has the shape {:?}", array.shape)));
        };
        let text = match *pickle.get(array.data) {
            Value::Latin1(text) => Some(text),
            _ => None,
        };
        let raw = match *pickle.get(array.data) {
            Value::Bytes(bytes) => bytes,
            // What Python 2 wrote, which has no other bytes.
            Value::Str(text) | Value::Latin1(text) => text.as_bytes(),
            _ if expected == 0 => &self.file[..0], // `bytes()`, in protocol 2
            ref other => {
                return Err(wrong(format!(
                    "has {} in place of its elements",
                    other.kind()
                )));
            }
        };
        let range = place(raw, self.file)
            .ok_or_else(|| wrong("has elements elsewhere than in the file".to_owned()))?;
        let found = match text {
            None => raw.len(),
            Some(_) => {
                let decoded = self.texts.entry(range.clone());
                let decoded = *decoded.or_insert_with(|| decoded_len(raw));
                decoded.ok_or_else(|| wrong("has characters that are no bytes".to_owned()))?
            }
        };
        if found != expected {
            return Err(wrong(format!(
                "of type {dtype} and shape {:?} has {found} bytes, expected {expected}",
                array.shape
            )));
        }
        let storage = match text {
            None => range.clone(),
            Some(_) => 0..found,
        };
        let (shape, strides) = laid_out(array).ok_or_else(|| {
            wrong(format!(
                "of shape {:?} has its axes in an order that is none",
                array.shape
            ))
        })?;
        let mut view = View::strided(dtype, shape, &strides, 0, storage).map_err(wrong)?;
        if text.is_some() {
            view = view.in_latin1(range);
        }
        if array.element.big_endian {
            view = view.big_endian();
        }
        Ok(view)
    }
}

/// Shape and strides, in elements, of an array; none when it has its axes in no order. Its size is
/// known to be no more than a file's.
fn laid_out(array: &ArrayRef<'_>) -> Option<(Vec<i64>, Vec<i64>)> {
    let steps = |shape: &mut dyn Iterator<Item = &i64>| -> Vec<i64> {
        let step = |step: &mut i64, &length: &i64| {
            let this = *step;
            *step = step.saturating_mul(length.max(1));
            Some(this)
        };
        shape.scan(1, step).collect()
    };
    let shape = &array.shape;
    let mut strides = steps(&mut shape.iter().rev());
    strides.reverse();
    match &array.order {
        Order::C => Some((shape.clone(), strides)),
        Order::Fortran => Some((shape.clone(), steps(&mut shape.iter()))),
        Order::Transposed(axes) => {
            let mut sorted = axes.clone();
            sorted.sort_unstable();
            let is_order = sorted.into_iter().eq(0..shape.len());
            let pick = |of: &[i64]| axes.iter().map(|&axis| of[axis]).collect();
            is_order.then(|| (pick(shape), pick(&strides)))
        }
    }
}

/// The type of an array's elements.
fn dtype(name: &str, element: ElementType<'_>) -> Result<DType> {
    Ok(match element.code {
        "f8" => DType::F64,
        "f4" => DType::F32,
        "f2" => DType::F16,
        "i8" => DType::I64,
        "i4" => DType::I32,
        "i2" => DType::I16,
        "i1" => DType::I8,
        "u8" => DType::U64,
        "u4" => DType::U32,
        "u2" => DType::U16,
        "u1" => DType::U8,
        "b1" | "?" => DType::Bool,
        code => {
            let kind = match code.chars().next() {
                Some('O') => "Python objects",
                Some('V') => "records",
                Some('c') => "complex numbers",
                Some('U' | 'S' | 'a' | 'T') => "texts",
                Some('M' | 'm') => "times",
                _ => "another kind",
            };
            let (name, code) = (printable(name), printable(code));
            return Err(Error::Unsupported {
                what: format!("array `{name}` of NumPy's type `{code}` ({kind})"),
                remedy: "save arrays of float64, float32 or float16",
            });
        }
    })
}

/// How many bytes a text stands for, one a character; none when a character is beyond Latin-1, whose
/// characters UTF-8 writes with none greater than 0xc3 in front.
fn decoded_len(text: &[u8]) -> Option<usize> {
    let is_latin1 = text.iter().all(|&byte| byte <= 0xc3);
    let begins = |&&byte: &&u8| byte & 0xc0 != 0x80;
    is_latin1.then(|| text.iter().filter(begins).count())
}

/// Where `part`, a slice of `file`, lies in it; none when it is a slice of something else.
fn place(part: &[u8], file: &[u8]) -> Option<Range<usize>> {
    let start = part.as_ptr().addr().checked_sub(file.as_ptr().addr())?;
    let end = start.checked_add(part.len())?;
    (end <= file.len()).then_some(start..end)
}
