//! Proposals chosen among all levels of the pyramid together.

use rayon::prelude::*;

use super::anchors::LevelAnchors;
use super::proposal::{LevelOutput, Proposal};
use super::space::Space;
use crate::blueprint::{Ranking, RpnBlueprint};
use crate::ops::elementary::sigmoid;
use crate::ops::{BoxCoder, suppress};
use detections::BBox;

/// The best `pre_nms_top_n` anchors of all levels, decoded, clipped, and thinned out by non-maximum
/// suppression in which all meet: by falling objectness, of equal ones those of finer levels first.
/// Where fewer than `post_nms_top_n` remain, boxes of nothing at (0, 0) follow, which the box head
/// sees as all others.
///
/// Matterport `mrcnn/model.py`, `ProposalLayer`; TensorFlow's `top_k` takes the first of equal
/// values.
pub(super) fn proposals(
    levels: &[LevelOutput],
    blueprint: &RpnBlueprint,
    space: Space,
) -> Vec<Proposal> {
    let mut candidates: Vec<Candidate> = Vec::new();
    for (level, output) in levels.iter().enumerate() {
        let logits = output.objectness.as_slice();
        let candidate = |(index, &logit): (usize, &f32)| Candidate {
            level,
            index,
            objectness: match blueprint.ranking {
                Ranking::Probability => sigmoid(logit),
                Ranking::Logit => logit,
            },
        };
        candidates.par_extend(logits.par_iter().enumerate().map(candidate));
    }
    candidates.par_sort_by(|a, b| b.objectness.total_cmp(&a.objectness)); // stable
    candidates.truncate(blueprint.pre_nms_top_n);

    let anchors: Vec<LevelAnchors> = levels
        .iter()
        .enumerate()
        .map(|(level, output)| LevelAnchors::new(blueprint, level, output.grid, space))
        .collect();
    let coder = BoxCoder::new([1.0; 4]);
    let decoded = |candidate: &Candidate| {
        let deltas = &levels[candidate.level].deltas.as_slice()[4 * candidate.index..];
        let anchor = anchors[candidate.level].get(candidate.index);
        let deltas = std::array::from_fn(|i| deltas[i]);
        space.clip_proposal(space.decode(coder, deltas, anchor))
    };
    let boxes: Vec<BBox> = candidates.iter().map(decoded).collect();
    let scores: Vec<f32> = candidates.iter().map(|c| c.objectness).collect();
    let (threshold, most) = (blueprint.nms_thresh as f32, blueprint.post_nms_top_n);
    let kept = suppress(&boxes, &scores, threshold, most);
    let proposal = |i: usize| Proposal {
        bbox: boxes[i],
        objectness: scores[i],
    };
    let nothing = Proposal {
        bbox: BBox::new(0.0, 0.0, 0.0, 0.0),
        objectness: 0.0,
    };
    let mut proposals: Vec<Proposal> = kept.into_iter().map(proposal).collect();
    proposals.resize(most, nothing);
    proposals
}

/// An anchor, and how sure the RPN is.
struct Candidate {
    level: usize,
    index: usize,
    objectness: f32,
}
