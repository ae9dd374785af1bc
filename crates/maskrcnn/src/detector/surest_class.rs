//! Detections of which each has the surest class of its proposal.

use super::box_head::BoxPrediction;
use super::proposal::Proposal;
use super::scored_box::ScoredBox;
use super::space::Space;
use crate::blueprint::{BoxHeadBlueprint, PostprocessBlueprint};
use crate::ops::{BoxCoder, suppress};
use detections::BBox;

/// Takes the surest class of each proposal, the background among them, decodes and clips its box,
/// drops the background and what scores less than `score_thresh`, thins out each class by
/// non-maximum suppression, and keeps the best: by falling score, of equal ones in the order of the
/// proposals. Of equal classes of a proposal the first is the surest.
///
/// Matterport `mrcnn/model.py`, `refine_detections_graph`.
pub(super) fn surest_class(
    proposals: &[Proposal],
    prediction: &BoxPrediction,
    space: Space,
    classes: usize,
    head: &BoxHeadBlueprint,
    blueprint: &PostprocessBlueprint,
) -> Vec<ScoredBox> {
    let coder = BoxCoder::new(head.delta_weights);
    let (scores, deltas) = (prediction.scores.as_slice(), prediction.deltas.as_slice());
    let mut candidates = Vec::new();
    for (row, (proposal, scores)) in proposals
        .iter()
        .zip(scores.chunks_exact(classes))
        .enumerate()
    {
        let (mut slot, mut score) = (0, scores[0]);
        for (other, &value) in scores.iter().enumerate() {
            if value > score {
                (slot, score) = (other, value);
            }
        }
        if slot > 0 && score >= blueprint.score_thresh {
            let deltas = &deltas[4 * (row * classes + slot)..];
            let deltas = std::array::from_fn(|i| deltas[i]);
            let bbox = space.clip_detection(space.decode(coder, deltas, proposal.bbox));
            candidates.push(ScoredBox { slot, score, bbox });
        }
    }

    let (threshold, most) = (blueprint.nms_thresh as f32, blueprint.detections_per_image);
    let mut kept = Vec::new();
    for slot in 1..classes {
        let members: Vec<usize> = (0..candidates.len())
            .filter(|&i| candidates[i].slot == slot)
            .collect();
        let boxes: Vec<BBox> = members.iter().map(|&i| candidates[i].bbox).collect();
        let scores: Vec<f32> = members.iter().map(|&i| candidates[i].score).collect();
        let of_class = suppress(&boxes, &scores, threshold, most);
        kept.extend(of_class.into_iter().map(|i| members[i]));
    }
    kept.sort_unstable();
    kept.sort_by(|&a, &b| candidates[b].score.total_cmp(&candidates[a].score)); // stable
    kept.truncate(most);
    kept.into_iter().map(|i| candidates[i]).collect()
}
