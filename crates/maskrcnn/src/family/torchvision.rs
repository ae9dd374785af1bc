//! torchvision's `maskrcnn_resnet50_fpn`, whose current parameter names are the canonical ones.
//!
//! torchvision `models/detection/mask_rcnn.py`, `faster_rcnn.py`.

use std::ops::RangeInclusive;

use super::coco;
use crate::blueprint::{
    BackboneBlueprint, Blueprint, BoxHeadBlueprint, FpnBlueprint, MaskHeadBlueprint,
    PostprocessBlueprint, ResNetBlueprint, RpnBlueprint, TransformBlueprint,
};
use crate::checkpoint::{Checkpoint, StateDict};
use crate::error::{Error, Result};
use crate::labels::Labels;

/// torchvision's builder sets every epsilon to this when it loads the COCO weights, because they
/// were trained without one (`overwrite_eps` in `maskrcnn_resnet50_fpn`). Networks trained from
/// them inherit it.
const V1_NORM_EPSILON: f64 = 0.0;

/// A tensor whose first dimension is the number of classes, background included.
const CLASSIFIER: &str = "roi_heads.box_predictor.cls_score.weight";

/// Classifiers of torchvision's COCO weights have a slot for each id, used or not, and the
/// background.
const COCO_SLOTS: i64 = coco::LAST_ID as i64 + 1;

/// Numbers of classes that a network of our time may have; more is a damaged or hostile file.
const CLASS_COUNTS: RangeInclusive<i64> = 2..=100_000;

/// Whether these are tensors of v1, under new or old names: frozen norms in a ResNet-50, one
/// convolution in the RPN's head.
pub(super) fn recognises_v1(tensors: &StateDict) -> bool {
    has_resnet50_masks(tensors)
        && (tensors.contains("rpn.head.conv.0.0.weight")
            || tensors.contains("rpn.head.conv.weight"))
        && !tensors.contains("rpn.head.conv.1.0.weight")
}

/// Whether these are tensors of v2: two convolutions in the RPN's head.
pub(super) fn recognises_v2(tensors: &StateDict) -> bool {
    has_resnet50_masks(tensors) && tensors.contains("rpn.head.conv.1.0.weight")
}

fn has_resnet50_masks(tensors: &StateDict) -> bool {
    let names = [
        "backbone.body.layer3.5.conv3.weight",
        CLASSIFIER,
        "roi_heads.mask_predictor.mask_fcn_logits.weight",
    ];
    // ResNet-101 has more blocks in its third layer.
    names.iter().all(|name| tensors.contains(name))
        && !tensors.contains("backbone.body.layer3.6.conv3.weight")
}

/// Renames old tensors, drops counters, and returns v1's configuration and classes.
///
/// Networks that were trained further on other data have another number of classes; theirs are
/// called `class 1`, … unless a canonical file names them.
///
/// # Errors
///
/// When two tensors are the same one under its old and its new name, or the classifier is no
/// matrix.
pub(super) fn adapt_v1(checkpoint: &mut Checkpoint) -> Result<(Blueprint, Labels)> {
    let tensors = &mut checkpoint.tensors;
    // Norms that were trained count their batches; inference does not.
    let counters: Vec<String> = tensors
        .names()
        .filter(|name| name.ends_with(".num_batches_tracked"))
        .map(str::to_owned)
        .collect();
    for counter in counters {
        tensors.remove(&counter);
    }
    tensors.rename(canonical_name)?;

    let num_classes = match tensors.shape(CLASSIFIER) {
        Some(&[classes, _]) if CLASS_COUNTS.contains(&classes) => classes,
        shape => {
            let (expected, found) = (vec![COCO_SLOTS, 1024], shape.unwrap_or_default().to_vec());
            return Err(Error::TensorShape {
                name: CLASSIFIER.to_owned(),
                expected,
                found,
            });
        }
    };
    let labels = match checkpoint.metadata.get("labels") {
        Some(json) => Labels::from_json(json)?,
        None if num_classes == COCO_SLOTS => Labels::new(coco::slots_by_id()),
        None => Labels::unnamed(num_classes),
    };
    labels.check_slots(num_classes)?;
    Ok((v1(num_classes), labels))
}

/// The name that current torchvision gives a tensor of any age.
///
/// The official v1 file is older than the renamings in `feature_pyramid_network.py`, `rpn.py`
/// (`RPNHead`) and `mask_rcnn.py` (`MaskRCNNHeads`), each in `_load_from_state_dict`.
fn canonical_name(name: &str) -> String {
    for blocks in ["backbone.fpn.inner_blocks.", "backbone.fpn.layer_blocks."] {
        if let Some((level, parameter)) = name
            .strip_prefix(blocks)
            .and_then(|rest| rest.split_once('.'))
            && !parameter.contains('.')
        {
            return format!("{blocks}{level}.0.{parameter}");
        }
    }
    if let Some(parameter) = name
        .strip_prefix("rpn.head.conv.")
        .filter(|rest| !rest.contains('.'))
    {
        return format!("rpn.head.conv.0.0.{parameter}");
    }
    if let Some((number, parameter)) = name
        .strip_prefix("roi_heads.mask_head.mask_fcn")
        .and_then(|rest| rest.split_once('.'))
        && let Some(index) = number
            .parse::<u32>()
            .ok()
            .and_then(|number| number.checked_sub(1))
    {
        return format!("roi_heads.mask_head.{index}.0.{parameter}");
    }
    name.to_owned()
}

/// The configuration of v1, torchvision's defaults throughout.
fn v1(num_classes: i64) -> Blueprint {
    Blueprint {
        transform: TransformBlueprint {
            min_size: 800,
            max_size: 1333,
            mean: [0.485, 0.456, 0.406], // ImageNet's
            std: [0.229, 0.224, 0.225],
            size_divisible: 32,
        },
        backbone: BackboneBlueprint::ResNet(ResNetBlueprint {
            blocks: [3, 4, 6, 3],
            norm_epsilon: V1_NORM_EPSILON,
        }),
        fpn: FpnBlueprint { channels: 256 },
        rpn: RpnBlueprint {
            anchor_sizes: vec![32.0, 64.0, 128.0, 256.0, 512.0],
            aspect_ratios: vec![0.5, 1.0, 2.0],
            pre_nms_top_n: 1000,
            post_nms_top_n: 1000,
            nms_thresh: 0.7,
            min_size: 1e-3,
        },
        box_head: BoxHeadBlueprint {
            resolution: 7,
            sampling_ratio: 2,
            hidden: 1024,
            delta_weights: [10.0, 10.0, 5.0, 5.0],
        },
        mask_head: MaskHeadBlueprint {
            resolution: 14,
            sampling_ratio: 2,
            convolutions: 4,
            channels: 256,
        },
        postprocess: PostprocessBlueprint {
            score_thresh: 0.05,
            nms_thresh: 0.5,
            detections_per_image: 100,
            min_size: 1e-2,
        },
        num_classes,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_names_become_current_ones_and_current_ones_stay() {
        for (old, current) in [
            (
                "backbone.fpn.inner_blocks.2.weight",
                "backbone.fpn.inner_blocks.2.0.weight",
            ),
            (
                "backbone.fpn.layer_blocks.0.bias",
                "backbone.fpn.layer_blocks.0.0.bias",
            ),
            ("rpn.head.conv.weight", "rpn.head.conv.0.0.weight"),
            (
                "roi_heads.mask_head.mask_fcn4.bias",
                "roi_heads.mask_head.3.0.bias",
            ),
            (
                "roi_heads.mask_predictor.mask_fcn_logits.bias",
                "roi_heads.mask_predictor.mask_fcn_logits.bias",
            ),
            (
                "backbone.body.layer1.0.bn1.weight",
                "backbone.body.layer1.0.bn1.weight",
            ),
        ] {
            assert_eq!(canonical_name(old), current);
            assert_eq!(canonical_name(current), current);
        }
    }
}
