//! The files of one image.

use std::time::Instant;

use anyhow::{Context, Result};
use detections::{ENCODER_BYTES, ImageInfo, Report, encode_png, image_id};
use intake::{Address, allocation};
use maskrcnn::{Detection, ModelInfo, Size};

use super::reader::Photo;
use crate::options::Options;
use crate::output::Kind;
use crate::terminal::Terminal;

const NO_MEMORY_TO_DRAW: &str =
    "for the picture; scale the image down first, or leave the picture out with --json-only";

/// What is written of each image, in the order in which it appears.
pub(super) fn kinds(options: &Options) -> &'static [Kind] {
    if options.style.is_some() {
        &[Kind::Picture, Kind::Report]
    } else {
        &[Kind::Report]
    }
}

/// The content of each of an image's files. `id`: the number that its name gives it; none when it
/// has no name.
///
/// # Errors
///
/// When there is not enough memory for the picture.
pub(super) fn make(
    address: &Address,
    id: Option<u64>,
    photo: Photo,
    detections: &[Detection],
    model: &ModelInfo,
    options: &Options,
    terminal: &Terminal,
) -> Result<Vec<(Kind, Vec<u8>)>> {
    let Photo {
        sha256,
        pixels,
        icc_profile,
        ..
    } = photo;
    let size = Size::new(pixels.height() as usize, pixels.width() as usize);
    let id = id.unwrap_or_else(|| image_id::of_content(&sha256));
    let image = ImageInfo::new(id, &address.name(), sha256, size);
    let report = Report::new(image, model.clone(), &options.segment, detections);

    let mut contents = Vec::new();
    if let Some(style) = &options.style {
        let start = Instant::now();
        // A copy of the image, to draw on.
        allocation::ensure(pixels.len() as u64, NO_MEMORY_TO_DRAW)?;
        let drawn = maskrcnn::render(&pixels, detections, style);
        drop(pixels); // the encoder needs as much again
        terminal.stage(&"draw", start.elapsed());
        let start = Instant::now();
        allocation::ensure(ENCODER_BYTES * drawn.len() as u64, NO_MEMORY_TO_DRAW)?;
        let picture = encode_png(&drawn, icc_profile.as_deref());
        contents.push((Kind::Picture, picture.context("cannot encode the picture")?));
        terminal.stage(&"encode", start.elapsed());
    }
    contents.push((Kind::Report, report.to_json().into_bytes()));
    Ok(contents)
}
