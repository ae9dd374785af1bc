//! How checkpoints are stored.

use std::fmt;

use super::printable::printable;
use crate::error::{Error, Result};

/// How a checkpoint is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Hugging Face's safetensors.
    Safetensors,
    /// The zip archive that `torch.save` writes since PyTorch 1.6.
    TorchZip,
    /// The stream of pickles that `torch.save` wrote before, and still writes on request.
    TorchLegacy,
    /// HDF5 as Keras 2 writes it.
    Hdf5,
    /// A pickle of NumPy arrays, as detectron2's model zoo has them.
    Pickle,
}

impl Format {
    /// The format's name, as errors give it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Safetensors => "safetensors",
            Self::TorchZip => "PyTorch (zip)",
            Self::TorchLegacy => "PyTorch (legacy)",
            Self::Hdf5 => "HDF5",
            Self::Pickle => "pickle",
        }
    }

    /// The error for a file that breaks the rules of this format.
    pub fn malformed(self, reason: impl Into<String>) -> Error {
        Error::Malformed {
            format: self.name(),
            reason: reason.into(),
        }
    }

    /// The error for a file that ends before what it announces.
    pub fn cut_short(self, reason: impl fmt::Display) -> Error {
        self.malformed(format!("{reason}; was a download cut short?"))
    }

    /// Refuses names that no network has and that would make a mess of error messages.
    pub fn check_name(self, name: &str) -> Result<()> {
        /// Real names stay below 200 bytes.
        const LONGEST: usize = 1024;
        if name.len() > LONGEST || name.contains(char::is_control) {
            return Err(self.malformed(format!("`{}` is no name for a tensor", printable(name))));
        }
        Ok(())
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
