//! The weights of a network, from wherever they come, with all that a network needs to be built of
//! them.

use std::fmt;
use std::path::Path;

use crate::blueprint::Blueprint;
use crate::checkpoint::{Checkpoint, StateDict, safetensors};
use crate::error::Result;
use crate::family::{self, Meaning};
use crate::labels::Labels;

/// The parameters of a network, its blueprint and its classes, read from a checkpoint and not yet a
/// network.
pub struct Weights {
    pub(crate) checkpoint: Checkpoint,
    pub(crate) meaning: Meaning,
}

impl fmt::Debug for Weights {
    /// Leaves out the numbers, of which there are millions.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Weights")
            .field("meaning", &self.meaning)
            .finish_non_exhaustive()
    }
}

/// The width of the numbers in a checkpoint that is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Precision {
    /// 32 bits, as the network computes.
    #[default]
    Single,
    /// 16 bits: half the size, and scores that move in the third decimal.
    Half,
}

/// The checkpoint that is part of the program.
pub(crate) static EMBEDDED: &[u8] = include_bytes!("../../../weights/compact.safetensors");

impl Weights {
    /// The file name of the embedded checkpoint, for reports.
    pub const EMBEDDED_NAME: &str = "compact.safetensors";

    /// The small network that is part of the program. See its model card in `weights/README.md`.
    ///
    /// # Errors
    ///
    /// Never, unless the program was built with another file in its place.
    pub fn embedded() -> Result<Self> {
        Self::from_checkpoint(Checkpoint::from_static(EMBEDDED)?)
    }

    /// The checkpoint in a file: safetensors, or either form of PyTorch's `.pth`, told apart by
    /// content. The file is mapped into memory and must not change until a network was made of it.
    ///
    /// # Errors
    ///
    /// When the file cannot be read, is no checkpoint, is damaged, or belongs to no known family.
    pub fn open(path: &Path) -> Result<Self> {
        Self::from_checkpoint(Checkpoint::open(path)?)
    }

    /// The checkpoint in memory, as [`open`](Self::open).
    ///
    /// # Errors
    ///
    /// When the bytes are no checkpoint, are damaged, or belong to no known family.
    pub fn from_bytes(bytes: Vec<u8>) -> Result<Self> {
        Self::from_checkpoint(Checkpoint::from_bytes(bytes)?)
    }

    fn from_checkpoint(mut checkpoint: Checkpoint) -> Result<Self> {
        let meaning = family::adapt(&mut checkpoint)?;
        Ok(Self {
            checkpoint,
            meaning,
        })
    }

    /// The name of the family that the checkpoint belongs to, such as `torchvision-v1`; of a
    /// canonical one what it says that it was.
    pub fn family(&self) -> &str {
        &self.meaning.family
    }

    /// Everything but the parameters that tells the network from others.
    pub fn blueprint(&self) -> &Blueprint {
        &self.meaning.blueprint
    }

    /// How the checkpoint is stored, in words, such as `safetensors`.
    pub fn format(&self) -> impl fmt::Display + use<> {
        self.checkpoint.format
    }

    /// The SHA-256 of the checkpoint file in hexadecimal digits. Reads all of it.
    pub fn sha256(&self) -> String {
        self.checkpoint.sha256()
    }

    /// The names of the classes that the network knows.
    pub fn labels(&self) -> impl Iterator<Item = &str> {
        self.meaning.labels.named().map(|label| &*label.name)
    }

    /// What a network is built of: its tensors under canonical names, its blueprint, its classes.
    pub(crate) fn into_parts(self) -> (StateDict, Blueprint, Labels) {
        let Meaning {
            blueprint, labels, ..
        } = self.meaning;
        (self.checkpoint.tensors, blueprint, labels)
    }

    /// Writes the checkpoint as safetensors with canonical names, which [`open`](Self::open) reads
    /// without a copy, and torchvision too. Blueprint and classes go along, so that the file
    /// explains itself. It appears whole or not at all.
    ///
    /// # Errors
    ///
    /// When a tensor is not of floating-point numbers, or the file cannot be written.
    pub fn save(self, path: &Path, precision: Precision) -> Result<()> {
        let metadata = family::describe(&self.meaning);
        let half = precision == Precision::Half;
        safetensors::save(path, self.checkpoint.tensors, &metadata, half)
    }
}
