//! Mask R-CNN through libtorch: an image in, the objects in it out, each with a name, a score, a box and a mask.
//!
//! [`Weights`] come embedded or from a checkpoint file, [`MaskRcnn`] is the network; [`Detection`] is what it finds. The types of tch never show.

mod checkpoint;
mod config;
mod detection;
mod device;
mod error;
mod family;
#[cfg(test)]
mod fixture;
mod geometry;
mod labels;
mod model;
mod nn;
mod ops;
mod report;

pub use detection::{Detection, Mask, Rle};
pub use device::Device;
pub use error::{Error, Result};
pub use family::{Family, Precision, Weights};
pub use geometry::{BBox, Size};
pub use model::{MaskRcnn, SegmentOptions, Stage, libtorch_version, set_threads};
pub use report::{ImageInfo, ModelInfo, Report};
