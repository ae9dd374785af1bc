//! TIFFs of 256 colours from a palette, which the `image` crate leaves out. Nothing is decoded here.

/// A palette TIFF as a grey one whose greys are the numbers of the colours, and the colours. `None` for any other file,
/// also for a palette of fewer bits: the decoder says then what it does not read.
///
/// TIFF 6.0, sections 2 (structure) and 5 (palette-colour images).
pub fn split(bytes: &[u8]) -> Option<(Vec<u8>, Vec<[u8; 3]>)> {
    const PHOTOMETRIC_INTERPRETATION: u16 = 262;
    const BLACK_IS_ZERO: u16 = 1;
    const PALETTE: u16 = 3;
    const COLOR_MAP: u16 = 320;
    const COLORS: usize = 256;
    const ENTRY: usize = 12;

    let little = match bytes.get(..4)? {
        b"II*\0" => true,
        b"MM\0*" => false,
        _ => return None,
    };
    let short = |at: usize| {
        let bytes = bytes.get(at..at.checked_add(2)?)?.try_into().ok()?;
        Some(if little { u16::from_le_bytes(bytes) } else { u16::from_be_bytes(bytes) })
    };
    let long = |at: usize| {
        let bytes = bytes.get(at..at.checked_add(4)?)?.try_into().ok()?;
        Some(if little { u32::from_le_bytes(bytes) } else { u32::from_be_bytes(bytes) } as usize)
    };

    // An entry: tag, type, count, and the value or, where it is longer than four bytes, its offset.
    let directory = long(4)?;
    let entry = |tag: u16| {
        let entries = (0..usize::from(short(directory)?)).map(|i| directory + 2 + i * ENTRY);
        entries.take_while(|&at| at < bytes.len()).find(|&at| short(at) == Some(tag))
    };
    let interpretation = entry(PHOTOMETRIC_INTERPRETATION)? + 8;
    let map = entry(COLOR_MAP)?;
    if short(interpretation)? != PALETTE || long(map + 4)? != 3 * COLORS {
        return None;
    }

    // All reds, then all greens, then all blues, of 16 bits whose high byte counts.
    let map = long(map + 8)?;
    let channel =
        |color: usize, plane: usize| Some((short(map.checked_add(2 * (plane * COLORS + color))?)? >> 8) as u8);
    let colors = (0..COLORS).map(|color| Some([channel(color, 0)?, channel(color, 1)?, channel(color, 2)?]));
    let colors = colors.collect::<Option<_>>()?;

    let mut grey = bytes.to_vec();
    let value = if little { BLACK_IS_ZERO.to_le_bytes() } else { BLACK_IS_ZERO.to_be_bytes() };
    grey[interpretation..interpretation + 2].copy_from_slice(&value);
    Some((grey, colors))
}
