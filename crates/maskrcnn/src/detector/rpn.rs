//! The region proposal network. "Faster R-CNN", <https://arxiv.org/abs/1506.01497>.

use rayon::prelude::*;
use tch::{Device, Tensor};

use super::all_levels;
use super::anchors::LevelAnchors;
use super::proposal::{LevelOutput, Proposal};
use super::space::Space;
use crate::blueprint::{FpnBlueprint, ProposalSelection, Ranking, RpnBlueprint};
use crate::error::Result;
use crate::nn::host::HostTensor;
use crate::nn::{Conv, ConvShape, Parameters, Prepare, TchResult, check_finite, during};
use crate::ops::elementary::sigmoid;
use crate::ops::{BoxCoder, batched_nms};
use detections::{BBox, Size};

/// 3×3 convolutions, then objectness and deltas for each anchor of a cell.
#[derive(Debug)]
pub(super) struct Rpn {
    convolutions: Vec<Conv>,
    cls_logits: Conv,
    bbox_pred: Conv,
    blueprint: RpnBlueprint,
}

impl Rpn {
    /// From `rpn.head.conv.{i}.0`, `rpn.head.cls_logits` and `rpn.head.bbox_pred`.
    ///
    /// # Errors
    ///
    /// When a tensor is missing or has another shape.
    pub fn new(
        parameters: &mut Parameters,
        fpn: &FpnBlueprint,
        blueprint: &RpnBlueprint,
    ) -> Result<Self> {
        let channels = blueprint.channels.unwrap_or(fpn.channels);
        let anchors = blueprint.aspect_ratios.len() as i64;
        Ok(Self {
            convolutions: (0..blueprint.convolutions)
                .map(|i| {
                    let input = if i == 0 { fpn.channels } else { channels };
                    let name = format!("rpn.head.conv.{i}.0");
                    Conv::new(parameters, &name, ConvShape::new(input, channels, 3))
                })
                .collect::<Result<_>>()?,
            cls_logits: Conv::new(
                parameters,
                "rpn.head.cls_logits",
                ConvShape::new(channels, anchors, 1),
            )?,
            bbox_pred: Conv::new(
                parameters,
                "rpn.head.bbox_pred",
                ConvShape::new(channels, 4 * anchors, 1),
            )?,
            blueprint: blueprint.clone(),
        })
    }

    /// The head on each of P2..P6, `[1, channels, H, W]`. torchvision `models/detection/rpn.py`,
    /// `RPNHead.forward`.
    ///
    /// # Errors
    ///
    /// When what it gives is not finite, or libtorch fails.
    pub fn head(&self, pyramid: &[Tensor]) -> Result<Vec<LevelOutput>> {
        const DOING: &str = "computing objectness";
        let levels: TchResult<Vec<_>> = pyramid.iter().map(|feature| self.level(feature)).collect();
        let levels = levels.map_err(during(DOING))?;
        for level in &levels {
            check_finite(DOING, level.objectness.as_tensor())?;
            check_finite(DOING, level.deltas.as_tensor())?;
        }
        Ok(levels)
    }

    /// The head on one level, `[1, channels, H, W]`.
    fn level(&self, feature: &Tensor) -> TchResult<LevelOutput> {
        let size = feature.size();
        let mut x = feature.shallow_clone();
        for convolution in &self.convolutions {
            x = convolution.forward_relu(&x)?; // [1, channels, H, W]
        }
        Ok(LevelOutput {
            objectness: HostTensor::channels_last(&self.cls_logits.forward(&x)?)?,
            deltas: HostTensor::channels_last(&self.bbox_pred.forward(&x)?)?,
            grid: Size::new(size[2] as usize, size[3] as usize),
        })
    }

    /// The best boxes, chosen as the blueprint says: by falling objectness. May be empty.
    pub fn proposals(&self, levels: &[LevelOutput], space: Space) -> TchResult<Vec<Proposal>> {
        match self.blueprint.selection {
            ProposalSelection::PerLevel => self.best_of_each_level(levels, space),
            ProposalSelection::AllLevels => {
                Ok(all_levels::proposals(levels, &self.blueprint, space))
            }
        }
    }

    /// Per level the top anchors are decoded, clipped and thinned out by non-maximum suppression;
    /// then the best of all remain, by falling objectness. May be empty.
    ///
    /// torchvision `rpn.py`, `RegionProposalNetwork.filter_proposals`, and detectron2
    /// `modeling/proposal_generator/proposal_utils.py`, `find_top_rpn_proposals`; unlike there, only
    /// the boxes that are looked at are decoded.
    fn best_of_each_level(&self, levels: &[LevelOutput], space: Space) -> TchResult<Vec<Proposal>> {
        let coder = BoxCoder::new([1.0; 4]);
        let blueprint = &self.blueprint;
        let mut tops = Vec::with_capacity(levels.len());
        for (number, level) in levels.iter().enumerate() {
            tops.push(Top {
                indices: top_indices(&level.objectness, blueprint.pre_nms_top_n)?,
                logits: level.objectness.as_slice(),
                deltas: level.deltas.as_slice(),
                anchors: LevelAnchors::new(blueprint, number, level.grid, space),
                ranking: blueprint.ranking,
            });
        }
        let of_level = |(level, top): (usize, &Top)| {
            let candidates = top
                .indices
                .iter()
                .filter_map(|&index| top.candidate(index, coder, space));
            let large_enough = candidates.filter(|Proposal { bbox, .. }| {
                bbox.has_sides_of(blueprint.min_size) && !bbox.is_empty()
            });
            large_enough
                .map(|candidate| (level, candidate))
                .collect::<Vec<_>>()
        };
        let candidates: Vec<(usize, Proposal)> = tops
            .par_iter()
            .enumerate()
            .flat_map_iter(of_level)
            .collect();

        let boxes: Vec<BBox> = candidates.iter().map(|(_, p)| p.bbox).collect();
        let scores: Vec<f32> = candidates.iter().map(|(_, p)| p.objectness).collect();
        let groups: Vec<usize> = candidates.iter().map(|(level, _)| *level).collect();
        let kept = batched_nms(&boxes, &scores, &groups, blueprint.nms_thresh);
        Ok(kept
            .into_iter()
            .take(blueprint.post_nms_top_n)
            .map(|i| candidates[i].1)
            .collect())
    }
}

impl Prepare for Rpn {
    fn prepare(&mut self, device: Device) -> Result<()> {
        self.convolutions.prepare(device)?;
        self.cls_logits.prepare(device)?;
        self.bbox_pred.prepare(device)
    }
}

/// The best anchors of one level. Tensors stay on their thread; their memory may be read on others.
struct Top<'a> {
    /// By falling objectness.
    indices: Vec<usize>,
    logits: &'a [f32],
    deltas: &'a [f32],
    anchors: LevelAnchors,
    ranking: Ranking,
}

impl Top<'_> {
    /// What the head makes of the anchor with this index, clipped to the image; none where that is
    /// not finite.
    fn candidate(&self, index: usize, coder: BoxCoder, space: Space) -> Option<Proposal> {
        let deltas: [f32; 4] = std::array::from_fn(|i| self.deltas[4 * index + i]);
        let bbox = space.decode(coder, deltas, self.anchors.get(index));
        let logit = self.logits[index];
        (bbox.is_finite() && logit.is_finite()).then(|| Proposal {
            bbox: space.clip_proposal(bbox),
            objectness: match self.ranking {
                Ranking::Probability => sigmoid(logit),
                Ranking::Logit => logit,
            },
        })
    }
}

/// Indices of the `count` largest values, or of all when there are fewer, by falling value.
///
/// Of equal values torch leaves open which are taken, and flat images have many; libtorch's own
/// choice is torchvision's.
fn top_indices(values: &HostTensor, count: usize) -> TchResult<Vec<usize>> {
    let count = count.min(values.as_slice().len());
    let (_, indices) = values
        .as_tensor()
        .f_flatten(0, -1)?
        .f_topk(count as i64, 0, true, true)?;
    let indices = Vec::<i64>::try_from(indices)?;
    Ok(indices.into_iter().map(|index| index as usize).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::Fixture;

    #[test]
    fn takes_the_values_that_torchvision_takes_equal_ones_too() {
        let ops = Fixture::ops();
        for case in ops.cases("topk") {
            let values =
                HostTensor::new(&Tensor::from_slice(&ops.floats(&format!("{case}values"))))
                    .unwrap();
            let top = top_indices(&values, ops.indices(&format!("{case}k"))[0]).unwrap();
            assert_eq!(top, ops.indices(&format!("{case}expected")), "{case}");
        }
    }

    #[test]
    fn takes_all_values_when_there_are_fewer_than_asked_for() {
        let values = HostTensor::new(&Tensor::from_slice(&[0.5f32, -1.0, 2.0])).unwrap();
        assert_eq!(top_indices(&values, 99).unwrap(), [2, 0, 1]);
    }
}
