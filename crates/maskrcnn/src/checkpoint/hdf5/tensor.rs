//! A dataset as a tensor: where it lies in the file, or decoded, if it lies there otherwise.

use hdf5_reader::error::{ByteOrder, Error as Failure};
use hdf5_reader::messages::HdfMessage;
use hdf5_reader::messages::dataspace::{DataspaceMessage, DataspaceType};
use hdf5_reader::messages::fill_value::FillValueMessage;
use hdf5_reader::messages::layout::DataLayout;
use hdf5_reader::object_header::ObjectHeader;

use super::super::dtype::DType;
use super::super::format::Format;
use super::super::printable::printable;
use super::super::view::{MAX_AXES, View};
use super::chunks::Chunks;
use super::failure;
use super::file::File;
use super::keras::{self, Weight};
use super::room::Room;
use super::types::{check_filters, element_type, float};
use crate::error::{Error, Result};

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
        let dataset = file.dataset(&path, &header).map_err(failed)?;
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
            let bytes = file.data(|| file.storage().read_range(*address, len));
            let bytes = bytes.map_err(failed)?;
            bytes.to_vec()
        }
        DataLayout::Compact { data } => {
            room.keep(len, &what)?;
            let bytes = data.get(..len);
            let bytes = bytes.ok_or_else(|| wrong("is shorter than its shape says".to_owned()))?;
            bytes.to_vec()
        }
        DataLayout::Chunked { .. } => {
            let dataset = file.dataset(&path, &header).map_err(failed)?;
            let size = described.dtype.size();
            let chunks = Chunks::of(&dataset, shape, size, &what)?;
            room.keep(len, &what)?;
            let mut elements = filled(&described);
            chunks.paste_into(file, &mut elements, room)?;
            elements
        }
    };
    if described.order == ByteOrder::BigEndian {
        for element in elements.chunks_exact_mut(described.dtype.size()) {
            element.reverse();
        }
    }
    View::decoded(described.dtype, described.shape, elements).map_err(wrong)
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

/// Elements that were never written.
fn filled(described: &Described<'_>) -> Vec<u8> {
    let size = described.dtype.size();
    let value = described.fill.and_then(|fill| fill.value.as_deref());
    match value.filter(|value| value.len() == size) {
        Some(value) if value.iter().any(|&byte| byte != 0) => value.repeat(described.len / size),
        _ => vec![0; described.len],
    }
}
