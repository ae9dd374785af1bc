//! The region proposal network. "Faster R-CNN", <https://arxiv.org/abs/1506.01497>.

use rayon::prelude::*;
use tch::Tensor;

use super::anchors::LevelAnchors;
use crate::config::{FpnConfig, RpnConfig};
use crate::error::Result;
use crate::geometry::{BBox, Size};
use crate::nn::memory::HostTensor;
use crate::nn::{Conv, ConvShape, Parameters, TchResult};
use crate::ops::{BoxCoder, batched_nms, by_score};

/// One 3×3 convolution, then objectness and deltas for each anchor of a cell.
#[derive(Debug)]
pub(super) struct Rpn {
    conv: Conv,
    cls_logits: Conv,
    bbox_pred: Conv,
    config: RpnConfig,
}

/// A box that may hold an object, and how sure the RPN is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Proposal {
    /// In resized pixels, inside the image.
    pub bbox: BBox,
    /// Probability, 0 to 1.
    pub objectness: f32,
}

/// What the head gives for one pyramid level.
pub(super) struct LevelOutput {
    /// Logits, `[H, W, A]`.
    pub objectness: HostTensor,
    /// `[H, W, A, 4]`.
    pub deltas: HostTensor,
    /// H and W.
    pub grid: Size,
}

impl Rpn {
    /// From `rpn.head.conv.0.0`, `rpn.head.cls_logits` and `rpn.head.bbox_pred`.
    ///
    /// # Errors
    ///
    /// When a tensor is missing or has another shape.
    pub fn new(parameters: &mut Parameters, fpn: &FpnConfig, config: &RpnConfig) -> Result<Self> {
        let channels = fpn.channels;
        let anchors = config.aspect_ratios.len() as i64;
        Ok(Self {
            conv: Conv::new(parameters, "rpn.head.conv.0.0", ConvShape::new(channels, channels, 3))?,
            cls_logits: Conv::new(parameters, "rpn.head.cls_logits", ConvShape::new(channels, anchors, 1))?,
            bbox_pred: Conv::new(parameters, "rpn.head.bbox_pred", ConvShape::new(channels, 4 * anchors, 1))?,
            config: config.clone(),
        })
    }

    /// The head on each of P2..P6, `[1, channels, H, W]`. torchvision `models/detection/rpn.py`, `RPNHead.forward`.
    pub fn head(&self, pyramid: &[Tensor]) -> TchResult<Vec<LevelOutput>> {
        let level = |feature: &Tensor| {
            let size = feature.size();
            let x = self.conv.forward_relu(feature)?;
            Ok(LevelOutput {
                objectness: HostTensor::channels_last(&self.cls_logits.forward(&x)?)?,
                deltas: HostTensor::channels_last(&self.bbox_pred.forward(&x)?)?,
                grid: Size::new(size[2] as usize, size[3] as usize),
            })
        };
        pyramid.iter().map(level).collect()
    }

    /// The best boxes over all levels: per level the top anchors are decoded, clipped to `resized` and thinned out by
    /// non-maximum suppression; then the best of all remain, by falling objectness. May be empty.
    ///
    /// `padded` is the size of the network's input. torchvision `rpn.py`, `RegionProposalNetwork.filter_proposals`; unlike
    /// there, only the boxes that are looked at are decoded.
    pub fn proposals(&self, levels: &[LevelOutput], resized: Size, padded: Size) -> Vec<Proposal> {
        let coder = BoxCoder::new([1.0; 4]);
        let config = &self.config;
        let of_level = |(level, &(logits, deltas, grid)): (usize, &(&[f32], &[f32], Size))| {
            let anchors = LevelAnchors::new(config, level, grid, padded);
            let candidate = |index: usize| {
                let deltas: [f32; 4] = std::array::from_fn(|i| deltas[4 * index + i]);
                let bbox = coder.decode(deltas, anchors.get(index)).clip(resized);
                Proposal { bbox, objectness: sigmoid(logits[index]) }
            };
            let top = top_indices(logits, config.pre_nms_top_n);
            top.into_iter()
                .map(candidate)
                .filter(|p| p.bbox.has_sides_of(config.min_size))
                .map(|p| (level, p))
                .collect::<Vec<_>>()
        };
        let outputs: Vec<_> =
            levels.iter().map(|level| (level.objectness.as_slice(), level.deltas.as_slice(), level.grid)).collect();
        let candidates: Vec<(usize, Proposal)> = outputs.par_iter().enumerate().flat_map_iter(of_level).collect();

        let boxes: Vec<BBox> = candidates.iter().map(|(_, p)| p.bbox).collect();
        let scores: Vec<f32> = candidates.iter().map(|(_, p)| p.objectness).collect();
        let groups: Vec<usize> = candidates.iter().map(|(level, _)| *level).collect();
        let kept = batched_nms(&boxes, &scores, &groups, config.nms_thresh);
        kept.into_iter().take(config.post_nms_top_n).map(|i| candidates[i].1).collect()
    }
}

/// Indices of the `count` largest values, by falling value; of equal values the first comes first.
///
/// torch's `topk` leaves the order of equal values open.
fn top_indices(values: &[f32], count: usize) -> Vec<usize> {
    let mut indices: Vec<usize> = (0..values.len()).collect();
    if count < indices.len() {
        indices.select_nth_unstable_by(count, by_score(values));
        indices.truncate(count);
    }
    indices.sort_unstable_by(by_score(values));
    indices
}

/// From a logit to a probability.
fn sigmoid(logit: f32) -> f32 {
    1.0 / (1.0 + (-logit).exp())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::Fixture;

    #[test]
    fn takes_the_values_that_torch_takes() {
        let ops = Fixture::ops();
        for case in ops.cases("topk") {
            let values = ops.floats(&format!("{case}values"));
            let top = top_indices(&values, ops.indices(&format!("{case}k"))[0]);
            let found: Vec<f32> = top.iter().map(|&i| values[i]).collect();
            assert_eq!(found, ops.floats(&format!("{case}expected_values")), "{case}");
        }
    }

    #[test]
    fn top_indices_are_by_falling_value_and_the_first_of_equals_comes_first() {
        let values = [0.5, -1.0, 2.0, 0.5, 3.0, 0.5];
        assert_eq!(top_indices(&values, 3), [4, 2, 0]);
        assert_eq!(top_indices(&values, 5), [4, 2, 0, 3, 5]);
        assert_eq!(top_indices(&values, 99), [4, 2, 0, 3, 5, 1]);
        assert!(top_indices(&[], 3).is_empty());
    }
}
