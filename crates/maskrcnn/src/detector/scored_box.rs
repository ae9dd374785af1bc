//! What postprocessing gives.

use detections::BBox;

/// A detection before it has a mask and a name.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct ScoredBox {
    /// The class's slot in the network, 1 to K - 1.
    pub slot: usize,
    /// Probability, 0 to 1.
    pub score: f32,
    /// Inside the image.
    pub bbox: BBox,
}
