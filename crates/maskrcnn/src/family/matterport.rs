//! Matterport's Mask R-CNNs with ResNet-50 or ResNet-101, as Keras saves them: `mask_rcnn_coco.h5`,
//! and what people train from it.
//!
//! Matterport `mrcnn/model.py`, `MaskRCNN.build`, and `config.py`. A `Config` is part of no file:
//! where one differs from the defaults, a blueprint says so (docs/blueprint.md has a table).

use std::ops::RangeInclusive;

use super::architecture::{Architecture, check, possible, slots};
use super::coco;
use crate::blueprint::{
    Anchors, BackboneBlueprint, Blueprint, BottleneckStride, BoxHeadBlueprint, Candidates,
    Coordinates, FirstClass, FpnBlueprint, LevelRule, MaskHeadBlueprint, Paste, PoolPadding,
    PoolerBlueprint, PostprocessBlueprint, ProposalSelection, Ranking, ResNetBlueprint, Resize,
    RpnBlueprint, Sampling, TransformBlueprint,
};
use crate::checkpoint::{Checkpoint, Parameter, StateDict};
use crate::error::{Error, Result};
use crate::labels::Labels;

/// The epsilon of Keras's `BatchNormalization`, which Matterport's `BatchNorm` extends.
const NORM_EPSILON: f64 = 1e-3;

/// `MEAN_PIXEL`: red, green and blue.
const MEAN: [f32; 3] = [123.7, 116.8, 103.9];

/// `RPN_BBOX_STD_DEV`, in the order dx, dy, dw, dh.
const PROPOSAL_DEVIATIONS: [f32; 4] = [0.1, 0.1, 0.2, 0.2];

/// One over `BBOX_STD_DEV`, 0.1, 0.1, 0.2, 0.2.
const DELTA_WEIGHTS: [f32; 4] = [10.0, 10.0, 5.0, 5.0];

/// Slots of a classifier of COCO: the background, and the classes in the order of their ids.
const COCO_SLOTS: i64 = 81;

/// Whether these are tensors of such a network.
pub(super) fn recognise(tensors: &StateDict) -> bool {
    let names = [
        "res2a_branch2a/kernel:0",
        "mrcnn_class_logits/kernel:0",
        "mrcnn_mask/kernel:0",
    ];
    let of_rpn = |name: &str| unnumbered(name) == "rpn_class_raw/kernel:0";
    names.iter().all(|name| tensors.contains(name)) && tensors.names().any(of_rpn)
}

/// Whether these are tensors of a network with Matterport's heads.
pub(super) fn is_relative(tensors: &StateDict) -> bool {
    tensors.contains("mrcnn_class_logits/kernel:0")
}

/// Gives the tensors torchvision's names and layouts, and returns the blueprint and the classes.
///
/// # Errors
///
/// When a tensor is missing or has a shape that makes no sense.
pub(super) fn adapt(checkpoint: &mut Checkpoint) -> Result<(Blueprint, Labels)> {
    let tensors = &mut checkpoint.tensors;
    make_canonical(tensors)?;
    let num_classes = slots(tensors, COCO_SLOTS)?;
    let blueprint = blueprint(
        &Architecture::of(tensors)?,
        rpn_channels(tensors),
        num_classes,
    );
    check(&blueprint, "networks of Matterport's sizes are read")?;
    let known = (num_classes == COCO_SLOTS).then(|| Labels::new(coco::contiguous()));
    let labels = Labels::of_metadata(&checkpoint.metadata, known, num_classes)?;
    Ok((blueprint, labels))
}

/// The tensors of no known network as those of such a one: with the architecture that is read off
/// them, or that of ResNet-50.
pub(super) fn reading(tensors: &StateDict) -> Option<(StateDict, Blueprint)> {
    let mut tensors = tensors.clone();
    make_canonical(&mut tensors).ok()?;
    let num_classes = slots(&tensors, COCO_SLOTS).unwrap_or(COCO_SLOTS);
    let blueprint = possible(&tensors, |architecture| {
        blueprint(architecture, rpn_channels(&tensors), num_classes)
    })?;
    Some((tensors, blueprint))
}

/// Gives the tensors torchvision's names and layouts.
fn make_canonical(tensors: &mut StateDict) -> Result<()> {
    // Files saved in training have the anchors among their weights (`ConstLayer`).
    tensors.retain(|name| !name.starts_with("anchors/"));
    tensors.rename(unnumbered)?;
    fold_fully_connected_norms(tensors)?;
    fold_biases(tensors)?;
    for name in owned_names(tensors) {
        if let Some(canonical) = canonical_name(&name) {
            let parameter = tensors.detach(&name)?;
            let parameter =
                laid_out(&name, parameter).map_err(|reason| misshapen(&name, &reason))?;
            tensors.attach(&canonical, parameter)?;
        }
    }
    Ok(())
}

/// `TOP_DOWN_PYRAMID_SIZE` is that of the pyramid; the RPN has a width of its own.
fn rpn_channels(tensors: &StateDict) -> i64 {
    match tensors.shape("rpn.head.conv.0.0.weight") {
        Some(&[channels, ..]) => channels,
        _ => 512,
    }
}

/// Keras numbers the layers of a model that is not the first of its program. The file says which
/// layer each tensor is of, but not so of the RPN's, which are all of one layer, a model itself:
/// `rpn_class_raw_1/kernel:0`.
fn unnumbered(name: &str) -> String {
    const LAYERS: [&str; 3] = ["rpn_conv_shared", "rpn_class_raw", "rpn_bbox_pred"];
    let numbered = name.split_once('/').and_then(|(layer, parameter)| {
        let (layer, number) = layer.rsplit_once('_')?;
        let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
        (is_number && LAYERS.contains(&layer)).then(|| format!("{layer}/{parameter}"))
    });
    numbered.unwrap_or_else(|| name.to_owned())
}

fn owned_names(tensors: &StateDict) -> Vec<String> {
    tensors.names().map(str::to_owned).collect()
}

fn misshapen(name: &str, reason: &str) -> Error {
    Error::Unsupported {
        what: format!("tensor `{name}` {reason}"),
        remedy: "networks that Matterport's `MaskRCNN` builds are read",
    }
}

/// The norms of the box head become part of the fully connected layers in front of them, for which
/// the network has no norms: norm(W·x + b) = (s·W)·x + s·(b − mean) + β with s = γ / √(variance + ε).
fn fold_fully_connected_norms(tensors: &mut StateDict) -> Result<()> {
    for number in [1, 2] {
        let (layer, norm) = (
            format!("mrcnn_class_conv{number}"),
            format!("mrcnn_class_bn{number}"),
        );
        let [kernel, bias] = ["kernel", "bias"].map(|end| format!("{layer}/{end}:0"));
        let [gamma, beta, mean, variance] = ["gamma", "beta", "moving_mean", "moving_variance"]
            .map(|end| format!("{norm}/{end}:0"));
        let shape = match tensors.shape(&gamma) {
            Some(shape) => shape.to_vec(),
            None => continue, // the network says what is missing
        };
        let gains = tensors.take(&gamma, &shape)?.into_f32();
        let variances = tensors.take(&variance, &shape)?.into_f32();
        let mut scales = Vec::with_capacity(gains.len());
        for (channel, (gain, deviation)) in gains.into_iter().zip(variances).enumerate() {
            let scale = f64::from(gain) / (f64::from(deviation) + NORM_EPSILON).sqrt();
            if !scale.is_finite() {
                return Err(Error::NotFinite {
                    name: variance,
                    reason: format!(
                        "channel {channel} has the variance {deviation}, which with the epsilon \
                         {NORM_EPSILON} of its norm has no inverse root"
                    ),
                });
            }
            scales.push(scale as f32);
        }
        let parts = [&kernel, &mean, &beta].map(|name| tensors.detach(name));
        let [weights, means, shifts] = parts;
        let (weights, means, shifts) = (weights?, means?, shifts?);
        let less_mean = if tensors.contains(&bias) {
            tensors.detach(&bias)?.plus(means, -1.0)
        } else {
            Ok(means.scaled(-1.0))
        };
        let shift = less_mean
            .and_then(|shift| shift.scaled_along(0, &scales)?.plus(shifts, 1.0))
            .map_err(|reason| misshapen(&bias, &reason))?;
        let weights = weights
            .scaled_along(3, &scales)
            .map_err(|reason| misshapen(&kernel, &reason))?;
        tensors.attach(&kernel, weights)?;
        tensors.attach(&bias, shift)?;
    }
    Ok(())
}

/// Biases in front of norms become part of the norms' means: norm(x + b) with the mean m is norm(x)
/// with the mean m − b.
fn fold_biases(tensors: &mut StateDict) -> Result<()> {
    for bias in owned_names(tensors) {
        let Some(layer) = bias.strip_suffix("/bias:0") else {
            continue;
        };
        let norm = match layer {
            "conv1" => "bn_conv1".to_owned(),
            _ => match (
                layer.strip_prefix("res"),
                layer.strip_prefix("mrcnn_mask_conv"),
            ) {
                (Some(branch), _) => format!("bn{branch}"),
                (_, Some(number)) => format!("mrcnn_mask_bn{number}"),
                _ => continue,
            },
        };
        let mean = format!("{norm}/moving_mean:0");
        let taken = tensors.detach(&mean)?.plus(tensors.detach(&bias)?, -1.0);
        let taken = taken.map_err(|reason| misshapen(&mean, &reason))?;
        tensors.attach(&mean, taken)?;
    }
    Ok(())
}

/// torchvision's name of a tensor; none for those that no such network has.
fn canonical_name(name: &str) -> Option<String> {
    let (layer, parameter) = name.strip_suffix(":0")?.split_once('/')?;
    let (layer, is_norm) = canonical_layer(layer)?;
    let parameter = match (parameter, is_norm) {
        ("kernel", false) | ("gamma", true) => "weight",
        ("bias", false) | ("beta", true) => "bias",
        ("moving_mean", true) => "running_mean",
        ("moving_variance", true) => "running_var",
        _ => return None,
    };
    Some(format!("{layer}.{parameter}"))
}

/// torchvision's name of a layer, and whether it is a norm.
fn canonical_layer(layer: &str) -> Option<(String, bool)> {
    let named = |name: &str| Some((name.to_owned(), false));
    let number = |before: &str, numbers: RangeInclusive<usize>| {
        let number = layer.strip_prefix(before)?.parse().ok()?;
        numbers.contains(&number).then_some(number)
    };
    if let Some(i) = number("fpn_p", 2..=5) {
        return Some((format!("backbone.fpn.layer_blocks.{}.0", i - 2), false));
    }
    if let Some(i) = number("mrcnn_mask_conv", 1..=4) {
        return Some((format!("roi_heads.mask_head.{}.0", i - 1), false));
    }
    if let Some(i) = number("mrcnn_mask_bn", 1..=4) {
        return Some((format!("roi_heads.mask_head.{}.1", i - 1), true));
    }
    match layer {
        "conv1" => named("backbone.body.conv1"),
        "bn_conv1" => Some(("backbone.body.bn1".to_owned(), true)),
        "fpn_c2p2" => named("backbone.fpn.inner_blocks.0.0"),
        "fpn_c3p3" => named("backbone.fpn.inner_blocks.1.0"),
        "fpn_c4p4" => named("backbone.fpn.inner_blocks.2.0"),
        "fpn_c5p5" => named("backbone.fpn.inner_blocks.3.0"),
        "rpn_conv_shared" => named("rpn.head.conv.0.0"),
        "rpn_class_raw" => named("rpn.head.cls_logits"),
        "rpn_bbox_pred" => named("rpn.head.bbox_pred"),
        "mrcnn_class_conv1" => named("roi_heads.box_head.fc6"),
        "mrcnn_class_conv2" => named("roi_heads.box_head.fc7"),
        "mrcnn_class_logits" => named("roi_heads.box_predictor.cls_score"),
        "mrcnn_bbox_fc" => named("roi_heads.box_predictor.bbox_pred"),
        "mrcnn_mask_deconv" => named("roi_heads.mask_predictor.conv5_mask"),
        "mrcnn_mask" => named("roi_heads.mask_predictor.mask_fcn_logits"),
        _ => residual(layer),
    }
}

/// torchvision's name of a layer of the backbone: `res3a_branch2b` is the second convolution of the
/// first block of its second layer, `bn3a_branch1` the norm of that block's shortcut.
fn residual(layer: &str) -> Option<(String, bool)> {
    let (rest, is_norm) = match (layer.strip_prefix("res"), layer.strip_prefix("bn")) {
        (Some(rest), _) => (rest, false),
        (_, Some(rest)) => (rest, true),
        _ => return None,
    };
    let (place, branch) = rest.split_once("_branch")?;
    let [stage @ b'2'..=b'5', block @ b'a'..=b'z'] = place.as_bytes() else {
        return None;
    };
    let block = format!("backbone.body.layer{}.{}", stage - b'1', block - b'a');
    let kind = if is_norm { "bn" } else { "conv" };
    let layer = match branch {
        "1" => format!("{block}.downsample.{}", u8::from(is_norm)),
        "2a" => format!("{block}.{kind}1"),
        "2b" => format!("{block}.{kind}2"),
        "2c" => format!("{block}.{kind}3"),
        _ => return None,
    };
    Some((layer, is_norm))
}

/// A tensor as torchvision would have it.
///
/// Keras's convolutions are `[height, width, input, output]`, the transposed one `[height, width,
/// output, input]`, its dense layers `[input, output]`. The box head's are convolutions over the
/// whole of their input. Deltas are dy, dx, dh, dw. The RPN has a logit for the background and one
/// for the foreground of each anchor; the softmax over both is the sigmoid of their difference.
fn laid_out(name: &str, parameter: Parameter) -> Result<Parameter, String> {
    let is_kernel = name.ends_with("/kernel:0");
    let parameter = match (is_kernel, parameter.shape().len()) {
        (true, 4) => parameter.permuted(&[3, 2, 0, 1])?,
        (true, _) => parameter.permuted(&[1, 0])?,
        (false, _) => parameter,
    };
    let rows = parameter.shape().first().map_or(0, |&rows| rows as usize);
    match name.split('/').next() {
        Some("mrcnn_class_conv1" | "mrcnn_class_conv2") if is_kernel => Ok(parameter.flattened(1)),
        Some("rpn_class_raw") => {
            let of = |first: usize| (first..rows).step_by(2).collect::<Vec<_>>();
            let background = parameter.clone().selected(0, &of(0))?;
            parameter.selected(0, &of(1))?.plus(background, -1.0)
        }
        Some("rpn_bbox_pred") => {
            let factors: Vec<f32> = (0..rows).map(|i| PROPOSAL_DEVIATIONS[i % 4]).collect();
            x_before_y(parameter, rows)?.scaled_along(0, &factors)
        }
        Some("mrcnn_bbox_fc") => x_before_y(parameter, rows),
        _ => Ok(parameter),
    }
}

/// From rows for dy, dx, dh, dw to rows for dx, dy, dw, dh.
fn x_before_y(parameter: Parameter, rows: usize) -> Result<Parameter, String> {
    let order: Vec<usize> = (0..rows).map(|i| i ^ 1).collect();
    parameter.selected(0, &order)
}

/// A network of this architecture, with the defaults of Matterport's `Config` throughout.
fn blueprint(architecture: &Architecture, rpn_channels: i64, num_classes: i64) -> Blueprint {
    let Architecture {
        backbone, box_head, ..
    } = architecture;
    Blueprint {
        transform: TransformBlueprint {
            min_size: 800,
            max_size: 1024,
            mean: MEAN.map(|mean| mean / 255.0),
            std: [1.0 / 255.0; 3],
            size_divisible: 64,
            resize: Resize::Square,
        },
        backbone: BackboneBlueprint::ResNet(ResNetBlueprint {
            blocks: backbone.blocks,
            norm_epsilon: NORM_EPSILON,
            block: backbone.block,
            groups: backbone.groups,
            width_per_group: backbone.width_per_group,
            stride: BottleneckStride::First,
            pool_padding: PoolPadding::Trailing,
        }),
        fpn: FpnBlueprint {
            channels: architecture.channels,
            norm_epsilon: None,
        },
        rpn: RpnBlueprint {
            anchor_sizes: vec![32.0, 64.0, 128.0, 256.0, 512.0],
            aspect_ratios: vec![2.0, 1.0, 0.5], // width over height: 0.5, 1, 2
            pre_nms_top_n: 6000,
            post_nms_top_n: 1000,
            nms_thresh: 0.7,
            min_size: 0.0,
            convolutions: architecture.rpn_convolutions,
            channels: (rpn_channels != architecture.channels).then_some(rpn_channels),
            anchors: Anchors::Exact,
            selection: ProposalSelection::AllLevels,
            ranking: Ranking::Probability,
        },
        box_head: BoxHeadBlueprint {
            resolution: box_head.resolution,
            sampling_ratio: 1,
            hidden: box_head.hidden,
            delta_weights: DELTA_WEIGHTS,
            convolutions: box_head.convolutions,
            norm_epsilon: None, // folded
            fully_connected: box_head.fully_connected,
        },
        mask_head: MaskHeadBlueprint {
            resolution: 14,
            sampling_ratio: 1,
            convolutions: architecture.mask_convolutions,
            channels: architecture.mask_channels,
            reduced: architecture.mask_reduced,
            norm_epsilon: Some(NORM_EPSILON),
            paste: Paste::WholeBox,
        },
        pooler: PoolerBlueprint {
            sampling: Sampling::Corners,
            level: LevelRule::Round,
        },
        postprocess: PostprocessBlueprint {
            score_thresh: 0.7,
            nms_thresh: 0.3,
            detections_per_image: 100,
            min_size: 0.0,
            candidates: Candidates::SurestClass,
            first_class: FirstClass::One,
        },
        coordinates: Coordinates::Normalised,
        num_classes,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_of_the_rpn_lose_their_number() {
        for (name, expected) in [
            ("rpn_class_raw_12/kernel:0", "rpn_class_raw/kernel:0"),
            ("rpn_class_raw/kernel:0", "rpn_class_raw/kernel:0"),
            ("rpn_class_1/kernel:0", "rpn_class_1/kernel:0"),
            ("rpn_class_raw_/kernel:0", "rpn_class_raw_/kernel:0"),
        ] {
            assert_eq!(unnumbered(name), expected);
        }
    }

    #[test]
    fn layers_have_torchvisions_names() {
        for (keras, canonical) in [
            ("conv1/kernel:0", "backbone.body.conv1.weight"),
            (
                "bn_conv1/moving_variance:0",
                "backbone.body.bn1.running_var",
            ),
            (
                "res2a_branch1/kernel:0",
                "backbone.body.layer1.0.downsample.0.weight",
            ),
            (
                "bn2a_branch1/beta:0",
                "backbone.body.layer1.0.downsample.1.bias",
            ),
            (
                "res4w_branch2c/kernel:0",
                "backbone.body.layer3.22.conv3.weight",
            ),
            ("bn5c_branch2a/gamma:0", "backbone.body.layer4.2.bn1.weight"),
            ("fpn_c5p5/bias:0", "backbone.fpn.inner_blocks.3.0.bias"),
            ("fpn_p2/kernel:0", "backbone.fpn.layer_blocks.0.0.weight"),
            (
                "mrcnn_mask_conv4/kernel:0",
                "roi_heads.mask_head.3.0.weight",
            ),
            (
                "mrcnn_mask_bn1/moving_mean:0",
                "roi_heads.mask_head.0.1.running_mean",
            ),
            (
                "mrcnn_class_conv1/kernel:0",
                "roi_heads.box_head.fc6.weight",
            ),
        ] {
            assert_eq!(canonical_name(keras).as_deref(), Some(canonical));
        }
        for other in [
            "res6a_branch2a/kernel:0",
            "res2A_branch2a/kernel:0",
            "res2a_branch3/kernel:0",
            "conv1/gamma:0",
            "fpn_p6/kernel:0",
            "kernel:0",
        ] {
            assert_eq!(canonical_name(other), None, "{other}");
        }
    }
}
