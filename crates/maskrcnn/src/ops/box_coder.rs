//! Box regression deltas.

use super::elementary::exp;
use detections::BBox;

/// Decodes deltas against the boxes that they were regressed from.
#[derive(Clone, Copy, Debug)]
pub struct BoxCoder {
    weights: [f32; 4],
}

impl BoxCoder {
    /// Most that a box may grow, as the logarithm of the factor: from 16 to 1000 pixels.
    /// torchvision `models/detection/_utils.py`, `BoxCoder`, `bbox_xform_clip`.
    const MOST_LOG_GROWTH: f32 = 4.135_166_6; // ln(1000 / 16)

    /// `weights`: what dx, dy, dw, dh were multiplied by in training.
    pub const fn new(weights: [f32; 4]) -> Self {
        Self { weights }
    }

    /// The box that `deltas` (dx, dy, dw, dh) make of `reference`, in the same frame, unclipped.
    ///
    /// The centre moves by dx, dy times the reference's size; width and height grow by exp(dw),
    /// exp(dh), at most 62.5-fold. "Faster R-CNN" eq. 2; torchvision `BoxCoder.decode_single`.
    pub fn decode(self, deltas: [f32; 4], reference: BBox) -> BBox {
        let (width, height) = (reference.width(), reference.height());
        let (centre_x, centre_y) = (reference.x1 + 0.5 * width, reference.y1 + 0.5 * height);
        let [dx, dy, dw, dh] = std::array::from_fn(|i| deltas[i] / self.weights[i]);
        let (centre_x, centre_y) = (dx * width + centre_x, dy * height + centre_y);
        let grown = |delta: f32, side: f32| {
            // torch's clamp keeps NaN, Rust's `min` would lose it.
            let delta = if delta > Self::MOST_LOG_GROWTH {
                Self::MOST_LOG_GROWTH
            } else {
                delta
            };
            exp(delta) * side
        };
        let (half_width, half_height) = (0.5 * grown(dw, width), 0.5 * grown(dh, height));
        BBox::new(
            centre_x - half_width,
            centre_y - half_height,
            centre_x + half_width,
            centre_y + half_height,
        )
    }

    /// [`decode`](Self::decode) without a limit to what a box may grow by, in the order of
    /// operations of Matterport's `mrcnn/model.py`, `apply_box_deltas_graph`; deltas are multiplied
    /// by one over the weights, the standard deviations that Matterport has instead.
    pub fn decode_unlimited(self, deltas: [f32; 4], reference: BBox) -> BBox {
        let (width, height) = (reference.width(), reference.height());
        let (centre_x, centre_y) = (reference.x1 + 0.5 * width, reference.y1 + 0.5 * height);
        let [dx, dy, dw, dh] = std::array::from_fn(|i| deltas[i] * (1.0 / self.weights[i]));
        let (centre_x, centre_y) = (centre_x + dx * width, centre_y + dy * height);
        let (width, height) = (width * exp(dw), height * exp(dh));
        let (x1, y1) = (centre_x - 0.5 * width, centre_y - 0.5 * height);
        BBox::new(x1, y1, x1 + width, y1 + height)
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "what tests compute goes nowhere")]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::fixture::{Fixture, difference, edges};

    #[test]
    fn decodes_as_torchvision_does() {
        let ops = Fixture::ops();
        for case in ops.cases("decode") {
            let weights = ops.doubles(&format!("{case}weights"));
            let coder = BoxCoder::new(std::array::from_fn(|i| weights[i] as f32));
            let deltas = ops.floats(&format!("{case}deltas"));
            let boxes = ops.boxes(&format!("{case}boxes"));
            let classes = deltas.len() / 4 / boxes.len();
            let decoded: Vec<BBox> = deltas
                .as_chunks()
                .0
                .iter()
                .enumerate()
                .map(|(i, &deltas)| coder.decode(deltas, boxes[i / classes]))
                .collect();
            let expected = ops.floats(&format!("{case}expected"));
            // Of boxes of thousands of pixels: two units in the last place, which the exponentials
            // may differ by.
            let most = expected.iter().fold(1f32, |most, v| most.max(v.abs())) * 2.4e-7;
            assert!(difference(&edges(&decoded), &expected) <= most, "{case}");
        }
    }

    #[test]
    fn moves_the_centre_by_the_size_and_grows_by_the_exponential() {
        // A 20×40 box around (30, 60): centre moves by (+0.5·20, −0.25·40), the width doubles, the
        // height halves.
        let coder = BoxCoder::new([1.0; 4]);
        let ln2 = std::f32::consts::LN_2;
        let decoded = coder.decode([0.5, -0.25, ln2, -ln2], BBox::new(20.0, 40.0, 40.0, 80.0));
        let expected = BBox::new(20.0, 40.0, 60.0, 60.0);
        for (found, expected) in [
            (decoded.x1, expected.x1),
            (decoded.y1, expected.y1),
            (decoded.x2, expected.x2),
            (decoded.y2, expected.y2),
        ] {
            assert!((found - expected).abs() < 1e-4, "{decoded:?}");
        }
    }

    #[test]
    fn weights_divide_the_deltas() {
        let reference = BBox::new(1.0, 2.0, 31.0, 12.0);
        let plain = BoxCoder::new([1.0; 4]).decode([0.1, 0.2, 0.3, 0.4], reference);
        let weighted =
            BoxCoder::new([10.0, 10.0, 5.0, 5.0]).decode([1.0, 2.0, 1.5, 2.0], reference);
        assert!((plain.x1 - weighted.x1).abs() < 1e-4 && (plain.y2 - weighted.y2).abs() < 1e-4);
    }

    #[test]
    fn growth_stops_at_1000_over_16() {
        let decoded =
            BoxCoder::new([1.0; 4]).decode([0.0, 0.0, 50.0, 0.0], BBox::new(0.0, 0.0, 16.0, 8.0));
        assert!((decoded.width() - 1000.0).abs() < 1e-2, "{decoded:?}");
        assert!((decoded.height() - 8.0).abs() < 1e-4, "{decoded:?}");
    }

    #[test]
    fn decodes_as_matterport_does_without_a_limit() {
        let ops = Fixture::open("ops/matterport.safetensors");
        for case in ops.cases("decode") {
            let coder = BoxCoder::new([1.0; 4]);
            let deltas = ops.floats(&format!("{case}deltas"));
            let boxes = ops.boxes(&format!("{case}boxes"));
            let decoded: Vec<BBox> = std::iter::zip(deltas.as_chunks().0, boxes)
                .map(|(&deltas, bbox)| coder.decode_unlimited(deltas, bbox))
                .collect();
            let expected = ops.floats(&format!("{case}expected"));
            // Two units in the last place, which the exponentials may differ by.
            let most = expected.iter().fold(1f32, |most, v| most.max(v.abs())) * 2.4e-7;
            assert!(difference(&edges(&decoded), &expected) <= most, "{case}");
        }
    }

    proptest! {
        #[test]
        fn decoding_the_deltas_of_a_box_gives_the_box(
            x in 0f32..300.0, y in 0f32..200.0, w in 4f32..100.0, h in 4f32..150.0,
            tx in 0f32..300.0, ty in 0f32..200.0, tw in 4f32..100.0, th in 4f32..150.0,
        ) {
            let reference = BBox::new(x, y, x + w, y + h);
            let deltas = [
                ((tx + tw / 2.0) - (x + w / 2.0)) / w,
                ((ty + th / 2.0) - (y + h / 2.0)) / h,
                (tw / w).ln(),
                (th / h).ln(),
            ];
            let decoded = BoxCoder::new([1.0; 4]).decode(deltas, reference);
            prop_assert!((decoded.x1 - tx).abs() < 1e-2 && (decoded.y1 - ty).abs() < 1e-2);
            prop_assert!((decoded.x2 - tx - tw).abs() < 1e-2);
            prop_assert!((decoded.y2 - ty - th).abs() < 1e-2);
        }
    }
}
