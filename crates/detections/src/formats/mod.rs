//! The same detections as files that other tools open: pictures of masks, COCO's polygons, results
//! and data sets, LabelMe's shapes, and what Ultralytics trains on.

pub mod coco;
mod labelme;
mod polygons;
mod rasters;
mod yolo;

pub use labelme::labelme;
pub use polygons::{Polygon, outlines, polygons};
pub use rasters::{cutout, instance_map, mask_picture};
pub use yolo::{yolo, yolo_names};

/// How far polygons may leave a mask unless the user says otherwise, in pixels.
pub const DEFAULT_TOLERANCE: f64 = 1.0;
