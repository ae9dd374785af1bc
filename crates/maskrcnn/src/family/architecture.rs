//! What tensors under canonical names show of their network: layers counted, channels measured.
//!
//! A file comes from outside, so this is what it claims. A tensor that is missing is taken to be as
//! torchvision's networks have it: the network that is built of the blueprint then names it, with
//! the shape that it needs. Nothing is allocated here, and a blueprint made of this is to be
//! checked ([`Blueprint::check`](crate::blueprint::Blueprint::check)).

use std::ops::RangeInclusive;

use crate::blueprint::{Block, Blueprint};
use crate::checkpoint::StateDict;
use crate::error::{Error, Result};

/// A tensor whose first axis has the classes, background included.
pub(super) const CLASSIFIER: &str = "roi_heads.box_predictor.cls_score.weight";

/// Slots that the classifier of a network of our time may have; more is a damaged or hostile file.
const SLOTS: RangeInclusive<i64> = 2..=100_000;

const BODY: &str = "backbone.body.";
const PYRAMID: &str = "backbone.fpn.";
const BOX_HEAD: &str = "roi_heads.box_head.";
const MASK_HEAD: &str = "roi_heads.mask_head.";

/// The two designs of torchvision's heads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Generation {
    /// No norms but in the backbone, one convolution in the RPN, fully connected layers only in the
    /// box head.
    V1,
    /// Norms everywhere, more convolutions in the RPN and in the box head.
    V2,
}

/// Batch norms, by what their file keeps of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Norms {
    /// They have `num_batches_tracked`, as PyTorch's `BatchNorm2d` has; torchvision's
    /// `FrozenBatchNorm2d` has not.
    Trained,
    /// They have no such tensor.
    Frozen,
}

/// The sizes of a Mask R-CNN with a ResNet and a pyramid.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Architecture {
    pub backbone: ResNetArchitecture,
    /// Channels of the pyramid.
    pub channels: i64,
    /// Behind the pyramid's convolutions; none where those have biases.
    pub pyramid_norms: Option<Norms>,
    /// 3×3 convolutions of the RPN's head.
    pub rpn_convolutions: usize,
    pub box_head: BoxHeadArchitecture,
    /// Convolutions of the mask head, and their channels.
    pub mask_convolutions: usize,
    pub mask_channels: i64,
    /// Channels of its deconvolution where those are others.
    pub mask_reduced: Option<i64>,
    pub mask_norms: Option<Norms>,
}

/// The sizes of a ResNet.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct ResNetArchitecture {
    pub blocks: [usize; 4],
    pub block: Block,
    pub groups: i64,
    pub width_per_group: i64,
    pub norms: Norms,
}

/// The sizes of a box head.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct BoxHeadArchitecture {
    pub convolutions: usize,
    pub norms: Option<Norms>,
    pub fully_connected: usize,
    pub hidden: i64,
    /// Side of the pooled features.
    pub resolution: usize,
}

impl ResNetArchitecture {
    /// Whether it is a ResNet-50, neither grouped nor wide.
    pub fn is_resnet50(&self) -> bool {
        let Self {
            blocks,
            block,
            groups,
            width_per_group,
            norms: _,
        } = self;
        let shape = (*blocks, *block, *groups, *width_per_group);
        shape == ([3, 4, 6, 3], Block::Bottleneck, 1, 64)
    }

    fn of(tensors: &StateDict) -> Self {
        let blocks = [1, 2, 3, 4].map(|layer| {
            let layer = format!("{BODY}layer{layer}.");
            count(tensors, &layer, ".conv1.weight").max(1)
        });
        let is_bottleneck = tensors
            .names()
            .any(|name| name.starts_with(BODY) && name.ends_with(".conv3.weight"));
        // [width, width / groups, 3, 3], where width = width per group · groups: torchvision
        // `models/resnet.py`, `Bottleneck`, of the first layer's 64 planes.
        let middle = tensors.shape("backbone.body.layer1.0.conv2.weight");
        let (groups, width_per_group) = match middle {
            Some(&[width, per_group, ..]) if is_bottleneck && per_group > 0 => {
                (width / per_group, per_group)
            }
            _ => (1, 64),
        };
        Self {
            blocks,
            block: if is_bottleneck {
                Block::Bottleneck
            } else {
                Block::Basic
            },
            groups,
            width_per_group,
            norms: norms(tensors, BODY),
        }
    }
}

impl BoxHeadArchitecture {
    fn of(tensors: &StateDict, channels: i64) -> Result<Self> {
        let convolutions = count(tensors, BOX_HEAD, ".0.weight");
        // torchvision `models/detection/faster_rcnn.py`, `TwoMLPHead` and `FastRCNNConvFCHead`.
        let (fully_connected, first) = if convolutions == 0 {
            let behind = count(tensors, "roi_heads.box_head.fc", ".weight");
            (behind.saturating_sub(6), "fc6".to_owned())
        } else {
            let place = |layer: usize| convolutions.saturating_add(1 + 2 * layer);
            let layers = (0..100).take_while(|&layer| {
                tensors.contains(&format!("{BOX_HEAD}{}.weight", place(layer)))
            });
            (layers.count(), place(0).to_string())
        };
        let shape = tensors.shape(&format!("{BOX_HEAD}{first}.weight"));
        let (hidden, cells) = match shape {
            Some(&[hidden, columns]) if channels > 0 => (hidden, columns / channels),
            _ => (1024, 49),
        };
        Ok(Self {
            convolutions,
            norms: norms_behind_convolutions(tensors, BOX_HEAD)?,
            fully_connected: fully_connected.max(1),
            hidden,
            resolution: cells.max(1).isqrt() as usize,
        })
    }
}

impl Architecture {
    /// torchvision's `maskrcnn_resnet50_fpn`, or its second design.
    pub fn usual(generation: Generation) -> Self {
        let is_v2 = generation == Generation::V2;
        let norms = is_v2.then_some(Norms::Trained);
        Self {
            backbone: ResNetArchitecture {
                blocks: [3, 4, 6, 3],
                block: Block::Bottleneck,
                groups: 1,
                width_per_group: 64,
                norms: norms.unwrap_or(Norms::Frozen),
            },
            channels: 256,
            pyramid_norms: norms,
            rpn_convolutions: if is_v2 { 2 } else { 1 },
            box_head: BoxHeadArchitecture {
                convolutions: if is_v2 { 4 } else { 0 },
                norms,
                fully_connected: if is_v2 { 1 } else { 2 },
                hidden: 1024,
                resolution: 7,
            },
            mask_convolutions: 4,
            mask_channels: 256,
            mask_reduced: None,
            mask_norms: norms,
        }
    }

    /// Reads it off the tensors.
    ///
    /// # Errors
    ///
    /// When they are of a network that the blueprint has no words for: a pyramid of other levels,
    /// or norms that are no batch norms.
    pub fn of(tensors: &StateDict) -> Result<Self> {
        let levels = count(tensors, "backbone.fpn.inner_blocks.", ".0.weight");
        if levels != 4 {
            return Err(Error::Unsupported {
                what: format!("a feature pyramid on {levels} levels of the backbone"),
                remedy: "pyramids on all four layers of a ResNet are read",
            });
        }
        if let Some(name) = tensors
            .names()
            .find(|name| name.starts_with("backbone.fpn.extra_blocks."))
        {
            return Err(Error::Unsupported {
                what: format!("a coarsest level made by convolutions (`{name}`)"),
                remedy: "pyramids whose coarsest level is taken from the one below are read",
            });
        }
        let channels = rows(tensors, "backbone.fpn.layer_blocks.0.0.weight").unwrap_or(256);
        let mask_channels = rows(tensors, "roi_heads.mask_head.0.0.weight").unwrap_or(channels);
        let reduced = rows(tensors, "roi_heads.mask_predictor.conv5_mask.bias");
        Ok(Self {
            backbone: ResNetArchitecture::of(tensors),
            channels,
            pyramid_norms: norms_behind_convolutions(tensors, PYRAMID)?,
            rpn_convolutions: count(tensors, "rpn.head.conv.", ".0.weight").max(1),
            box_head: BoxHeadArchitecture::of(tensors, channels)?,
            mask_convolutions: count(tensors, MASK_HEAD, ".0.weight"),
            mask_channels,
            mask_reduced: reduced.filter(|&reduced| reduced != mask_channels),
            mask_norms: norms_behind_convolutions(tensors, MASK_HEAD)?,
        })
    }
}

/// The slots of the classifier, background included.
///
/// # Errors
///
/// [`Error::TensorShape`] when it is missing, is no matrix or has no possible number of them; `usual`
/// is what the family's published networks have.
pub(super) fn slots(tensors: &StateDict, usual: i64) -> Result<i64> {
    match tensors.shape(CLASSIFIER) {
        Some(&[slots, _]) if SLOTS.contains(&slots) => Ok(slots),
        shape => Err(Error::TensorShape {
            name: CLASSIFIER.to_owned(),
            expected: vec![usual, 1024],
            found: shape.unwrap_or_default().to_vec(),
        }),
    }
}

/// Checks a blueprint that was made of what tensors show.
///
/// # Errors
///
/// [`Error::Unsupported`] with the field of which there is no such network.
pub(super) fn check(blueprint: &Blueprint, remedy: &'static str) -> Result<()> {
    blueprint.check().map_err(|error| Error::Unsupported {
        what: format!("a network with another {error}"),
        remedy,
    })
}

/// What `blueprint` makes of the architecture that is read off tensors, which may be of no network;
/// where that makes no sense, of ResNet-50's with the heads of v1.
pub(super) fn possible(
    tensors: &StateDict,
    blueprint: impl Fn(&Architecture) -> Blueprint,
) -> Option<Blueprint> {
    let usual = Architecture::usual(Generation::V1);
    let architectures = Architecture::of(tensors).into_iter().chain([usual]);
    let mut blueprints = architectures.map(|architecture| blueprint(&architecture));
    blueprints.find(|blueprint| blueprint.check().is_ok())
}

/// The counters of norms that were trained, which say so, and are of no use to inference.
pub(super) fn is_counter(name: &str) -> bool {
    name.ends_with(".num_batches_tracked")
}

/// The length of a tensor's first axis.
fn rows(tensors: &StateDict, name: &str) -> Option<i64> {
    tensors.shape(name)?.first().copied()
}

/// One more than the largest number that stands between `before` and `behind` in a tensor's name.
///
/// Not the number of such names: where one is missing in between, the network shall say so.
fn count(tensors: &StateDict, before: &str, behind: &str) -> usize {
    let number = |name: &str| {
        let digits = name.strip_prefix(before)?.strip_suffix(behind)?;
        let is_number = digits.bytes().all(|byte| byte.is_ascii_digit());
        is_number.then(|| digits.parse::<usize>().ok()).flatten()
    };
    let largest = tensors.names().filter_map(number).max();
    largest.map_or(0, |number| number.saturating_add(1))
}

/// Of which kind the norms of this part of the network are.
fn norms(tensors: &StateDict, part: &str) -> Norms {
    let counts = |name: &str| name.starts_with(part) && is_counter(name);
    if tensors.names().any(counts) {
        Norms::Trained
    } else {
        Norms::Frozen
    }
}

/// The norms behind the convolutions of this part, torchvision's `Conv2dNormActivation`; none where
/// the convolutions have biases.
///
/// # Errors
///
/// When the norms have no running statistics.
fn norms_behind_convolutions(tensors: &StateDict, part: &str) -> Result<Option<Norms>> {
    let of_norm = |end: &str| {
        let of_norm = |name: &&str| name.starts_with(part) && name.ends_with(end);
        tensors.names().find(of_norm)
    };
    match (of_norm(".1.weight"), of_norm(".1.running_mean")) {
        // A fully connected layer behind no convolution at all may have such a name, too.
        (None, _) => Ok(None),
        (Some(_), Some(_)) => Ok(Some(norms(tensors, part))),
        (Some(name), None) => Err(Error::Unsupported {
            what: format!("a norm without running statistics (`{name}`: a GroupNorm?)"),
            remedy: "batch norms are read",
        }),
    }
}
