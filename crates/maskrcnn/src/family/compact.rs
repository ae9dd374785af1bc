//! The embedded default: EfficientNet-Lite0, a 96-channel pyramid and narrow heads, norms folded
//! already.
//!
//! Its file describes itself: sizes, anchors and thresholds stand in the metadata key `config`,
//! class names in `labels`. The model card is in `weights/README.md`.

use serde::Deserialize;

use super::coco;
use crate::checkpoint::Checkpoint;
use crate::config::{
    BackboneConfig, BoxHeadConfig, FpnConfig, MaskHeadConfig, ModelConfig, PostprocessConfig,
    RpnConfig, TransformConfig,
};
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

/// Returns the configuration and the classes that the file describes; its tensors have canonical
/// names.
///
/// # Errors
///
/// When the description is missing, is no JSON of the expected shape, or cannot be a network.
pub(super) fn adapt(checkpoint: &Checkpoint) -> Result<(ModelConfig, Labels)> {
    let json = checkpoint.metadata.get("config").map_or("", String::as_str);
    let config: Config = serde_json::from_str(json).map_err(|e| unusable(e.to_string()))?;
    config.check()?;
    let labels = match checkpoint.metadata.get("labels") {
        Some(json) => Labels::from_json(json)?,
        None => Labels::unnamed(config.num_classes),
    };
    let labels = labels.numbered(coco::id);
    labels.check_slots(config.num_classes)?;
    Ok((config.model(), labels))
}

fn unusable(reason: impl Into<String>) -> Error {
    Error::Metadata {
        key: "config",
        reason: reason.into(),
    }
}

impl Config {
    /// Refuses numbers that would make the pipeline fail or run out of memory later.
    fn check(&self) -> Result<()> {
        const LEVELS: usize = 5; // P2..P6
        /// Sides beyond this need tens of gigabytes.
        const LARGEST_SIDE: usize = 8192;
        /// Non-maximum suppression compares all pairs; torchvision's networks take 1000.
        const MOST_BOXES: usize = 10_000;
        /// Every detection has a mask of up to the image's size; torchvision's networks give 100.
        const MOST_DETECTIONS: usize = 1000;
        let positive = |values: &[f32]| values.iter().all(|&v| v.is_finite() && v > 0.0);
        let share = |value: f64| (0.0..=1.0).contains(&value);
        let rules = [
            (
                self.anchor_sizes.len() == LEVELS && positive(&self.anchor_sizes),
                "anchor_sizes: expected five positive sizes",
            ),
            (
                (1..=100).contains(&self.aspect_ratios.len()) && positive(&self.aspect_ratios),
                "aspect_ratios: expected up to 100 positive ratios",
            ),
            (
                (1..=LARGEST_SIDE).contains(&self.min_size),
                "min_size: expected 1 to 8192",
            ),
            (
                (self.min_size..=LARGEST_SIDE).contains(&self.max_size),
                "max_size: expected min_size to 8192",
            ),
            (
                self.image_mean.iter().all(|mean| mean.is_finite()),
                "image_mean: expected numbers",
            ),
            (
                positive(&self.image_std),
                "image_std: expected positive numbers",
            ),
            (
                (1..=4096).contains(&self.channels),
                "channels: expected 1 to 4096",
            ),
            (
                (2..=100_000).contains(&self.num_classes),
                "num_classes: expected 2 to 100000",
            ),
            (
                (1..=65_536).contains(&self.box_hidden),
                "box_hidden: expected 1 to 65536",
            ),
            (
                (1..=MOST_BOXES).contains(&self.rpn_pre_nms_top_n),
                "rpn_pre_nms_top_n: expected 1 to 10000",
            ),
            (
                (1..=MOST_BOXES).contains(&self.rpn_post_nms_top_n),
                "rpn_post_nms_top_n: expected 1 to 10000",
            ),
            (
                (1..=MOST_DETECTIONS).contains(&self.detections_per_image),
                "detections_per_image: expected 1 to 1000",
            ),
            (
                share(self.rpn_nms_thresh),
                "rpn_nms_thresh: expected 0 to 1",
            ),
            (
                share(self.box_nms_thresh),
                "box_nms_thresh: expected 0 to 1",
            ),
            (
                share(self.box_score_thresh.into()),
                "box_score_thresh: expected 0 to 1",
            ),
        ];
        rules
            .iter()
            .try_for_each(|&(holds, rule)| if holds { Ok(()) } else { Err(unusable(rule)) })
    }

    fn model(self) -> ModelConfig {
        ModelConfig {
            transform: TransformConfig {
                min_size: self.min_size,
                max_size: self.max_size,
                mean: self.image_mean,
                std: self.image_std,
                size_divisible: 32,
            },
            backbone: BackboneConfig::EfficientNetLite0,
            fpn: FpnConfig {
                channels: self.channels,
            },
            rpn: RpnConfig {
                anchor_sizes: self.anchor_sizes,
                aspect_ratios: self.aspect_ratios,
                pre_nms_top_n: self.rpn_pre_nms_top_n,
                post_nms_top_n: self.rpn_post_nms_top_n,
                nms_thresh: self.rpn_nms_thresh,
                min_size: 1e-3,
            },
            box_head: BoxHeadConfig {
                resolution: 7,
                sampling_ratio: 2,
                hidden: self.box_hidden,
                delta_weights: [10.0, 10.0, 5.0, 5.0],
            },
            mask_head: MaskHeadConfig {
                resolution: 14,
                sampling_ratio: 2,
                convolutions: 4,
                channels: self.channels,
            },
            postprocess: PostprocessConfig {
                score_thresh: self.box_score_thresh,
                nms_thresh: self.box_nms_thresh,
                detections_per_image: self.detections_per_image,
                min_size: 1e-2,
            },
            num_classes: self.num_classes,
        }
    }
}
