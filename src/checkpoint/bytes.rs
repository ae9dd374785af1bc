//! The bytes of a checkpoint, left where they are: in a mapped file, in the program itself, or in memory.

use std::fs::File;
use std::io;
use std::ops::Deref;
use std::path::Path;

use memmap2::Mmap;

/// A whole file, read-only.
pub(crate) enum Bytes {
    /// A file on disk; its pages are read when they are looked at.
    Mapped(Mmap),
    /// Part of the program.
    Static(&'static [u8]),
    /// Read already.
    Owned(Vec<u8>),
}

impl Bytes {
    /// Maps the file at `path`. An empty file gives no bytes; anything but a regular file is an error.
    pub(crate) fn map(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        let metadata = file.metadata()?;
        if metadata.is_dir() {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        if !metadata.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
        }
        if metadata.len() == 0 {
            return Ok(Self::Static(&[])); // there is nothing to map, which some systems refuse
        }
        // SAFETY: the map is private and read-only, and its bytes are only ever copied out, never interpreted as
        // anything for which some bit pattern would be invalid. What remains is another process that changes or
        // truncates the file under us: checks made on the header might then no longer hold for the bytes, so every
        // later access is bounds-checked against the length of the map, and a truncated file ends the process with
        // SIGBUS. That is the usual price of mapping weights, which nobody edits in place.
        let map = unsafe { Mmap::map(&file)? };
        // Most of the file will be wanted soon; a system that cannot be told loses nothing but time.
        #[cfg(unix)]
        let _ = map.advise(memmap2::Advice::WillNeed);
        Ok(Self::Mapped(map))
    }
}

impl Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Mapped(map) => map,
            Self::Static(bytes) => bytes,
            Self::Owned(bytes) => bytes,
        }
    }
}
