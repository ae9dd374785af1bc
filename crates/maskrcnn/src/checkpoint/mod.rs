//! From the bytes of a checkpoint to a [`StateDict`]: safetensors and both forms of PyTorch's
//! `.pth`.
//!
//! Checkpoints come from strangers. Nothing in one is ever called, nothing is allocated because one
//! says so, and a file that breaks the rules of its format is refused, whole. What the tensors
//! mean, and which network they belong to, is not known here.

mod bytes;
mod dtype;
mod format;
mod parameter;
mod pickle;
mod printable;
pub(crate) mod safetensors;
mod sniff;
mod state_dict;
#[cfg(test)]
mod tests;
mod torch;
mod view;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};

use self::bytes::Bytes;
pub use self::dtype::DType;
pub use self::format::Format;
pub use self::parameter::{Elements, Parameter};
pub(crate) use self::printable::printable;
pub use self::state_dict::StateDict;
use crate::error::{Error, Result};

/// A checkpoint file.
pub struct Checkpoint {
    /// The format that its bytes have.
    pub format: Format,
    /// The `__metadata__` of a safetensors file; empty for the other formats, which have none.
    pub metadata: BTreeMap<String, String>,
    /// Its tensors.
    pub tensors: StateDict,
    bytes: Arc<Bytes>,
}

impl Checkpoint {
    /// Reads the checkpoint at `path`. The file is mapped, not read: it must not change while the
    /// checkpoint lives.
    ///
    /// # Errors
    ///
    /// [`Error::ReadFile`], and those of [`from_bytes`](Self::from_bytes).
    pub fn open(path: &Path) -> Result<Self> {
        let bytes = Bytes::map(path).map_err(|source| Error::ReadFile {
            path: path.to_owned(),
            source,
        })?;
        Self::read(bytes)
    }

    /// Reads a checkpoint that is part of the program.
    ///
    /// # Errors
    ///
    /// Those of [`from_bytes`](Self::from_bytes).
    pub fn from_static(bytes: &'static [u8]) -> Result<Self> {
        Self::read(Bytes::Static(bytes))
    }

    /// Reads a checkpoint from memory.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownFormat`] for bytes that are no checkpoint, [`Error::Malformed`] for a
    /// damaged one, [`Error::ForbiddenGlobal`] for one that would run code,
    /// [`Error::DuplicateTensor`], and [`Error::Unsupported`] for what is not read.
    pub fn from_bytes(bytes: Vec<u8>) -> Result<Self> {
        Self::read(Bytes::Owned(bytes))
    }

    fn read(bytes: Bytes) -> Result<Self> {
        let format = sniff::format(&bytes)?;
        let (metadata, views) = match format {
            Format::Safetensors => safetensors::read(&bytes)?,
            Format::TorchZip => (BTreeMap::new(), torch::zip::read(&bytes)?),
            Format::TorchLegacy => (BTreeMap::new(), torch::legacy::read(&bytes)?),
        };
        let bytes = Arc::new(bytes);
        Ok(Self {
            format,
            metadata,
            tensors: StateDict::new(Arc::clone(&bytes), views),
            bytes,
        })
    }

    /// The SHA-256 of the whole file, in lower-case hexadecimal digits. Reads all of it.
    pub fn sha256(&self) -> String {
        HEXLOWER.encode(&Sha256::digest(&**self.bytes))
    }
}
