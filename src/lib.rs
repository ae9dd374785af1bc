//! Mask R-CNN through libtorch.
#![deny(missing_docs)]

#[allow(dead_code)] // until the model families read their weights with it
mod checkpoint;
mod detection;
mod error;
mod geometry;

pub use detection::{Detection, Mask, Rle};
pub use error::{Error, Result};
pub use geometry::{BBox, Size};
