//! torchvision's Mask R-CNNs with ResNets, whose current parameter names are the canonical ones:
//! `maskrcnn_resnet50_fpn` (v1), `maskrcnn_resnet50_fpn_v2`, and what `MaskRCNN` makes of
//! `resnet_fpn_backbone`.
//!
//! torchvision `models/detection/mask_rcnn.py`, `faster_rcnn.py`, `backbone_utils.py`.

use super::architecture::{Architecture, CLASSIFIER, Generation, Norms, check, is_counter, slots};
use super::coco;
use crate::blueprint::{
    Anchors, BackboneBlueprint, Blueprint, BottleneckStride, BoxHeadBlueprint, Candidates,
    Coordinates, FirstClass, FpnBlueprint, MaskHeadBlueprint, Paste, PoolPadding, PoolerBlueprint,
    PostprocessBlueprint, ProposalSelection, Ranking, ResNetBlueprint, Resize, RpnBlueprint,
    TransformBlueprint,
};
use crate::checkpoint::{Checkpoint, StateDict};
use crate::error::Result;
use crate::labels::Labels;

/// The epsilon of PyTorch's `BatchNorm2d` and, since torchvision 0.9, of `FrozenBatchNorm2d`.
const NORM_EPSILON: f64 = 1e-5;

/// The epsilon that `maskrcnn_resnet50_fpn` gives its frozen norms with the COCO_V1 weights, which
/// were trained without one (`overwrite_eps`). Networks trained from them inherit it.
const COCO_V1_NORM_EPSILON: f64 = 0.0;

/// Classifiers of torchvision's COCO weights have a slot for each id, used or not, and the
/// background.
const COCO_SLOTS: i64 = coco::LAST_ID as i64 + 1;

/// Whether these are tensors of such a network, under new or old names; if so, of which design.
pub(super) fn recognise(tensors: &StateDict) -> Option<Generation> {
    let names = [
        "backbone.body.layer4.0.conv1.weight",
        CLASSIFIER,
        "roi_heads.mask_predictor.mask_fcn_logits.weight",
        "rpn.head.cls_logits.weight",
    ];
    let of_v2 = [
        "backbone.fpn.inner_blocks.0.1.weight",
        "rpn.head.conv.1.0.weight",
        "roi_heads.box_head.0.0.weight",
        "roi_heads.mask_head.0.1.weight",
    ];
    let contains = |name: &&str| tensors.contains(name);
    names.iter().all(contains).then(|| {
        if of_v2.iter().any(contains) {
            Generation::V2
        } else {
            Generation::V1
        }
    })
}

/// Renames old tensors, drops counters, and returns the blueprint and the classes.
///
/// The architecture is read off the tensors; what they do not show is as torchvision's
/// constructors have it. Networks that were trained on other data than COCO have another number of
/// classes; theirs are called `class 1`, … unless the file's metadata names them.
///
/// # Errors
///
/// When two tensors are the same one under its old and its new name, the classifier is no matrix,
/// or the network is of a kind that is not read.
pub(super) fn adapt(checkpoint: &mut Checkpoint) -> Result<(Blueprint, Labels)> {
    let tensors = &mut checkpoint.tensors;
    tensors.rename(canonical_name)?;
    let num_classes = slots(tensors, COCO_SLOTS)?;
    let blueprint = blueprint(&Architecture::of(tensors)?, num_classes);
    check(&blueprint, "networks of torchvision's sizes are read")?;
    tensors.retain(|name| !is_counter(name));
    let known = (num_classes == COCO_SLOTS).then(|| Labels::new(coco::slots_by_id()));
    let labels = Labels::of_metadata(&checkpoint.metadata, known, num_classes)?;
    Ok((blueprint, labels))
}

/// The tensors of no known network as those of either design: the one that the architecture read off
/// them has; both with their usual sizes, where none can be read off.
pub(super) fn readings(tensors: &StateDict) -> Vec<(Generation, StateDict, Blueprint)> {
    let mut tensors = tensors.clone();
    if tensors.rename(canonical_name).is_err() {
        return Vec::new();
    }
    let num_classes = slots(&tensors, COCO_SLOTS).unwrap_or(COCO_SLOTS);
    let architecture = Architecture::of(&tensors);
    tensors.retain(|name| !is_counter(name));
    let reading = |architecture: &Architecture| {
        let generation = match architecture.pyramid_norms {
            None => Generation::V1,
            Some(_) => Generation::V2,
        };
        let blueprint = blueprint(architecture, num_classes);
        (generation, tensors.clone(), blueprint)
    };
    if let Ok(architecture) = architecture {
        let reading = reading(&architecture);
        if reading.2.check().is_ok() {
            return vec![reading];
        }
    }
    let designs = [Generation::V1, Generation::V2];
    designs
        .map(|generation| reading(&Architecture::usual(generation)))
        .into()
}

/// The epsilon of the backbone's norms.
///
/// The file has it nowhere, but trained norms have only one. Of frozen norms it depends on how the
/// network was made: from the COCO_V1 weights or otherwise, and the tensors are the same
/// (weights/README.md has the table). Frozen norms in a ResNet-50 with v1's heads are taken to
/// descend from COCO_V1, as in torchvision's tutorial; there are no such weights for others.
fn backbone_epsilon(architecture: &Architecture) -> f64 {
    let Architecture {
        backbone,
        pyramid_norms,
        rpn_convolutions,
        box_head,
        ..
    } = architecture;
    let is_v1 = backbone.is_resnet50()
        && pyramid_norms.is_none()
        && (*rpn_convolutions, box_head.convolutions) == (1, 0);
    match backbone.norms {
        Norms::Frozen if is_v1 => COCO_V1_NORM_EPSILON,
        Norms::Frozen | Norms::Trained => NORM_EPSILON,
    }
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

/// A network of this architecture, with torchvision's defaults throughout.
fn blueprint(architecture: &Architecture, num_classes: i64) -> Blueprint {
    let Architecture {
        backbone, box_head, ..
    } = architecture;
    let epsilon = |norms: Option<Norms>| norms.map(|_| NORM_EPSILON);
    Blueprint {
        transform: TransformBlueprint {
            min_size: 800,
            max_size: 1333,
            mean: [0.485, 0.456, 0.406], // ImageNet's
            std: [0.229, 0.224, 0.225],
            size_divisible: 32,
            resize: Resize::Float,
        },
        backbone: BackboneBlueprint::ResNet(ResNetBlueprint {
            blocks: backbone.blocks,
            norm_epsilon: backbone_epsilon(architecture),
            block: backbone.block,
            groups: backbone.groups,
            width_per_group: backbone.width_per_group,
            stride: BottleneckStride::Middle,
            pool_padding: PoolPadding::Symmetric,
        }),
        fpn: FpnBlueprint {
            channels: architecture.channels,
            norm_epsilon: epsilon(architecture.pyramid_norms),
        },
        rpn: RpnBlueprint {
            anchor_sizes: vec![32.0, 64.0, 128.0, 256.0, 512.0],
            aspect_ratios: vec![0.5, 1.0, 2.0],
            pre_nms_top_n: 1000,
            post_nms_top_n: 1000,
            nms_thresh: 0.7,
            min_size: 1e-3,
            convolutions: architecture.rpn_convolutions,
            channels: None,
            anchors: Anchors::WholePixels,
            selection: ProposalSelection::PerLevel,
            ranking: Ranking::Probability,
        },
        box_head: BoxHeadBlueprint {
            resolution: box_head.resolution,
            sampling_ratio: 2,
            hidden: box_head.hidden,
            delta_weights: [10.0, 10.0, 5.0, 5.0],
            convolutions: box_head.convolutions,
            norm_epsilon: epsilon(box_head.norms),
            fully_connected: box_head.fully_connected,
        },
        mask_head: MaskHeadBlueprint {
            resolution: 14,
            sampling_ratio: 2,
            convolutions: architecture.mask_convolutions,
            channels: architecture.mask_channels,
            reduced: architecture.mask_reduced,
            norm_epsilon: epsilon(architecture.mask_norms),
            paste: Paste::Padded,
        },
        pooler: PoolerBlueprint::default(),
        postprocess: PostprocessBlueprint {
            score_thresh: 0.05,
            nms_thresh: 0.5,
            detections_per_image: 100,
            min_size: 1e-2,
            candidates: Candidates::EveryClass,
            first_class: FirstClass::One,
        },
        coordinates: Coordinates::Edges,
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
