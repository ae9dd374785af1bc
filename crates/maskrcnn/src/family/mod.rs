//! Model families: what a checkpoint's tensors mean.
//!
//! Each family is one file: how it is recognised, what its tensors are called here, its
//! configuration and its classes. This is the only place that asks which family it is. It hands
//! over tensors under canonical names (torchvision's), a [`ModelConfig`] and [`Labels`]; it knows
//! nothing of the network that they become.

mod coco;
mod compact;
#[cfg(test)]
mod tests;
mod torchvision;

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use crate::checkpoint::{Checkpoint, StateDict, printable, safetensors};
use crate::config::ModelConfig;
use crate::error::{Error, Result};
use crate::labels::Labels;

/// A kind of Mask R-CNN: an architecture together with the way its checkpoints are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Family {
    /// The embedded default: EfficientNet-Lite0 with a narrow pyramid.
    Compact,
    /// torchvision's `maskrcnn_resnet50_fpn`.
    TorchvisionV1,
}

impl Family {
    const ALL: [Self; 2] = [Self::Compact, Self::TorchvisionV1];

    /// The name in the metadata of canonical checkpoints and in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Compact => "compact",
            Self::TorchvisionV1 => "torchvision-v1",
        }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The parameters of a network, its configuration and its classes, read from a checkpoint and not
/// yet a network.
pub struct Weights {
    pub(crate) checkpoint: Checkpoint,
    pub(crate) config: ModelConfig,
    pub(crate) labels: Labels,
    family: Family,
}

impl fmt::Debug for Weights {
    /// Leaves out the numbers, of which there are millions.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            family,
            config,
            labels,
            ..
        } = self;
        f.debug_struct("Weights")
            .field("family", family)
            .field("config", config)
            .field("labels", labels)
            .finish_non_exhaustive()
    }
}

/// The width of the numbers in a checkpoint that is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Precision {
    /// 32 bits, as the network computes.
    #[default]
    Single,
    /// 16 bits: half the size, and scores that move in the third decimal.
    Half,
}

/// The checkpoint that is part of the program.
static EMBEDDED: &[u8] = include_bytes!("../../weights/compact.safetensors");

impl Weights {
    /// The file name of the embedded checkpoint, for reports.
    pub const EMBEDDED_NAME: &str = "compact.safetensors";

    /// The small network that is part of the program. See its model card in `weights/README.md`.
    ///
    /// # Errors
    ///
    /// Never, unless the program was built with another file in its place.
    pub fn embedded() -> Result<Self> {
        Self::from_checkpoint(Checkpoint::from_static(EMBEDDED)?)
    }

    /// The checkpoint in a file: safetensors, or either form of PyTorch's `.pth`, told apart by
    /// content. The file is mapped into memory and must not change until a network was made of it.
    ///
    /// # Errors
    ///
    /// When the file cannot be read, is no checkpoint, is damaged, or belongs to no known family.
    pub fn open(path: &Path) -> Result<Self> {
        Self::from_checkpoint(Checkpoint::open(path)?)
    }

    /// The checkpoint in memory, as [`open`](Self::open).
    ///
    /// # Errors
    ///
    /// When the bytes are no checkpoint, are damaged, or belong to no known family.
    pub fn from_bytes(bytes: Vec<u8>) -> Result<Self> {
        Self::from_checkpoint(Checkpoint::from_bytes(bytes)?)
    }

    fn from_checkpoint(mut checkpoint: Checkpoint) -> Result<Self> {
        let family = recognise(&mut checkpoint)?;
        let (config, labels) = match family {
            Family::Compact => compact::adapt(&checkpoint)?,
            Family::TorchvisionV1 => torchvision::adapt_v1(&mut checkpoint)?,
        };
        Ok(Self {
            checkpoint,
            config,
            labels,
            family,
        })
    }

    /// The family that the checkpoint belongs to.
    pub fn family(&self) -> Family {
        self.family
    }

    /// How the checkpoint is stored, in words, such as `safetensors`.
    pub fn format(&self) -> impl fmt::Display + use<> {
        self.checkpoint.format
    }

    /// The SHA-256 of the checkpoint file in hexadecimal digits. Reads all of it.
    pub fn sha256(&self) -> String {
        self.checkpoint.sha256()
    }

    /// The names of the classes that the network knows.
    pub fn labels(&self) -> impl Iterator<Item = &str> {
        self.labels.named().map(|label| &*label.name)
    }

    /// Writes the checkpoint as safetensors with canonical names, which [`open`](Self::open) reads
    /// without a copy, and torchvision too. The file appears whole or not at all.
    ///
    /// # Errors
    ///
    /// When a tensor is not of floating-point numbers, or the file cannot be written.
    pub fn save(mut self, path: &Path, precision: Precision) -> Result<()> {
        let mut metadata = BTreeMap::from([("format".to_owned(), "pt".to_owned())]);
        // What the checkpoint says of itself (the compact family's configuration) goes along.
        metadata.append(&mut self.checkpoint.metadata);
        metadata.insert("family".to_owned(), self.family.name().to_owned());
        metadata.insert("labels".to_owned(), self.labels.to_json());
        let names: Vec<String> = self.checkpoint.tensors.names().map(str::to_owned).collect();
        let mut tensors = Vec::with_capacity(names.len());
        for name in names {
            let shape = self
                .checkpoint
                .tensors
                .shape(&name)
                .unwrap_or_default()
                .to_vec();
            let tensor = self.checkpoint.tensors.take(&name, &shape)?;
            tensors.push((name, tensor));
        }
        safetensors::save(path, &tensors, metadata, precision == Precision::Half)
    }
}

/// Which family a checkpoint belongs to: by what it says of itself, else by tensors that only one
/// family has.
fn recognise(checkpoint: &mut Checkpoint) -> Result<Family> {
    strip_wrapper(&mut checkpoint.tensors)?;
    if let Some(name) = checkpoint.metadata.get("family") {
        let known = Family::ALL.into_iter().find(|family| family.name() == name);
        return known.ok_or_else(|| unknown(format!("its metadata says `{}`", printable(name))));
    }
    let tensors = &checkpoint.tensors;
    if torchvision::recognises_v1(tensors) {
        return Ok(Family::TorchvisionV1);
    }
    // Relatives that people will try, named so that nobody searches for a fault in the file.
    Err(unknown(if torchvision::recognises_v2(tensors) {
        "it looks like torchvision's maskrcnn_resnet50_fpn_v2, which is not read yet".to_owned()
    } else if tensors
        .names()
        .any(|name| name.starts_with("backbone.bottom_up."))
    {
        "it looks like a detectron2 model, which is not read yet".to_owned()
    } else if tensors.contains("head.classification_head.cls_logits.weight") {
        "it looks like a detector without masks (RetinaNet or SSD)".to_owned()
    } else if tensors.contains("roi_heads.box_predictor.cls_score.weight") {
        "it looks like a torchvision detector without masks, or with another backbone than ResNet-50".to_owned()
    } else if tensors.contains("fc.weight") || tensors.contains("classifier.weight") {
        "it looks like an image classifier".to_owned()
    } else {
        match tensors.names().next() {
            Some(name) => format!("its tensors have unfamiliar names, such as `{name}`"),
            None => "it holds no tensors".to_owned(),
        }
    }))
}

/// Training scripts save networks wrapped for several GPUs, every name behind `module.`; what is
/// inside is the network.
fn strip_wrapper(tensors: &mut StateDict) -> Result<()> {
    const WRAPPER: &str = "module.";
    if tensors.names().next().is_some() && tensors.names().all(|name| name.starts_with(WRAPPER)) {
        tensors.rename(|name| name[WRAPPER.len()..].to_owned())?;
    }
    Ok(())
}

fn unknown(reason: String) -> Error {
    let known = Family::ALL.map(Family::name).join(", ");
    Error::UnknownFamily { reason, known }
}
