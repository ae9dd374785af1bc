//! From class probabilities and deltas to the boxes that are reported.

use super::box_head::BoxPrediction;
use super::proposal::Proposal;
use super::scored_box::ScoredBox;
use super::space::Space;
use super::surest_class::surest_class;
use crate::blueprint::{BoxHeadBlueprint, Candidates, FirstClass, PostprocessBlueprint};
use crate::ops::{BoxCoder, batched_nms};
use detections::BBox;

/// The boxes that are reported, by falling score: of the classes of a proposal that the blueprint
/// says. No proposals give no boxes.
pub(super) fn postprocess(
    proposals: &[Proposal],
    prediction: &BoxPrediction,
    space: Space,
    classes: usize,
    head: &BoxHeadBlueprint,
    blueprint: &PostprocessBlueprint,
) -> Vec<ScoredBox> {
    let boxes = match blueprint.candidates {
        Candidates::EveryClass => every_class,
        Candidates::SurestClass => surest_class,
    };
    boxes(proposals, prediction, space, classes, head, blueprint)
}

/// Decodes each class of each proposal, drops the unlikely and the tiny, thins out each class by
/// non-maximum suppression, and keeps the best: by falling score. No proposals give no boxes.
///
/// A proposal of which anything is not finite gives no boxes.
///
/// torchvision `models/detection/roi_heads.py`, `RoIHeads.postprocess_detections`, and detectron2
/// `modeling/roi_heads/fast_rcnn.py`, `fast_rcnn_inference_single_image`.
fn every_class(
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
    for (row, proposal) in proposals.iter().enumerate() {
        let of_row = |values: &[f32], each: usize| {
            let row = row * classes * each..(row + 1) * classes * each;
            values[row].iter().all(|value| value.is_finite())
        };
        if !(of_row(scores, 1) && of_row(deltas, 4)) {
            continue;
        }
        for slot in 1..classes {
            let index = row * classes + slot;
            let score = scores[index];
            if score > blueprint.score_thresh {
                let deltas: [f32; 4] = std::array::from_fn(|i| deltas[4 * index + i]);
                let bbox = space.decode(coder, deltas, proposal.bbox);
                let bbox = space.clip_detection(bbox);
                if bbox.has_sides_of(blueprint.min_size) {
                    candidates.push(ScoredBox { slot, score, bbox });
                }
            }
        }
    }

    let boxes: Vec<BBox> = candidates.iter().map(|c| c.bbox).collect();
    let scores: Vec<f32> = candidates.iter().map(|c| c.score).collect();
    let first = match blueprint.first_class {
        FirstClass::One => 0,
        FirstClass::Zero => 1,
    };
    let groups: Vec<usize> = candidates.iter().map(|c| c.slot - first).collect();
    let kept = batched_nms(&boxes, &scores, &groups, blueprint.nms_thresh);
    kept.into_iter()
        .take(blueprint.detections_per_image)
        .map(|i| candidates[i])
        .collect()
}

#[cfg(test)]
mod tests {
    use tch::Tensor;

    use super::super::transform::Frame;
    use super::*;
    use crate::blueprint::{Coordinates, Resize};
    use crate::nn::host::HostTensor;
    use detections::Size;

    const HEAD: BoxHeadBlueprint = BoxHeadBlueprint {
        resolution: 7,
        sampling_ratio: 2,
        hidden: 8,
        delta_weights: [10.0, 10.0, 5.0, 5.0],
        convolutions: 0,
        norm_epsilon: None,
        fully_connected: 2,
    };
    const CONFIG: PostprocessBlueprint = PostprocessBlueprint {
        score_thresh: 0.05,
        nms_thresh: 0.5,
        detections_per_image: 3,
        min_size: 1e-2,
        candidates: Candidates::EveryClass,
        first_class: FirstClass::One,
    };

    /// What comes of proposals with these boxes and scores of (background, first class, second
    /// class), without deltas.
    fn boxes(rows: &[(BBox, [f32; 3])]) -> Vec<(usize, f32)> {
        let proposals: Vec<Proposal> = rows
            .iter()
            .map(|&(bbox, _)| Proposal {
                bbox,
                objectness: 0.5,
            })
            .collect();
        let host = |values: &[f32]| HostTensor::new(&Tensor::from_slice(values)).unwrap();
        let scores: Vec<f32> = rows.iter().flat_map(|row| row.1).collect();
        let prediction = BoxPrediction {
            scores: host(&scores),
            deltas: host(&vec![0.0; 4 * scores.len()]),
        };
        let size = Size::new(60, 100);
        let frame = Frame {
            original: size,
            resized: size,
            padded: size,
            resize: Resize::Float,
        };
        let found = postprocess(
            &proposals,
            &prediction,
            Space::new(Coordinates::Edges, frame),
            3,
            &HEAD,
            &CONFIG,
        );
        found
            .into_iter()
            .map(|found| (found.slot, found.score))
            .collect()
    }

    const LEFT: BBox = BBox::new(5.0, 5.0, 25.0, 45.0);
    const RIGHT: BBox = BBox::new(55.0, 5.0, 95.0, 25.0);

    #[test]
    fn a_score_exactly_at_the_threshold_is_too_low() {
        let just_above = 0.05f32.next_up();
        assert_eq!(boxes(&[(LEFT, [0.9, 0.05, just_above])]), [(2, just_above)]);
    }

    #[test]
    fn what_the_image_leaves_of_a_box_must_not_be_a_sliver() {
        let sliver = BBox::new(99.995, 5.0, 140.0, 45.0);
        let outside = BBox::new(120.0, 5.0, 140.0, 45.0);
        assert_eq!(
            boxes(&[
                (sliver, [0.0, 0.9, 0.0]),
                (outside, [0.0, 0.8, 0.0]),
                (LEFT, [0.0, 0.7, 0.0])
            ]),
            [(1, 0.7)]
        );
    }

    #[test]
    fn classes_do_not_suppress_each_other_and_the_best_remain() {
        let rows = [
            (LEFT, [0.0, 0.6, 0.4]),
            (LEFT, [0.0, 0.5, 0.45]),
            (RIGHT, [0.0, 0.2, 0.7]),
        ];
        assert_eq!(boxes(&rows), [(2, 0.7), (1, 0.6), (2, 0.45)]); // (1, 0.2) is the fourth
        assert!(boxes(&[]).is_empty());
    }
}
