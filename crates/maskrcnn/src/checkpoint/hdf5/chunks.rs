//! Datasets in chunks: each is unpacked by the crate and put in its place here.

use hdf5_reader::Dataset;

use super::super::format::Format;
use super::failure;
use super::file::File;
use super::room::Room;
use crate::error::Result;

/// The most chunks in a dataset. HDF5's default chunk has at least 8 KB.
const MOST_CHUNKS: usize = 1 << 16;

/// The chunks of a dataset.
pub(super) struct Chunks<'a> {
    dataset: &'a Dataset,
    /// The axes of the whole.
    shape: Vec<usize>,
    /// The axes of each chunk, as many.
    chunk: Vec<usize>,
    /// Bytes of an element.
    size: usize,
    /// Bytes of a chunk.
    len: usize,
    /// Whose they are, for errors.
    what: &'a str,
}

impl<'a> Chunks<'a> {
    /// The chunks of a dataset of that shape, of elements of `size` bytes.
    ///
    /// # Errors
    ///
    /// [`Malformed`](crate::Error::Malformed) when their axes are not the dataset's, or there are too many.
    pub(super) fn of(
        dataset: &'a Dataset,
        shape: &[i64],
        size: usize,
        what: &'a str,
    ) -> Result<Self> {
        let wrong = |why: &str| Format::Hdf5.malformed(format!("{what} {why}"));
        let shape: Vec<usize> = shape.iter().map(|&length| length as usize).collect();
        let chunk = dataset.chunks().unwrap_or_default();
        let chunk: Vec<usize> = chunk.iter().map(|&length| length as usize).collect();
        if chunk.len() != shape.len() || chunk.is_empty() || chunk.contains(&0) {
            return Err(wrong("has chunks of other axes than its own"));
        }
        let lengths = shape.iter().zip(&chunk);
        let count = product(lengths.map(|(length, chunk)| length.div_ceil(*chunk)));
        if count.is_none_or(|count| count > MOST_CHUNKS) {
            return Err(wrong(&format!(
                "is cut into more than {MOST_CHUNKS} chunks"
            )));
        }
        let len = product(chunk.iter().copied().chain([size]));
        let len = len.ok_or_else(|| wrong("has a chunk larger than any file"))?;
        Ok(Self {
            dataset,
            shape,
            chunk,
            size,
            len,
            what,
        })
    }

    /// Puts the chunks that are in the file into an array of the dataset's shape.
    ///
    /// # Errors
    ///
    /// [`Malformed`](crate::Error::Malformed) when one is damaged, or more is unpacked than there is room for.
    pub(super) fn paste_into(
        &self,
        file: &File,
        elements: &mut [u8],
        room: &mut Room,
    ) -> Result<()> {
        if elements.is_empty() {
            return Ok(());
        }
        let failed = |error| failure::error(self.what, &error);
        let damaged = || Format::Hdf5.malformed(format!("{} has a damaged chunk", self.what));
        let mut parts = self.dataset.iter_chunks().map_err(failed)?;
        loop {
            // Before it is unpacked: the same chunk may be listed any number of times.
            room.decode(self.len, self.what)?;
            let Some(part) = file.data(|| parts.next()) else {
                return Ok(());
            };
            let part = part.map_err(failed)?;
            let place = part.offsets().iter().map(|&at| usize::try_from(at).ok());
            let place: Option<Vec<usize>> = place.take(self.shape.len()).collect();
            let place = place.filter(|place| place.len() == self.shape.len());
            let place = place.filter(|_| part.bytes().len() >= self.len);
            let place = place.ok_or_else(damaged)?;
            let (chunk, shape) = (&self.chunk, &self.shape);
            paste(part.bytes(), chunk, &place, elements, shape, self.size);
        }
    }
}

fn product(factors: impl IntoIterator<Item = usize>) -> Option<usize> {
    let mut factors = factors.into_iter();
    factors.try_fold(1usize, |product, factor| product.checked_mul(factor))
}

/// Copies the elements of a chunk whose first element is at `place` of an array, as far as they are
/// within it. All are row-major, of at least one axis, of elements of `size` bytes.
fn paste(
    part: &[u8],
    chunk: &[usize],
    place: &[usize],
    whole: &mut [u8],
    shape: &[usize],
    size: usize,
) {
    let last = chunk.len() - 1;
    let row = chunk[last].min(shape[last].saturating_sub(place[last]));
    if row == 0 {
        return;
    }
    for (number, source) in part.chunks_exact(chunk[last] * size).enumerate() {
        // The index within the chunk of this row, from the last axis but one to the first.
        let (mut number, mut start, mut step) = (number, place[last], shape[last]);
        let mut within = true;
        for axis in (0..last).rev() {
            let at = (number % chunk[axis]).saturating_add(place[axis]);
            number /= chunk[axis];
            within &= at < shape[axis];
            start = start.saturating_add(at.saturating_mul(step));
            step *= shape[axis];
        }
        // A last row that is not of this chunk any more has a number beyond it.
        if within && number == 0 {
            whole[start * size..][..row * size].copy_from_slice(&source[..row * size]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_are_pasted_and_cut_at_the_edges() {
        // [3, 3] in chunks of [2, 2].
        let mut whole = vec![9; 9];
        let chunks = [
            ([0, 0], [1, 2, 4, 5]),
            ([0, 2], [3, 0, 6, 0]),
            ([2, 0], [7, 8, 0, 0]),
        ];
        for (place, part) in chunks {
            paste(&part, &[2, 2], &place, &mut whole, &[3, 3], 1);
        }
        assert_eq!(whole, [1, 2, 3, 4, 5, 6, 7, 8, 9]);
        // Beside the array.
        for place in [[3, 0], [0, 3], [usize::MAX, 0], [0, usize::MAX]] {
            paste(&[0; 4], &[2, 2], &place, &mut whole, &[3, 3], 1);
        }
        assert_eq!(whole, [1, 2, 3, 4, 5, 6, 7, 8, 9]);
        let mut line = vec![0; 6];
        paste(&[1, 2, 3, 4, 5, 6, 7, 8], &[4], &[1], &mut line, &[3], 2);
        assert_eq!(line, [0, 0, 1, 2, 3, 4]);
    }
}
