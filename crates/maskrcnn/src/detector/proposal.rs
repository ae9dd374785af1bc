//! What the RPN gives: of its head for each level, and of that the boxes that may hold objects.

use crate::nn::host::HostTensor;
use detections::{BBox, Size};

/// What the head gives for one pyramid level.
pub(super) struct LevelOutput {
    /// Logits, `[H, W, A]`.
    pub objectness: HostTensor,
    /// `[H, W, A, 4]`.
    pub deltas: HostTensor,
    /// H and W.
    pub grid: Size,
}

/// A box that may hold an object, and how sure the RPN is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Proposal {
    /// Inside of what the network sees.
    pub bbox: BBox,
    /// Probability, 0 to 1, or logit, whichever ranks.
    pub objectness: f32,
}
