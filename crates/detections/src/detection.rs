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

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// An object of a mask, for tests that do not look at its box.
    pub(crate) fn found(label: &str, score: f32, mask: Mask) -> Detection {
        Detection {
            category_id: 1,
            label: label.into(),
            score,
            bbox: BBox::new(0.0, 0.0, 1.0, 1.0),
            mask,
        }
    }
}
