//! Encoded images to upright RGB pixels, within limits that hold before memory is spent.
//!
//! The number of pixels is read from the header and checked before anything is allocated for them,
//! and what the decoder may allocate besides follows from the size that the header announces: a
//! file cannot ask for more by lying about its parts.

mod error;
mod icc;
mod jpeg;
mod png;
mod tiff;
mod webp;

use std::error::Error as _;
use std::io::{self, Cursor};

use anyhow::{Context, Result, anyhow, bail, ensure};
use image::metadata::Orientation;
use image::{
    ColorType, DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageReader, Limits, RgbImage,
};

pub use self::error::DecodeError;
use self::error::{CUT_SHORT, NO_MEMORY};
use crate::allocation::{self, OutOfMemory};

/// Largest image that is decoded unless the user says otherwise, in pixels; empirical: more than
/// full-frame cameras make (61 megapixels), and its pixels take 300 MB.
pub const DEFAULT_MAX_PIXELS: u64 = 100_000_000;

/// What a decoder may allocate for everything but pixels, in bytes: profiles, comments, tables, a
/// row. The `png` crate's own default; photos have a few hundred kilobytes.
const MAX_METADATA_BYTES: u64 = 64 << 20;

/// What the WebP decoder takes for a pixel beside the buffer it fills: brightness and colours (1.5)
/// and, with alpha, the alpha as RGBA (4) and alone (1).
const WEBP_BYTES_PER_PIXEL: u64 = 7;

/// Most characters of a decoder's error that are shown: some list a value for every sample that a
/// file announces.
const MAX_CAUSE: usize = 300;

/// Number of colours of an image that is not grey, transparency aside.
const RGB: usize = 3;

const FORMATS: &str = "PNG, JPEG, WebP, GIF, BMP and TIFF are read";

/// An image as a viewer shows it.
#[derive(Debug)]
pub struct Decoded {
    /// The first frame, upright, as 8-bit RGB, on white where it is transparent.
    pub pixels: RgbImage,
    /// The ICC profile that says which colours the numbers stand for; none where the file has none
    /// that is whole and of RGB, which means sRGB. It is not applied. What a PNG says in other ways
    /// (its chunks `sRGB`, `gAMA`, `cHRM` and `cICP`) is not carried over: those pixels are taken
    /// for sRGB, as Pillow takes them.
    pub icc_profile: Option<Vec<u8>>,
}

/// The image that a viewer shows.
///
/// The format is told by the content. Takes the bytes, so that the decoders that keep a copy of
/// their own (JPEG) are not a second one.
///
/// # Errors
///
/// When the bytes are no image of a format that is read, the image is damaged, or has more than
/// `max_pixels`.
pub fn decode(bytes: Vec<u8>, max_pixels: u64) -> Result<Decoded, DecodeError> {
    if bytes.is_empty() {
        return Err(DecodeError::NotAnImage("it is empty".to_owned()));
    }
    let guessed = image::guess_format(&bytes).ok();
    let guessed = guessed.or_else(|| tiff::is_big(&bytes).then_some(ImageFormat::Tiff));
    let Some(format) = guessed.filter(ImageFormat::reading_enabled) else {
        return Err(DecodeError::NotAnImage(unreadable(&bytes)));
    };
    decode_as(format, bytes, max_pixels).map_err(|error| {
        let format = format_name(format);
        match error.downcast_ref::<OutOfMemory>() {
            Some(&source) => DecodeError::NoMemory { format, source },
            None => {
                let source = explain(error).into();
                DecodeError::BadImage { format, source }
            }
        }
    })
}

/// How many pixels an image says that it has, without decoding it; none when it does not say.
pub fn pixels(bytes: &[u8]) -> Option<u64> {
    let reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format();
    let mut reader = reader.ok()?;
    reader.limits(allocation(MAX_METADATA_BYTES));
    let (width, height) = reader.into_dimensions().ok()?;
    Some(u64::from(width) * u64::from(height))
}

fn decode_as(format: ImageFormat, mut bytes: Vec<u8>, max_pixels: u64) -> Result<Decoded> {
    let tags = if format == ImageFormat::Tiff {
        tiff::read(&mut bytes)?
    } else {
        tiff::Tags::default()
    };
    if format == ImageFormat::Png {
        png::check(&bytes)?;
    }
    let mut markers = jpeg::Markers::default();
    if format == ImageFormat::Jpeg {
        markers = jpeg::check(&bytes)?;
        if markers.lacks_tables {
            jpeg::add_tables(&mut bytes)?;
        }
    }
    let encoded_bytes = bytes.len() as u64;
    let is_whole = |name| format != ImageFormat::WebP || webp::is_whole(&bytes, name);
    let (exif_is_whole, profile_is_whole) = (is_whole(b"EXIF"), is_whole(b"ICCP"));

    let mut decoder: Box<dyn ImageDecoder> = if tags.is_left_out {
        Box::new(tiff::LeftOut::new(bytes, tags.palette.is_some())?)
    } else {
        let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
        // The PNG decoder reads profiles and comments here and takes no limit later.
        reader.limits(allocation(MAX_METADATA_BYTES));
        Box::new(reader.into_decoder()?)
    };
    let (width, height) = decoder.dimensions();
    ensure!(
        width > 0 && height > 0,
        "it has no pixels: its size is {width}×{height}"
    );
    let pixels = u64::from(width) * u64::from(height);
    ensure!(
        pixels <= max_pixels,
        "{width}×{height} pixels are more than the limit of {} megapixels; scale it down first, or raise the limit with --max-megapixels",
        max_pixels as f64 / 1e6
    );
    let color = decoder.color_type();
    ensure!(
        !matches!(color, ColorType::Rgb32F | ColorType::Rgba32F),
        "its pixels are floating-point numbers, which have no agreed range; convert it to 8 or 16 bits"
    );
    // The TIFF decoder fills a buffer of its own first, as the GIF decoder does for a frame that is
    // not its canvas's size.
    let decoded_bytes = decoder.total_bytes();
    decoder.set_limits(allocation(
        2 * decoded_bytes + encoded_bytes + MAX_METADATA_BYTES,
    ))?;
    // A damaged note on how the camera was held is no reason to refuse the photo.
    let orientation = if exif_is_whole {
        orientation(&mut decoder)
    } else {
        None
    };

    let is_rgb = match format {
        // The decoder makes RGB of ink, and tells nobody.
        ImageFormat::Jpeg => markers.components == RGB,
        ImageFormat::Tiff => tags.is_rgb,
        _ => color.has_color(),
    };
    // A damaged profile is no reason to refuse it either.
    let icc_profile = match format {
        _ if !is_rgb || !profile_is_whole => None,
        ImageFormat::Tiff => tags.icc_profile,
        _ => decoder.icc_profile().ok().flatten(),
    };
    let icc_profile = icc_profile.filter(|profile| icc::describes_rgb(profile));

    // One buffer for what is decoded and for the RGB that becomes of it.
    let size = decoded_bytes.max(3 * pixels);
    // Turning it takes as much again, if the decoder does not.
    let working = match format {
        ImageFormat::Jpeg => markers.coefficient_bytes,
        ImageFormat::WebP => WEBP_BYTES_PER_PIXEL * pixels,
        _ => 0,
    };
    allocation::ensure(size + working.max(size), NO_MEMORY)?;
    let mut buffer = Vec::new();
    let size = usize::try_from(size)?;
    buffer
        .try_reserve_exact(size)
        .map_err(|_| OutOfMemory(NO_MEMORY))?;
    buffer.resize(size, 0);
    decoder.read_image(&mut buffer[..decoded_bytes as usize])?;
    into_rgb(
        &mut buffer,
        color,
        pixels as usize,
        if tags.premultiplied {
            add_white
        } else {
            over_white
        },
    )?;
    let mut image =
        RgbImage::from_raw(width, height, buffer).context("its pixels do not fill its size")?;
    if let Some(colors) = tags.palette {
        image
            .pixels_mut()
            .for_each(|pixel| pixel.0 = colors[usize::from(pixel.0[0])]);
    }
    let mut image = DynamicImage::ImageRgb8(image);
    image.apply_orientation(orientation.unwrap_or(Orientation::NoTransforms));
    let pixels = image.into_rgb8();
    Ok(Decoded {
        pixels,
        icc_profile,
    })
}

/// How the camera was held, when the file says so and can be read so far.
fn orientation(decoder: &mut impl ImageDecoder) -> Option<Orientation> {
    match decoder.exif_metadata() {
        // Some writers of WebP put before the EXIF what belongs before it in a JPEG only.
        Ok(Some(exif)) => {
            Orientation::from_exif_chunk(exif.strip_prefix(b"Exif\0\0").unwrap_or(&exif))
        }
        _ => decoder.orientation().ok(), // TIFF has a tag of its own
    }
}

fn allocation(bytes: u64) -> Limits {
    let mut limits = Limits::no_limits();
    limits.max_alloc = Some(bytes);
    limits
}

/// Turns the first `pixels` pixels of `buffer` from `color` into 8-bit RGB, where they are, and
/// drops what is left of the buffer. `blend` puts a channel with an alpha on white.
fn into_rgb(
    buffer: &mut Vec<u8>,
    color: ColorType,
    pixels: usize,
    blend: fn(u8, u8) -> u8,
) -> Result<()> {
    // To 8 bits as the image crate does: rounded.
    let narrow = |low, high| ((u32::from(u16::from_ne_bytes([low, high])) + 128) / 257) as u8;
    match color {
        ColorType::Rgb8 => {}
        ColorType::L8 => convert(buffer, pixels, |[l]| [l; 3]),
        ColorType::La8 => convert(buffer, pixels, |[l, a]| [blend(l, a); 3]),
        ColorType::Rgba8 => convert(buffer, pixels, |[r, g, b, a]| {
            [r, g, b].map(|channel| blend(channel, a))
        }),
        ColorType::L16 => convert(buffer, pixels, |[l0, l1]| [narrow(l0, l1); 3]),
        ColorType::La16 => {
            convert(buffer, pixels, |[l0, l1, a0, a1]| {
                [blend(narrow(l0, l1), narrow(a0, a1)); 3]
            });
        }
        ColorType::Rgb16 => {
            convert(buffer, pixels, |[r0, r1, g0, g1, b0, b1]| {
                [narrow(r0, r1), narrow(g0, g1), narrow(b0, b1)]
            });
        }
        ColorType::Rgba16 => convert(buffer, pixels, |[r0, r1, g0, g1, b0, b1, a0, a1]| {
            [narrow(r0, r1), narrow(g0, g1), narrow(b0, b1)]
                .map(|channel| blend(channel, narrow(a0, a1)))
        }),
        other => bail!("pixels of the kind {other:?} are not read; convert it to PNG"),
    }
    buffer.truncate(3 * pixels);
    buffer.shrink_to_fit();
    Ok(())
}

/// Replaces each of the first `pixels` pixels of `FROM` bytes by one of 3 bytes, without a second
/// buffer: narrowing from the front, widening from the back, so that nothing is overwritten before
/// it was read.
fn convert<const FROM: usize>(
    buffer: &mut [u8],
    pixels: usize,
    color: impl Fn([u8; FROM]) -> [u8; 3],
) {
    let mut convert = |pixel: usize| {
        let from = buffer[pixel * FROM..][..FROM]
            .try_into()
            .expect("the slice has this length");
        buffer[pixel * 3..][..3].copy_from_slice(&color(from));
    };
    if FROM >= 3 {
        (0..pixels).for_each(&mut convert)
    } else {
        (0..pixels).rev().for_each(&mut convert)
    }
}

/// Blends in sRGB as it is stored, as browsers and Pillow do.
fn over_white(channel: u8, alpha: u8) -> u8 {
    let (channel, alpha) = (u32::from(channel), u32::from(alpha));
    ((channel * alpha + 255 * (255 - alpha) + 127) / 255) as u8
}

/// [`over_white`] for a channel that has been multiplied by its alpha.
fn add_white(channel: u8, alpha: u8) -> u8 {
    channel.saturating_add(255 - alpha)
}

fn format_name(format: ImageFormat) -> &'static str {
    match format {
        ImageFormat::Png => "PNG",
        ImageFormat::Jpeg => "JPEG",
        ImageFormat::WebP => "WebP",
        ImageFormat::Gif => "GIF",
        ImageFormat::Bmp => "BMP",
        ImageFormat::Tiff => "TIFF",
        other => other.extensions_str().first().copied().unwrap_or("unknown"),
    }
}

/// A decoder's error in one line, said once, with a remedy where there is one.
fn explain(error: anyhow::Error) -> anyhow::Error {
    let Some(error) = error.downcast_ref::<ImageError>() else {
        return error;
    };
    // Both the error and its source print the cause, some with a line break at the end.
    let cause = error
        .source()
        .map_or_else(|| error.to_string(), ToString::to_string);
    let cause = cause.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut cause = cause.trim_matches('"').to_owned(); // the JPEG decoder's are quoted
    if let Some((end, _)) = cause.char_indices().nth(MAX_CAUSE) {
        cause.truncate(end);
        cause.push('…');
    }
    match error {
        ImageError::IoError(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            anyhow!(CUT_SHORT)
        }
        ImageError::Unsupported(_) => {
            anyhow!("this variant is not read, convert it to PNG: {cause}")
        }
        ImageError::Limits(_) => anyhow!("it needs too much memory, scale it down first: {cause}"),
        _ => anyhow!(cause),
    }
}

/// Says what the bytes look like, since they are in no format that is read.
fn unreadable(bytes: &[u8]) -> String {
    /// What a checkout without Git LFS leaves in place of a file, up to the version of the format.
    const LFS_POINTER: &[u8] = b"version https://git-lfs.github.com/spec/";
    const KNOWN: [(usize, &[u8], &str); 14] = [
        (4, b"ftypheic", "HEIC"),
        (4, b"ftypheix", "HEIC"),
        (4, b"ftyphevc", "HEIC"),
        (4, b"ftypmif1", "HEIC"),
        (4, b"ftypmsf1", "HEIC"),
        (4, b"ftypavif", "AVIF"),
        (4, b"ftypavis", "AVIF"),
        (0, b"\xff\x0a", "JPEG XL"),
        (0, b"\0\0\0\x0cJXL ", "JPEG XL"),
        (0, b"\0\0\0\x0cjP  ", "JPEG 2000"),
        (0, b"%PDF", "PDF"),
        (0, b"8BPS", "Photoshop"),
        (0, b"\0\0\x01\0", "ICO"),
        (4, b"ftyp", "video"),
    ];
    let known = KNOWN
        .iter()
        .find(|(at, magic, _)| bytes.get(*at..).is_some_and(|rest| rest.starts_with(magic)));
    if bytes.starts_with(LFS_POINTER) {
        return "it is a git-lfs pointer in place of the image; `git lfs pull` fetches it"
            .to_owned();
    }
    let head = String::from_utf8_lossy(&bytes[..bytes.len().min(512)])
        .trim_start()
        .to_lowercase();
    let name = match known {
        Some((_, _, name)) => name,
        None if head.contains("<svg") => "SVG",
        None if head.starts_with("<!doctype html") || head.starts_with("<html") => {
            return format!("it is a web page, not an image; {FORMATS}");
        }
        None => return format!("it is no image of a known format; {FORMATS}"),
    };
    format!("{name} is not read; convert it to JPEG or PNG")
}

#[cfg(test)]
mod tests;
