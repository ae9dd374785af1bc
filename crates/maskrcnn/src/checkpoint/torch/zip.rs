//! The zip archive that `torch.save` writes: the pickle `data.pkl`, and each storage as an entry
//! `data/<key>`, none compressed, all in one folder whose name varies.

use std::collections::HashMap;
use std::io::Cursor;
use std::ops::Range;

use zip::read::{ArchiveOffset, Config};
use zip::{CompressionMethod, ZipArchive};

use super::super::candidates::Choose;
use super::super::contents::Contents;
use super::super::pickle;
use super::super::printable::printable;
use crate::checkpoint::format::Format;
use crate::error::{Error, Result};

const FORMAT: Format = Format::TorchZip;

/// The dict of tensors that `choose` picks of the archive that is the whole of `bytes`.
///
/// # Errors
///
/// Those of [`Checkpoint::from_bytes`](crate::checkpoint::Checkpoint::from_bytes).
pub(in crate::checkpoint) fn read(bytes: &[u8], choose: &mut Choose<'_>) -> Result<Contents> {
    if is_behind_another(bytes) {
        return Err(Error::Unsupported {
            what: "a piece of a checkpoint of torch.distributed, in several files,".to_owned(),
            remedy: super::GATHER_FOLDER,
        });
    }
    let entries = entries(bytes)?;
    let root = root(&entries)?;
    let record = |name: &str| {
        entries
            .get_key_value(format!("{root}{name}").as_str())
            .map(stored)
            .transpose()
    };

    match record("byteorder")?.map(|range| &bytes[range]) {
        None | Some(b"little") => {} // older files are little-endian without saying so
        Some(b"big") => {
            return Err(Error::Unsupported {
                what: "a big-endian checkpoint".to_owned(),
                remedy: "load and save it again on a little-endian machine",
            });
        }
        Some(_) => return Err(FORMAT.malformed("its byte order is neither little nor big")),
    }

    let data = format!("{root}data/");
    let mut storages = HashMap::new();
    for (name, entry) in &entries {
        if let Some(key) = name.strip_prefix(&data) {
            storages.insert(key, stored((name, entry))?);
        }
    }
    let range = record("data.pkl")?.expect("the root was found by it");
    super::read(
        bytes,
        &pickle::load(&bytes[range], FORMAT)?,
        &storages,
        FORMAT,
        choose,
    )
}

/// Whether the archive that these bytes end with begins where another one ends: a `.distcp` file has an
/// archive for each tensor (PyTorch `torch/distributed/checkpoint/filesystem.py`, `_write_item`).
fn is_behind_another(bytes: &[u8]) -> bool {
    const END: &[u8] = b"PK\x05\x06";
    const LOCATOR: &[u8] = b"PK\x06\x07";
    /// The end record without a comment, which PyTorch does not write.
    const END_LEN: usize = 22;
    /// What PyTorch writes before it: an end record of zip64, and where that is.
    const ZIP64_LEN: usize = 56 + LOCATOR_LEN;
    const LOCATOR_LEN: usize = 20;
    let start = || {
        let (rest, end) = bytes.split_at_checked(bytes.len().checked_sub(END_LEN)?)?;
        let number = |at: usize| {
            let number = end.get(at..)?.first_chunk()?;
            usize::try_from(u32::from_le_bytes(*number)).ok()
        };
        let has_zip64 = rest
            .get(rest.len().checked_sub(LOCATOR_LEN)?..)?
            .starts_with(LOCATOR);
        let directory_end = rest
            .len()
            .checked_sub(if has_zip64 { ZIP64_LEN } else { 0 })?;
        // Size of the directory, and where it begins.
        let start = directory_end
            .checked_sub(number(12)?)?
            .checked_sub(number(16)?)?;
        end.starts_with(END).then_some(start)
    };
    let before = start().and_then(|start| bytes.get(start.checked_sub(END_LEN)?..start));
    before.is_some_and(|end| end.starts_with(END))
}

/// A file in the archive.
struct Entry {
    /// Its bytes as they stand in the archive, which they do not leave.
    range: Range<usize>,
    /// Whether those are the file's own bytes, neither compressed nor encrypted.
    stored: bool,
}

/// The bytes of an entry.
fn stored((name, entry): (&String, &Entry)) -> Result<Range<usize>> {
    if entry.stored {
        return Ok(entry.range.clone());
    }
    Err(Error::Unsupported {
        what: format!(
            "a compressed or encrypted entry (`{}`) in a PyTorch archive",
            printable(name)
        ),
        remedy: "unpack it, and pack it again without compression (zip -0)",
    })
}

/// Every file of the archive by its name. None overlaps another.
fn entries(bytes: &[u8]) -> Result<HashMap<String, Entry>> {
    let malformed = |error: zip::result::ZipError| {
        FORMAT.malformed(format!("its list of entries is unusable ({error})"))
    };
    if !is_whole(bytes) {
        return Err(FORMAT.cut_short("its list of entries, which stands at the end, is missing"));
    }
    // The archive is the whole file. Left to guess where it begins, the crate (9.8) takes the
    // directory to end where the end record begins, but PyTorch has zip64 records in between,
    // whether needed or not. That is 76 bytes, and when the first header is as long (a file name of
    // 21 characters) the second is taken for the first.
    let config = Config {
        archive_offset: ArchiveOffset::Known(0),
    };
    let mut archive = ZipArchive::with_config(config, Cursor::new(bytes)).map_err(malformed)?;
    if archive.has_duplicate_names() {
        return Err(FORMAT.malformed("two entries have the same name"));
    }
    if archive.has_overlapping_entries().map_err(malformed)? {
        return Err(FORMAT.malformed("two entries overlap"));
    }
    let mut entries = HashMap::new();
    for index in 0..archive.len() {
        let entry = archive.by_index_raw(index).map_err(malformed)?;
        let name = entry.name().map_err(malformed)?.into_owned();
        let range = || {
            let start = usize::try_from(entry.data_start()?).ok()?;
            let end = start.checked_add(usize::try_from(entry.compressed_size()).ok()?)?;
            (end <= bytes.len()).then_some(start..end)
        };
        let range = range().ok_or_else(|| {
            FORMAT.malformed(format!("entry `{}` leaves the file", printable(&name)))
        })?;
        let stored = entry.compression() == CompressionMethod::Stored
            && !entry.encrypted()
            && entry.size() == entry.compressed_size();
        entries.insert(name, Entry { range, stored });
    }
    Ok(entries)
}

/// Whether an archive ends with the record that says where its list of entries is, and that
/// record's comment. Of two that it might be the last counts, as it does for `zip`.
fn is_whole(bytes: &[u8]) -> bool {
    const SIGNATURE: &[u8] = b"PK\x05\x06";
    /// Bytes of the record; the last two are the length of the comment.
    const RECORD: usize = 22;
    let searched = RECORD + usize::from(u16::MAX);
    let tail = &bytes[bytes.len().saturating_sub(searched)..];
    let at = tail
        .windows(SIGNATURE.len())
        .rposition(|window| window == SIGNATURE);
    at.and_then(|at| tail[at..].split_at_checked(RECORD))
        .is_some_and(|(record, comment)| {
            let length = u16::from_le_bytes([record[RECORD - 2], record[RECORD - 1]]);
            usize::from(length) <= comment.len()
        })
}

/// The folder that everything is in, with its slash; empty when there is none.
fn root(entries: &HashMap<String, Entry>) -> Result<&str> {
    let is_folder = |folder: &&str| folder.is_empty() || folder.ends_with('/');
    let mut roots = entries
        .keys()
        .filter_map(|name| name.strip_suffix("data.pkl"))
        .filter(is_folder);
    let found = match (roots.next(), roots.next()) {
        (Some(root), None) => return Ok(root),
        (Some(_), Some(_)) => return Err(FORMAT.malformed("it has two data.pkl")),
        (None, _) if entries.contains_key("model.weights.h5") => "a Keras archive",
        (None, _) if entries.keys().any(|name| name.ends_with(".npy")) => {
            "an archive of NumPy arrays (write them anew with \
             safetensors.numpy.save_file(dict(numpy.load(\"weights.npz\")), \"weights.safetensors\"))"
        }
        (None, _)
            if entries
                .keys()
                .any(|name| name.ends_with(".pth") || name.ends_with(".safetensors")) =>
        {
            "a zip archive with a checkpoint in it (unpack it first)"
        }
        (None, _) => "a zip archive without data.pkl",
    };
    Err(Error::UnknownFormat {
        found: found.to_owned(),
    })
}
