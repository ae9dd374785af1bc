//! A dataset as a tensor: where it lies in the file, or decoded, if it lies there otherwise.

use hdf5_reader::error::{ByteOrder, Error as Failure};
use hdf5_reader::messages::HdfMessage;
use hdf5_reader::messages::dataspace::{DataspaceMessage, DataspaceType};
use hdf5_reader::messages::datatype::{Datatype, DatatypeMessage};
use hdf5_reader::messages::fill_value::FillValueMessage;
use hdf5_reader::messages::filter_pipeline::FilterPipelineMessage;
use hdf5_reader::messages::layout::DataLayout;
use hdf5_reader::object_header::ObjectHeader;

use super::super::dtype::DType;
use super::super::format::Format;
use super::super::printable::printable;
use super::super::view::{MAX_AXES, View};
use super::failure;
use super::file::File;
use super::keras::{self, Weight};
use crate::error::{Error, Result};

/// How many times a file's size may be decoded from it: as dense as weights are that were pruned to
/// a few in a hundred. DEFLATE could make a thousand of it, and data that was never written any
/// number.
const TIMES: usize = 16;

/// What may be decoded beyond that, for the sake of small files.
const BEYOND: usize = 16 << 20;

/// The most chunks in a dataset. HDF5's default chunk has at least 8 KB.
const MOST_CHUNKS: usize = 1 << 16;

/// Filters that are read, by number: each loses nothing (specification, IV.A.2.l).
const DEFLATE: u16 = 1;
const SHUFFLE: u16 = 2;
const FLETCHER32: u16 = 3;

/// Names of other filters, those of the HDF Group's registry that people meet.
const OTHER_FILTERS: [(u16, &str); 10] = [
    (4, "szip"),
    (5, "nbit"),
    (6, "scale-offset"),
    (305, "LZO"),
    (307, "bzip2"),
    (32000, "lzf"),
    (32001, "blosc"),
    (32004, "lz4"),
    (32008, "bitshuffle"),
    (32015, "zstd"),
];

/// How much may still be decoded, and how much of it may still be kept.
pub(super) struct Room {
    decoded: usize,
    kept: usize,
}

impl Room {
    /// Room for the tensors of a file of that many bytes.
    pub(super) fn for_file(len: usize) -> Self {
        let most = len.saturating_mul(TIMES).saturating_add(BEYOND);
        Self {
            decoded: most,
            kept: most,
        }
    }
}

/// What the header of a dataset says, as far as it is needed.
struct Described<'a> {
    dtype: DType,
    order: ByteOrder,
    shape: Vec<i64>,
    /// Bytes of all elements.
    len: usize,
    layout: &'a DataLayout,
    fill: Option<&'a FillValueMessage>,
}

/// The tensor of a weight. It stays in the file where it lies there whole and little-endian; else it
/// is decoded, which takes from `room`.
///
/// # Errors
///
/// [`Error::Unsupported`] for types, filters and layouts that are not read, [`Error::Malformed`] when
/// it is not there or leaves the file.
pub(super) fn view(file: &File, weight: &Weight, room: &mut Room) -> Result<View> {
    let what = format!("tensor `{}`", printable(&weight.name));
    let failed = |error: Failure| failure::error(&what, &error);
    let wrong = |why: String| Format::Hdf5.malformed(format!("{what} {why}"));
    let address = keras::walk(file, file.root()?, &weight.path, &what)?;
    let header = file.header(address).map_err(failed)?;
    let path = weight.path.join("/");
    let mut described = describe(&header, &what)?;
    if described.dtype.is_float() {
        let dataset = file.dataset(&path).map_err(failed)?;
        let encoding = dataset.raw_datatype().map_err(failed)?;
        described.dtype = float(&encoding, &what)?;
    }
    let Described { len, ref shape, .. } = described;

    let mut elements = match described.layout {
        DataLayout::Contiguous { address, .. } if file.is_undefined(*address) => {
            room.keep(len, &what)?;
            filled(&described)
        }
        DataLayout::Contiguous { address, size } => {
            let start = address.checked_add(file.base());
            let start = start.and_then(|start| usize::try_from(start).ok());
            let end = start.and_then(|start| start.checked_add(len));
            let within = |end: &usize| *end as u64 <= file.base() + file.storage().len();
            let range = start
                .zip(end.filter(within))
                .filter(|_| len as u64 <= *size);
            let (start, end) =
                range.ok_or_else(|| wrong(format!("of shape {shape:?} leaves the file")))?;
            if described.order == ByteOrder::LittleEndian || described.dtype.size() == 1 {
                return View::contiguous(described.dtype, shape.clone(), start..end).map_err(wrong);
            }
            room.keep(len, &what)?;
            let bytes = file.storage().read_range(*address, len).map_err(failed)?;
            bytes.to_vec()
        }
        DataLayout::Compact { data } => {
            room.keep(len, &what)?;
            let bytes = data.get(..len);
            let bytes = bytes.ok_or_else(|| wrong("is shorter than its shape says".to_owned()))?;
            bytes.to_vec()
        }
        DataLayout::Chunked { dims, .. } => chunked(file, &path, dims, &described, room, &what)?,
    };
    if described.order == ByteOrder::BigEndian {
        for element in elements.chunks_exact_mut(described.dtype.size()) {
            element.reverse();
        }
    }
    View::decoded(described.dtype, described.shape, elements).map_err(wrong)
}

impl Room {
    /// # Errors
    ///
    /// [`Error::Malformed`] when there is no more room.
    fn keep(&mut self, len: usize, what: &str) -> Result<()> {
        self.kept = take(self.kept, len, what)?;
        Ok(())
    }

    fn decode(&mut self, len: usize, what: &str) -> Result<()> {
        self.decoded = take(self.decoded, len, what)?;
        Ok(())
    }
}

fn take(left: usize, len: usize, what: &str) -> Result<usize> {
    left.checked_sub(len).ok_or_else(|| {
        Format::Hdf5.malformed(format!(
            "{what} is unpacked to more than {TIMES} times the file, with those before it"
        ))
    })
}

fn describe<'a>(header: &'a ObjectHeader, what: &str) -> Result<Described<'a>> {
    let (mut dataspace, mut datatype, mut layout, mut fill, mut filters) =
        (None, None, None, None, None);
    for message in &header.messages {
        match message {
            HdfMessage::Dataspace(message) => dataspace = Some(message),
            HdfMessage::Datatype(message) => datatype = Some(message),
            HdfMessage::DataLayout(message) => layout = Some(&message.layout),
            HdfMessage::FillValue(message) => fill = Some(message),
            HdfMessage::FilterPipeline(message) => filters = Some(message),
            HdfMessage::ExternalFiles(_) => {
                return Err(Error::Unsupported {
                    what: format!("{what}, whose elements lie in another file,"),
                    remedy: "copy it into one file, as h5repack does",
                });
            }
            _ => {}
        }
    }
    let (Some(dataspace), Some(datatype), Some(layout)) = (dataspace, datatype, layout) else {
        return Err(Format::Hdf5.malformed(format!("{what} is no dataset")));
    };
    if let Some(filters) = filters {
        check_filters(filters, what)?;
    }
    let (dtype, order) = element_type(datatype, what)?;
    let (shape, len) = shape(dataspace, dtype, what)?;
    Ok(Described {
        dtype,
        order,
        shape,
        len,
        layout,
        fill,
    })
}

/// The axes, and the bytes of all elements.
fn shape(dataspace: &DataspaceMessage, dtype: DType, what: &str) -> Result<(Vec<i64>, usize)> {
    let wrong = |why: &str| Format::Hdf5.malformed(format!("{what} {why}"));
    if dataspace.dataspace_type == DataspaceType::Null {
        return Err(wrong("has no elements and no shape"));
    }
    if dataspace.dims.len() > MAX_AXES {
        return Err(wrong("has too many axes"));
    }
    let axis = |&length: &u64| i64::try_from(length).ok();
    let shape: Option<Vec<i64>> = dataspace.dims.iter().map(axis).collect();
    let elements = dataspace.num_elements().ok();
    let len = elements
        .and_then(|count| usize::try_from(count).ok())
        .and_then(|count| count.checked_mul(dtype.size()));
    shape
        .zip(len)
        .ok_or_else(|| wrong("has more elements than any file"))
}

/// The type of a float by its encoding, of which the crate tells the size only (specification,
/// IV.A.2.d "Datatype": class 1).
fn float(encoding: &[u8], what: &str) -> Result<DType> {
    /// Bits of the offset, precision, exponent's place and size, mantissa's place and size, and the
    /// exponent's bias.
    const KNOWN: [(DType, [u8; 12]); 4] = [
        (DType::F16, [0, 0, 16, 0, 10, 5, 0, 10, 15, 0, 0, 0]),
        (DType::BF16, [0, 0, 16, 0, 7, 8, 0, 7, 127, 0, 0, 0]),
        (DType::F32, [0, 0, 32, 0, 23, 8, 0, 23, 127, 0, 0, 0]),
        (DType::F64, [0, 0, 64, 0, 52, 11, 0, 52, 255, 3, 0, 0]),
    ];
    /// Set beside bit 0 in the byte order of VAX.
    const VAX: u8 = 1 << 6;
    let found = encoding.get(8..20).and_then(|properties| {
        let known = KNOWN.iter().find(|(_, known)| known[..] == *properties);
        known.map(|(dtype, _)| *dtype)
    });
    found
        .filter(|dtype| encoding[1] & VAX == 0 && usize::from(encoding[4]) == dtype.size())
        .ok_or_else(|| Error::Unsupported {
            what: format!("{what} of floats that are not those of IEEE 754"),
            remedy: "weights are float64, float32, float16 or bfloat16",
        })
}

/// The type of the elements; of a float, as far as its size tells.
fn element_type(datatype: &DatatypeMessage, what: &str) -> Result<(DType, ByteOrder)> {
    let unsupported = |kind: &str| Error::Unsupported {
        what: format!("{what} of {kind}"),
        remedy: "weights are float64, float32 or float16",
    };
    match &datatype.datatype {
        &Datatype::FloatingPoint { size, byte_order } => {
            let dtype = match size {
                2 => DType::F16,
                4 => DType::F32,
                8 => DType::F64,
                _ => return Err(unsupported("long floats")),
            };
            Ok((dtype, byte_order))
        }
        &Datatype::FixedPoint {
            size,
            signed,
            byte_order,
        } => {
            let dtype = match (size, signed) {
                (1, true) => DType::I8,
                (2, true) => DType::I16,
                (4, true) => DType::I32,
                (8, true) => DType::I64,
                (1, false) => DType::U8,
                (2, false) => DType::U16,
                (4, false) => DType::U32,
                (8, false) => DType::U64,
                _ => return Err(unsupported("long integers")),
            };
            Ok((dtype, byte_order))
        }
        Datatype::String { .. } => Err(unsupported("strings")),
        Datatype::VarLen { .. } => Err(unsupported("Python objects or variable-length strings")),
        Datatype::Compound { .. } => Err(unsupported("compound or complex elements")),
        Datatype::Enum { .. } => Err(unsupported("booleans or enumerated values")),
        Datatype::Array { .. } => Err(unsupported("arrays within the array")),
        Datatype::Opaque { .. } | Datatype::Bitfield { .. } => Err(unsupported("opaque bytes")),
        Datatype::Reference { .. } => Err(unsupported("references")),
    }
}

/// Refuses filters that are not read, by name, and filters that are applied twice.
fn check_filters(pipeline: &FilterPipelineMessage, what: &str) -> Result<()> {
    let mut seen = Vec::new();
    for filter in &pipeline.filters {
        if !matches!(filter.id, DEFLATE | SHUFFLE | FLETCHER32) {
            let known = OTHER_FILTERS.iter().find(|(id, _)| *id == filter.id);
            let name = known.map_or_else(
                || format!("number {}", filter.id),
                |(_, name)| (*name).to_owned(),
            );
            return Err(Error::Unsupported {
                what: format!("{what}, packed by the filter {name},"),
                remedy: "write the file without it, as `h5repack -f GZIP=6 FILE OUT` does",
            });
        }
        if seen.contains(&filter.id) {
            return Err(Format::Hdf5.malformed(format!("{what} is packed twice")));
        }
        seen.push(filter.id);
    }
    Ok(())
}

/// Elements that were never written.
fn filled(described: &Described<'_>) -> Vec<u8> {
    let size = described.dtype.size();
    let value = described.fill.and_then(|fill| fill.value.as_deref());
    match value.filter(|value| value.len() == size) {
        Some(value) if value.iter().any(|&byte| byte != 0) => value.repeat(described.len / size),
        _ => vec![0; described.len],
    }
}

/// The elements of a dataset in chunks, each of the shape `chunk`.
fn chunked(
    file: &File,
    path: &str,
    chunk: &[u32],
    described: &Described<'_>,
    room: &mut Room,
    what: &str,
) -> Result<Vec<u8>> {
    let failed = |error: Failure| failure::error(what, &error);
    let wrong = |why: &str| Format::Hdf5.malformed(format!("{what} {why}"));
    let size = described.dtype.size();
    let shape: Vec<usize> = described
        .shape
        .iter()
        .map(|&length| length as usize)
        .collect();
    let chunk: Vec<usize> = chunk.iter().map(|&length| length as usize).collect();
    if chunk.len() != shape.len() || chunk.is_empty() || chunk.contains(&0) {
        return Err(wrong("has chunks of another number of axes"));
    }
    let lengths = shape.iter().zip(&chunk);
    let chunks = product(lengths.map(|(length, chunk)| length.div_ceil(*chunk)));
    if chunks.is_none_or(|chunks| chunks > MOST_CHUNKS) {
        return Err(wrong(&format!(
            "is cut into more than {MOST_CHUNKS} chunks"
        )));
    }
    let chunk_len = product(chunk.iter().copied().chain([size]));
    let chunk_len = chunk_len.ok_or_else(|| wrong("has a chunk larger than any file"))?;
    room.keep(described.len, what)?;
    let mut elements = filled(described);
    if elements.is_empty() {
        return Ok(elements);
    }
    let dataset = file.dataset(path).map_err(failed)?;
    let mut decoded = dataset.iter_chunks().map_err(failed)?;
    loop {
        // Before it is unpacked: the same chunk may be listed any number of times.
        room.decode(chunk_len, what)?;
        let Some(part) = decoded.next() else { break };
        let part = part.map_err(failed)?;
        let place = part.offsets().iter().map(|&at| usize::try_from(at).ok());
        let place: Option<Vec<usize>> = place.take(shape.len()).collect();
        let place =
            place.filter(|place| place.len() == shape.len() && part.bytes().len() >= chunk_len);
        let place = place.ok_or_else(|| wrong("has a damaged chunk"))?;
        paste(part.bytes(), &chunk, &place, &mut elements, &shape, size);
    }
    Ok(elements)
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
