//! detectron2's Mask R-CNNs with ResNet and FPN: the model zoo's R50-FPN, R101-FPN and
//! X101-32x8d-FPN, and what people train from them.
//!
//! Files are the zoo's pickles of NumPy arrays, the trainer's `.pth`, and either one under other
//! names. What no file of these says is in the `config.yaml` that the trainer writes beside it, and
//! is as the zoo has it where there is none. detectron2 `config/defaults.py`,
//! `modeling/meta_arch/rcnn.py`, and `configs/COCO-InstanceSegmentation`.

mod config;
mod names;
mod relatives;
mod yaml;

use self::config::{Config, Pixels};
use super::architecture::{Architecture, CLASSIFIER, check, is_counter, possible, slots};
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

/// The epsilon of `FrozenBatchNorm2d` (`layers/batch_norm.py`) and of PyTorch's `BatchNorm2d`.
const NORM_EPSILON: f64 = 1e-5;

/// `MODEL.PIXEL_MEAN`: ImageNet's blue, green and red.
const MEAN: [f64; 3] = [103.53, 116.28, 123.675];

/// `MODEL.PIXEL_STD` of R50 and R101, whose first convolutions have taken up the deviation.
const STD: [f64; 3] = [1.0; 3];

/// `MODEL.PIXEL_STD` of X101.
const STD_OF_RESNEXT: [f64; 3] = [57.375, 57.12, 58.395];

/// `ROI_HEADS.NUM_CLASSES` of COCO, the background not among them.
const COCO_CLASSES: i64 = 80;

const BOX_DELTAS: &str = "roi_heads.box_predictor.bbox_pred";
const MASK_LOGITS: &str = "roi_heads.mask_predictor.mask_fcn_logits";
const STEM: &str = "backbone.body.conv1.weight";
const CELL_ANCHORS: &str = "anchor_generator.cell_anchors.";

/// Whether these are tensors of a Mask R-CNN with FPN of detectron2's.
///
/// # Errors
///
/// [`Error::Unsupported`] for another network of detectron2's, by its name.
pub(super) fn recognise(tensors: &StateDict) -> Result<bool> {
    if !relatives::is_detectron2(tensors) {
        return Ok(false);
    }
    relatives::refuse(tensors)?;
    let names = [
        "backbone.bottom_up.stem.conv1.weight",
        "backbone.fpn_output2.weight",
        "proposal_generator.rpn_head.objectness_logits.weight",
        CLASSIFIER,
        "roi_heads.mask_head.predictor.weight",
    ];
    Ok(names.iter().all(|name| tensors.contains(name)))
}

/// Gives the tensors torchvision's names, order of classes and order of colours, and returns the
/// blueprint and the classes.
///
/// # Errors
///
/// When two tensors get the same name, one has a shape that makes no sense, or the configuration
/// beside the file is of a network that is not read.
pub(super) fn adapt(checkpoint: &mut Checkpoint) -> Result<(Blueprint, Labels)> {
    let config = match &checkpoint.path {
        Some(path) => Config::beside(path)?,
        None => None,
    };
    let tensors = &mut checkpoint.tensors;
    tensors.rename(names::canonical_name)?;
    let classes = classes(tensors)?;
    put_background_first(tensors, classes)?;

    let mut blueprint = blueprint(&Architecture::of(tensors)?, classes + 1);
    let mut pixels = pixels(tensors, &blueprint)?;
    if let Some((sizes, ratios)) = anchors(tensors)? {
        blueprint.rpn.anchor_sizes = sizes;
        blueprint.rpn.aspect_ratios = ratios;
    }
    if let Some(config) = config {
        let changed = config.lay_over(&mut blueprint, &mut pixels, classes)?;
        let read = if changed.is_empty() {
            "which says the same as the model zoo's".to_owned()
        } else {
            format!("for {}", changed.join(", "))
        };
        let note = format!("read the {} beside the weights, {read}", config::NAME);
        checkpoint.notes.push(note);
    }
    let tensors = &mut checkpoint.tensors;
    give_red_first(tensors, &mut blueprint, &pixels)?;
    check(&blueprint, "networks of detectron2's sizes are read")?;
    tensors.retain(|name| !is_counter(name));
    let known = (classes == COCO_CLASSES).then(|| Labels::new(coco::contiguous()));
    let labels = Labels::of_metadata(&checkpoint.metadata, known, classes + 1)?;
    Ok((blueprint, labels))
}

/// The tensors of no known network as those of such a one: with the architecture that is read off
/// them, or that of R50-FPN.
pub(super) fn reading(tensors: &StateDict) -> Option<(StateDict, Blueprint)> {
    let mut tensors = tensors.clone();
    tensors.rename(names::canonical_name).ok()?;
    let classes = classes(&tensors).unwrap_or(COCO_CLASSES);
    put_background_first(&mut tensors, classes).ok()?;
    tensors.retain(|name| {
        let is_of_pixels = name.starts_with("pixel_") || name.contains(CELL_ANCHORS);
        !(is_of_pixels || is_counter(name))
    });
    let blueprint = possible(&tensors, |architecture| {
        blueprint(architecture, classes + 1)
    })?;
    Some((tensors, blueprint))
}

/// The number of classes, without the background.
fn classes(tensors: &StateDict) -> Result<i64> {
    slots(tensors, COCO_CLASSES + 1).map(|slots| slots - 1)
}

/// From classes with the background behind them, and outputs that have none, to torchvision's, where
/// it is the first. What is the same for all classes becomes each class's.
///
/// detectron2 `modeling/roi_heads/fast_rcnn.py`, `FastRCNNOutputLayers`; `mask_head.py`,
/// `MaskRCNNConvUpsampleHead`.
fn put_background_first(tensors: &mut StateDict, classes: i64) -> Result<()> {
    let classes = classes as usize;
    for end in ["weight", "bias"] {
        let slots: Vec<usize> = std::iter::once(classes).chain(0..classes).collect();
        change(
            tensors,
            &format!("roi_heads.box_predictor.cls_score.{end}"),
            |scores| scores.selected(0, &slots),
        )?;
        // Four deltas a class, and a mask a class.
        for (name, rows) in [(BOX_DELTAS, 4), (MASK_LOGITS, 1)] {
            change(tensors, &format!("{name}.{end}"), |of_classes| {
                let of_background = of_classes.clone().cut(0, 0..rows)?.scaled(0.0);
                let is_agnostic = of_classes.shape()[0] == rows as i64;
                let of_classes = if is_agnostic {
                    let places: Vec<usize> = (0..classes).flat_map(|_| 0..rows).collect();
                    of_classes.selected(0, &places)?
                } else {
                    of_classes
                };
                of_background.joined(0, [of_classes])
            })?;
        }
    }
    Ok(())
}

/// How the network is given pixels, without a configuration: as the file has it, where it was saved
/// by a detectron2 of 2020 or 2021, else as the zoo's networks of its kind are.
fn pixels(tensors: &mut StateDict, blueprint: &Blueprint) -> Result<Pixels> {
    let is_resnext = matches!(&blueprint.backbone, BackboneBlueprint::ResNet(r) if r.groups > 1);
    let mut pixels = Pixels {
        bgr: true,
        mean: MEAN,
        std: if is_resnext { STD_OF_RESNEXT } else { STD },
    };
    for (name, values) in [
        ("pixel_mean", &mut pixels.mean),
        ("pixel_std", &mut pixels.std),
    ] {
        if tensors.contains(name) {
            let found = tensors.take(name, &[3, 1, 1])?.into_f32();
            for (value, found) in values.iter_mut().zip(found) {
                // The numbers that were written before they became f32.
                *value = if (f64::from(found) - *value).abs() < 1e-4 {
                    *value
                } else {
                    f64::from(found)
                };
            }
        }
    }
    // The file does not say which colour comes first, but its mean may be ImageNet's.
    let reversed = MEAN.iter().rev();
    pixels.bgr = !reversed
        .zip(pixels.mean)
        .all(|(mean, found)| (mean - found).abs() < 1e-2);
    Ok(pixels)
}

/// Sizes and ratios of the anchors, where the file has those of a cell, x1, y1, x2, y2 for each level.
///
/// detectron2 `modeling/anchor_generator.py`, `generate_cell_anchors`.
fn anchors(tensors: &mut StateDict) -> Result<Option<(Vec<f32>, Vec<f32>)>> {
    let prefix = format!("proposal_generator.{CELL_ANCHORS}");
    let mut levels: Vec<(f32, Vec<f32>)> = Vec::new();
    loop {
        let name = format!("{prefix}{}", levels.len());
        let Some(shape) = tensors.shape(&name).map(<[i64]>::to_vec) else {
            break;
        };
        let unfamiliar = || Error::Unsupported {
            what: format!("anchors as those of `{name}`"),
            remedy: "anchors of one size a level and the same ratios on all are read",
        };
        if !matches!(*shape, [1..=100, 4]) {
            return Err(unfamiliar());
        }
        let edges = tensors.take(&name, &shape)?.into_f32();
        let sides = edges.as_chunks().0.iter();
        let sides: Vec<(f32, f32)> = sides.map(|&[x1, y1, x2, y2]| (x2 - x1, y2 - y1)).collect();
        // Written with few digits, and computed from these in f32.
        let rounded = |value: f32| (value * 1e3).round() / 1e3;
        let sizes = sides.iter().map(|(w, h)| rounded((w * h).sqrt()));
        let ratios = sides.iter().map(|(w, h)| rounded(h / w));
        let (sizes, ratios): (Vec<f32>, Vec<f32>) = (sizes.collect(), ratios.collect());
        let is_one_size = sizes
            .iter()
            .all(|size| (size / sizes[0] - 1.0).abs() < 1e-3);
        let same_ratios = levels.first().is_none_or(|(_, first)| *first == ratios);
        if !is_one_size || !same_ratios {
            return Err(unfamiliar());
        }
        levels.push((sizes[0], ratios));
    }
    let ratios = levels.first().map(|(_, ratios)| ratios.clone());
    Ok(ratios.map(|ratios| (levels.iter().map(|(size, _)| *size).collect(), ratios)))
}

/// Turns the colours of the first convolution and of the pixels' mean around, where blue comes
/// first, and takes the mean from pixels of 0 to 1.
fn give_red_first(
    tensors: &mut StateDict,
    blueprint: &mut Blueprint,
    pixels: &Pixels,
) -> Result<()> {
    let (mut mean, mut std) = (pixels.mean, pixels.std);
    if pixels.bgr {
        mean.reverse();
        std.reverse();
        change(tensors, STEM, |weight| weight.selected(1, &[2, 1, 0]))?;
    }
    blueprint.transform.mean = mean.map(|mean| (mean / 255.0) as f32);
    blueprint.transform.std = std.map(|std| (std / 255.0) as f32);
    Ok(())
}

/// Replaces a tensor by what `change` makes of it. One that is missing stays so: the network that is
/// built names it.
fn change(
    tensors: &mut StateDict,
    name: &str,
    change: impl FnOnce(Parameter) -> Result<Parameter, String>,
) -> Result<()> {
    if !tensors.contains(name) {
        return Ok(());
    }
    let old = tensors.detach(name)?;
    if old.shape().is_empty() {
        return tensors.attach(name, old);
    }
    let new = change(old).map_err(|reason| Error::Unsupported {
        what: format!("tensor `{name}`, which {reason},"),
        remedy: "networks of detectron2's sizes are read",
    })?;
    tensors.attach(name, new)
}

/// A network of this architecture, as the model zoo has it.
fn blueprint(architecture: &Architecture, num_classes: i64) -> Blueprint {
    let Architecture {
        backbone, box_head, ..
    } = architecture;
    Blueprint {
        transform: TransformBlueprint {
            min_size: 800,
            max_size: 1333,
            // Both are set with the order of colours.
            mean: [0.0; 3],
            std: [1.0; 3],
            size_divisible: 32,
            resize: Resize::Bytes,
        },
        backbone: BackboneBlueprint::ResNet(ResNetBlueprint {
            blocks: backbone.blocks,
            norm_epsilon: NORM_EPSILON,
            block: backbone.block,
            groups: backbone.groups,
            width_per_group: backbone.width_per_group,
            // `STRIDE_IN_1X1`: the ResNets are MSRA's, the ResNeXt is PyTorch's.
            stride: if backbone.groups > 1 {
                BottleneckStride::Middle
            } else {
                BottleneckStride::First
            },
            pool_padding: PoolPadding::Symmetric,
        }),
        fpn: FpnBlueprint {
            channels: architecture.channels,
            norm_epsilon: None,
        },
        rpn: RpnBlueprint {
            anchor_sizes: vec![32.0, 64.0, 128.0, 256.0, 512.0],
            aspect_ratios: vec![0.5, 1.0, 2.0],
            pre_nms_top_n: 1000,
            post_nms_top_n: 1000,
            nms_thresh: 0.7,
            min_size: 0.0,
            convolutions: architecture.rpn_convolutions,
            channels: None,
            anchors: Anchors::Exact,
            selection: ProposalSelection::PerLevel,
            ranking: Ranking::Logit,
        },
        box_head: BoxHeadBlueprint {
            resolution: box_head.resolution,
            sampling_ratio: 0,
            hidden: box_head.hidden,
            delta_weights: [10.0, 10.0, 5.0, 5.0],
            convolutions: box_head.convolutions,
            norm_epsilon: None,
            fully_connected: box_head.fully_connected,
        },
        mask_head: MaskHeadBlueprint {
            resolution: 14,
            sampling_ratio: 0,
            convolutions: architecture.mask_convolutions,
            channels: architecture.mask_channels,
            reduced: architecture.mask_reduced,
            norm_epsilon: None,
            paste: Paste::PixelCentres,
        },
        pooler: PoolerBlueprint {
            sampling: Sampling::Aligned,
            level: LevelRule::FloorOfRatio,
        },
        postprocess: PostprocessBlueprint {
            score_thresh: 0.05,
            nms_thresh: 0.5,
            detections_per_image: 100,
            min_size: 0.0,
            candidates: Candidates::EveryClass,
            first_class: FirstClass::Zero,
        },
        coordinates: Coordinates::Edges,
        num_classes,
    }
}
