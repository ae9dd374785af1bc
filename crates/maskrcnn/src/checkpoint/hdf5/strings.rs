//! Attributes that hold strings.

use hdf5_reader::messages::attribute::AttributeMessage;
use hdf5_reader::messages::datatype::{Datatype, StringPadding, StringSize, VarLenKind};

use super::super::format::Format;
use super::super::printable::printable;
use super::failure;
use super::file::File;
use crate::error::Result;

/// The strings of an attribute, of fixed or variable length. An attribute without elements has none,
/// of whatever type it is: NumPy's type of an empty list is float64.
///
/// # Errors
///
/// [`Malformed`](crate::Error::Malformed) for other types, for text that is no UTF-8, and for
/// strings that are longer together than a file can make them in good faith.
pub(super) fn of(file: &File, attribute: &AttributeMessage) -> Result<Vec<String>> {
    let what = format!("attribute `{}`", printable(&attribute.name));
    let wrong = |why: &str| Format::Hdf5.malformed(format!("{what} {why}"));
    let count = attribute.dataspace.num_elements().unwrap_or(u64::MAX);
    if count == 0 {
        return Ok(Vec::new());
    }
    let (size, padding) = match &attribute.datatype {
        Datatype::String { size, padding, .. } => (*size, *padding),
        Datatype::VarLen { kind, padding, .. } if *kind == VarLenKind::String => {
            (StringSize::Variable, *padding)
        }
        _ => return Err(wrong("holds no strings")),
    };
    // Of a variable-length string there is its length, the address of a heap and a number in it.
    let reference = 4 + usize::from(file.offset_size()) + 4;
    let each = match size {
        StringSize::Fixed(len) => len as usize,
        StringSize::Variable => reference,
    };
    let count = usize::try_from(count).ok();
    let data = count
        .and_then(|count| count.checked_mul(each))
        .and_then(|len| attribute.raw_data.get(..len))
        .filter(|_| each > 0)
        .ok_or_else(|| wrong("is shorter than it says"))?;
    let mut strings = Vec::new();
    for element in data.chunks_exact(each) {
        let resolved;
        let bytes = if size == StringSize::Variable {
            let len = element
                .first_chunk()
                .map_or(0, |len| u32::from_le_bytes(*len));
            // Many may lead to the same long string.
            resolved = file
                .charge(len as usize)
                .and_then(|()| file.variable(element))
                .map_err(|error| failure::error(&what, &error))?;
            &resolved
        } else {
            element
        };
        let text = std::str::from_utf8(unpadded(bytes, padding));
        strings.push(text.map_err(|_| wrong("is no UTF-8"))?.to_owned());
    }
    Ok(strings)
}

/// A string without what fills it up.
fn unpadded(bytes: &[u8], padding: StringPadding) -> &[u8] {
    let end = bytes.iter().position(|&byte| byte == 0);
    let bytes = &bytes[..end.unwrap_or(bytes.len())];
    match padding {
        StringPadding::SpacePad => bytes.trim_ascii_end(),
        StringPadding::NullTerminate | StringPadding::NullPad => bytes,
    }
}
