//! Everything that tells one network from another, as data. Families fill it in; nothing below them
//! asks who they are.
//!
//! Names and defaults follow torchvision's constructor arguments (`models/detection/mask_rcnn.py`,
//! `faster_rcnn.py`).

/// The whole network and its pre- and post-processing.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ModelConfig {
    pub transform: TransformConfig,
    pub backbone: BackboneConfig,
    pub fpn: FpnConfig,
    pub rpn: RpnConfig,
    pub box_head: BoxHeadConfig,
    pub mask_head: MaskHeadConfig,
    pub postprocess: PostprocessConfig,
    /// Slots of the classifier, background included.
    pub num_classes: i64,
}

/// From the user's pixels to the network's input.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct TransformConfig {
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
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum BackboneConfig {
    ResNet(ResNetConfig),
    EfficientNetLite0,
}

/// A ResNet of bottleneck blocks.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ResNetConfig {
    /// Blocks in each of the four layers; ResNet-50: 3, 4, 6, 3.
    pub blocks: [usize; 4],
    /// Added to the variance of every batch norm before the square root.
    pub norm_epsilon: f64,
}

/// The feature pyramid.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct FpnConfig {
    /// Channels of P2..P6.
    pub channels: i64,
}

/// The region proposal network.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct RpnConfig {
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
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct BoxHeadConfig {
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
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct MaskHeadConfig {
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
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct PostprocessConfig {
    /// A class of a proposal must score more than this.
    pub score_thresh: f32,
    /// Intersection over union above which the weaker detection of a class is dropped.
    pub nms_thresh: f64,
    /// At most this many detections an image.
    pub detections_per_image: usize,
    /// Detections with a shorter side, in resized pixels, are dropped.
    pub min_size: f32,
}
