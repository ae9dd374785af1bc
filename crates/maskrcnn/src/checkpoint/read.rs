//! A file of any format to its contents.

use std::sync::Arc;

use super::bytes::Bytes;
use super::candidates::{Candidate, Choose};
use super::contents::Contents;
use super::format::Format;
use super::{hdf5, pickle, safetensors, sniff, torch};
use crate::error::Result;

/// The dict of tensors in `bytes` that `choose` picks.
///
/// # Errors
///
/// Those of [`Checkpoint::from_bytes`](super::Checkpoint::from_bytes) and of `choose`.
pub(super) fn read(bytes: &Arc<Bytes>, choose: &mut Choose<'_>) -> Result<(Format, Contents)> {
    let format = sniff::format(bytes)?;
    let contents = match format {
        Format::Safetensors => {
            let (metadata, views) = safetensors::read(bytes)?;
            let contents = Contents {
                metadata,
                ..Contents::new(views)
            };
            choose(&[whole(&contents)])?;
            contents
        }
        Format::TorchZip => torch::zip::read(bytes, choose)?,
        Format::TorchLegacy => torch::legacy::read(bytes, choose)?,
        Format::Hdf5 => hdf5::read(bytes, choose)?,
        // What follows the pickle is left alone, as Python leaves it.
        Format::Pickle => {
            let pickle = pickle::load(bytes, format)?;
            torch::read(bytes, &pickle, &torch::Storages::new(), format, choose)?
        }
    };
    Ok((format, contents))
}

/// What there is to choose from where there is nothing but tensors.
pub(super) fn whole(contents: &Contents) -> Candidate<'_> {
    Candidate::whole(contents.views.keys().map(String::as_str))
}
