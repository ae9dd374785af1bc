//! The stream that `torch.save` wrote before PyTorch 1.6: pickles of a magic number, a protocol
//! version, facts about the machine, the object itself, and the keys of its storages; then each
//! storage, its number of elements first.

use std::collections::HashMap;

use super::super::candidates::Choose;
use super::super::contents::Contents;
use super::super::format::Format;
use super::super::pickle::{self, Pickle, StorageRef, Value};
use super::super::printable::printable;
use super::Storages;
use crate::error::{Error, Result};

const FORMAT: Format = Format::TorchLegacy;

/// 0x1950a86a20f9469cfc6c, as a pickle has it: two's complement, little-endian.
const MAGIC_NUMBER: [u8; 10] = [0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19];
const PROTOCOL_VERSION: i64 = 1001;

/// Whether the bytes begin with a pickle of the magic number.
pub(in crate::checkpoint) fn is_legacy(bytes: &[u8]) -> bool {
    let [0x80, 2..=5, rest @ ..] = bytes else {
        return false;
    };
    // From protocol 4 on a frame's opcode and length may come first.
    let rest = if let [0x95, _, _, _, _, _, _, _, _, rest @ ..] = rest {
        rest
    } else {
        rest
    };
    matches!(rest, [0x8a, 10, rest @ ..] if rest.starts_with(&MAGIC_NUMBER))
}

/// The dict of tensors that `choose` picks of the stream that `bytes` begins with. Bytes after it are left alone, as PyTorch
/// leaves them: one file may hold several streams, and the first counts.
///
/// # Errors
///
/// Those of [`Checkpoint::from_bytes`](crate::checkpoint::Checkpoint::from_bytes).
pub(in crate::checkpoint) fn read(bytes: &[u8], choose: &mut Choose<'_>) -> Result<Contents> {
    let mut at = 0;
    let mut next = || -> Result<Pickle> {
        let pickle = pickle::load(&bytes[at..], FORMAT)?;
        at += pickle.len;
        Ok(pickle)
    };
    if !matches!(next()?.root(), Value::Long(number) if *number == MAGIC_NUMBER) {
        return Err(FORMAT.malformed("its magic number is wrong"));
    }
    match next()?.root() {
        Value::Int(PROTOCOL_VERSION) => {}
        Value::Int(version) => {
            return Err(FORMAT.malformed(format!(
                "protocol version {version}, expected {PROTOCOL_VERSION}"
            )));
        }
        _ => return Err(FORMAT.malformed("it has no protocol version")),
    }
    refuse_big_endian(&next()?)?;
    let (object, keys) = (next()?, next()?);
    let storages = storages(bytes, at, &object, &keys)?;
    super::read(bytes, &object, &storages, FORMAT, choose)
}

/// Looks at `little_endian` among the facts about the machine; its integers' sizes do not matter
/// here.
fn refuse_big_endian(facts: &Pickle) -> Result<()> {
    let Value::Dict(facts_entries) = facts.root() else {
        return Err(FORMAT.malformed("it says nothing about the machine"));
    };
    let is_big = |&(key, value): &(_, _)| {
        matches!(
            (facts.get(key), facts.get(value)),
            (Value::Str("little_endian"), Value::Bool(false))
        )
    };
    if facts_entries.iter().any(is_big) {
        return Err(Error::Unsupported {
            what: "a big-endian checkpoint".to_owned(),
            remedy: "load and save it again on a little-endian machine",
        });
    }
    Ok(())
}

/// Walks the storages, which stand from byte `at` on in the order of `keys`.
fn storages<'a>(
    bytes: &'a [u8],
    mut at: usize,
    object: &Pickle<'a>,
    keys: &Pickle<'a>,
) -> Result<Storages<'a>> {
    // The stream has no element sizes; they follow from the object.
    let mut named: HashMap<&str, &StorageRef> = HashMap::new();
    for storage in object.storages() {
        let first = named.entry(storage.key).or_insert(storage);
        if (first.len, first.dtype) != (storage.len, storage.dtype) {
            return Err(FORMAT.malformed(format!(
                "storage `{}` is described in two ways",
                printable(storage.key)
            )));
        }
    }

    let Value::List(ids) = keys.root() else {
        return Err(FORMAT.malformed("it has no list of storages"));
    };
    let mut storages = HashMap::new();
    for &id in ids {
        let &Value::Str(key) = keys.get(id) else {
            return Err(
                FORMAT.malformed(format!("a storage has {} for a key", keys.get(id).kind()))
            );
        };
        let wrong =
            |reason: String| FORMAT.malformed(format!("storage `{}` {reason}", printable(key)));
        let storage = named
            .get(key)
            .ok_or_else(|| wrong("belongs to no tensor".to_owned()))?;
        let Some((len, data)) = bytes[at..].split_first_chunk::<8>() else {
            let key = printable(key);
            return Err(FORMAT.cut_short(format!("storage `{key}` is missing at the end")));
        };
        let len = i64::from_le_bytes(*len);
        if usize::try_from(len) != Ok(storage.len) {
            return Err(wrong(format!(
                "has {len} elements, expected {}",
                storage.len
            )));
        }
        let size = storage
            .len
            .checked_mul(storage.dtype.size())
            .filter(|&size| size <= data.len());
        let size = size.ok_or_else(|| {
            let key = printable(key);
            FORMAT.cut_short(format!("storage `{key}` of {len} elements leaves the file"))
        })?;
        let start = at + 8;
        at = start + size;
        if storages.insert(key, start..at).is_some() {
            return Err(wrong("stands twice".to_owned()));
        }
    }
    Ok(storages)
}
