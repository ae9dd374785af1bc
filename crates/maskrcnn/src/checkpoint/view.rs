//! Where a tensor's elements lie in the file, checked once and for all.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

use super::dtype::DType;

/// The most axes a tensor may have. The weights of convolutions have 4; this bounds what a file can
/// make us store.
pub(crate) const MAX_AXES: usize = 16;

/// A strided view of elements that all lie within the file it was made for.
#[derive(Clone, Debug)]
pub(crate) struct View {
    pub(crate) dtype: DType,
    pub(crate) shape: Vec<i64>,
    /// In bytes, one an axis; 0 where an axis is never stepped along.
    strides: Vec<usize>,
    /// Offset of the first element from the beginning of the file, in bytes; from that of the
    /// decoded text where the elements are in one.
    start: usize,
    /// Number of elements.
    count: usize,
    /// The elements, row-major, where the file has them in another form.
    decoded: Option<Arc<[u8]>>,
    /// Text of the file, each character of which is the byte that it has in Latin-1.
    text: Option<Range<usize>>,
    /// Whether the greatest byte of an element comes first.
    big_endian: bool,
}

impl View {
    /// A row-major tensor whose first element is the first of `storage`, a range of bytes of the
    /// file.
    ///
    /// The error is a predicate for a sentence that begins with the tensor's name.
    pub(crate) fn contiguous(
        dtype: DType,
        shape: Vec<i64>,
        storage: Range<usize>,
    ) -> Result<Self, String> {
        let mut strides = vec![0; shape.len()];
        let mut step = 1i64;
        for (stride, &length) in strides.iter_mut().zip(&shape).rev() {
            *stride = step;
            step = step.saturating_mul(length.max(1));
        }
        Self::strided(dtype, shape, &strides, 0, storage)
    }

    /// A tensor as PyTorch describes it: `strides` and `offset` count elements of `storage`, which
    /// is a range of bytes of the file. Every element must lie inside it, and there may be no more
    /// elements than the storage has, so that a small file never stands for a huge tensor. A tensor
    /// without elements may have any strides and offset.
    ///
    /// The error is a predicate for a sentence that begins with the tensor's name.
    pub(crate) fn strided(
        dtype: DType,
        shape: Vec<i64>,
        strides: &[i64],
        offset: i64,
        storage: Range<usize>,
    ) -> Result<Self, String> {
        if shape.len() != strides.len() {
            return Err(format!(
                "has {} axes but {} strides",
                shape.len(),
                strides.len()
            ));
        }
        if shape.len() > MAX_AXES {
            return Err(format!(
                "has {} axes, at most {MAX_AXES} are read",
                shape.len()
            ));
        }
        if let Some(length) = shape.iter().find(|&&length| length < 0) {
            return Err(format!("has an axis of length {length}"));
        }
        if shape.contains(&0) {
            let strides = vec![0; shape.len()];
            return Ok(Self {
                dtype,
                shape,
                strides,
                start: storage.start,
                count: 0,
                decoded: None,
                text: None,
                big_endian: false,
            });
        }

        let size = dtype.size();
        let available = storage.len() / size;
        let outside = || {
            format!(
                "of shape {shape:?}, strides {strides:?} and offset {offset} leaves its storage of {available} elements"
            )
        };
        let mut count = 1usize;
        let mut last = usize::try_from(offset).map_err(|_| outside())?;
        for (&length, &stride) in shape.iter().zip(strides) {
            let length = usize::try_from(length).map_err(|_| outside())?;
            count = count.checked_mul(length).ok_or_else(outside)?;
            if length > 1 {
                let span = usize::try_from(stride)
                    .ok()
                    .and_then(|stride| stride.checked_mul(length - 1));
                last = span
                    .and_then(|span| last.checked_add(span))
                    .ok_or_else(outside)?;
            }
        }
        if last >= available || count > available {
            return Err(outside());
        }

        // Everything below is smaller than the storage, so nothing overflows; an axis of length 1
        // may carry any stride at all, which is why it is dropped.
        let stride = |(&length, &stride): (&i64, &i64)| {
            if length > 1 {
                stride as usize * size
            } else {
                0
            }
        };
        let strides = shape.iter().zip(strides).map(stride).collect();
        Ok(Self {
            dtype,
            shape,
            strides,
            start: storage.start + offset as usize * size,
            count,
            decoded: None,
            text: None,
            big_endian: false,
        })
    }

    /// A row-major tensor of elements that the file has in another form, packed or big-endian.
    ///
    /// The error is a predicate for a sentence that begins with the tensor's name.
    pub(crate) fn decoded(
        dtype: DType,
        shape: Vec<i64>,
        elements: Vec<u8>,
    ) -> Result<Self, String> {
        let view = Self::contiguous(dtype, shape, 0..elements.len())?;
        Ok(Self {
            decoded: Some(elements.into()),
            ..view
        })
    }

    /// The same view of the bytes that the text in this range of the file stands for, a byte a
    /// character; the view was made for as many bytes as those are.
    pub(crate) fn in_latin1(self, text: Range<usize>) -> Self {
        Self {
            text: Some(text),
            ..self
        }
    }

    /// The same view of elements with their greatest byte first.
    pub(crate) fn big_endian(self) -> Self {
        Self {
            big_endian: true,
            ..self
        }
    }

    /// The same view of a file in which what it views stands that many bytes later.
    pub(crate) fn shifted(self, bytes: usize) -> Self {
        Self {
            start: match self.text {
                Some(_) => self.start,
                None => self.start + bytes,
            },
            text: self.text.map(|text| text.start + bytes..text.end + bytes),
            ..self
        }
    }

    /// The elements in row-major order, little-endian: the file's own bytes where they lie so, else
    /// a copy of exactly the elements. `file` is the file that the view was made for.
    pub(crate) fn elements<'a>(&self, file: &'a [u8]) -> Cow<'a, [u8]> {
        let mut elements = match &self.text {
            None => self.gathered(file),
            Some(text) => {
                let decoded = latin1(&file[text.clone()]);
                Cow::Owned(self.gathered(&decoded).into_owned())
            }
        };
        if self.big_endian {
            let elements = elements.to_mut().chunks_exact_mut(self.dtype.size());
            elements.for_each(<[u8]>::reverse);
        }
        elements
    }

    /// The elements in row-major order, as they stand in `file`.
    fn gathered<'a>(&self, file: &'a [u8]) -> Cow<'a, [u8]> {
        let size = self.dtype.size();
        if let Some(decoded) = &self.decoded {
            return Cow::Owned(decoded[..self.count * size].to_vec());
        }
        if self.is_contiguous() {
            return Cow::Borrowed(&file[self.start..][..self.count * size]);
        }
        let mut elements = Vec::with_capacity(self.count * size);
        let mut index = vec![0; self.shape.len()];
        let mut at = self.start;
        for _ in 0..self.count {
            elements.extend_from_slice(&file[at..at + size]);
            // Steps to the next index, like an odometer.
            for axis in (0..index.len()).rev() {
                index[axis] += 1;
                at += self.strides[axis];
                if index[axis] < self.shape[axis] {
                    break;
                }
                at -= self.strides[axis] * self.shape[axis] as usize;
                index[axis] = 0;
            }
        }
        Cow::Owned(elements)
    }

    fn is_contiguous(&self) -> bool {
        let mut step = self.dtype.size();
        self.shape
            .iter()
            .zip(&self.strides)
            .rev()
            .filter(|&(&length, _)| length > 1)
            .all(|(&length, &stride)| {
                let in_order = stride == step;
                step *= length as usize;
                in_order
            })
            || self.count == 0
    }
}

/// The bytes that the characters of a text have in Latin-1; UTF-8 writes those from 0x80 on in two
/// bytes.
fn latin1(text: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut text = text.iter();
    while let Some(&byte) = text.next() {
        bytes.push(match byte {
            0xc2.. => (byte << 6) | (text.next().copied().unwrap_or_default() & 0x3f),
            _ => byte,
        });
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Twelve elements of one byte, 100 to 111, from byte 2 of the file on.
    const FILE: [u8; 15] = [
        0, 0, 100, 101, 102, 103, 104, 105, 106, 107, 108, 109, 110, 111, 0,
    ];
    const STORAGE: Range<usize> = 2..14;

    fn view(shape: &[i64], strides: &[i64], offset: i64) -> Result<View, String> {
        View::strided(DType::U8, shape.to_vec(), strides, offset, STORAGE)
    }

    fn elements(shape: &[i64], strides: &[i64], offset: i64) -> Vec<u8> {
        view(shape, strides, offset)
            .unwrap()
            .elements(&FILE)
            .into_owned()
    }

    #[test]
    fn strides_and_offsets_pick_the_elements_in_row_major_order() {
        assert_eq!(
            elements(&[2, 3], &[3, 1], 1),
            [101, 102, 103, 104, 105, 106]
        );
        assert_eq!(
            elements(&[2, 3], &[1, 2], 0),
            [100, 102, 104, 101, 103, 105]
        ); // transposed
        assert_eq!(elements(&[2, 2], &[6, 2], 1), [101, 103, 107, 109]); // every second column
        assert_eq!(
            elements(&[3, 2], &[0, 1], 4),
            [104, 105, 104, 105, 104, 105]
        ); // expanded
        assert_eq!(elements(&[], &[], 11), [111]);
        assert_eq!(
            elements(&[2, 2, 2], &[1, 6, 3], 0),
            [100, 103, 106, 109, 101, 104, 107, 110]
        );
    }

    #[test]
    fn an_axis_of_length_one_may_have_any_stride() {
        assert_eq!(elements(&[1, 2, 1], &[i64::MAX, 1, -7], 10), [110, 111]);
    }

    #[test]
    fn row_major_views_are_not_copied() {
        for (shape, strides) in [
            (&[3, 4][..], &[4, 1][..]),
            (&[3, 1, 4], &[4, 99, 1]),
            (&[], &[]),
        ] {
            assert!(
                matches!(
                    view(shape, strides, 0).unwrap().elements(&FILE),
                    Cow::Borrowed(_)
                ),
                "{shape:?}"
            );
        }
        assert!(matches!(
            view(&[4, 3], &[1, 4], 0).unwrap().elements(&FILE),
            Cow::Owned(_)
        ));
    }

    #[test]
    fn a_view_without_elements_needs_no_storage() {
        assert!(elements(&[3, 0], &[1, 1], 1 << 40).is_empty());
        assert!(
            View::contiguous(DType::F32, vec![0, 4], 0..0)
                .unwrap()
                .elements(&[])
                .is_empty()
        );
        assert!(View::contiguous(DType::F32, vec![i64::MAX, 0, i64::MAX], 0..0).is_ok());
    }

    #[test]
    fn a_view_that_leaves_its_storage_is_refused_whatever_overflows() {
        let cases: [(&[i64], &[i64], i64); 12] = [
            (&[13], &[1], 0),
            (&[12], &[1], 1),
            (&[2, 3], &[9, 2], 0),
            (&[2], &[12], 0),
            (&[1], &[1], 12),
            (&[1], &[1], -1),
            (&[2], &[-1], 5),
            (&[-2], &[1], 0),
            (&[1 << 40, 1 << 40], &[0, 0], 0),
            (&[3], &[i64::MAX], 0),
            (&[2, 2], &[i64::MAX, i64::MAX], i64::MAX),
            (&[2, 3], &[1], 0),
        ];
        for (shape, strides, offset) in cases {
            assert!(
                view(shape, strides, offset).is_err(),
                "{shape:?} {strides:?} {offset}"
            );
        }
    }

    #[test]
    fn an_expanded_view_larger_than_its_storage_is_refused() {
        assert!(view(&[12, 1], &[0, 1], 0).is_ok());
        assert!(view(&[13, 1], &[0, 1], 0).is_err());
    }

    #[test]
    fn a_view_of_wide_elements_counts_in_elements() {
        assert!(View::strided(DType::F32, vec![3], &[1], 0, 1..13).is_ok());
        assert!(View::strided(DType::F32, vec![3], &[1], 0, 1..12).is_err());
        let doubles: Vec<u8> = [1.5f64, 2.5, 3.5, 4.5]
            .iter()
            .flat_map(|x| x.to_le_bytes())
            .collect();
        let view = View::strided(DType::F64, vec![2], &[2], 1, 0..32).unwrap();
        assert_eq!(
            *view.elements(&doubles),
            [2.5f64.to_le_bytes(), 4.5f64.to_le_bytes()].concat()
        );
    }
}
