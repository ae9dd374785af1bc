//! Non-maximum suppression.

use std::cmp::Ordering;

use detections::BBox;

/// Above this many boxes torchvision suppresses each group by itself; up to it, it shifts the
/// groups apart and suppresses once. The two differ by the rounding of the shifted coordinates, so
/// both are kept. torchvision `ops/boxes.py`, `batched_nms`: `boxes.numel() > 4000`.
const MOST_BOXES_SHIFTED: usize = 1000;

/// Orders indices by falling score; of equal scores the lower index comes first, as in torch's
/// stable sort.
fn by_score(scores: &[f32]) -> impl Fn(&usize, &usize) -> Ordering {
    |&a, &b| scores[b].total_cmp(&scores[a]).then(a.cmp(&b))
}

/// Indices of the boxes that no stronger box overlaps by more than `threshold`, by falling score.
///
/// The comparison is of the f32 overlap with an f64 threshold, and "more than": a pair exactly at
/// the threshold stays. Empty boxes suppress nothing. No boxes give no indices. torchvision
/// `csrc/ops/cpu/nms_kernel.cpp`.
fn nms(boxes: &[BBox], scores: &[f32], threshold: f64) -> Vec<usize> {
    let mut order: Vec<usize> = (0..boxes.len()).collect();
    order.sort_unstable_by(by_score(scores));
    let mut suppressed = vec![false; boxes.len()];
    let mut kept = Vec::new();
    for (rank, &i) in order.iter().enumerate() {
        if suppressed[i] {
            continue;
        }
        kept.push(i);
        for &j in &order[rank + 1..] {
            if !suppressed[j] && f64::from(boxes[i].iou(boxes[j])) > threshold {
                suppressed[j] = true;
            }
        }
    }
    kept
}

/// Non-maximum suppression within each group (a class, a pyramid level): indices of the boxes that
/// no stronger box of their group overlaps by more than `threshold`, by falling score.
///
/// `boxes`, `scores` and `groups` have the same length, which may be 0. Groups are numbered from 0,
/// densely: room is made for as many as the largest number says. A pair exactly at the threshold
/// stays; of equal scores the lower index is the stronger. torchvision `ops/boxes.py`,
/// `batched_nms`.
///
/// # Panics
///
/// It may, when the lengths differ: a bug of the caller.
pub fn batched_nms(boxes: &[BBox], scores: &[f32], groups: &[usize], threshold: f64) -> Vec<usize> {
    if boxes.len() <= MOST_BOXES_SHIFTED {
        nms(&shift_apart(boxes, groups), scores, threshold)
    } else {
        // torchvision's sort is not stable here; ours is total, so that every machine reports the
        // same.
        let mut kept = each_group(boxes, scores, groups, threshold);
        kept.sort_unstable_by(by_score(scores));
        kept
    }
}

/// Moves every group right and down by its number times the largest coordinate, plus one, so that
/// groups cannot overlap.
///
/// torchvision `_batched_nms_coordinate_trick`.
fn shift_apart(boxes: &[BBox], groups: &[usize]) -> Vec<BBox> {
    let most = boxes
        .iter()
        .flat_map(|b| [b.x1, b.y1, b.x2, b.y2])
        .fold(f32::NEG_INFINITY, f32::max);
    let shifted = |(b, &group): (&BBox, &usize)| {
        let offset = group as f32 * (most + 1.0);
        BBox::new(b.x1 + offset, b.y1 + offset, b.x2 + offset, b.y2 + offset)
    };
    boxes.iter().zip(groups).map(shifted).collect()
}

/// [`nms`] of each group by itself, in no particular order. torchvision `_batched_nms_vanilla`.
fn each_group(boxes: &[BBox], scores: &[f32], groups: &[usize], threshold: f64) -> Vec<usize> {
    let mut members: Vec<Vec<usize>> =
        vec![Vec::new(); groups.iter().max().map_or(0, |most| most + 1)];
    for (i, &group) in groups.iter().enumerate() {
        members[group].push(i);
    }
    let mut kept = Vec::new();
    for group in members {
        let group_boxes: Vec<BBox> = group.iter().map(|&i| boxes[i]).collect();
        let group_scores: Vec<f32> = group.iter().map(|&i| scores[i]).collect();
        kept.extend(
            nms(&group_boxes, &group_scores, threshold)
                .into_iter()
                .map(|k| group[k]),
        );
    }
    kept
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::fixture::Fixture;

    #[test]
    fn keeps_what_torchvision_keeps_in_its_order() {
        let ops = Fixture::ops();
        for case in ops.cases("nms") {
            let (boxes, scores) = (
                ops.boxes(&format!("{case}boxes")),
                ops.floats(&format!("{case}scores")),
            );
            let threshold = ops.doubles(&format!("{case}iou_threshold"))[0];
            assert_eq!(
                nms(&boxes, &scores, threshold),
                ops.indices(&format!("{case}expected")),
                "{case}"
            );
        }
        for case in ops.cases("batched_nms") {
            let (boxes, scores) = (
                ops.boxes(&format!("{case}boxes")),
                ops.floats(&format!("{case}scores")),
            );
            let groups = ops.indices(&format!("{case}groups"));
            let threshold = ops.doubles(&format!("{case}iou_threshold"))[0];
            let mut kept = batched_nms(&boxes, &scores, &groups, threshold);
            let mut expected = ops.indices(&format!("{case}expected"));
            if boxes.len() > MOST_BOXES_SHIFTED {
                // There torchvision ends with an unstable sort, whose order of equal scores is the
                // processor's.
                let sorted = |kept: &[usize]| kept.iter().map(|&i| scores[i]).collect::<Vec<f32>>();
                assert_eq!(sorted(&kept), sorted(&expected), "{case}");
                kept.sort_unstable();
                expected.sort_unstable();
            }
            assert_eq!(kept, expected, "{case}");
        }
    }

    #[test]
    fn a_pair_at_the_threshold_stays_and_one_just_above_goes() {
        // Overlap 10×10 of union 20×10: one half, exact in binary.
        let half = [
            BBox::new(0.0, 0.0, 15.0, 10.0),
            BBox::new(5.0, 0.0, 20.0, 10.0),
        ];
        assert_eq!(nms(&half, &[0.9, 0.8], 0.5), [0, 1]);
        assert_eq!(nms(&half, &[0.9, 0.8], 0.499_999), [0]);
    }

    #[test]
    fn of_equal_scores_the_first_wins() {
        let same = BBox::new(2.0, 3.0, 12.0, 23.0);
        let apart = BBox::new(50.0, 3.0, 55.0, 23.0);
        assert_eq!(nms(&[apart, same, same], &[0.5, 0.7, 0.7], 0.5), [1, 0]);
    }

    #[test]
    fn a_suppressed_box_suppresses_nothing() {
        // A chain: each overlaps the next by a half, the first and the third do not meet.
        let chain = [0.0, 10.0, 20.0].map(|x| BBox::new(x, 0.0, x + 20.0, 7.0));
        assert_eq!(nms(&chain, &[0.9, 0.8, 0.7], 0.3), [0, 2]);
    }

    #[test]
    fn groups_do_not_meet_on_either_side_of_the_switch() {
        for copies in [1, MOST_BOXES_SHIFTED] {
            let boxes = vec![BBox::new(0.0, 0.0, 30.0, 20.0); 3 * copies];
            let scores: Vec<f32> = (0..boxes.len())
                .map(|i| 1.0 - i as f32 / 10_000.0)
                .collect();
            let groups: Vec<usize> = (0..boxes.len()).map(|i| i % 3).collect();
            assert_eq!(batched_nms(&boxes, &scores, &groups, 0.5), [0, 1, 2]);
        }
    }

    #[test]
    fn nothing_gives_nothing() {
        assert!(batched_nms(&[], &[], &[], 0.5).is_empty());
    }

    proptest! {
        #[test]
        fn the_kept_do_not_overlap_and_the_dropped_overlap_a_stronger(
            raw in prop::collection::vec(
                (0f32..100.0, 0f32..60.0, 1f32..50.0, 1f32..30.0, 0f32..1.0), 0..60,
            ),
        ) {
            let boxes = raw.iter().map(|&(x, y, w, h, _)| BBox::new(x, y, x + w, y + h));
            let boxes: Vec<BBox> = boxes.collect();
            let scores: Vec<f32> = raw.iter().map(|r| r.4).collect();
            let kept = nms(&boxes, &scores, 0.4);
            prop_assert!(kept.windows(2).all(|w| scores[w[0]] >= scores[w[1]]));
            for i in 0..boxes.len() {
                let overlapped = kept.iter().any(|&k| {
                    k != i && scores[k] >= scores[i] && boxes[k].iou(boxes[i]) > 0.4
                });
                prop_assert_eq!(kept.contains(&i), !overlapped);
            }
        }
    }
}
