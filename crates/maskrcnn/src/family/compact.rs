//! The embedded default: EfficientNet-Lite0, a 96-channel pyramid and narrow heads, norms folded
//! already.
//!
//! Files from before blueprints describe themselves in a form of their own, and the embedded one is
//! of that age: sizes, anchors and thresholds stand in the metadata key `config`,
//! class names in `labels`. The model card is in `weights/README.md`.

use serde::Deserialize;

use super::coco;
use crate::blueprint::{
    Anchors, BackboneBlueprint, Blueprint, BlueprintError, BoxHeadBlueprint, Candidates,
    Coordinates, FirstClass, FpnBlueprint, MaskHeadBlueprint, Paste, PoolerBlueprint,
    PostprocessBlueprint, ProposalSelection, Ranking, Resize, RpnBlueprint, TransformBlueprint,
};
use crate::checkpoint::Checkpoint;
use crate::error::{Error, Result};
use crate::labels::Labels;

/// The `config` of the metadata; its keys are torchvision's arguments.
#[derive(Debug, Deserialize)]
struct Config {
    channels: i64,
    num_classes: i64,
    min_size: usize,
    max_size: usize,
    image_mean: [f32; 3],
    image_std: [f32; 3],
    anchor_sizes: Vec<f32>,
    aspect_ratios: Vec<f32>,
    rpn_pre_nms_top_n: usize,
    rpn_post_nms_top_n: usize,
    rpn_nms_thresh: f64,
    box_hidden: i64,
    box_score_thresh: f32,
    box_nms_thresh: f64,
    detections_per_image: usize,
}

/// Returns the blueprint and the classes that the file describes; its tensors have canonical names.
///
/// # Errors
///
/// When the description is missing, is no JSON of the expected shape, or cannot be a network.
pub(super) fn adapt(checkpoint: &Checkpoint) -> Result<(Blueprint, Labels)> {
    let unusable = |reason: String| Error::Metadata {
        key: "config",
        reason,
    };
    let json = checkpoint.metadata.get("config").map_or("", String::as_str);
    let config: Config = serde_json::from_str(json).map_err(|e| unusable(e.to_string()))?;
    let blueprint = config.blueprint();
    blueprint
        .check()
        .map_err(|BlueprintError { field, expected }| {
            unusable(format!("{}: expected {expected}", own_name(field)))
        })?;
    let labels = Labels::of_metadata(&checkpoint.metadata, None, blueprint.num_classes)?;
    let labels = labels.numbered(coco::id);
    Ok((blueprint, labels))
}

/// What the file calls a field of the blueprint.
fn own_name(field: &'static str) -> &'static str {
    match field {
        "fpn.channels" | "mask_head.channels" => "channels",
        "transform.min_size" => "min_size",
        "transform.max_size" => "max_size",
        "transform.mean" => "image_mean",
        "transform.std" => "image_std",
        "rpn.anchor_sizes" => "anchor_sizes",
        "rpn.aspect_ratios" => "aspect_ratios",
        "rpn.pre_nms_top_n" => "rpn_pre_nms_top_n",
        "rpn.post_nms_top_n" => "rpn_post_nms_top_n",
        "rpn.nms_thresh" => "rpn_nms_thresh",
        "box_head.hidden" => "box_hidden",
        "postprocess.score_thresh" => "box_score_thresh",
        "postprocess.nms_thresh" => "box_nms_thresh",
        "postprocess.detections_per_image" => "detections_per_image",
        other => other,
    }
}

impl Config {
    fn blueprint(self) -> Blueprint {
        Blueprint {
            transform: TransformBlueprint {
                min_size: self.min_size,
                max_size: self.max_size,
                mean: self.image_mean,
                std: self.image_std,
                size_divisible: 32,
                resize: Resize::Float,
            },
            backbone: BackboneBlueprint::EfficientNetLite0,
            fpn: FpnBlueprint {
                channels: self.channels,
                norm_epsilon: None,
            },
            rpn: RpnBlueprint {
                anchor_sizes: self.anchor_sizes,
                aspect_ratios: self.aspect_ratios,
                pre_nms_top_n: self.rpn_pre_nms_top_n,
                post_nms_top_n: self.rpn_post_nms_top_n,
                nms_thresh: self.rpn_nms_thresh,
                min_size: 1e-3,
                convolutions: 1,
                channels: None,
                anchors: Anchors::WholePixels,
                selection: ProposalSelection::PerLevel,
                ranking: Ranking::Probability,
            },
            box_head: BoxHeadBlueprint {
                resolution: 7,
                sampling_ratio: 2,
                hidden: self.box_hidden,
                delta_weights: [10.0, 10.0, 5.0, 5.0],
                convolutions: 0,
                norm_epsilon: None,
                fully_connected: 2,
            },
            mask_head: MaskHeadBlueprint {
                resolution: 14,
                sampling_ratio: 2,
                convolutions: 4,
                channels: self.channels,
                reduced: None,
                norm_epsilon: None,
                paste: Paste::Padded,
            },
            pooler: PoolerBlueprint::default(),
            postprocess: PostprocessBlueprint {
                score_thresh: self.box_score_thresh,
                nms_thresh: self.box_nms_thresh,
                detections_per_image: self.detections_per_image,
                min_size: 1e-2,
                candidates: Candidates::EveryClass,
                first_class: FirstClass::One,
            },
            coordinates: Coordinates::Edges,
            num_classes: self.num_classes,
        }
    }
}
