//! Everything that tells one network from another, as data. Families fill it in, canonical
//! checkpoints carry it, and nothing below them asks who they are.
//!
//! Names and defaults follow torchvision's constructor arguments (`models/detection/mask_rcnn.py`,
//! `faster_rcnn.py`).

mod overlay;

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
    /// How features are pooled for both heads.
    #[serde(default)]
    pub pooler: PoolerBlueprint,
    /// From class scores and box deltas to detections.
    pub postprocess: PostprocessBlueprint,
    /// What the edges of boxes mean between the anchors and the detections.
    #[serde(default)]
    pub coordinates: Coordinates,
    /// Slots of the classifier, background included.
    pub num_classes: i64,
}

/// What the edges of boxes mean between the anchors and the detections.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Coordinates {
    /// Edges between pixels, in pixels; what a box grows by is limited (torchvision, detectron2).
    #[default]
    Edges,
    /// Shares of the input's sides less one pixel, right and bottom edges a pixel further in; what
    /// a box grows by is not limited (Matterport's `norm_boxes`, `apply_box_deltas_graph`).
    Normalised,
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
    /// How pixels are resized.
    #[serde(default)]
    pub resize: Resize,
}

/// How pixels are resized, and where they are put.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Resize {
    /// Normalised floats, bilinear without antialiasing; sides are cut to whole pixels (torchvision's
    /// `GeneralizedRCNNTransform`).
    #[default]
    Float,
    /// Bytes, bilinear with antialiasing, rounded after each pass; sides are rounded, and boxes are
    /// clipped to the image on their way back (detectron2's `ResizeShortestEdge`, which asks Pillow,
    /// and `detector_postprocess`).
    Bytes,
    /// Bytes, into the middle of a square of `max_size` pixels, the rest of which is black before
    /// the mean is taken off (Matterport's `resize_image`, mode `square`).
    Square,
}

/// Which network computes C2..C5.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "network", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum BackboneBlueprint {
    /// A ResNet, a ResNeXt or a wide ResNet.
    #[serde(rename = "resnet")]
    ResNet(ResNetBlueprint),
    /// EfficientNet-Lite0, with folded norms.
    #[serde(rename = "efficientnet-lite0")]
    EfficientNetLite0,
}

/// A ResNet, a ResNeXt or a wide ResNet.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResNetBlueprint {
    /// Blocks in each of the four layers; ResNet-50: 3, 4, 6, 3.
    pub blocks: [usize; 4],
    /// Added to the variance of every batch norm before the square root.
    pub norm_epsilon: f64,
    /// What a block is.
    #[serde(default)]
    pub block: Block,
    /// Groups of the 3×3 convolutions; ResNeXt-101 32x8d: 32.
    #[serde(default = "one")]
    pub groups: i64,
    /// Channels of each group in the first layer; 64 but for ResNeXt (8) and wide ResNets (128).
    #[serde(default = "sixty_four")]
    pub width_per_group: i64,
    /// Which convolution of a layer's first bottleneck has the stride.
    #[serde(default)]
    pub stride: BottleneckStride,
    /// How the input of the stem's max-pooling is padded.
    #[serde(default)]
    pub pool_padding: PoolPadding,
}

/// A block of a ResNet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Block {
    /// 1×1, 3×3, 1×1, from ResNet-50 on.
    #[default]
    Bottleneck,
    /// Two 3×3, in ResNet-18 and ResNet-34.
    Basic,
}

/// Which convolution of a layer's first bottleneck has the stride.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum BottleneckStride {
    /// The 3×3 one (torchvision; detectron2's ResNeXt).
    #[default]
    Middle,
    /// The first 1×1 one (the paper; Matterport; detectron2's ResNets).
    First,
}

/// How the input of the stem's 3×3 max-pooling with stride 2 is padded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum PoolPadding {
    /// By a pixel on each side.
    #[default]
    Symmetric,
    /// By a pixel at the right and the bottom, as TensorFlow's `SAME` pads even sides.
    Trailing,
}

fn one<T: From<u8>>() -> T {
    T::from(1)
}

fn two<T: From<u8>>() -> T {
    T::from(2)
}

fn sixty_four() -> i64 {
    64
}

/// The feature pyramid.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FpnBlueprint {
    /// Channels of P2..P6.
    pub channels: i64,
    /// The epsilon of the batch norm behind each convolution; none where convolutions have biases
    /// instead.
    #[serde(default)]
    pub norm_epsilon: Option<f64>,
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
    /// Proposals with a shorter side, in resized pixels, are dropped, and those without an area.
    pub min_size: f32,
    /// 3×3 convolutions in front of objectness and deltas.
    #[serde(default = "one")]
    pub convolutions: usize,
    /// Their channels; none for as many as the pyramid has.
    #[serde(default)]
    pub channels: Option<i64>,
    /// Where anchors lie.
    #[serde(default)]
    pub anchors: Anchors,
    /// Among which anchors the best are chosen.
    #[serde(default)]
    pub selection: ProposalSelection,
    /// By what proposals are ranked.
    #[serde(default)]
    pub ranking: Ranking,
}

/// By what proposals are ranked among those of all levels. Logits that differ may be one
/// probability, which is then no help.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Ranking {
    /// Objectness as a probability (torchvision, Matterport).
    #[default]
    Probability,
    /// Objectness as a logit (detectron2's `find_top_rpn_proposals`).
    Logit,
}

/// Where anchors lie.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Anchors {
    /// Their edges on whole pixels; a level's stride is the padded side divided by its cells
    /// (torchvision).
    #[default]
    WholePixels,
    /// Unrounded; strides are 4, 8, 16, 32 and 64 (detectron2, Matterport).
    Exact,
}

/// Among which anchors the best are chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum ProposalSelection {
    /// The best `pre_nms_top_n` of each level; boxes of different levels do not suppress each other.
    #[default]
    PerLevel,
    /// The best `pre_nms_top_n` of all levels, which suppress each other (Matterport's
    /// `ProposalLayer`).
    AllLevels,
}

/// How features are pooled for both heads.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PoolerBlueprint {
    /// Where a bin's samples lie.
    #[serde(default)]
    pub sampling: Sampling,
    /// Which level an RoI is pooled from.
    #[serde(default)]
    pub level: LevelRule,
}

/// Where a bin's samples lie.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Sampling {
    /// RoIAlign without a shift; RoIs are at least one cell (torchvision, `aligned=False`).
    #[default]
    Unaligned,
    /// RoIAlign shifted by half a cell; RoIs may be smaller, and levels have their own strides,
    /// not those that the unpadded height suggests (detectron2, `ROIPooler` with `ROIAlignV2`).
    Aligned,
    /// One bilinear sample a bin, the first and the last on the edges of the RoI (TensorFlow's
    /// `crop_and_resize`).
    Corners,
}

/// Which level of the pyramid an RoI is pooled from: k = 4 + log2(side / 224) as a whole number, in
/// 2..=5. FPN paper, eq. 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum LevelRule {
    /// Rounded down, 1e-6 added to the logarithm (torchvision's `LevelMapper`).
    #[default]
    Floor,
    /// Rounded down, 1e-8 added inside the logarithm (detectron2's `assign_boxes_to_levels`).
    FloorOfRatio,
    /// Rounded to the nearest, the side being that of the normalised box times the root of the
    /// input's area (Matterport's `PyramidROIAlign`).
    Round,
}

/// Convolutions, fully connected layers and the two predictors.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BoxHeadBlueprint {
    /// Side of the pooled feature, in bins.
    pub resolution: usize,
    /// Sampling points of RoIAlign along each side of a bin; 0: as many as a bin has cells.
    pub sampling_ratio: usize,
    /// Width of the fully connected layers.
    pub hidden: i64,
    /// What the deltas dx, dy, dw, dh were multiplied by in training.
    pub delta_weights: [f32; 4],
    /// 3×3 convolutions in front of the fully connected layers.
    #[serde(default)]
    pub convolutions: usize,
    /// The epsilon of the batch norm behind each of these convolutions; none where they have biases
    /// instead.
    #[serde(default)]
    pub norm_epsilon: Option<f64>,
    /// Fully connected layers.
    #[serde(default = "two")]
    pub fully_connected: usize,
}

/// Convolutions, a deconvolution, and one mask a class.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MaskHeadBlueprint {
    /// Side of the pooled feature, in bins; masks have twice as many cells.
    pub resolution: usize,
    /// Sampling points of RoIAlign along each side of a bin; 0: as many as a bin has cells.
    pub sampling_ratio: usize,
    /// Number of 3×3 convolutions.
    pub convolutions: usize,
    /// Their channels.
    pub channels: i64,
    /// Channels of the deconvolution; none for as many (torchvision's `dim_reduced`).
    #[serde(default)]
    pub reduced: Option<i64>,
    /// The epsilon of the batch norm behind each convolution; none where they have biases instead.
    #[serde(default)]
    pub norm_epsilon: Option<f64>,
    /// How a mask is enlarged to its box.
    #[serde(default)]
    pub paste: Paste,
}

/// How a mask is enlarged to its box and cut at one half.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Paste {
    /// A cell of zeros around it, its box cut to whole pixels; above one half (torchvision).
    #[default]
    Padded,
    /// Sampled at the centres of pixels; one half and more (detectron2's `_do_paste_mask`).
    PixelCentres,
    /// Resized to its box, whose edges are whole pixels; one half and more (Matterport's
    /// `unmold_mask`).
    WholeBox,
}

/// From class scores and box deltas to detections.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PostprocessBlueprint {
    /// A class of a proposal must score more than this; where it has one class alone, as much, and
    /// what the user asks for takes its place.
    pub score_thresh: f32,
    /// Intersection over union above which the weaker detection of a class is dropped.
    pub nms_thresh: f64,
    /// At most this many detections an image.
    pub detections_per_image: usize,
    /// Detections with a shorter side, in resized pixels, are dropped.
    pub min_size: f32,
    /// How many classes of a proposal become candidates.
    #[serde(default)]
    pub candidates: Candidates,
    /// From where classes are counted when their boxes are shifted apart.
    #[serde(default)]
    pub first_class: FirstClass,
}

/// From where classes are counted when their boxes are shifted apart for non-maximum suppression, by
/// the largest coordinate for each: a shifted coordinate is rounded to less.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum FirstClass {
    /// From one, the background being the class zero (torchvision).
    #[default]
    One,
    /// From zero, the background being the last class (detectron2).
    Zero,
}

/// How many classes of a proposal become candidates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Candidates {
    /// Each class above the threshold (torchvision, detectron2).
    #[default]
    EveryClass,
    /// The surest class alone, the background included; at the threshold or above it (Matterport's
    /// `refine_detections_graph`).
    SurestClass,
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
        /// So that P6 has whole cells. Matterport `mrcnn/model.py`, `MaskRCNN.build`.
        const SQUARE_STRIDE: usize = 64;
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
            pooler,
            postprocess,
            coordinates,
            num_classes,
        } = self;
        let normalised = *coordinates == Coordinates::Normalised;
        let resnet = match backbone {
            BackboneBlueprint::ResNet(resnet) => Some(resnet),
            BackboneBlueprint::EfficientNetLite0 => None,
        };
        let is_of_resnet = |rule: fn(&ResNetBlueprint) -> bool| resnet.is_none_or(rule);
        let epsilon = |value: Option<f64>| value.is_none_or(|e| e.is_finite() && e >= 0.0);
        let boxes = 1..=MOST_BOXES;
        let bins = 1..=64;
        // Only aligned RoIAlign is used with as many samples as a bin has cells.
        let fewest = usize::from(pooler.sampling != Sampling::Aligned);
        let samples = fewest..=16;
        let rules = [
            // These are one way of counting pixels.
            (
                (transform.resize == Resize::Square) == normalised,
                "transform.resize",
                "square where coordinates are normalised, and only there",
            ),
            (
                (pooler.sampling == Sampling::Corners) == normalised,
                "pooler.sampling",
                "corners where coordinates are normalised, and only there",
            ),
            (
                (pooler.level == LevelRule::Round) == normalised,
                "pooler.level",
                "round where coordinates are normalised, and only there",
            ),
            (
                (mask_head.paste == Paste::WholeBox) == normalised,
                "mask_head.paste",
                "whole-box where coordinates are normalised, and only there",
            ),
            (
                !normalised || transform.max_size.is_multiple_of(SQUARE_STRIDE),
                "transform.max_size",
                "a multiple of 64 where the image is put into a square",
            ),
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
                is_of_resnet(|resnet| resnet.blocks.iter().all(|n| (1..=1000).contains(n))),
                "backbone.blocks",
                "1 to 1000 in each layer",
            ),
            (
                epsilon(resnet.map(|resnet| resnet.norm_epsilon)),
                "backbone.norm_epsilon",
                "a number from 0",
            ),
            (
                is_of_resnet(|resnet| (1..=1024).contains(&resnet.groups)),
                "backbone.groups",
                "1 to 1024",
            ),
            (
                is_of_resnet(|resnet| (1..=1024).contains(&resnet.width_per_group)),
                "backbone.width_per_group",
                "1 to 1024",
            ),
            (
                epsilon(fpn.norm_epsilon),
                "fpn.norm_epsilon",
                "a number from 0, or null",
            ),
            (
                (1..=100).contains(&rpn.convolutions),
                "rpn.convolutions",
                "1 to 100",
            ),
            (
                rpn.channels.is_none_or(|n| (1..=4096).contains(&n)),
                "rpn.channels",
                "1 to 4096, or null",
            ),
            (
                box_head.convolutions <= 100,
                "box_head.convolutions",
                "0 to 100",
            ),
            (
                (1..=100).contains(&box_head.fully_connected),
                "box_head.fully_connected",
                "1 to 100",
            ),
            (
                epsilon(box_head.norm_epsilon),
                "box_head.norm_epsilon",
                "a number from 0, or null",
            ),
            (
                epsilon(mask_head.norm_epsilon),
                "mask_head.norm_epsilon",
                "a number from 0, or null",
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
                "1 to 16, or 0 where pooling is aligned",
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
                "1 to 16, or 0 where pooling is aligned",
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
                mask_head.reduced.is_none_or(|n| (1..=4096).contains(&n)),
                "mask_head.reduced",
                "1 to 4096, or null",
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
