//! From class probabilities and deltas to the boxes that are reported.

use super::box_head::BoxPrediction;
use super::rpn::Proposal;
use crate::config::{BoxHeadConfig, PostprocessConfig};
use crate::geometry::{BBox, Size};
use crate::ops::{BoxCoder, batched_nms};

/// A detection before it has a mask and a name.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct ScoredBox {
    /// The class's slot in the network, 1 to K - 1.
    pub slot: usize,
    /// Probability, 0 to 1.
    pub score: f32,
    /// In resized pixels, inside the image.
    pub bbox: BBox,
}

/// Decodes each class of each proposal, drops the unlikely and the tiny, thins out each class by non-maximum suppression,
/// and keeps the best: by falling score. No proposals give no boxes.
///
/// torchvision `models/detection/roi_heads.py`, `RoIHeads.postprocess_detections`.
pub(super) fn postprocess(
    proposals: &[Proposal],
    prediction: &BoxPrediction,
    resized: Size,
    classes: usize,
    head: &BoxHeadConfig,
    config: &PostprocessConfig,
) -> Vec<ScoredBox> {
    let coder = BoxCoder::new(head.delta_weights);
    let (scores, deltas) = (prediction.scores.as_slice(), prediction.deltas.as_slice());
    let mut candidates = Vec::new();
    for (row, proposal) in proposals.iter().enumerate() {
        for slot in 1..classes {
            let index = row * classes + slot;
            let score = scores[index];
            if score > config.score_thresh {
                let deltas: [f32; 4] = std::array::from_fn(|i| deltas[4 * index + i]);
                let bbox = coder.decode(deltas, proposal.bbox).clip(resized);
                if bbox.has_sides_of(config.min_size) {
                    candidates.push(ScoredBox { slot, score, bbox });
                }
            }
        }
    }

    let boxes: Vec<BBox> = candidates.iter().map(|c| c.bbox).collect();
    let scores: Vec<f32> = candidates.iter().map(|c| c.score).collect();
    let groups: Vec<usize> = candidates.iter().map(|c| c.slot).collect();
    let kept = batched_nms(&boxes, &scores, &groups, config.nms_thresh);
    kept.into_iter().take(config.detections_per_image).map(|i| candidates[i]).collect()
}
