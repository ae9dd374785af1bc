//! Which datasets are a model's weights, and what they are called.
//!
//! Keras `saving/legacy/hdf5_format.py`: `save_weights_to_hdf5_group` writes them,
//! `load_attributes_from_hdf5_group` puts together the lists of names that are too long for one
//! attribute.

use std::collections::{BTreeMap, HashSet};

use hdf5_reader::messages::HdfMessage;
use hdf5_reader::messages::attribute::AttributeMessage;

use super::super::format::Format;
use super::super::printable::printable;
use super::failure;
use super::file::File;
use super::link::Link;
use super::strings;
use crate::error::{Error, Result};

/// The attribute of a model's group that lists its layers.
const LAYERS: &str = "layer_names";

/// The attribute of a layer's group that lists its weights.
const WEIGHTS: &str = "weight_names";

/// What is said of a model beside its weights.
const BACKEND: &str = "backend";
const VERSION: &str = "keras_version";

/// Groups that only Keras 3's own format has at the root (`keras/src/saving/saving_lib.py`); those
/// of optimizers do not tell.
const KERAS_3: [&str; 2] = ["layers", "_layer_checkpoint_dependencies"];

/// The most weights. A Mask R-CNN of a ResNet-101 has 586.
const MOST_WEIGHTS: usize = 1 << 14;

/// How deep groups may be nested below a layer. Keras has one or two.
const DEEPEST: usize = 16;

/// How to write a file that is read.
const SAVE: &str = "load it in Keras 2 and write it with model.save_weights(\"weights.h5\")";

/// A model's weights in a file.
pub(super) struct Model {
    /// The group that it is in; empty for the root.
    pub(super) key: String,
    /// Its weights in the file's order.
    pub(super) weights: Vec<Weight>,
    /// `backend` and `keras_version`, where they are given.
    pub(super) metadata: BTreeMap<String, String>,
}

/// A weight, not yet looked for.
pub(super) struct Weight {
    /// What it is called.
    pub(super) name: String,
    /// The groups that lead to it from the root, and the dataset.
    pub(super) path: Vec<String>,
}

/// The models of a file: the root is one in files of `save_weights`; in files of `save` the group
/// `model_weights` is one. Groups that list no layers, such as an optimizer's, are none.
///
/// # Errors
///
/// [`Error::Unsupported`] when there is none, or it is Keras 3's or Theano's; [`Error::Malformed`].
pub(super) fn models(file: &File) -> Result<Vec<Model>> {
    let root = file.root()?;
    let attributes = attributes(file, root, "the root group")?;
    let mut models = Vec::new();
    models.extend(model(file, "", root, &attributes)?);
    let links = file
        .links(root)
        .map_err(|error| failure::error("the root group", &error))?;
    if models.is_empty() {
        for (name, link) in links.iter() {
            let &Link::Hard(address) = link else { continue };
            let what = format!("group `{}`", printable(name));
            let header = file.header(address);
            let header = header.map_err(|error| failure::error(&what, &error))?;
            let is_dataset = |message: &_| matches!(message, HdfMessage::DataLayout(_));
            if !header.messages.iter().any(is_dataset) {
                let attributes = self::attributes(file, address, &what)?;
                models.extend(model(file, name, address, &attributes)?);
            }
        }
    }
    if !models.is_empty() {
        return Ok(models);
    }
    let is_keras_3 = KERAS_3.iter().any(|name| links.contains_key(*name));
    Err(Error::Unsupported {
        what: if is_keras_3 {
            "an HDF5 file in Keras 3's own form (.weights.h5)".to_owned()
        } else {
            format!("an HDF5 file without `{LAYERS}`, the list of layers that Keras 2 writes,")
        },
        remedy: SAVE,
    })
}

/// The model whose group is at `address`; none when it lists no layers.
fn model(
    file: &File,
    key: &str,
    address: u64,
    attributes: &[AttributeMessage],
) -> Result<Option<Model>> {
    let Some(layers) = names(file, attributes, LAYERS)? else {
        return Ok(None);
    };
    let mut metadata = BTreeMap::new();
    for name in [BACKEND, VERSION] {
        if let Some(attribute) = find(attributes, name)
            && let Some(value) = strings::of(file, attribute)?.into_iter().next()
        {
            metadata.insert(name.to_owned(), value);
        }
    }
    if metadata
        .get(BACKEND)
        .is_some_and(|backend| backend == "theano")
    {
        return Err(Error::Unsupported {
            what: "weights of Keras with Theano, whose convolutions are turned around,".to_owned(),
            remedy: "load them in Keras with TensorFlow and save them again",
        });
    }
    let mut weights = Vec::new();
    let mut seen = HashSet::new();
    for layer in &layers {
        Format::Hdf5.check_name(layer)?;
        if !seen.insert(layer) {
            let reason = format!("layer `{layer}` is listed twice");
            return Err(Format::Hdf5.malformed(reason));
        }
        let what = format!("layer `{}`", printable(layer));
        let start: Vec<_> = (!key.is_empty())
            .then(|| key.to_owned())
            .into_iter()
            .collect();
        let path = below(&start, layer)?;
        let group = walk(file, address, &path[start.len()..], &what)?;
        let attributes = self::attributes(file, group, &what)?;
        let Some(listed) = names(file, &attributes, WEIGHTS)? else {
            return Err(Format::Hdf5.malformed(format!("{what} has no `{WEIGHTS}`")));
        };
        if weights.len() + listed.len() > MOST_WEIGHTS {
            return Err(Format::Hdf5.malformed(format!("more than {MOST_WEIGHTS} weights")));
        }
        for weight in listed {
            Format::Hdf5.check_name(&weight)?;
            weights.push(Weight {
                path: below(&path, &weight)?,
                name: name_of(layer, weight),
            });
        }
    }
    Ok(Some(Model {
        key: key.to_owned(),
        weights,
        metadata,
    }))
}

/// The address of the object that `names` lead to from the group at `from`. `what` is whose they
/// are.
///
/// # Errors
///
/// [`Error::Malformed`] when it is not there, [`Error::Unsupported`] when a link leads elsewhere.
pub(super) fn walk(file: &File, from: u64, names: &[String], what: &str) -> Result<u64> {
    let mut address = from;
    for name in names {
        let links = file.links(address);
        let links = links.map_err(|error| failure::error(what, &error))?;
        let elsewhere = |kind: &str| Error::Unsupported {
            what: format!("{what} behind {kind} `{}`", printable(name)),
            remedy: "copy it into a file of its own without links, as Keras writes them",
        };
        address = match links.get(name) {
            Some(&Link::Hard(address)) => address,
            Some(Link::Soft) => return Err(elsewhere("the soft link")),
            Some(Link::External) => return Err(elsewhere("a link into another file,")),
            None => {
                let name = printable(name);
                let reason = format!("{what} is listed, but `{name}` is not in the file");
                return Err(Format::Hdf5.malformed(reason));
            }
        };
    }
    Ok(address)
}

/// The names of a path, behind those that lead to it.
fn below(path: &[String], name: &str) -> Result<Vec<String>> {
    let is_name = |part: &str| !matches!(part, "" | "." | "..");
    let parts: Vec<_> = name.split('/').take(DEEPEST + 1).collect();
    if parts.len() > DEEPEST || !parts.iter().all(|part| is_name(part)) {
        let name = printable(name);
        return Err(Format::Hdf5.malformed(format!("`{name}` is no name for a tensor")));
    }
    let parts = parts.into_iter().map(str::to_owned);
    Ok(path.iter().cloned().chain(parts).collect())
}

/// What a weight of a layer is called here: see [`super`].
fn name_of(layer: &str, weight: String) -> String {
    let Some((scope, rest)) = weight.split_once('/') else {
        return format!("{layer}/{weight}");
    };
    let number = scope
        .strip_prefix(layer)
        .and_then(|rest| rest.strip_prefix('_'));
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if number.is_some_and(is_number) {
        return format!("{layer}/{rest}");
    }
    weight
}

fn attributes(file: &File, object: u64, what: &str) -> Result<Vec<AttributeMessage>> {
    let attributes = file.attributes(object);
    attributes.map_err(|error| failure::error(what, &error))
}

fn find<'a>(attributes: &'a [AttributeMessage], name: &str) -> Option<&'a AttributeMessage> {
    attributes.iter().find(|attribute| attribute.name == name)
}

/// A list of names, which may be cut into several attributes: `weight_names0`, `weight_names1`, ….
fn names(file: &File, attributes: &[AttributeMessage], list: &str) -> Result<Option<Vec<String>>> {
    if let Some(attribute) = find(attributes, list) {
        return strings::of(file, attribute).map(Some);
    }
    let mut names = None;
    let mut parts = (0..).map_while(|number| find(attributes, &format!("{list}{number}")));
    parts.try_for_each(|part| {
        names
            .get_or_insert_with(Vec::new)
            .extend(strings::of(file, part)?);
        Ok(())
    })?;
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_weight_is_called_as_keras_calls_it() {
        for (layer, weight, name) in [
            ("conv1", "conv1/kernel:0", "conv1/kernel:0"),
            ("conv1", "conv1_1/kernel:0", "conv1/kernel:0"),
            ("conv1", "conv1_a/kernel:0", "conv1_a/kernel:0"),
            ("conv1", "conv1_/kernel:0", "conv1_/kernel:0"),
            ("rpn_model", "rpn_class_raw/bias:0", "rpn_class_raw/bias:0"),
            ("anchors", "Variable:0", "anchors/Variable:0"),
        ] {
            assert_eq!(name_of(layer, weight.to_owned()), name);
        }
    }

    #[test]
    fn a_name_leads_down_and_nowhere_else() {
        let path = |name| below(&["model_weights".to_owned()], name).ok();
        assert_eq!(path("a/b").unwrap(), ["model_weights", "a", "b"]);
        for name in ["", "/a", "a/", "a//b", "../a", "a/./b", &"a/".repeat(40)] {
            assert!(path(name).is_none(), "{name}");
        }
    }
}
