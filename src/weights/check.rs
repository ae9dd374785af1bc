//! Whether a file is what its name in the catalogue stands for.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use data_encoding::HEXLOWER;
use maskrcnn::{ReadOptions, Weights};
use md5::Md5;
use sha2::{Digest, Sha256};

use super::catalogue::{Entry, Size};
use crate::errors::Code;

/// Where a file was found, which says what may have happened to it and what can be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// At a server, just now.
    Fetched,
    /// In the user's cache.
    Kept,
}

impl Found {
    /// The error for a file that is not what it should be, `why` in words.
    pub(super) fn differs(self, entry: &Entry, why: &str) -> anyhow::Error {
        let name = entry.name;
        let end = match self {
            Self::Fetched => "they were damaged on the way, or the server has others".to_owned(),
            Self::Kept => format!(
                "`maskrcnn weights remove {name}` removes what is kept of them, and the next use \
                 fetches them again"
            ),
        };
        Code::WeightsChecksum.error(format!("these are not the weights {name}: {why}; {end}"))
    }

    /// Compares the sum of a file, in hex, with the one that it must have, if there is one.
    ///
    /// # Errors
    ///
    /// When they differ.
    pub(super) fn compare_sha256(
        self,
        entry: &Entry,
        expected: Option<&str>,
        found: &str,
    ) -> anyhow::Result<()> {
        match expected.filter(|expected| *expected != found) {
            None => Ok(()),
            Some(expected) => {
                let why = format!("expected the SHA-256 {expected}, found {found}");
                Err(self.differs(entry, &why))
            }
        }
    }
}

/// What is compared of a file, sums in hex.
pub(super) struct Sums {
    bytes: u64,
    /// Of the file.
    pub(super) sha256: String,
    /// None where there is nothing to compare it with.
    md5: Option<String>,
}

impl Sums {
    /// Those of a file, from where it stands to its end.
    ///
    /// # Errors
    ///
    /// When it cannot be read.
    pub(super) fn of(mut file: impl Read, entry: &Entry) -> io::Result<Self> {
        let mut sha256 = Sha256::new();
        let mut md5 = entry.md5_prefix.map(|_| Md5::new());
        let (mut bytes, mut chunk) = (0, vec![0; 1 << 20]);
        loop {
            let read = file.read(&mut chunk)?;
            if read == 0 {
                return Ok(Self {
                    bytes,
                    sha256: HEXLOWER.encode(&sha256.finalize()),
                    md5: md5.map(|md5| HEXLOWER.encode(&md5.finalize())),
                });
            }
            sha256.update(&chunk[..read]);
            if let Some(md5) = &mut md5 {
                md5.update(&chunk[..read]);
            }
            bytes += read as u64;
        }
    }

    /// Compares them with all that is known of the publisher's file.
    ///
    /// # Errors
    ///
    /// When they differ.
    pub(super) fn compare(&self, entry: &Entry, found: Found) -> anyhow::Result<()> {
        if let Size::Exactly(expected) = entry.size
            && expected != self.bytes
        {
            let bytes = self.bytes;
            let why = format!("expected a size in bytes of {expected}, found {bytes}");
            return Err(found.differs(entry, &why));
        }
        found.compare_sha256(entry, entry.sha256, &self.sha256)?;
        match (entry.md5_prefix, &self.md5) {
            (Some(expected), Some(md5)) if !md5.starts_with(expected) => {
                let why = format!("expected an MD5 that begins with {expected}, found {md5}");
                Err(found.differs(entry, &why))
            }
            _ => Ok(()),
        }
    }
}

/// Compares a file with all that is known of the publisher's. Where that is no sum, it must be a
/// network of the publisher's family. The file's SHA-256, in hex.
///
/// # Errors
///
/// When it cannot be read, or is another.
pub(super) fn examine(entry: &Entry, path: &Path, found: Found) -> anyhow::Result<String> {
    let sums = File::open(path).and_then(|file| Sums::of(file, entry));
    let sums = sums.map_err(|source| maskrcnn::Error::ReadFile {
        path: path.to_owned(),
        source,
    })?;
    sums.compare(entry, found)?;
    if entry.sha256.is_none() && entry.md5_prefix.is_none() {
        let expected = entry.family;
        let mut alone = ReadOptions::default();
        alone.shards = false;
        let why = match Weights::open_with(path, &alone) {
            Ok(weights) if weights.family() == expected => None,
            Ok(weights) => Some(format!("found one of {}", weights.family())),
            Err(error) => Some(format!("and it cannot be read as one: {error}")),
        };
        if let Some(why) = why {
            let why = format!("expected a network of the family {expected}, {why}");
            return Err(found.differs(entry, &why));
        }
    }
    Ok(sums.sha256)
}
