//! Where fetched bytes go: memory with a limit, or a temporary file while there is room.

use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use super::error::StorageError;
use crate::allocation;
use crate::progress::Transfer;

/// What must stay free on the file system, so that a download does not take the last of it from
/// everybody else.
const RESERVE: u64 = 64 << 20;

/// How often free space is asked for again, in bytes written: somebody else may be writing, too.
const CHECK_EVERY: u64 = 8 << 20;

/// A recipient of bytes.
pub trait Sink {
    /// Starts over: forgets what it holds, and is told how much will come, if that is known.
    fn begin(&mut self, length: Option<u64>) -> Result<(), StorageError>;
    /// How much of the beginning it holds and would go on from.
    fn held(&self) -> u64 {
        0
    }
    /// Goes on behind what it holds, of `length` bytes in all.
    fn resume(&mut self, length: u64) -> Result<(), StorageError> {
        self.begin(Some(length))
    }
    /// Takes the next bytes.
    fn write(&mut self, bytes: &[u8]) -> Result<(), StorageError>;
}

/// Bytes in memory, never more than a limit.
pub struct Buffer {
    /// What has come.
    pub bytes: Vec<u8>,
    limit: u64,
    transfer: Box<dyn Transfer>,
}

impl Buffer {
    /// At most `limit` bytes.
    pub fn new(limit: u64, transfer: Box<dyn Transfer>) -> Self {
        Self {
            bytes: Vec::new(),
            limit,
            transfer,
        }
    }
}

impl Sink for Buffer {
    fn begin(&mut self, length: Option<u64>) -> Result<(), StorageError> {
        self.bytes.clear();
        self.transfer.restart(length);
        if length.is_some_and(|length| length > self.limit) {
            Err(StorageError::TooLarge(self.limit))
        } else {
            Ok(())
        }
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), StorageError> {
        if (self.bytes.len() + bytes.len()) as u64 > self.limit {
            return Err(StorageError::TooLarge(self.limit));
        }
        allocation::append(&mut self.bytes, bytes, "for it")?;
        self.transfer.advance(bytes.len() as u64);
        Ok(())
    }
}

/// Bytes in a file: a temporary one without a name, which is gone when it is closed, however the
/// program ends, or one that keeps what has come for the next try.
pub struct Disk {
    file: File,
    is_kept: bool,
    directory: PathBuf,
    limit: Option<u64>,
    written: u64,
    unchecked: u64,
    transfer: Box<dyn Transfer>,
}

impl Disk {
    /// A new file in `directory`, of at most `limit` bytes if there is one.
    pub fn new(
        directory: &Path,
        limit: Option<u64>,
        transfer: Box<dyn Transfer>,
    ) -> Result<Self, StorageError> {
        let file = tempfile::tempfile_in(directory).map_err(|cause| StorageError::Write {
            directory: directory.display().to_string(),
            cause,
        })?;
        Ok(Self {
            file,
            is_kept: false,
            directory: directory.to_owned(),
            limit,
            written: 0,
            unchecked: 0,
            transfer,
        })
    }

    /// `file` of `directory`, which may hold the beginning of what will come.
    pub fn keep(
        file: File,
        directory: &Path,
        transfer: Box<dyn Transfer>,
    ) -> Result<Self, StorageError> {
        let mut disk = Self {
            file,
            is_kept: true,
            directory: directory.to_owned(),
            limit: None,
            written: 0,
            unchecked: 0,
            transfer,
        };
        let end = disk.file.seek(SeekFrom::End(0));
        disk.written = end.map_err(|cause| disk.failed(cause))?;
        Ok(disk)
    }

    /// The file, with all that has come in it.
    pub fn into_file(self) -> File {
        self.file
    }

    fn check_room(&self, length: u64) -> Result<(), StorageError> {
        // A file system that cannot say how much is free may still have room.
        let Ok(room) = rustix::fs::fstatvfs(&self.file) else {
            return Ok(());
        };
        let free = room.f_bavail.saturating_mul(room.f_frsize);
        let needed = length.saturating_add(RESERVE);
        if free < needed {
            return Err(StorageError::NoRoom {
                directory: self.directory.display().to_string(),
                needed,
                free,
            });
        }
        Ok(())
    }

    fn check_limit(&self, length: u64) -> Result<(), StorageError> {
        match self.limit {
            Some(limit) if length > limit => Err(StorageError::TooLargeWeights(limit)),
            _ => Ok(()),
        }
    }

    fn failed(&self, cause: std::io::Error) -> StorageError {
        StorageError::Write {
            directory: self.directory.display().to_string(),
            cause,
        }
    }
}

impl Sink for Disk {
    fn begin(&mut self, length: Option<u64>) -> Result<(), StorageError> {
        self.transfer.restart(length);
        let emptied = self
            .file
            .set_len(0)
            .and_then(|()| self.file.seek(SeekFrom::Start(0)));
        emptied.map_err(|cause| self.failed(cause))?;
        (self.written, self.unchecked) = (0, 0);
        self.check_limit(length.unwrap_or(0))?;
        self.check_room(length.unwrap_or(0))
    }

    fn held(&self) -> u64 {
        if self.is_kept { self.written } else { 0 }
    }

    fn resume(&mut self, length: u64) -> Result<(), StorageError> {
        self.transfer.restart(Some(length));
        self.transfer.advance(self.written);
        self.check_limit(length)?;
        self.check_room(length.saturating_sub(self.written))
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), StorageError> {
        self.written += bytes.len() as u64;
        self.unchecked += bytes.len() as u64;
        self.check_limit(self.written)?;
        if self.unchecked >= CHECK_EVERY {
            self.unchecked = 0;
            self.check_room(0)?;
        }
        self.file
            .write_all(bytes)
            .map_err(|cause| self.failed(cause))?;
        self.transfer.advance(bytes.len() as u64);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::progress::Silent;

    #[test]
    fn a_file_keeps_to_its_limit_whatever_length_was_announced() {
        let folder = tempfile::tempdir().unwrap();
        let disk = |limit| Disk::new(folder.path(), limit, Box::new(Silent)).unwrap();
        let too_large = |result| matches!(result, Err(StorageError::TooLargeWeights(10)));
        assert!(too_large(disk(Some(10)).begin(Some(11))));
        let mut unannounced = disk(Some(10));
        unannounced.begin(None).unwrap();
        unannounced.write(b"seven by").unwrap();
        assert!(too_large(unannounced.write(b"tes")));
        // A second try begins at nothing.
        unannounced.begin(Some(10)).unwrap();
        unannounced.write(b"ten bytes.").unwrap();
        let mut unlimited = disk(None);
        unlimited.begin(Some(11)).unwrap();
        unlimited.write(b"more than 10").unwrap();
    }
}
