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

use self::torchvision::Generation;
use crate::checkpoint::{Checkpoint, printable};
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
    /// Matterport's, in Keras.
    Matterport,
}

impl Family {
    const ALL: [Self; 4] = [
        Self::Compact,
        Self::TorchvisionV1,
        Self::TorchvisionV2,
        Self::Matterport,
    ];

    /// The name in the metadata of canonical checkpoints and in reports.
    fn name(self) -> &'static str {
        match self {
            Self::Compact => "compact",
            Self::TorchvisionV1 => "torchvision-v1",
            Self::TorchvisionV2 => "torchvision-v2",
            Self::Matterport => "matterport",
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
        Family::Matterport => matterport::adapt(checkpoint)?,
    };
    Ok(Meaning {
        family: family.name().to_owned(),
        blueprint,
        labels,
    })
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
        return Ok(match generation {
            Generation::V1 => Family::TorchvisionV1,
            Generation::V2 => Family::TorchvisionV2,
        });
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
            "it looks like a detectron2 model, which is not read yet".to_owned()
        } else if matterport::is_relative(tensors) {
            "it looks like a Matterport model with another backbone than a ResNet-50 or -101"
                .to_owned()
        } else if tensors.contains("head.classification_head.cls_logits.weight") {
            "it looks like a detector without masks (RetinaNet or SSD)".to_owned()
        } else if tensors.contains("roi_heads.box_predictor.cls_score.weight") {
            "it looks like a torchvision detector without masks, or with another backbone than a ResNet".to_owned()
        } else if tensors.contains("fc.weight") || tensors.contains("classifier.weight") {
            "it looks like an image classifier".to_owned()
        } else {
            match (tensors.names().next(), &checkpoint.class) {
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

fn unknown(reason: String) -> Error {
    let known = Family::ALL.map(Family::name).join(", ");
    Error::UnknownFamily { reason, known }
}
