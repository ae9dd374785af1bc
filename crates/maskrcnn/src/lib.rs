//! Mask R-CNN through libtorch: an image in, the objects in it out, each with a name, a score, a
//! box and a mask.
//!
//! ```no_run
//! use maskrcnn::{Device, MaskRcnn, SegmentOptions, Style, Weights, image, render};
//!
//! let model = MaskRcnn::new(Weights::embedded()?, Device::Cpu)?;
//! let photo = image::open("photo.jpg")?.to_rgb8(); // not turned as its EXIF says; see `examples/segment.rs`
//! let detections = model.segment(&photo, &SegmentOptions::default())?;
//! for found in &detections {
//!     println!("{} {:.2} covers {} pixels", found.label, found.score, found.mask.area());
//! }
//! render(&photo, &detections, &Style::default()).save("found.png")?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! [`Weights`] come embedded or from a checkpoint file, [`MaskRcnn`] is the network, a
//! [`Detection`] what it finds; [`render()`] draws detections and [`Report`] writes them as JSON.
//! The types of tch never show.

pub mod blueprint;
pub mod checkpoint;
mod class_names;
mod detector;
#[cfg(test)]
mod detectron2;
mod error;
mod family;
mod fit;
#[cfg(test)]
mod fixture;
#[cfg(test)]
mod foreign;
mod labels;
mod nn;
pub mod ops;
mod runtime;
#[cfg(test)]
mod tests;
mod weights;

pub use detections::{
    BBox, Contour, Detection, ImageInfo, Mask, ModelInfo, Report, Rle, RleError, SegmentOptions,
    Size, Style, render,
};
/// The crate whose pictures the network takes, in the version that it takes.
pub use image;

pub use detector::{MaskRcnn, Stage};
pub use error::{Error, Result};
pub use family::Wrapper;
pub use fit::Fit;
pub use runtime::{
    BOUNDED_ENVIRONMENT, DETERMINISTIC_ENVIRONMENT, Device, MAX_THREADS, available_threads,
    check_determinism, libtorch_version, set_threads, threads,
};
pub use weights::{Precision, ReadOptions, Weights};
