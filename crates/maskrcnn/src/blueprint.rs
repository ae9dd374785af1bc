//! Everything that tells one network from another, as data. Families fill it in, canonical
//! checkpoints carry it, and nothing below them asks who they are.
//!
//! Names and defaults follow torchvision's constructor arguments (`models/detection/mask_rcnn.py`,
//! `faster_rcnn.py`).

use serde::{Deserialize, Serialize};

/// The whole network and its pre- and post-processing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Blueprint {
    /// From the user's pixels to the network's input.
    pub transform: TransformBlueprint,
    /// Which network computes C2..C5.
    pub backbone: BackboneBlueprint,
    /// The feature pyramid.
    pub fpn: FpnBlueprint,
    /// The region proposal network.
    pub rpn: RpnBlueprint,
    /// What proposals hold.
    pub box_head: BoxHeadBlueprint,
    /// Which part of its box an object covers.
    pub mask_head: MaskHeadBlueprint,
    /// From class scores and box deltas to detections.
    pub postprocess: PostprocessBlueprint,
    /// Slots of the classifier, background included.
    pub num_classes: i64,
}

/// From the user's pixels to the network's input.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TransformBlueprint {
    /// The shorter side is resized to this many pixels …
    pub min_size: usize,
    /// … unless the longer side would then exceed this many.
    pub max_size: usize,
    /// Subtracted from each of red, green, blue, which are in 0..=1.
    pub mean: [f32; 3],
    /// Divides what is left.
    pub std: [f32; 3],
    /// Both sides are padded with zeros, right and bottom, to a multiple of this many pixels.
    pub size_divisible: usize,
}

/// Which network computes C2..C5.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "network", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum BackboneBlueprint {
    /// A ResNet of bottleneck blocks.
    #[serde(rename = "resnet")]
    ResNet(ResNetBlueprint),
    /// EfficientNet-Lite0, with folded norms.
    #[serde(rename = "efficientnet-lite0")]
    EfficientNetLite0,
}

/// A ResNet of bottleneck blocks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResNetBlueprint {
    /// Blocks in each of the four layers; ResNet-50: 3, 4, 6, 3.
    pub blocks: [usize; 4],
    /// Added to the variance of every batch norm before the square root.
    pub norm_epsilon: f64,
}

/// The feature pyramid.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FpnBlueprint {
    /// Channels of P2..P6.
    pub channels: i64,
}

/// The region proposal network.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RpnBlueprint {
    /// Anchor side in resized pixels, one for each of P2..P6.
    pub anchor_sizes: Vec<f32>,
    /// Height over width, the same on every level.
    pub aspect_ratios: Vec<f32>,
    /// Anchors of a level that go into non-maximum suppression.
    pub pre_nms_top_n: usize,
    /// Proposals that come out of it, over all levels.
    pub post_nms_top_n: usize,
    /// Intersection over union above which the weaker proposal of a level is dropped.
    pub nms_thresh: f64,
    /// Proposals with a shorter side, in resized pixels, are dropped.
    pub min_size: f32,
}

/// Two fully connected layers and the two predictors.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BoxHeadBlueprint {
    /// Side of the pooled feature, in bins.
    pub resolution: usize,
    /// Sampling points of RoIAlign along each side of a bin.
    pub sampling_ratio: usize,
    /// Width of the fully connected layers.
    pub hidden: i64,
    /// What the deltas dx, dy, dw, dh were multiplied by in training.
    pub delta_weights: [f32; 4],
}

/// Convolutions, a deconvolution, and one mask a class.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MaskHeadBlueprint {
    /// Side of the pooled feature, in bins; masks have twice as many cells.
    pub resolution: usize,
    /// Sampling points of RoIAlign along each side of a bin.
    pub sampling_ratio: usize,
    /// Number of 3×3 convolutions.
    pub convolutions: usize,
    /// Their channels, and those of the deconvolution.
    pub channels: i64,
}

/// From class scores and box deltas to detections.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PostprocessBlueprint {
    /// A class of a proposal must score more than this.
    pub score_thresh: f32,
    /// Intersection over union above which the weaker detection of a class is dropped.
    pub nms_thresh: f64,
    /// At most this many detections an image.
    pub detections_per_image: usize,
    /// Detections with a shorter side, in resized pixels, are dropped.
    pub min_size: f32,
}

/// What of a blueprint makes no sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: expected {expected}")]
pub struct BlueprintError {
    /// The path of the field, such as `rpn.nms_thresh`.
    pub field: &'static str,
    /// What it has to be.
    pub expected: &'static str,
}

impl Blueprint {
    /// Checks numbers that would make the pipeline fail, or run out of memory, later.
    ///
    /// # Errors
    ///
    /// For the first field that cannot be.
    pub fn check(&self) -> Result<(), BlueprintError> {
        const LEVELS: usize = 5; // P2..P6
        /// Sides beyond this need tens of gigabytes.
        const LARGEST_SIDE: usize = 8192;
        /// Non-maximum suppression compares all pairs; torchvision's networks take 1000.
        const MOST_BOXES: usize = 10_000;
        /// Every detection has a mask of up to the image's size; torchvision's networks give 100.
        const MOST_DETECTIONS: usize = 1000;
        /// The coarsest stride of a backbone: sides of other lengths have no pyramid.
        const STRIDE: usize = 32;
        let positive = |values: &[f32]| values.iter().all(|&v| v.is_finite() && v > 0.0);
        let natural = |value: f32| value.is_finite() && value >= 0.0;
        let share = |value: f64| (0.0..=1.0).contains(&value);
        let Self {
            transform,
            backbone,
            fpn,
            rpn,
            box_head,
            mask_head,
            postprocess,
            num_classes,
        } = self;
        let (blocks, epsilon) = match backbone {
            BackboneBlueprint::ResNet(resnet) => (&resnet.blocks[..], resnet.norm_epsilon),
            BackboneBlueprint::EfficientNetLite0 => (&[][..], 0.0),
        };
        let boxes = 1..=MOST_BOXES;
        let bins = 1..=64;
        let samples = 1..=16;
        let rules = [
            (
                rpn.anchor_sizes.len() == LEVELS && positive(&rpn.anchor_sizes),
                "rpn.anchor_sizes",
                "five positive sizes",
            ),
            (
                (1..=100).contains(&rpn.aspect_ratios.len()) && positive(&rpn.aspect_ratios),
                "rpn.aspect_ratios",
                "up to 100 positive ratios",
            ),
            (
                (1..=LARGEST_SIDE).contains(&transform.min_size),
                "transform.min_size",
                "1 to 8192",
            ),
            (
                (transform.min_size..=LARGEST_SIDE).contains(&transform.max_size),
                "transform.max_size",
                "min_size to 8192",
            ),
            (
                transform.mean.iter().all(|mean| mean.is_finite()),
                "transform.mean",
                "numbers",
            ),
            (
                positive(&transform.std),
                "transform.std",
                "positive numbers",
            ),
            (
                (STRIDE..=1024).contains(&transform.size_divisible)
                    && transform.size_divisible.is_multiple_of(STRIDE),
                "transform.size_divisible",
                "a multiple of 32, up to 1024",
            ),
            (
                blocks.iter().all(|count| (1..=1000).contains(count)),
                "backbone.blocks",
                "1 to 1000 in each layer",
            ),
            (
                epsilon.is_finite() && epsilon >= 0.0,
                "backbone.norm_epsilon",
                "a number from 0",
            ),
            (
                (1..=4096).contains(&fpn.channels),
                "fpn.channels",
                "1 to 4096",
            ),
            (
                (2..=100_000).contains(num_classes),
                "num_classes",
                "2 to 100000",
            ),
            (
                (1..=65_536).contains(&box_head.hidden),
                "box_head.hidden",
                "1 to 65536",
            ),
            (
                bins.contains(&box_head.resolution),
                "box_head.resolution",
                "1 to 64",
            ),
            (
                samples.contains(&box_head.sampling_ratio),
                "box_head.sampling_ratio",
                "1 to 16",
            ),
            (
                positive(&box_head.delta_weights),
                "box_head.delta_weights",
                "four positive numbers",
            ),
            (
                bins.contains(&mask_head.resolution),
                "mask_head.resolution",
                "1 to 64",
            ),
            (
                samples.contains(&mask_head.sampling_ratio),
                "mask_head.sampling_ratio",
                "1 to 16",
            ),
            (
                mask_head.convolutions <= 100,
                "mask_head.convolutions",
                "0 to 100",
            ),
            (
                (1..=4096).contains(&mask_head.channels),
                "mask_head.channels",
                "1 to 4096",
            ),
            (
                boxes.contains(&rpn.pre_nms_top_n),
                "rpn.pre_nms_top_n",
                "1 to 10000",
            ),
            (
                boxes.contains(&rpn.post_nms_top_n),
                "rpn.post_nms_top_n",
                "1 to 10000",
            ),
            (natural(rpn.min_size), "rpn.min_size", "a number from 0"),
            (
                (1..=MOST_DETECTIONS).contains(&postprocess.detections_per_image),
                "postprocess.detections_per_image",
                "1 to 1000",
            ),
            (share(rpn.nms_thresh), "rpn.nms_thresh", "0 to 1"),
            (
                share(postprocess.nms_thresh),
                "postprocess.nms_thresh",
                "0 to 1",
            ),
            (
                share(postprocess.score_thresh.into()),
                "postprocess.score_thresh",
                "0 to 1",
            ),
            (
                natural(postprocess.min_size),
                "postprocess.min_size",
                "a number from 0",
            ),
        ];
        match rules.into_iter().find(|(holds, ..)| !holds) {
            Some((_, field, expected)) => Err(BlueprintError { field, expected }),
            None => Ok(()),
        }
    }
}
