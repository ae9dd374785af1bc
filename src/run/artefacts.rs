//! The files of one image.

use std::time::Instant;

use anyhow::{Context, Result};
use detections::{ENCODER_BYTES, encode_png, image_id};
use intake::{Address, allocation};
use maskrcnn::Detection;
use maskrcnn::image::RgbImage;

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

/// The picture of an image, encoded; none when none is wanted.
///
/// # Errors
///
/// When there is not enough memory for it.
pub(super) fn picture(
    pixels: RgbImage,
    icc_profile: Option<&[u8]>,
    detections: &[Detection],
    options: &Options,
    terminal: &Terminal,
) -> Result<Option<Vec<u8>>> {
    let Some(style) = &options.style else {
        return Ok(None);
    };
    let start = Instant::now();
    // A copy of the image, to draw on.
    allocation::ensure(pixels.len() as u64, NO_MEMORY_TO_DRAW)?;
    let drawn = maskrcnn::render(&pixels, detections, style);
    drop(pixels); // the encoder needs as much again
    terminal.stage(&"draw", start.elapsed());
    let start = Instant::now();
    allocation::ensure(ENCODER_BYTES * drawn.len() as u64, NO_MEMORY_TO_DRAW)?;
    let picture = encode_png(&drawn, icc_profile).context("cannot encode the picture")?;
    terminal.stage(&"encode", start.elapsed());
    Ok(Some(picture))
}

/// The number of an image: what its name gave it (none when it has no name), unless images of
/// earlier runs that stand in its way have that number.
pub(super) fn id(address: &Address, by_name: Option<u64>, namesakes: &[u64], sha256: &str) -> u64 {
    let of_path = || by_name.map(|_| image_id::of_path(&address.name()));
    by_name
        .into_iter()
        .chain(of_path())
        .find(|id| !namesakes.contains(id))
        .unwrap_or_else(|| image_id::of_content(sha256))
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;

    use super::*;

    #[test]
    fn a_number_that_a_namesake_has_is_not_given_again() {
        let photo = Address::new(OsStr::new("b/IMG_1.jpg"));
        let name = image_id::of_name("IMG_1.jpg").unwrap();
        let path = image_id::of_path("b/IMG_1.jpg");
        let content = image_id::of_content("5a");
        assert_eq!(id(&photo, Some(name), &[], "5a"), name);
        assert_eq!(id(&photo, Some(name), &[7], "5a"), name);
        assert_eq!(id(&photo, Some(name), &[name], "5a"), path);
        assert_eq!(id(&photo, Some(name), &[name, path], "5a"), content);
        assert_eq!(id(&Address::StandardInput, None, &[], "5a"), content);
    }
}
