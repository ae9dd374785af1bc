//! What an instance segmentation found, as plain data, and the faces that it shows: the JSON
//! ([`Report`]) and the picture ([`render()`]).
//!
//! Nothing here knows a network, a file system, a clock or a thread: the same detections give the
//! same bytes everywhere.

mod contour;
mod detection;
pub mod formats;
mod geometry;
pub mod image_id;
mod mask;
mod options;
pub mod palette;
mod parts;
mod picture;
mod png;
mod report;
mod rle;

pub use contour::Contour;
pub use detection::Detection;
pub use geometry::{BBox, Size};
pub use mask::Mask;
pub use options::SegmentOptions;
pub use picture::{Style, render};
pub use png::{ENCODER_BYTES, encode_png};
pub use report::read::ReportError;
pub use report::{Entry, ImageInfo, ModelInfo, Report, Segmentation};
pub use rle::{Rle, RleError};
