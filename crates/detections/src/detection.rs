//! What the model found: plain data, no tensors.

use std::sync::Arc;

use crate::geometry::BBox;
use crate::mask::Mask;

/// One object that the model found, in pixels of the original image.
#[derive(Clone, Debug, PartialEq)]
pub struct Detection {
    /// The class's number in the data set that the model was trained on (COCO: 1 to 90), whatever
    /// its slot in the network.
    pub category_id: u32,
    /// The class's name, such as `dog`.
    pub label: Arc<str>,
    /// Confidence, 0 to 1.
    pub score: f32,
    /// The box, in original pixels.
    pub bbox: BBox,
    /// The pixels of the object, in original pixels; it may leave the box by the width of a mask
    /// cell.
    pub mask: Mask,
}
