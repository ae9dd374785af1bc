//! The file as the `hdf5-reader` crate sees it: every byte that it reads is counted.
//!
//! The crate keeps much of what it parses, and structures of a hostile file may lie over each other,
//! so that each byte is parsed as often as the file likes. What is read altogether is therefore
//! bounded, and with it time, and memory beside the tensors.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use hdf5_reader::error::{Error, Result};
use hdf5_reader::{Storage, StorageBuffer};

use super::super::bytes::Bytes;

/// How often a file may be read through. Chunked data is read once, what describes it a few times.
const TIMES: usize = 4;

/// What may be read beyond that, for the sake of small files.
const BEYOND: usize = 1 << 20;

/// What each read costs beside its bytes, so that there are not endlessly many small ones.
const EACH: usize = 16;

/// A file, with what may still be read of it.
pub(super) struct Meter {
    bytes: Arc<Bytes>,
    left: AtomicUsize,
}

impl Meter {
    pub(super) fn new(bytes: &Arc<Bytes>) -> Self {
        let left = bytes.len().saturating_mul(TIMES).saturating_add(BEYOND);
        Self {
            bytes: Arc::clone(bytes),
            left: AtomicUsize::new(left),
        }
    }

    /// Counts work on `bytes` bytes that are not read from here.
    ///
    /// # Errors
    ///
    /// [`Error::ResourceLimit`] when that is too much.
    pub(super) fn charge(&self, bytes: usize) -> Result<()> {
        let spent = |left: usize| left.checked_sub(bytes);
        let outcome = self.left.fetch_update(Relaxed, Relaxed, spent);
        outcome.map(drop).map_err(|_| {
            Error::ResourceLimit(
                "parts of the file lie over each other or repeat without end".to_owned(),
            )
        })
    }
}

impl Storage for Meter {
    fn len(&self) -> u64 {
        self.bytes.len() as u64
    }

    fn read_range(&self, offset: u64, len: usize) -> Result<StorageBuffer> {
        let start = usize::try_from(offset).map_err(|_| Error::OffsetOutOfBounds(offset))?;
        let bytes = Arc::clone(&self.bytes);
        let buffer = StorageBuffer::from_shared_owner(bytes, start, len)?;
        self.charge(len.saturating_add(EACH))?;
        Ok(buffer)
    }
}
