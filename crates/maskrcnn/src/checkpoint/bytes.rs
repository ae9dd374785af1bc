//! The bytes of a checkpoint, left where they are: in a mapped file, in the program itself, or in
//! memory.

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
    /// Maps the file at `path`. An empty file gives no bytes; anything but a regular file is an
    /// error.
    pub(crate) fn map(path: &Path) -> io::Result<Self> {
        // Looked at before it is opened: opening a pipe would wait for somebody to write to it.
        let metadata = std::fs::metadata(path)?;
        if metadata.is_dir() {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        if !metadata.is_file() {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "not a regular file",
            ));
        }
        if metadata.len() == 0 {
            return Ok(Self::Static(&[])); // there is nothing to map, which some systems refuse
        }
        let file = File::open(path)?;
        // SAFETY: the map is read-only and lives as long as what borrows from it. What no program
        // can rule out is that another one writes to the file meanwhile: text that was checked to
        // be UTF-8 might then be so no longer, and a file that is made shorter ends the process
        // with SIGBUS. `Weights::open` says that the file must not change; that is the usual price
        // of mapping weights, which nobody edits in place.
        let map = unsafe { Mmap::map(&file)? };
        // Most of the file will be wanted soon; a system that cannot be told loses nothing but
        // time.
        #[cfg(unix)]
        let _ = map.advise(memmap2::Advice::WillNeed);
        Ok(Self::Mapped(map))
    }
}

impl AsRef<[u8]> for Bytes {
    fn as_ref(&self) -> &[u8] {
        self
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
