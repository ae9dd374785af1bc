//! The weights of a network, from wherever they come, with all that a network needs to be built of
//! them.

use std::fmt;
use std::io::Read;
use std::path::Path;

use crate::blueprint::Blueprint;
use crate::checkpoint::{Checkpoint, Choose, StateDict, safetensors};
use crate::class_names;
use crate::error::{Error, Result};
use crate::family::{self, Meaning, Wrapper};
use crate::labels::Labels;

/// The parameters of a network, its blueprint and its classes, read from a checkpoint and not yet a
/// network.
pub struct Weights {
    pub(crate) checkpoint: Checkpoint,
    pub(crate) meaning: Meaning,
    wrapper: Wrapper,
}

/// What of a file is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReadOptions {
    /// Which of several networks in one file: some of the keys that lead to it, joined by dots, such
    /// as `model_ema`. Without it, it is the one that fits; of several the one that is no average
    /// of the weights, then the one under a usual key (`model`, `state_dict`).
    pub key: Option<String>,
    /// Whether files beside the one that is named may be read, where a checkpoint is in several.
    pub shards: bool,
}

impl Default for ReadOptions {
    fn default() -> Self {
        Self {
            key: None,
            shards: true,
        }
    }
}

impl fmt::Debug for Weights {
    /// Leaves out the numbers, of which there are millions.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Weights")
            .field("meaning", &self.meaning)
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
pub(crate) static EMBEDDED: &[u8] = include_bytes!("../../../weights/compact.safetensors");

impl Weights {
    /// The file name of the embedded checkpoint, for reports.
    pub const EMBEDDED_NAME: &str = "compact.safetensors";

    /// The small network that is part of the program. See its model card in `weights/README.md`.
    ///
    /// # Errors
    ///
    /// Never, unless the program was built with another file in its place.
    pub fn embedded() -> Result<Self> {
        Self::read(&ReadOptions::default(), |choose| {
            Checkpoint::from_static_choosing(EMBEDDED, choose)
        })
    }

    /// The checkpoint in a file: safetensors, or either form of PyTorch's `.pth`, told apart by
    /// content. The network may be wrapped by what trained it, and stand beside other things
    /// ([`Wrapper`]). The file is mapped into memory and must not change until a network was made
    /// of it. One of several files, or their index, is read with the others beside it.
    ///
    /// # Errors
    ///
    /// When the file cannot be read, is no checkpoint, is damaged, or belongs to no known family.
    pub fn open(path: &Path) -> Result<Self> {
        Self::open_with(path, &ReadOptions::default())
    }

    /// The same, of what the options say.
    ///
    /// # Errors
    ///
    /// Those of [`open`](Self::open), and when there is no such key.
    pub fn open_with(path: &Path, options: &ReadOptions) -> Result<Self> {
        Self::read(options, |choose| {
            Checkpoint::open_choosing(path, options.shards, choose)
        })
    }

    /// The checkpoint in memory, as [`open`](Self::open).
    ///
    /// # Errors
    ///
    /// When the bytes are no checkpoint, are damaged, or belong to no known family.
    pub fn from_bytes(bytes: Vec<u8>) -> Result<Self> {
        Self::from_bytes_with(bytes, &ReadOptions::default())
    }

    /// The same, of what the options say.
    ///
    /// # Errors
    ///
    /// Those of [`from_bytes`](Self::from_bytes), and when there is no such key.
    pub fn from_bytes_with(bytes: Vec<u8>, options: &ReadOptions) -> Result<Self> {
        Self::read(options, |choose| {
            Checkpoint::from_bytes_choosing(bytes, choose)
        })
    }

    /// The tensors of a file, out of their wrapper, under their own names, whatever they are.
    ///
    /// # Errors
    ///
    /// Those of [`open_with`](Self::open_with) but that of the family.
    pub(crate) fn unwrapped(path: &Path, options: &ReadOptions) -> Result<StateDict> {
        let (checkpoint, _) = Self::unwrap(options, |choose| {
            Checkpoint::open_choosing(path, options.shards, choose)
        })?;
        Ok(checkpoint.tensors)
    }

    fn read(
        options: &ReadOptions,
        read: impl FnOnce(&mut Choose<'_>) -> Result<Checkpoint>,
    ) -> Result<Self> {
        let (mut checkpoint, wrapper) = Self::unwrap(options, read)?;
        let meaning = family::adapt(&mut checkpoint)?;
        Ok(Self {
            checkpoint,
            meaning,
            wrapper,
        })
    }

    /// Reads a checkpoint and takes the network in it out of its wrapper.
    fn unwrap(
        options: &ReadOptions,
        read: impl FnOnce(&mut Choose<'_>) -> Result<Checkpoint>,
    ) -> Result<(Checkpoint, Wrapper)> {
        let mut choice = None;
        let mut checkpoint = read(&mut |candidates| {
            let chosen = family::choose(candidates, options.key.as_deref())?;
            Ok(choice.insert(chosen).candidate)
        })?;
        let wrapper = match choice {
            Some(choice) => family::unwrap(&mut checkpoint.tensors, choice)?,
            None => Wrapper::default(),
        };
        Ok((checkpoint, wrapper))
    }

    /// The name of the family that the checkpoint belongs to, such as `torchvision-v1`; of a
    /// canonical one what it says that it was.
    pub fn family(&self) -> &str {
        &self.meaning.family
    }

    /// Everything but the parameters that tells the network from others.
    pub fn blueprint(&self) -> &Blueprint {
        &self.meaning.blueprint
    }

    /// How the checkpoint is stored, in words, such as `safetensors`.
    pub fn format(&self) -> impl fmt::Display + use<> {
        match self.checkpoint.files {
            1 => self.checkpoint.format.to_string(),
            files => format!("{} in {files} files", self.checkpoint.format),
        }
    }

    /// What stood around the network in its file, and what was left alone there.
    pub fn wrapper(&self) -> &Wrapper {
        &self.wrapper
    }

    /// What was read beside the file, and what was assumed for want of it, a sentence each.
    pub fn notes(&self) -> impl Iterator<Item = &str> {
        self.checkpoint.notes.iter().map(String::as_str)
    }

    /// The SHA-256 of the checkpoint file in hexadecimal digits. Reads all of it.
    pub fn sha256(&self) -> String {
        self.checkpoint.sha256()
    }

    /// The names of the classes that the network knows.
    pub fn labels(&self) -> impl Iterator<Item = &str> {
        self.meaning.labels.named().map(|label| &*label.name)
    }

    /// The same weights with other names for the classes: from a text with a name a line, a JSON list
    /// of names, or COCO annotations, whose numbers of the categories are taken, too. A background
    /// in front is recognised.
    ///
    /// # Errors
    ///
    /// [`Error::Labels`] when it is none of these, or names another number of classes than the
    /// network has.
    pub fn with_labels(mut self, labels: impl Read) -> Result<Self> {
        self.meaning.labels = class_names::read(labels, self.meaning.blueprint.num_classes)?;
        Ok(self)
    }

    /// The same weights with another blueprint: `json`, an object with those fields that differ, laid
    /// over the one that there is. docs/blueprint.md lists them.
    ///
    /// # Errors
    ///
    /// [`Error::Blueprint`], with the path of the field, when there is no such field, or it cannot
    /// have this value. Whether it is a blueprint of these tensors shows when a network is made.
    pub fn with_blueprint(mut self, json: impl Read) -> Result<Self> {
        self.meaning.blueprint = self.meaning.blueprint.overlaid(json)?;
        Ok(self)
    }

    /// The tensors, under canonical names, sorted by these.
    pub fn tensors(&self) -> &StateDict {
        &self.checkpoint.tensors
    }

    /// What a network is built of: its tensors under canonical names, its blueprint, its classes.
    ///
    /// # Errors
    ///
    /// When blueprint and tensors do not agree on classes or anchors.
    pub(crate) fn into_parts(self) -> Result<(StateDict, Blueprint, Labels)> {
        let Meaning {
            blueprint, labels, ..
        } = self.meaning;
        let tensors = self.checkpoint.tensors;
        check_agreement(&blueprint, &tensors)?;
        Ok((tensors, blueprint, labels))
    }

    /// Writes the checkpoint as safetensors with canonical names, which [`open`](Self::open) reads
    /// without a copy, and torchvision too. Blueprint and classes go along, so that the file
    /// explains itself. It appears whole or not at all.
    ///
    /// # Errors
    ///
    /// When a tensor is not of floating-point numbers, or the file cannot be written.
    pub fn save(self, path: &Path, precision: Precision) -> Result<()> {
        let metadata = family::describe(&self.meaning);
        let half = precision == Precision::Half;
        safetensors::save(path, self.checkpoint.tensors, &metadata, half)
    }
}

/// Checks what a blueprint says of classes and anchors against the layers that predict for each of
/// them. Other sizes are those of tensors alone: there the error names the tensor.
///
/// # Errors
///
/// When they do not agree. A tensor that is missing agrees: building the network names it.
fn check_agreement(blueprint: &Blueprint, tensors: &StateDict) -> Result<()> {
    let ratios = blueprint.rpn.aspect_ratios.len() as i64;
    let rules = [
        (
            "num_classes",
            blueprint.num_classes,
            "roi_heads.box_predictor.cls_score.weight",
            "classes, the background among them",
        ),
        (
            "rpn.aspect_ratios",
            ratios,
            "rpn.head.cls_logits.weight",
            "anchors a cell, one of each ratio",
        ),
    ];
    for (field, expected, name, what) in rules {
        if let Some(shape) = tensors.shape(name)
            && shape.first() != Some(&expected)
        {
            return Err(Error::Blueprint {
                reason: format!(
                    "{field}: expected it to fit tensor `{name}` of shape {shape:?}, found {expected} {what}"
                ),
            });
        }
    }
    Ok(())
}
