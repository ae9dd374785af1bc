//! How much of a file of weights may be decoded.

use super::super::format::Format;
use crate::error::Result;

/// How many times a file's size may be decoded from it: as dense as weights are that were pruned to
/// a few in a hundred. DEFLATE could make a thousand of it, and data that was never written any
/// number.
const TIMES: usize = 16;

/// What may be decoded beyond that, for the sake of small files.
const BEYOND: usize = 16 << 20;

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

impl Room {
    /// # Errors
    ///
    /// [`Malformed`](crate::Error::Malformed) when there is no more room.
    pub(super) fn keep(&mut self, len: usize, what: &str) -> Result<()> {
        self.kept = take(self.kept, len, what)?;
        Ok(())
    }

    /// # Errors
    ///
    /// [`Malformed`](crate::Error::Malformed) when there is no more room.
    pub(super) fn decode(&mut self, len: usize, what: &str) -> Result<()> {
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
