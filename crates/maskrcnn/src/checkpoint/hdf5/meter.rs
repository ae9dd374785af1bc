//! The file as the `hdf5-reader` crate sees it: every byte that it reads is counted.
//!
//! The crate keeps much of what it parses, and structures of a hostile file may lie over each other,
//! so that each byte is parsed as often as the file likes. What is read altogether is therefore
//! bounded, and with it time, and memory beside the tensors.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};

use hdf5_reader::error::{Error, Result};
use hdf5_reader::{Storage, StorageBuffer};

use super::super::bytes::Bytes;

/// How often what describes the tensors may be read, in times of the file: a dense group is read
/// anew for each name that is looked up in it. Empirical: 587 weights of one element in new-style
/// groups take 7 times, those of a real network not a hundredth.
const TIMES: usize = 8;

/// What may be read beyond that, for the sake of small files.
const BEYOND: usize = 4 << 20;

/// The most that is read of what describes the tensors, of a file of any size. Mask R-CNN's takes a
/// megabyte or two; at worst, messages of four bytes, it takes 36 times as much memory as file.
const MOST: usize = 16 << 20;

/// How often the chunks of tensors may be read: once, and again for odd ones.
const DATA_TIMES: usize = 2;

/// What each read costs beside its bytes, so that there are not endlessly many small ones.
const EACH: usize = 16;

/// A file, with what may still be read of it.
pub(super) struct Meter {
    bytes: Arc<Bytes>,
    /// Of what describes the tensors.
    structure: AtomicUsize,
    /// Of their elements.
    data: AtomicUsize,
    /// Whether it is elements that are being read.
    is_data: AtomicBool,
}

impl Meter {
    pub(super) fn new(bytes: &Arc<Bytes>) -> Self {
        let times = |times| bytes.len().saturating_mul(times).saturating_add(BEYOND);
        Self {
            bytes: Arc::clone(bytes),
            structure: AtomicUsize::new(times(TIMES).min(MOST)),
            data: AtomicUsize::new(times(DATA_TIMES)),
            is_data: AtomicBool::new(false),
        }
    }

    /// Counts what `read` reads as elements of tensors.
    pub(super) fn data<T>(&self, read: impl FnOnce() -> T) -> T {
        self.is_data.store(true, Relaxed);
        let result = read();
        self.is_data.store(false, Relaxed);
        result
    }

    /// Counts work on `bytes` bytes, which need not be read from here.
    ///
    /// # Errors
    ///
    /// [`Error::ResourceLimit`] when that is too much.
    pub(super) fn charge(&self, bytes: usize) -> Result<()> {
        let left = match self.is_data.load(Relaxed) {
            true => &self.data,
            false => &self.structure,
        };
        let spent = |left: usize| left.checked_sub(bytes);
        let outcome = left.fetch_update(Relaxed, Relaxed, spent);
        outcome.map(drop).map_err(|_| {
            let why = "parts of the file lie over each other or repeat without end";
            Error::ResourceLimit(why.to_owned())
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
