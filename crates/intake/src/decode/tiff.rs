//! What the TIFF decoder leaves out or falls over, read from the tags of the first image. Nothing
//! is decoded here.
//!
//! TIFF 6.0: section 2 (structure), 5 (palette-colour images), 8 and 15 (baseline fields and
//! tiles), 18 (associated alpha).

use anyhow::{Result, bail};

/// How the decoder's pixels are to be read.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Tags {
    /// The colours that the greys stand for, 256 of them.
    pub palette: Option<Vec<[u8; 3]>>,
    /// Whether the colours have been multiplied by their alpha.
    pub premultiplied: bool,
}

/// Reads the tags, and turns a palette image of 256 colours, which the decoder leaves out, into a
/// grey one whose greys are the numbers of the colours. Bytes that are no TIFF, or a broken one,
/// stay as they are: the decoder says what is wrong.
///
/// # Errors
///
/// For what the decoder would panic over, or get wrong without a word.
pub fn read(bytes: &mut [u8]) -> Result<Tags> {
    const COMPRESSION: u16 = 259;
    const FILL_ORDER: u16 = 266;
    const PLANAR_CONFIGURATION: u16 = 284;
    const TILE_WIDTH: u16 = 322;
    const EXTRA_SAMPLES: u16 = 338;
    /// Both forms of group 3, and group 4: the codes of a fax, which have their own order of bits.
    const FAX: std::ops::RangeInclusive<u16> = 2..=4;

    let Some(directory) = Directory::first(bytes) else {
        return Ok(Tags::default());
    };
    let value = |tag: u16| directory.short(directory.entry(tag)? + Directory::VALUE);
    if value(PLANAR_CONFIGURATION) == Some(2) && directory.entry(TILE_WIDTH).is_some() {
        bail!("its colours are stored apart, in tiles, which is not read; convert it to PNG");
    }
    if value(FILL_ORDER) == Some(2)
        && !value(COMPRESSION).is_some_and(|compression| FAX.contains(&compression))
    {
        bail!("the bits of its bytes are stored in reverse, which is not read; convert it to PNG");
    }
    let premultiplied = value(EXTRA_SAMPLES) == Some(1);
    let Some((palette, interpretation)) = palette(&directory) else {
        return Ok(Tags {
            palette: None,
            premultiplied,
        });
    };
    let black_is_zero = if directory.little {
        1u16.to_le_bytes()
    } else {
        1u16.to_be_bytes()
    };
    bytes[interpretation..interpretation + 2].copy_from_slice(&black_is_zero);
    Ok(Tags {
        palette: Some(palette),
        premultiplied,
    })
}

/// The colours of a palette image, and where the file says that it is one. `None` for any other
/// image, also for a palette of fewer bits.
fn palette(directory: &Directory) -> Option<(Vec<[u8; 3]>, usize)> {
    const PHOTOMETRIC_INTERPRETATION: u16 = 262;
    const PALETTE: u16 = 3;
    const COLOR_MAP: u16 = 320;
    const COLORS: usize = 256;

    let interpretation = directory.entry(PHOTOMETRIC_INTERPRETATION)? + Directory::VALUE;
    let map = directory.entry(COLOR_MAP)?;
    if directory.short(interpretation)? != PALETTE || directory.long(map + 4)? != 3 * COLORS {
        return None;
    }
    // All reds, then all greens, then all blues, of 16 bits whose high byte counts.
    let map = directory.long(map + Directory::VALUE)?;
    let channel = |color: usize, plane: usize| {
        Some((directory.short(map.checked_add(2 * (plane * COLORS + color))?)? >> 8) as u8)
    };
    let colors =
        (0..COLORS).map(|color| Some([channel(color, 0)?, channel(color, 1)?, channel(color, 2)?]));
    Some((colors.collect::<Option<_>>()?, interpretation))
}

/// The first image file directory.
struct Directory<'a> {
    bytes: &'a [u8],
    little: bool,
    /// Where its entries begin.
    start: usize,
    entries: usize,
}

impl<'a> Directory<'a> {
    /// An entry: tag, type, count, and the value or, where it is longer than four bytes, its
    /// offset.
    const ENTRY: usize = 12;
    /// Where in an entry the value is.
    const VALUE: usize = 8;

    fn first(bytes: &'a [u8]) -> Option<Self> {
        let little = match bytes.get(..4)? {
            b"II*\0" => true,
            b"MM\0*" => false,
            _ => return None,
        };
        let mut directory = Self {
            bytes,
            little,
            start: 0,
            entries: 0,
        };
        let offset = directory.long(4)?;
        directory.entries = usize::from(directory.short(offset)?);
        directory.start = offset + 2;
        Some(directory)
    }

    /// Where the entry of this tag begins.
    fn entry(&self, tag: u16) -> Option<usize> {
        let entries = (0..self.entries).map(|i| self.start + i * Self::ENTRY);
        entries
            .take_while(|&at| at < self.bytes.len())
            .find(|&at| self.short(at) == Some(tag))
    }

    fn short(&self, at: usize) -> Option<u16> {
        let bytes = self.bytes.get(at..at.checked_add(2)?)?.try_into().ok()?;
        Some(if self.little {
            u16::from_le_bytes(bytes)
        } else {
            u16::from_be_bytes(bytes)
        })
    }

    fn long(&self, at: usize) -> Option<usize> {
        let bytes = self.bytes.get(at..at.checked_add(4)?)?.try_into().ok()?;
        Some(if self.little {
            u32::from_le_bytes(bytes)
        } else {
            u32::from_be_bytes(bytes)
        } as usize)
    }
}
