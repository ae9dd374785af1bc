//! TIFFs that the `image` crate leaves out or the `tiff` crate falls over: their tags, and those
//! that are decoded here, by the `tiff` crate alone.
//!
//! TIFF 6.0: section 5 (palette-colour images), 8 and 15 (baseline fields and tiles), 18
//! (associated alpha), 21 (YCbCr); Adobe's technical note 2 of 1995 (JPEG). Where a directory lies
//! and what is in it, the `tiff` crate says.

use std::io::{self, Cursor};
use std::ops::Range;

use anyhow::{Result, bail, ensure};
use image::codecs::jpeg::JpegDecoder;
use image::error::{
    DecodingError, LimitError, LimitErrorKind, UnsupportedError, UnsupportedErrorKind,
};
use image::metadata::Orientation;
use image::{ColorType, ImageDecoder, ImageError, ImageFormat, ImageResult};
use tiff::decoder::{ChunkType, Decoder, DecodingResult, Limits};
use tiff::tags::{ByteOrder, Tag};
use tiff::{TiffError, TiffResult};

use super::icc;

/// Values of the tag that says what samples stand for.
const RGB: u16 = 2;
const PALETTE: u16 = 3;
const YCBCR: u16 = 6;

/// The compression that is JPEG.
const JPEG: u16 = 7;

/// How the decoder's pixels are to be read.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Tags {
    /// The colours that the greys stand for, 256 of them.
    pub palette: Option<Vec<[u8; 3]>>,
    /// Whether the colours have been multiplied by their alpha, which the `image` crate does not
    /// tell (<https://github.com/image-rs/image/issues/1743>); goes when it does.
    pub premultiplied: bool,
    /// Whether the file stores red, green and blue, rather than grey or ink.
    pub is_rgb: bool,
    /// The ICC profile, whatever it is of. Read here as the `image` crate takes 32 times its length
    /// for that (`icc_profile` in `codecs/tiff.rs` of `image` 0.25.10, a value for each byte; not
    /// reported upstream as of 2026-11).
    pub icc_profile: Option<Vec<u8>>,
    /// Whether [`LeftOut`] is to decode the file.
    pub is_left_out: bool,
}

/// Whether these are the bytes of a BigTIFF, for files beyond 4 GiB but written for smaller ones
/// too. The `image` crate reads it and does not know it (`guess_format` in `io/free_functions.rs`
/// of `image` 0.25.10; not reported upstream as of 2026-11); goes when it does.
pub fn is_big(bytes: &[u8]) -> bool {
    const MAGIC: [&[u8]; 2] = [b"II\x2b\0\x08\0\0\0", b"MM\0\x2b\0\x08\0\0"];
    MAGIC.iter().any(|magic| bytes.starts_with(magic))
}

/// Reads the tags, and turns an image of a palette, which the decoder leaves out, into a grey one
/// whose greys are the numbers of the colours. Bytes that are no TIFF, or a broken one, stay as
/// they are: the decoder says what is wrong.
///
/// Bytes whose bits are stored in reverse, as faxes have them, are turned: the tag that says so is
/// nowhere read in `tiff` 0.11.3 (`create_reader` in `decoder/image.rs`); its next release reads it
/// for faxes (<https://github.com/image-rs/image-tiff/pull/389>), otherwise not reported upstream
/// as of 2026-11.
///
/// # Errors
///
/// For what the decoder would panic over: planes of several tiles
/// (<https://github.com/image-rs/image-tiff/issues/403>; open, goes when it is mended). For parts
/// in JPEG that are larger than the part they are: the decoder unpacks them whole, whatever its
/// limits are (`create_reader` again; not reported upstream as of 2026-11).
pub fn read(bytes: &mut [u8]) -> Result<Tags> {
    const PLANES: u16 = 2;
    const REVERSED: u16 = 2;
    let file = bytes.len();
    let Ok(mut decoder) = Decoder::new(Cursor::new(&*bytes)) else {
        return Ok(Tags::default());
    };
    let has_tiles = decoder.get_chunk_type() == ChunkType::Tile;
    if has_tiles && first(&mut decoder, Tag::PlanarConfiguration) == Some(PLANES) {
        bail!("its colours are stored apart, in tiles, which is not read; convert it to PNG");
    }
    let is_jpeg = first(&mut decoder, Tag::Compression) == Some(JPEG);
    let is_reversed = !is_jpeg && first(&mut decoder, Tag::FillOrder) == Some(REVERSED);
    let mut reversed = Vec::new();
    if is_jpeg || is_reversed {
        let parts = parts(&mut decoder);
        ensure!(
            parts.iter().map(ExactSizeIterator::len).sum::<usize>() <= file,
            "its parts overlap; convert it to PNG"
        );
        if is_jpeg {
            check_jpegs(&mut decoder, &parts)?;
        } else {
            reversed = parts;
        }
    }
    let interpretation = first(&mut decoder, Tag::PhotometricInterpretation);
    let mut tags = Tags {
        palette: None,
        premultiplied: first(&mut decoder, Tag::ExtraSamples) == Some(1),
        is_rgb: matches!(interpretation, Some(RGB | PALETTE | YCBCR)),
        icc_profile: profile(&mut decoder),
        is_left_out: Kind::of(&mut decoder).is_some(),
    };
    let palette = if interpretation == Some(PALETTE) {
        palette(&mut decoder)
    } else {
        None
    };
    if let (Some(palette), Some(at)) = (palette, interpretation_at(&mut decoder)) {
        let (order, palette_value, black_is_zero) = (decoder.byte_order(), PALETTE, 1);
        let written = |value: u16| match order {
            ByteOrder::LittleEndian => value.to_le_bytes(),
            ByteOrder::BigEndian => value.to_be_bytes(),
        };
        if let Some(value) = bytes.get_mut(at..at + 2)
            && *value == written(palette_value)
        {
            value.copy_from_slice(&written(black_is_zero));
            tags.palette = Some(palette);
            tags.is_left_out = true;
        }
    }
    for part in reversed {
        bytes[part]
            .iter_mut()
            .for_each(|byte| *byte = byte.reverse_bits());
    }
    Ok(tags)
}

/// Where the strips or tiles are, as far as they are in the file, each once.
fn parts(decoder: &mut Decoder<Cursor<&[u8]>>) -> Vec<Range<usize>> {
    let file = decoder.inner().get_ref().len();
    let (offsets, lengths) = match decoder.get_chunk_type() {
        ChunkType::Strip => (Tag::StripOffsets, Tag::StripByteCounts),
        ChunkType::Tile => (Tag::TileOffsets, Tag::TileByteCounts),
    };
    let mut numbers = |tag| {
        let numbers = decoder.find_tag_unsigned_vec::<usize>(tag);
        numbers.ok().flatten().unwrap_or_default()
    };
    let (offsets, lengths) = (numbers(offsets), numbers(lengths));
    let mut parts: Vec<_> = offsets
        .into_iter()
        .zip(lengths)
        .map(|(offset, length)| offset.min(file)..offset.saturating_add(length).min(file))
        .collect();
    // Parts that are the same may be in the file once.
    parts.sort_unstable_by_key(|part| (part.start, part.end));
    parts.dedup();
    parts
}

/// See [`read`].
fn check_jpegs(decoder: &mut Decoder<Cursor<&[u8]>>, parts: &[Range<usize>]) -> Result<()> {
    /// A JPEG is made of units of at most 16×16 pixels in practice, and some writers fill the last.
    const UNIT: u64 = 16;
    /// The marker that begins a JPEG, and the one that ends it.
    const MARKER: usize = 2;

    /// Tiles larger than the image are no larger than that.
    const LARGEST_TILE: u32 = 4096;

    let (width, height) = decoder.dimensions()?;
    let (part_width, part_height) = decoder.chunk_dimensions();
    let side = |part: u32, image: u32| u64::from(part.min(image.max(LARGEST_TILE))) + UNIT;
    let most = side(part_width, width) * side(part_height, height);
    // What the parts have in common stands before each of them.
    let common = decoder.find_tag(Tag::JPEGTables).ok().flatten();
    let common = common.and_then(|common| common.into_u8_vec().ok());
    let common = common.unwrap_or_default();
    for part in parts {
        let part = &decoder.inner().get_ref()[part.clone()];
        let size = match common.len().checked_sub(MARKER) {
            None => size_of_jpeg(part),
            Some(end) => {
                let rest = part.get(MARKER..).unwrap_or_default();
                size_of_jpeg(&[&common[..end], rest].concat())
            }
        };
        let pixels = size.map_or(0, |(width, height)| u64::from(width) * u64::from(height));
        ensure!(
            pixels <= most,
            "a part of it is larger than it says; convert it to PNG"
        );
    }
    Ok(())
}

/// Width and height, from the header, as the decoder reads it.
fn size_of_jpeg(bytes: &[u8]) -> Option<(u32, u32)> {
    Some(JpegDecoder::new(Cursor::new(bytes)).ok()?.dimensions())
}

/// The first number of a tag, when there is one.
///
/// Not of endless ones: of such a text `tiff` 0.11.3 says on standard error that it is too long
/// (mended upstream: <https://github.com/image-rs/image-tiff/commit/399469f>). The tags that it
/// reads to open a file are beyond reach here.
fn first<R: io::Read + io::Seek>(decoder: &mut Decoder<R>, tag: Tag) -> Option<u16> {
    /// More numbers than any tag has that is read here, most of which have one for each sample.
    const MOST: u64 = 65_536;
    if decoder.image_ifd().find_entry(tag)?.count() > MOST {
        return None;
    }
    let numbers = decoder.find_tag_unsigned_vec(tag).ok()??;
    numbers.first().copied()
}

/// The bytes of the ICC profile, unless they are more than is kept.
fn profile(decoder: &mut Decoder<Cursor<&[u8]>>) -> Option<Vec<u8>> {
    let file = decoder.inner().get_ref().len();
    let mut tags = decoder.image_ifd();
    let length = usize::try_from(tags.find_entry(Tag::IccProfile)?.count()).ok()?;
    if length > icc::MAX_BYTES.min(file) {
        return None;
    }
    let mut profile = vec![0; length];
    let read = tags.find_tag_bytes(Tag::IccProfile, &mut profile, 0).ok()?;
    // Of another type than bytes there would be more.
    (read == Some(length)).then_some(profile)
}

/// The colours of a palette, as many as eight bits can number. `None` for what is no palette of
/// one, two, four or eight bits.
///
/// `tiff` 0.11.3 reads none; its next release does
/// (<https://github.com/image-rs/image-tiff/pull/361>), and this may go when the `image` crate
/// follows it.
fn palette(decoder: &mut Decoder<Cursor<&[u8]>>) -> Option<Vec<[u8; 3]>> {
    const COLORS: usize = 256;
    let bits = first(decoder, Tag::BitsPerSample).unwrap_or(1);
    let count = decoder.image_ifd().find_entry(Tag::ColorMap)?.count();
    if !matches!(bits, 1 | 2 | 4 | 8) || count != 3 << bits {
        return None;
    }
    let map: Vec<u16> = decoder.find_tag_unsigned_vec(Tag::ColorMap).ok()??;
    if map.len() != 3 << bits {
        return None;
    }
    // All reds, then all greens, then all blues, of 16 bits whose high byte counts.
    let (reds, rest) = map.split_at(1 << bits);
    let (greens, blues) = rest.split_at(1 << bits);
    let colors = reds.iter().zip(greens).zip(blues);
    let mut colors: Vec<_> = colors
        .map(|((red, green), blue)| [red, green, blue].map(|channel| (channel >> 8) as u8))
        .collect();
    colors.resize(COLORS, [0; 3]);
    Some(colors)
}

/// Where the file says what its samples stand for: the one thing that the `tiff` crate does not
/// tell of a tag.
fn interpretation_at(decoder: &mut Decoder<Cursor<&[u8]>>) -> Option<usize> {
    /// How a directory is laid out: bytes of the number of its entries, bytes of an entry, and
    /// where in one its value is. Section 2; the second is of BigTIFF.
    const LAYOUTS: [(usize, usize, usize); 2] = [(2, 12, 8), (8, 20, 12)];

    let start = usize::try_from(decoder.ifd_pointer()?.0).ok()?;
    let order = decoder.byte_order();
    let bytes: &[u8] = decoder.inner().get_ref();
    let (count, entry, value) = LAYOUTS[usize::from(is_big(bytes))];
    let start = start.checked_add(count)?;
    let tag = Tag::PhotometricInterpretation.to_u16();
    let tag = match order {
        ByteOrder::LittleEndian => tag.to_le_bytes(),
        ByteOrder::BigEndian => tag.to_be_bytes(),
    };
    let mut entries = bytes.get(start..)?.chunks_exact(entry);
    let index = entries.position(|entry| entry.starts_with(&tag))?;
    Some(start + index * entry + value)
}

/// What the `tiff` crate decodes and the `image` crate then leaves out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Greys of so many bits, at most eight.
    Grey(u8),
    /// Brightness and colours as a JPEG has them, in one.
    YCbCr,
}

impl Kind {
    /// The kind of the image; `None` when the `image` crate takes it, or nobody does.
    fn of<R: io::Read + io::Seek>(decoder: &mut Decoder<R>) -> Option<Self> {
        const UNSIGNED: u16 = 1;
        if first(decoder, Tag::SampleFormat).is_some_and(|format| format != UNSIGNED) {
            return None;
        }
        let is_jpeg = first(decoder, Tag::Compression) == Some(JPEG);
        match decoder.colortype().ok()? {
            tiff::ColorType::Gray(bits @ (2 | 4)) => Some(Self::Grey(bits)),
            tiff::ColorType::YCbCr(8) if is_jpeg => Some(Self::YCbCr),
            _ => None,
        }
    }
}

/// Decodes what the `image` crate leaves out although the `tiff` crate does not: palettes
/// (<https://github.com/image-rs/image-tiff/issues/202>), YCbCr in JPEG
/// (<https://github.com/image-rs/image/issues/2530>; mended upstream, goes with the first release
/// of `image` after 0.25.10), and greys of two and four bits (`TiffDecoder::new` in
/// `codecs/tiff.rs`; not reported upstream as of 2026-11, goes when it takes them).
pub struct LeftOut {
    decoder: Decoder<Cursor<Vec<u8>>>,
    size: (u32, u32),
    kind: Kind,
    /// Whether the greys are numbers of colours.
    is_palette: bool,
    limits: Limits,
}

impl LeftOut {
    /// A decoder of a file of which [`read`] says that it is left out.
    ///
    /// # Errors
    ///
    /// When the file is damaged.
    pub fn new(bytes: Vec<u8>, is_palette: bool) -> ImageResult<Self> {
        let mut decoder = Decoder::new(Cursor::new(bytes)).map_err(error)?;
        let size = decoder.dimensions().map_err(error)?;
        let color = decoder.colortype().map_err(error)?;
        let kind = match color {
            tiff::ColorType::Gray(bits @ (1 | 8)) if is_palette => Some(Kind::Grey(bits)),
            _ => Kind::of(&mut decoder),
        };
        let Some(kind) = kind else {
            return Err(unsupported(format!("pixels of the kind {color:?}")));
        };
        Ok(Self {
            decoder,
            size,
            kind,
            is_palette,
            limits: Limits::default(),
        })
    }

    /// Reads greys into `greys`, one byte each.
    fn read_greys(self, bits: u8, greys: &mut [u8]) -> TiffResult<()> {
        let mut packed = DecodingResult::U8(Vec::new());
        let mut decoder = self.decoder.with_limits(self.limits);
        decoder.read_image_to_buffer(&mut packed)?;
        let packed = packed.as_buffer(0);
        let width = self.size.0 as usize;
        let bits = usize::from(bits);
        let most = u8::MAX >> (8 - bits);
        let scale = if self.is_palette { 1 } else { u8::MAX / most };
        // Each row begins with a byte of its own.
        let rows = packed
            .as_bytes()
            .chunks_exact((width * bits).div_ceil(8).max(1));
        for (packed, greys) in rows.zip(greys.chunks_exact_mut(width.max(1))) {
            for (x, grey) in greys.iter_mut().enumerate() {
                let at = x * bits;
                let shift = 8 - bits - at % 8;
                *grey = ((packed[at / 8] >> shift) & most) * scale;
            }
        }
        Ok(())
    }

    /// Reads brightness and colours into `pixels`, and makes RGB of them.
    fn read_ycbcr(self, pixels: &mut [u8]) -> TiffResult<()> {
        let mut decoder = self.decoder.with_limits(self.limits);
        decoder.read_image_bytes(pixels)?;
        for pixel in pixels.as_chunks_mut().0 {
            *pixel = rgb(*pixel);
        }
        Ok(())
    }
}

impl ImageDecoder for LeftOut {
    fn dimensions(&self) -> (u32, u32) {
        self.size
    }

    fn color_type(&self) -> ColorType {
        match self.kind {
            Kind::Grey(_) => ColorType::L8,
            Kind::YCbCr => ColorType::Rgb8,
        }
    }

    fn orientation(&mut self) -> ImageResult<Orientation> {
        let orientation = first(&mut self.decoder, Tag::Orientation);
        Ok(orientation
            .and_then(|orientation| Orientation::from_exif(u8::try_from(orientation).ok()?))
            .unwrap_or(Orientation::NoTransforms))
    }

    fn set_limits(&mut self, limits: image::Limits) -> ImageResult<()> {
        limits.check_dimensions(self.size.0, self.size.1)?;
        let size = |bytes: u64| usize::try_from(bytes).unwrap_or(usize::MAX);
        let all = limits.max_alloc.map_or(usize::MAX, size);
        let decoded = all.min(size(self.total_bytes()));
        self.limits.decoding_buffer_size = decoded;
        self.limits.intermediate_buffer_size = all - decoded;
        self.limits.ifd_value_size = all - decoded;
        Ok(())
    }

    fn read_image(self, buffer: &mut [u8]) -> ImageResult<()> {
        let read = match self.kind {
            Kind::Grey(bits) => self.read_greys(bits, buffer),
            Kind::YCbCr => self.read_ycbcr(buffer),
        };
        read.map_err(error)
    }

    fn read_image_boxed(self: Box<Self>, buffer: &mut [u8]) -> ImageResult<()> {
        (*self).read_image(buffer)
    }
}

/// The RGB of a pixel of brightness and two colours, each 0 to 255: ITU-T T.871, section 7, in
/// numbers of 16 binary places as libjpeg has them.
fn rgb([y, blue, red]: [u8; 3]) -> [u8; 3] {
    const PLACES: u32 = 16;
    let (blue, red) = (i32::from(blue) - 128, i32::from(red) - 128);
    // 1.402, 0.344136, 0.714136 and 1.772.
    let differences = [91_881 * red, -22_554 * blue - 46_802 * red, 116_130 * blue];
    differences.map(|difference| {
        let difference = (difference + (1 << (PLACES - 1))) >> PLACES;
        (i32::from(y) + difference).clamp(0, 255) as u8
    })
}

/// What the `image` crate would say of an error of the `tiff` crate.
fn error(error: TiffError) -> ImageError {
    match error {
        TiffError::IoError(error) => ImageError::IoError(error),
        TiffError::UnsupportedError(error) => unsupported(error.to_string()),
        TiffError::LimitsExceeded => {
            ImageError::Limits(LimitError::from_kind(LimitErrorKind::InsufficientMemory))
        }
        error => ImageError::Decoding(DecodingError::new(ImageFormat::Tiff.into(), error)),
    }
}

/// A variant that is not read.
fn unsupported(what: String) -> ImageError {
    ImageError::Unsupported(UnsupportedError::from_format_and_kind(
        ImageFormat::Tiff.into(),
        UnsupportedErrorKind::GenericFeature(what),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brightness_and_colours_become_rgb_as_in_libjpeg() {
        for (ycbcr, expected) in [
            ([0, 128, 128], [0, 0, 0]),
            ([255, 128, 128], [255, 255, 255]),
            ([76, 85, 255], [254, 0, 0]),
            ([150, 44, 21], [0, 255, 1]),
            ([29, 255, 107], [0, 0, 254]),
        ] {
            assert_eq!(rgb(ycbcr), expected, "{ycbcr:?}");
        }
    }
}
