//! Mask R-CNN through libtorch.
#![deny(missing_docs)]

mod detection;
mod error;
mod geometry;

pub use detection::{Detection, Mask, Rle};
pub use error::{Error, Result};
pub use geometry::{BBox, Size};
