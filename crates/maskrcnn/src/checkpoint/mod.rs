//! From the bytes of a checkpoint to a [`StateDict`]: safetensors, both forms of PyTorch's `.pth`,
//! pickles of NumPy arrays, and Keras's HDF5.
//!
//! Checkpoints come from strangers. Nothing in one is ever called, nothing is allocated because one
//! says so, and a file that breaks the rules of its format is refused, whole. What the tensors
//! mean, and which network they belong to, is not known here: where a file has several dicts of
//! them, `candidates` collects all, and the caller picks.

mod bytes;
mod candidates;
mod contents;
mod directory;
mod dtype;
mod format;
mod hdf5;
mod modules;
mod numpy;
mod parameter;
mod pickle;
mod printable;
mod read;
pub(crate) mod safetensors;
mod search;
mod shards;
mod sniff;
mod state_dict;
#[cfg(test)]
mod tests;
mod torch;
mod view;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};

use self::bytes::Bytes;
pub(crate) use self::candidates::{Candidate, Choose, listed, several};
use self::contents::Contents;
pub use self::dtype::DType;
pub use self::format::Format;
pub use self::parameter::{Elements, Parameter};
pub(crate) use self::printable::printable;
use self::read::{read, whole};
pub use self::state_dict::StateDict;
use crate::error::{Error, Result};

/// A checkpoint file.
pub struct Checkpoint {
    /// The format that its bytes have.
    pub format: Format,
    /// The `__metadata__` of a safetensors file, `backend` and `keras_version` of one of Keras; empty
    /// for the other formats, which have none. Foreign text.
    pub metadata: BTreeMap<String, String>,
    /// Its tensors; where it has several dicts of them, those of one.
    pub tensors: StateDict,
    /// The keys that lead to that dict, joined by dots; empty for the file's whole. It may hold
    /// anything, and is to be escaped before it is shown.
    pub key: String,
    /// The class of the module that the tensors are of, if it was saved whole. Foreign text, too.
    pub class: Option<String>,
    /// In how many files it was.
    pub files: usize,
    /// What was read or assumed beside its tensors, in words for the user.
    pub notes: Vec<String>,
    /// Where it is, if what stands beside it there may be read.
    pub(crate) path: Option<PathBuf>,
    bytes: Arc<Bytes>,
}

impl Checkpoint {
    /// Reads the checkpoint at `path`. The file is mapped, not read: it must not change while the
    /// checkpoint lives. The index of a checkpoint in several files is read with the files that it
    /// names, and so is one of these if the index stands beside it, and a directory with one index.
    ///
    /// Of several dicts of tensors in one file, it is the outermost, or the one under a usual key
    /// such as `model` or `state_dict`.
    ///
    /// # Errors
    ///
    /// [`Error::ReadFile`], and those of [`from_bytes`](Self::from_bytes).
    pub fn open(path: &Path) -> Result<Self> {
        Self::open_choosing(path, true, &mut candidates::usual)
    }

    /// The same, of the dict that `choose` picks. Files beside the one at `path` are looked at only
    /// when `with_shards`.
    ///
    /// # Errors
    ///
    /// Those of [`open`](Self::open) and of `choose`.
    pub(crate) fn open_choosing(
        path: &Path,
        with_shards: bool,
        choose: &mut Choose<'_>,
    ) -> Result<Self> {
        if with_shards && path.is_dir() {
            return Self::open_choosing(&directory::index_in(path)?, with_shards, choose);
        }
        let bytes = Bytes::map(path).map_err(|source| Error::ReadFile {
            path: path.to_owned(),
            source,
        })?;
        let index = with_shards
            .then(|| shards::index_of(path, &bytes))
            .flatten();
        let Some(index) = index else {
            return Ok(Self {
                path: with_shards.then(|| path.to_owned()),
                ..Self::read(bytes, choose)?
            });
        };
        let sharded = shards::open(&index)?;
        choose(&[whole(&sharded.contents)])?;
        let bytes = Arc::new(Bytes::Owned(sharded.bytes));
        let checkpoint = Self::new(sharded.format, sharded.contents, bytes);
        Ok(Self {
            files: sharded.shards,
            ..checkpoint
        })
    }

    /// Reads a checkpoint that is part of the program.
    ///
    /// # Errors
    ///
    /// Those of [`from_bytes`](Self::from_bytes).
    pub fn from_static(bytes: &'static [u8]) -> Result<Self> {
        Self::read(Bytes::Static(bytes), &mut candidates::usual)
    }

    /// Reads a checkpoint from memory.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownFormat`] for bytes that are no checkpoint, [`Error::Malformed`] for a
    /// damaged one, [`Error::ForbiddenGlobal`] for one that would run code,
    /// [`Error::DuplicateTensor`], and [`Error::Unsupported`] for what is not read.
    pub fn from_bytes(bytes: Vec<u8>) -> Result<Self> {
        Self::read(Bytes::Owned(bytes), &mut candidates::usual)
    }

    /// The same, of the dict that `choose` picks.
    ///
    /// # Errors
    ///
    /// Those of [`from_bytes`](Self::from_bytes) and of `choose`.
    pub(crate) fn from_bytes_choosing(bytes: Vec<u8>, choose: &mut Choose<'_>) -> Result<Self> {
        Self::read(Bytes::Owned(bytes), choose)
    }

    /// Reads the checkpoint that is part of the program, of the dict that `choose` picks.
    ///
    /// # Errors
    ///
    /// Those of [`from_bytes`](Self::from_bytes) and of `choose`.
    pub(crate) fn from_static_choosing(
        bytes: &'static [u8],
        choose: &mut Choose<'_>,
    ) -> Result<Self> {
        Self::read(Bytes::Static(bytes), choose)
    }

    fn read(bytes: Bytes, choose: &mut Choose<'_>) -> Result<Self> {
        let bytes = Arc::new(bytes);
        let (format, contents) = read(&bytes, choose)?;
        Ok(Self::new(format, contents, bytes))
    }

    fn new(format: Format, contents: Contents, bytes: Arc<Bytes>) -> Self {
        Self {
            format,
            metadata: contents.metadata,
            tensors: StateDict::new(Arc::clone(&bytes), contents.views),
            key: contents.key,
            class: contents.class,
            files: 1,
            notes: Vec::new(),
            path: None,
            bytes,
        }
    }

    /// The SHA-256 of the whole file, in lower-case hexadecimal digits. Reads all of it. Of a
    /// checkpoint in several files it is that of all of them one after the other, in the order of
    /// their names, without the index.
    pub fn sha256(&self) -> String {
        HEXLOWER.encode(&Sha256::digest(&**self.bytes))
    }
}
