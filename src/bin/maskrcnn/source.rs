//! Images from outside: what the user named -> bytes -> upright RGB pixels. Every limit on foreign input is here.

mod address;
mod fetch;
mod fetch_error;
mod guard;
mod http;
mod ipfs;
mod sink;
mod tiff_palette;
mod unixfs;

use std::error::Error as _;
use std::ffi::OsStr;
use std::fmt;
use std::fs::File;
use std::io::{self, Cursor, IsTerminal, Read};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail, ensure};
use image::metadata::Orientation;
use image::{ColorType, DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageReader, Limits, RgbImage};
use sha2::{Digest, Sha256};

pub use address::Address;
pub use fetch::{FetchOptions, Fetched, Fetcher, Proxies};
pub use fetch_error::FetchError;

use crate::code::{Code, OrCode};

/// Largest file that is read, in bytes: more than [`MAX_PIXELS`] take as 8-bit RGBA without compression, and little
/// enough that `/dev/zero` or a film by mistake ends soon.
const MAX_FILE_BYTES: u64 = 512 << 20;

/// Largest image that is decoded, empirical: more than full-frame cameras make (61 megapixels). Decoding it as RGBA takes
/// 700 MB, measured, and its pixels 300 MB.
const MAX_PIXELS: u64 = 100_000_000;

/// Most memory that a decoder may take: [`MAX_PIXELS`] of 16-bit RGBA, and a little for itself.
const MAX_DECODER_BYTES: u64 = 1 << 30;

const FORMATS: &str = "PNG, JPEG, WebP, GIF, BMP and TIFF are read";

const CUT_SHORT: &str = "the file is cut short; was it copied or downloaded to its end?";

/// Where an image comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// Standard input, named `-`.
    Stdin,
    /// A file.
    File(PathBuf),
    /// An address.
    Url(Address),
}

/// An image, decoded, and what identifies it.
pub struct Photo {
    /// Of the file's bytes, in hex.
    pub sha256: String,
    /// Upright.
    pub pixels: RgbImage,
    /// What was noticed on the way and only some want to know.
    pub notes: Vec<String>,
}

impl Source {
    /// What `name`, an argument of the command line, stands for.
    pub fn new(name: &OsStr) -> Self {
        if name == "-" { Self::Stdin } else { Self::not_stdin(name) }
    }

    /// What `name` stands for where standard input is no choice.
    pub fn not_stdin(name: &OsStr) -> Self {
        Address::new(&name.to_string_lossy()).map_or_else(|| Self::File(name.into()), Self::Url)
    }

    /// The path, when it is a file.
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::File(path) => Some(path),
            Self::Stdin | Self::Url(_) => None,
        }
    }

    /// The last part of the path, without directories.
    pub fn file_name(&self) -> String {
        match self {
            Self::Stdin => String::new(),
            Self::File(path) => path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
            Self::Url(address) => address.file_name(),
        }
    }

    /// The name that the user gave, `-` for standard input; of an address what may be shown.
    pub fn name(&self) -> String {
        match self {
            Self::Stdin => "-".to_owned(),
            Self::File(path) => path.to_string_lossy().into_owned(),
            Self::Url(address) => address.shown(),
        }
    }

    /// Reads and decodes the image; `fetcher` gets it when it is an address.
    pub fn load(&self, fetcher: &Fetcher) -> Result<Photo> {
        let Fetched { content: bytes, notes } = self.read(fetcher).or_code(Code::ImageFile)?;
        let known = image::guess_format(&bytes).is_ok_and(|format| format.reading_enabled());
        let pixels = decode(&bytes).or_code(if known { Code::BadImage } else { Code::NotAnImage })?;
        let sha256 = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(Photo { sha256, pixels, notes })
    }

    fn read(&self, fetcher: &Fetcher) -> Result<Fetched<Vec<u8>>> {
        let content = match self {
            Self::Stdin => {
                let stdin = io::stdin().lock();
                ensure!(!stdin.is_terminal(), "it is a terminal; pipe an image into the program, or name a file");
                read_limited(stdin).context("cannot read standard input")?
            }
            Self::File(path) => {
                let file = File::open(path).context("cannot open the file")?;
                ensure!(
                    !file.metadata().is_ok_and(|metadata| metadata.is_dir()),
                    "it is a directory; name the images in it, for example {}",
                    path.join("*.jpg").display()
                );
                read_limited(file).context("cannot read the file")?
            }
            Self::Url(address) => return Ok(fetcher.image(address)?),
        };
        Ok(Fetched { content, notes: Vec::new() })
    }
}

/// The user's name for the source, made fit for one line of a terminal: standard input by its full name, control
/// characters escaped, an empty name in quotes.
impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::Stdin {
            return f.write_str("standard input");
        }
        let name = self.name();
        if name.is_empty() {
            return f.write_str("\"\"");
        }
        for character in name.chars() {
            if character.is_control() {
                write!(f, "{}", character.escape_default())?
            } else {
                write!(f, "{character}")?
            }
        }
        Ok(())
    }
}

fn read_limited(reader: impl Read) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    reader.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes)?;
    ensure!(bytes.len() as u64 <= MAX_FILE_BYTES, "it is larger than the limit of {} MiB", MAX_FILE_BYTES >> 20);
    Ok(bytes)
}

/// The pixels that a viewer shows: the first frame, upright, as 8-bit RGB, on white where it is transparent.
///
/// The format is told by the content. Colour profiles are not applied.
pub fn decode(bytes: &[u8]) -> Result<RgbImage> {
    ensure!(!bytes.is_empty(), "it is empty");
    let Some(format) = image::guess_format(bytes).ok().filter(ImageFormat::reading_enabled) else {
        bail!(unreadable(bytes));
    };
    let name = format_name(format);
    decode_as(format, bytes).map_err(explain).with_context(|| format!("cannot decode the {name} image"))
}

fn decode_as(format: ImageFormat, bytes: &[u8]) -> Result<RgbImage> {
    if format == ImageFormat::Tiff
        && let Some((grey, colors)) = tiff_palette::split(bytes)
    {
        let mut image = decode_as(format, &grey)?;
        image.pixels_mut().for_each(|pixel| pixel.0 = colors[usize::from(pixel.0[0])]);
        return Ok(image);
    }
    ensure!(format != ImageFormat::Jpeg || jpeg_has_end(bytes), CUT_SHORT);
    let mut decoder = ImageReader::with_format(Cursor::new(bytes), format).into_decoder()?;
    let (width, height) = decoder.dimensions();
    ensure!(width > 0 && height > 0, "it has no pixels: its size is {width}×{height}");
    ensure!(
        u64::from(width) * u64::from(height) <= MAX_PIXELS,
        "{width}×{height} pixels are more than the limit of {} megapixels; scale it down first",
        MAX_PIXELS / 1_000_000
    );
    ensure!(
        !matches!(decoder.color_type(), ColorType::Rgb32F | ColorType::Rgba32F),
        "its pixels are floating-point numbers, which have no agreed range; convert it to 8 or 16 bits"
    );
    let mut limits = Limits::no_limits();
    limits.max_alloc = Some(MAX_DECODER_BYTES);
    limits.reserve(decoder.total_bytes())?;
    decoder.set_limits(limits)?;
    ensure!(memory_takes(decoder.total_bytes()), "there is not enough memory to decode it; scale it down first");
    // A damaged note on how the camera was held is no reason to refuse the photo.
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let mut image = DynamicImage::from_decoder(decoder)?;
    image.apply_orientation(orientation);
    Ok(if image.color().has_alpha() { over_white(image) } else { image.into_rgb8() })
}

/// Whether there is memory for what a decoder makes, of `bytes`, and for a copy in other colours: to lack it then would
/// end the program.
fn memory_takes(bytes: u64) -> bool {
    let mut probe = Vec::<u8>::new();
    let taken = usize::try_from(bytes.saturating_mul(2)).is_ok_and(|bytes| probe.try_reserve_exact(bytes).is_ok());
    // Or the compiler leaves the allocation out.
    std::hint::black_box(probe);
    taken
}

/// Blends in sRGB as it is stored, as browsers and Pillow do.
fn over_white(image: DynamicImage) -> RgbImage {
    let image = image.into_rgba8();
    let blend = |colour: u8, alpha: u8| {
        let (colour, alpha) = (u32::from(colour), u32::from(alpha));
        ((colour * alpha + 255 * (255 - alpha) + 127) / 255) as u8
    };
    let pixels = image.pixels().flat_map(|&image::Rgba([r, g, b, a])| [r, g, b].map(|colour| blend(colour, a)));
    RgbImage::from_raw(image.width(), image.height(), pixels.collect()).expect("three channels a pixel")
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
    let Some(error) = error.downcast_ref::<ImageError>() else { return error };
    // Both the error and its source print the cause, some with a line break at the end.
    let cause = error.source().map_or_else(|| error.to_string(), ToString::to_string);
    let cause = cause.split_whitespace().collect::<Vec<_>>().join(" ");
    match error {
        ImageError::IoError(error) if error.kind() == io::ErrorKind::UnexpectedEof => anyhow!(CUT_SHORT),
        ImageError::Unsupported(_) => anyhow!("this variant is not read, convert it to PNG: {cause}"),
        ImageError::Limits(_) => anyhow!("it needs too much memory, scale it down first: {cause}"),
        _ => anyhow!(cause),
    }
}

/// Whether the markers of a JPEG (ITU-T T.81, annex B) lead to an end-of-image marker.
///
/// The decoder does not mind a file that was cut short and paints what is missing grey; a download that broke off
/// should not pass for a photo. Whatever lies behind the end (cameras append films and depth maps) is not looked at.
fn jpeg_has_end(bytes: &[u8]) -> bool {
    const START: u8 = 0xd8;
    const END: u8 = 0xd9;
    const RESTART: std::ops::RangeInclusive<u8> = 0xd0..=0xd7;
    let mut at = 0;
    // In coded data a 0xff is followed by 0; between segments, fill bytes of 0xff are allowed.
    while let Some(next) = bytes[at..].windows(2).position(|pair| pair[0] == 0xff && !matches!(pair[1], 0 | 0xff)) {
        let marker = bytes[at + next + 1];
        at += next + 2;
        if marker == END {
            return true;
        }
        if marker != START && !RESTART.contains(&marker) {
            let Some(length) = bytes.get(at..at + 2) else { return false };
            at += usize::from(u16::from_be_bytes([length[0], length[1]]));
            if at > bytes.len() {
                return false;
            }
        }
    }
    false
}

/// Says what the bytes look like, since they are in no format that is read.
fn unreadable(bytes: &[u8]) -> String {
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
    let known = KNOWN.iter().find(|(at, magic, _)| bytes.get(*at..).is_some_and(|rest| rest.starts_with(magic)));
    let head = String::from_utf8_lossy(&bytes[..bytes.len().min(512)]).trim_start().to_lowercase();
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
