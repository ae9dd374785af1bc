//! Model families: what a checkpoint's tensors mean.
//!
//! Each family is one file: how it is recognised, what its tensors are called here, its blueprint
//! and its classes. This is the only place that asks which family it is. It leaves the tensors
//! under canonical names (torchvision's) and hands over a [`Meaning`]; it knows
//! nothing of the network that they become. A canonical checkpoint explains itself and needs no
//! family.

mod architecture;
mod canonical;
mod coco;
mod compact;
mod detectron2;
mod landmarks;
mod matterport;
mod meaning;
mod prefix;
mod torchvision;
#[cfg(test)]
mod wrapped;
mod wrapper;

pub(crate) use canonical::describe;
pub(crate) use meaning::Meaning;
pub(crate) use prefix::{choose, unwrap};
pub use wrapper::Wrapper;

use self::architecture::Generation;
use crate::blueprint::Blueprint;
use crate::checkpoint::{Checkpoint, StateDict, printable};
use crate::error::{Error, Result};

/// A kind of Mask R-CNN: an architecture together with the way its checkpoints are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Family {
    /// The embedded default: EfficientNet-Lite0 with a narrow pyramid.
    Compact,
    /// torchvision's `maskrcnn_resnet50_fpn`, also with another ResNet.
    TorchvisionV1,
    /// torchvision's `maskrcnn_resnet50_fpn_v2`, also with another ResNet.
    TorchvisionV2,
    /// detectron2's Mask R-CNNs with FPN.
    Detectron2,
    /// Matterport's, in Keras.
    Matterport,
}

impl Family {
    const ALL: [Self; 5] = [
        Self::Compact,
        Self::TorchvisionV1,
        Self::TorchvisionV2,
        Self::Detectron2,
        Self::Matterport,
    ];

    /// The name in the metadata of canonical checkpoints and in reports.
    fn name(self) -> &'static str {
        match self {
            Self::Compact => "compact",
            Self::TorchvisionV1 => "torchvision-v1",
            Self::TorchvisionV2 => "torchvision-v2",
            Self::Detectron2 => "detectron2",
            Self::Matterport => "matterport",
        }
    }
}

impl From<Generation> for Family {
    fn from(generation: Generation) -> Self {
        match generation {
            Generation::V1 => Self::TorchvisionV1,
            Generation::V2 => Self::TorchvisionV2,
        }
    }
}

/// Gives the tensors of a checkpoint, out of their wrapper, their canonical names, and says what
/// they are.
///
/// # Errors
///
/// When the checkpoint belongs to no known family, or describes itself in a way that makes no sense.
pub(crate) fn adapt(checkpoint: &mut Checkpoint) -> Result<Meaning> {
    if let Some(meaning) = canonical::read(checkpoint)? {
        return Ok(meaning);
    }
    let family = recognise(checkpoint)?;
    let (blueprint, labels) = match family {
        Family::Compact => compact::adapt(checkpoint)?,
        Family::TorchvisionV1 | Family::TorchvisionV2 => torchvision::adapt(checkpoint)?,
        Family::Detectron2 => detectron2::adapt(checkpoint)?,
        Family::Matterport => matterport::adapt(checkpoint)?,
    };
    Ok(Meaning {
        family: family.name().to_owned(),
        blueprint,
        labels,
    })
}

/// A checkpoint that may be no network, as one family would read it.
pub(crate) struct Reading {
    /// The name of the family.
    pub family: &'static str,
    /// The tensors under the names that the family gives them.
    pub tensors: StateDict,
    /// The network that the family would make of them.
    pub blueprint: Blueprint,
}

/// The tensors, out of their wrapper, as the families would read them that tell by tensors what a
/// network is. The embedded network's is none of them: its files say themselves what they are.
pub(crate) fn readings(tensors: &StateDict) -> Vec<Reading> {
    let of_torchvision = torchvision::readings(tensors).into_iter();
    let of_torchvision = of_torchvision
        .map(|(generation, tensors, blueprint)| (generation.into(), tensors, blueprint));
    // Every other family has names of its own. Where it finds none of them, it reads a file as
    // torchvision does.
    let is_renamed =
        |(read, _): &(StateDict, Blueprint)| read.names().any(|name| !tensors.contains(name));
    let of_detectron2 = detectron2::reading(tensors)
        .filter(is_renamed)
        .map(|(tensors, blueprint)| (Family::Detectron2, tensors, blueprint));
    let of_matterport = matterport::reading(tensors)
        .filter(is_renamed)
        .map(|(tensors, blueprint)| (Family::Matterport, tensors, blueprint));
    let readings = of_torchvision.chain(of_detectron2).chain(of_matterport);
    readings
        .map(|(family, tensors, blueprint)| Reading {
            family: family.name(),
            tensors,
            blueprint,
        })
        .collect()
}

/// Which family a checkpoint belongs to: by what it says of itself, else by tensors that only one
/// family has.
fn recognise(checkpoint: &Checkpoint) -> Result<Family> {
    if let Some(name) = checkpoint.metadata.get("family") {
        let known = Family::ALL.into_iter().find(|family| family.name() == name);
        return known.ok_or_else(|| unknown(format!("its metadata says `{}`", printable(name))));
    }
    let tensors = &checkpoint.tensors;
    if let Some(generation) = torchvision::recognise(tensors) {
        return Ok(generation.into());
    }
    if detectron2::recognise(tensors)? {
        return Ok(Family::Detectron2);
    }
    if matterport::recognise(tensors) {
        return Ok(Family::Matterport);
    }
    // Relatives that people will try, named so that nobody searches for a fault in the file.
    Err(unknown(
        if tensors
            .names()
            .any(|name| name.starts_with("backbone.bottom_up."))
        {
            "it looks like a part of a detectron2 model".to_owned()
        } else if matterport::is_relative(tensors) {
            "it looks like a Matterport model with another backbone than a ResNet-50 or -101"
                .to_owned()
        } else if tensors.contains("head.classification_head.cls_logits.weight") {
            "it looks like a detector without masks (RetinaNet or SSD)".to_owned()
        } else if tensors.contains("roi_heads.keypoint_predictor.kps_score_lowres.weight") {
            "it looks like torchvision's Keypoint R-CNN, which finds keypoints and no masks"
                .to_owned()
        } else if tensors.contains("roi_heads.box_predictor.cls_score.weight") {
            "it looks like a torchvision detector without masks, or with another backbone than a ResNet".to_owned()
        } else if tensors.contains("fc.weight") || tensors.contains("classifier.weight") {
            "it looks like an image classifier".to_owned()
        } else {
            match (tensors.names().next(), &checkpoint.class) {
                (_, Some(class)) if is_yolo(class) => {
                    format!("it is a YOLO of Ultralytics (`{}`)", printable(class))
                }
                (Some(name), Some(class)) => format!(
                    "it is a pickled `{}`, whose tensors have unfamiliar names, such as `{name}`",
                    printable(class)
                ),
                (Some(name), None) => {
                    format!("its tensors have unfamiliar names, such as `{name}`")
                }
                (None, _) => "it holds no tensors".to_owned(),
            }
        },
    ))
}

/// Whether a class of modules is of Ultralytics: its package, and the modules of YOLOv5's scripts.
fn is_yolo(class: &str) -> bool {
    class.starts_with("ultralytics.") || class.starts_with("models.yolo.")
}

fn unknown(reason: String) -> Error {
    let known = Family::ALL.map(Family::name).join(", ");
    Error::UnknownFamily { reason, known }
}
