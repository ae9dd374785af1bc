//! What goes wrong when an image is decoded.

use thiserror::Error;

use crate::allocation::OutOfMemory;
use crate::code::Code;

/// What is said of a file that ends too early.
pub(super) const CUT_SHORT: &str = "the file is cut short; was it copied or downloaded to its end?";

/// What memory is needed for, and what can be done.
pub(super) const NO_MEMORY: &str = "to decode it; scale it down first";

/// Why bytes did not become pixels.
#[derive(Debug, Error)]
pub enum DecodeError {
    /// There are no bytes, or they are in no format that is read.
    #[error("{0}")]
    NotAnImage(String),
    /// The image is damaged, cut short, too large, or of a variant that is not read.
    #[error("cannot decode the {format} image")]
    BadImage {
        /// The name of its format.
        format: &'static str,
        /// What is wrong with it.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// There is not enough memory for its pixels.
    #[error("cannot decode the {format} image")]
    NoMemory {
        /// The name of its format.
        format: &'static str,
        /// What the memory is needed for.
        source: OutOfMemory,
    },
}

impl DecodeError {
    /// The stable word for this kind of error.
    pub fn code(&self) -> Code {
        match self {
            Self::NotAnImage(_) => Code::NotAnImage,
            Self::BadImage { .. } => Code::BadImage,
            Self::NoMemory { .. } => Code::OutOfMemory,
        }
    }
}
