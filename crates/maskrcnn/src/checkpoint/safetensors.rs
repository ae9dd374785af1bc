//! The safetensors format: a length, a JSON header, and the tensors' bytes.
//!
//! The `safetensors` crate reads the header and checks that the tensors cover the file without gap
//! or overlap. Added here: duplicate names, which it would let pass, and files whose bytes depend
//! on nothing but the tensors.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io::{BufWriter, Write};
use std::path::Path;

use half::f16;
use safetensors::SafeTensorError;
use safetensors::tensor::{Dtype, Metadata, SafeTensors, TensorInfo};
use serde::Deserializer;
use serde::de::{Error as _, IgnoredAny, MapAccess, Visitor};
use serde::ser::{SerializeMap, Serializer};

use super::dtype::DType;
use super::format::Format;
use super::state_dict::StateDict;
use super::view::View;
use crate::error::{Error, Result};

/// Where the header keeps what is no tensor.
const METADATA: &str = "__metadata__";

/// Bytes of the header's length.
const LENGTH: usize = 8;

/// Reads the header: the metadata, and where the tensors are.
///
/// # Errors
///
/// [`Error::Malformed`], [`Error::DuplicateTensor`], and [`Error::Unsupported`] for complex and
/// sub-16-bit floats.
pub(super) fn read(bytes: &[u8]) -> Result<(BTreeMap<String, String>, BTreeMap<String, View>)> {
    let malformed = |reason: String| Format::Safetensors.malformed(reason);
    let header =
        header(bytes).ok_or_else(|| Format::Safetensors.cut_short("its header leaves the file"))?;
    refuse_duplicates(header)?;
    let (length, info) = SafeTensors::read_metadata(bytes).map_err(|error| match error {
        SafeTensorError::MetadataIncompleteBuffer => uncovered(header, bytes.len()),
        error => malformed(quotable(&error.to_string())),
    })?;
    let mut views = BTreeMap::new();
    for (name, tensor) in info.tensors() {
        Format::Safetensors.check_name(&name)?;
        let wrong = |reason: String| malformed(format!("tensor `{name}` {reason}"));
        let axis = |&length: &usize| {
            i64::try_from(length).map_err(|_| wrong(format!("has an axis of length {length}")))
        };
        let shape = tensor.shape.iter().map(axis).collect::<Result<Vec<_>>>()?;
        let (start, end) = tensor.data_offsets;
        let data = LENGTH + length;
        let view = View::contiguous(dtype(tensor.dtype, &name)?, shape, data + start..data + end)
            .map_err(wrong)?;
        views.insert(name, view);
    }
    Ok((
        info.metadata()
            .clone()
            .unwrap_or_default()
            .into_iter()
            .collect(),
        views,
    ))
}

/// The error about a header whose tensors do not end where the file of `found` bytes does.
fn uncovered(header: &[u8], found: usize) -> Error {
    let expected = serde_json::from_slice(header)
        .map(|info: Metadata| info.data_len().saturating_add(LENGTH + header.len()));
    match expected {
        Ok(expected) if expected > found => {
            Format::Safetensors.cut_short(format!("it has {found} bytes of {expected}"))
        }
        Ok(expected) => Format::Safetensors.malformed(format!(
            "its tensors end at byte {expected}, and the file at byte {found}"
        )),
        Err(error) => Format::Safetensors.malformed(quotable(&error.to_string())),
    }
}

fn header(bytes: &[u8]) -> Option<&[u8]> {
    let (length, rest) = bytes.split_first_chunk::<LENGTH>()?;
    rest.get(..usize::try_from(u64::from_le_bytes(*length)).ok()?)
}

fn dtype(dtype: Dtype, name: &str) -> Result<DType> {
    Ok(match dtype {
        Dtype::F64 => DType::F64,
        Dtype::F32 => DType::F32,
        Dtype::F16 => DType::F16,
        Dtype::BF16 => DType::BF16,
        Dtype::I64 => DType::I64,
        Dtype::I32 => DType::I32,
        Dtype::I16 => DType::I16,
        Dtype::I8 => DType::I8,
        Dtype::U64 => DType::U64,
        Dtype::U32 => DType::U32,
        Dtype::U16 => DType::U16,
        Dtype::U8 => DType::U8,
        Dtype::BOOL => DType::Bool,
        other => {
            return Err(Error::Unsupported {
                what: format!("tensor `{name}` of type {other:?}"),
                remedy: "convert it to float32, float16 or bfloat16",
            });
        }
    })
}

/// JSON leaves open what a repeated key means, and parsers keep the last one in silence.
fn refuse_duplicates(header: &[u8]) -> Result<()> {
    struct Keys {
        duplicate: Option<String>,
    }

    impl<'de> Visitor<'de> for &mut Keys {
        type Value = ();

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object that describes the tensors")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
            let mut seen = BTreeSet::new();
            while let Some(key) = map.next_key::<String>()? {
                map.next_value::<IgnoredAny>()?;
                if seen.contains(&key) {
                    self.duplicate = Some(key);
                    return Err(A::Error::custom("a name stands twice"));
                }
                seen.insert(key);
            }
            Ok(())
        }
    }

    let mut keys = Keys { duplicate: None };
    let outcome = serde_json::Deserializer::from_slice(header).deserialize_map(&mut keys);
    if let Some(name) = keys.duplicate {
        Format::Safetensors.check_name(&name)?;
        return Err(Error::DuplicateTensor { name });
    }
    outcome.map_err(|error| {
        Format::Safetensors.malformed(format!(
            "invalid JSON in header: {}",
            quotable(&error.to_string())
        ))
    })
}

/// The message of a parser, which may quote names and words of the header as they stand there, made
/// fit for a terminal: on one line, without terminal codes, and not endless.
fn quotable(message: &str) -> String {
    const LONGEST: usize = 500;
    let escape = |c: char| {
        if c.is_control() {
            c.escape_unicode().to_string()
        } else {
            c.to_string()
        }
    };
    message.chars().take(LONGEST).map(escape).collect()
}

/// Writes tensors and metadata to `path`, all tensors in fp32, or in fp16 when `half`. Equal
/// arguments give equal bytes: tensors and metadata are sorted by name. The file appears whole or
/// not at all, and one tensor at a time is in memory.
///
/// # Errors
///
/// [`Error::DuplicateTensor`] for a tensor that is called like the metadata;
/// [`Error::Unsupported`] for integers, and for a value that fp16 cannot hold;
/// [`Error::WriteFile`].
pub(crate) fn save(
    path: &Path,
    mut tensors: StateDict,
    metadata: &BTreeMap<String, String>,
    half: bool,
) -> Result<()> {
    let described = tensors.names().map(|name| {
        let shape = tensors.shape(name).unwrap_or_default();
        (name.to_owned(), shape.to_vec())
    });
    let shapes: Vec<(String, Vec<i64>)> = described.collect();
    if tensors.contains(METADATA) {
        let name = METADATA.to_owned();
        return Err(Error::DuplicateTensor { name });
    }
    let header = write_header(&shapes, metadata, half);
    let write_error = |source| Error::WriteFile {
        path: path.to_owned(),
        source,
    };

    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    let mut builder = tempfile::Builder::new();
    // Temporary files are private by default; this one becomes an ordinary file, as far as the
    // umask allows.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let file = builder.tempfile_in(folder).map_err(write_error)?;
    let mut writer = BufWriter::new(file);
    writer
        .write_all(&(header.len() as u64).to_le_bytes())
        .map_err(write_error)?;
    writer.write_all(&header).map_err(write_error)?;
    for (name, shape) in &shapes {
        let values = tensors.take(name, shape)?.into_f32();
        writer
            .write_all(&encode(name, &values, half)?)
            .map_err(write_error)?;
    }
    let file = writer
        .into_inner()
        .map_err(|error| write_error(error.into_error()))?;
    file.persist(path)
        .map_err(|error| write_error(error.error))?;
    Ok(())
}

/// The header as JSON, padded with spaces to a multiple of 8 bytes as the format asks, so that
/// tensors are aligned.
fn write_header(
    shapes: &[(String, Vec<i64>)],
    metadata: &BTreeMap<String, String>,
    half: bool,
) -> Vec<u8> {
    let (dtype, size) = if half {
        (Dtype::F16, 2)
    } else {
        (Dtype::F32, 4)
    };
    let mut header = Vec::new();
    let mut json = serde_json::Serializer::new(&mut header);
    let mut write = || {
        let mut map = json.serialize_map(None)?;
        if !metadata.is_empty() {
            map.serialize_entry(METADATA, metadata)?;
        }
        let mut start = 0;
        for (name, shape) in shapes {
            let shape: Vec<usize> = shape.iter().map(|&length| length as usize).collect();
            let end = start + shape.iter().product::<usize>() * size;
            let data_offsets = (start, end);
            map.serialize_entry(
                name,
                &TensorInfo {
                    dtype,
                    shape,
                    data_offsets,
                },
            )?;
            start = end;
        }
        map.end()
    };
    write().expect("strings and integers are JSON, and memory takes them");
    header.resize(header.len().next_multiple_of(8), b' ');
    header
}

/// The elements of the tensor called `name`, little-endian.
fn encode(name: &str, values: &[f32], half: bool) -> Result<Vec<u8>> {
    if !half {
        return Ok(values
            .iter()
            .flat_map(|value| value.to_le_bytes())
            .collect());
    }
    let narrow = |&value: &f32| {
        let narrowed = f16::from_f32(value);
        if narrowed.is_infinite() && value.is_finite() {
            return Err(Error::Unsupported {
                what: format!("a value of tensor `{name}` beyond 65504 in half precision"),
                remedy: "write it in single precision",
            });
        }
        Ok(narrowed.to_le_bytes())
    };
    let narrowed = values.iter().map(narrow).collect::<Result<Vec<_>>>()?;
    Ok(narrowed.concat())
}
