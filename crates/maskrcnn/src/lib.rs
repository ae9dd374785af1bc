//! Mask R-CNN through libtorch: an image in, the objects in it out, each with a name, a score, a
//! box and a mask.
//!
//! ```no_run
//! use maskrcnn::{Device, MaskRcnn, SegmentOptions, Style, Weights, render};
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

mod checkpoint;
mod config;
mod detection;
mod determinism;
mod device;
mod error;
mod family;
#[cfg(test)]
mod fixture;
#[cfg(fuzzing)]
#[doc(hidden)]
pub mod fuzzing;
mod geometry;
mod labels;
mod model;
mod nn;
mod ops;
mod options;
mod render;
mod report;

pub use detection::{Detection, Mask, Rle};
pub use determinism::{DETERMINISTIC_ENVIRONMENT, check_determinism};
pub use device::Device;
pub use error::{Error, Result};
pub use family::{Family, Precision, Weights};
pub use geometry::{BBox, Size};
pub use model::{MAX_THREADS, MaskRcnn, Stage, libtorch_version, set_threads, threads};
pub use options::SegmentOptions;
pub use render::{Style, render};
pub use report::{ImageInfo, ModelInfo, Report};
