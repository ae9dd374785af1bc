//! Non-maximum suppression as TensorFlow does it.

use detections::BBox;

/// Indices of up to `most` boxes that no stronger kept box overlaps by more than `threshold`, by
/// falling score; of equal scores the lower index comes first. No boxes give no indices.
///
/// Boxes are in any coordinates, and their edges may be in any order. One without an area neither
/// suppresses nor is suppressed. Overlap and threshold are compared as f32, and "more than": a pair
/// exactly at the threshold stays. TensorFlow `core/kernels/image/non_max_suppression_op.cc`,
/// `DoNonMaxSuppressionOp` and `IOU`.
///
/// # Panics
///
/// It may, when the lengths differ: a bug of the caller.
pub fn suppress(boxes: &[BBox], scores: &[f32], threshold: f32, most: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..boxes.len()).collect();
    order.sort_unstable_by(|&a, &b| scores[b].total_cmp(&scores[a]).then(a.cmp(&b)));
    let mut kept: Vec<usize> = Vec::new();
    for i in order {
        if kept.len() >= most {
            break;
        }
        // The last ones lie nearest in score, and mostly in place.
        let overlapped = |&k: &usize| overlap(boxes[i], boxes[k]) > threshold;
        if !kept.iter().rev().any(overlapped) {
            kept.push(i);
        }
    }
    kept
}

/// Intersection over union; 0 when either box has no area.
fn overlap(a: BBox, b: BBox) -> f32 {
    let sorted = |b: BBox| {
        let (x1, x2) = (b.x1.min(b.x2), b.x1.max(b.x2));
        BBox::new(x1, b.y1.min(b.y2), x2, b.y1.max(b.y2))
    };
    let (a, b) = (sorted(a), sorted(b));
    let area = |b: BBox| (b.y2 - b.y1) * (b.x2 - b.x1);
    if area(a) <= 0.0 || area(b) <= 0.0 {
        return 0.0;
    }
    let height = (a.y2.min(b.y2) - a.y1.max(b.y1)).max(0.0);
    let width = (a.x2.min(b.x2) - a.x1.max(b.x1)).max(0.0);
    let intersection = height * width;
    intersection / (area(a) + area(b) - intersection)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::Fixture;

    #[test]
    fn keeps_what_tensorflow_keeps_in_its_order() {
        let ops = Fixture::open("ops/matterport.safetensors");
        for case in ops.cases("suppress") {
            let boxes = ops.boxes(&format!("{case}boxes"));
            let scores = ops.floats(&format!("{case}scores"));
            let threshold = ops.floats(&format!("{case}threshold"))[0];
            let most = ops.indices(&format!("{case}most"))[0];
            let kept = suppress(&boxes, &scores, threshold, most);
            assert_eq!(kept, ops.indices(&format!("{case}expected")), "{case}");
        }
    }

    #[test]
    fn a_pair_at_the_threshold_stays_and_one_above_goes() {
        // Overlap 10×10 of union 20×10: one half, exact in binary.
        let half = [
            BBox::new(0.0, 0.0, 15.0, 10.0),
            BBox::new(20.0, 0.0, 5.0, 10.0), // its edges the other way around
        ];
        assert_eq!(suppress(&half, &[0.8, 0.9], 0.5, 9), [1, 0]);
        assert_eq!(suppress(&half, &[0.8, 0.9], 0.499_999, 9), [1]);
    }

    #[test]
    fn equal_scores_keep_their_order_and_points_stay() {
        let point = BBox::new(0.0, 0.0, 0.0, 0.0);
        let boxes = [point, BBox::new(0.0, 0.0, 2.0, 1.0), point, point];
        assert_eq!(suppress(&boxes, &[0.5; 4], 0.1, 3), [0, 1, 2]);
        assert!(suppress(&[], &[], 0.5, 3).is_empty());
    }
}
