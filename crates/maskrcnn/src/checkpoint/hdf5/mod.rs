//! Keras's HDF5 files of weights, as `save_weights` and `save` write them.
//!
//! The format's own structures are parsed by the `hdf5-reader` crate; what of a file is looked at,
//! and how much, is decided here. A file that Keras 2 wrote says itself where its weights are: the
//! attribute `layer_names` of a group lists its layers, and `weight_names` of each layer's group
//! the datasets below it ([`keras`]). Nothing but these names is followed, over hard links alone,
//! so a file has no way to lead in circles or out of itself. [`meter`] bounds the work, [`tensor`]
//! the memory.
//!
//! A tensor is called as Keras calls the weight: `conv1/kernel:0`, and `rpn_conv_shared/kernel:0`
//! for one of the layer `rpn_model`, which is a model itself. A weight whose name has no layer's in
//! front gets that of its layer (`anchors/Variable:0`), and where TensorFlow numbered a layer's
//! scope, because the model was built twice in one graph, the number is dropped (`conv1_1/kernel:0`
//! of the layer `conv1` is `conv1/kernel:0`).
//!
//! Sources: Keras `saving/legacy/hdf5_format.py`, and the "HDF5 File Format Specification", version
//! 3.0.

mod chunks;
mod failure;
mod file;
mod keras;
mod link;
mod links;
mod meter;
mod room;
mod strings;
mod tensor;
mod types;

use std::collections::BTreeMap;
use std::sync::Arc;

use self::file::File;
use self::room::Room;
use super::bytes::Bytes;
use super::candidates::{Candidate, Choose};
use super::contents::Contents;
use super::printable::printable;
use crate::error::{Error, Result};

/// What an HDF5 file begins with (specification, II.A "Format Signature and Superblock").
const SIGNATURE: &[u8] = b"\x89HDF\r\n\x1a\n";

/// The weights in `bytes`, those of the file itself or of the group that `choose` picks.
///
/// # Errors
///
/// [`Error::Unsupported`] for files that Keras 2 did not write and for what is not read,
/// [`Error::Malformed`], [`Error::DuplicateTensor`], and those of `choose`.
pub(super) fn read(bytes: &Arc<Bytes>, choose: &mut Choose<'_>) -> Result<Contents> {
    let file = File::open(bytes)?;
    let models = keras::models(&file)?;
    let candidates: Vec<_> = models
        .iter()
        .map(|model| {
            let names = model.weights.iter().map(|weight| &*weight.name);
            Candidate::named(model.key.clone(), names)
        })
        .collect();
    let model = &models[choose(&candidates)?];
    let mut room = Room::for_file(bytes.len());
    let mut views = BTreeMap::new();
    for weight in &model.weights {
        let view = tensor::view(&file, weight, &mut room)?;
        if views.insert(weight.name.clone(), view).is_some() {
            return Err(Error::DuplicateTensor {
                name: printable(&weight.name),
            });
        }
    }
    Ok(Contents {
        metadata: model.metadata.clone(),
        key: model.key.clone(),
        ..Contents::new(views)
    })
}

/// Whether these are the bytes of an HDF5 file. The signature stands at the beginning, or behind a
/// user block of 512 bytes or any power of two above, which holds anything.
pub(super) fn is_hdf5(bytes: &[u8]) -> bool {
    const SMALLEST_USER_BLOCK: usize = 512;
    let user_blocks = std::iter::successors(Some(SMALLEST_USER_BLOCK), |size| size.checked_mul(2));
    std::iter::once(0)
        .chain(user_blocks)
        .take_while(|&start| start < bytes.len())
        .any(|start| bytes[start..].starts_with(SIGNATURE))
}
