//! The chunks of a PNG file, as far as the decoder believes more than it should. Nothing is decoded
//! here.
//!
//! PNG, third edition: section 5 (structure), 11.2.2 (palette).

use anyhow::{Result, ensure};

/// Follows the chunks to the first pixels.
///
/// # Errors
///
/// When the image has a palette that is not of 1 to 256 whole colours: the decoder would panic
/// (<https://github.com/image-rs/image-png/issues/694>). That is mended upstream
/// (<https://github.com/image-rs/image-png/pull/682>), and this may go with the first release of
/// `png` after 0.18.1.
pub fn check(bytes: &[u8]) -> Result<()> {
    const SIGNATURE: usize = 8;
    /// Length and type before the content of a chunk, and the checksum behind it.
    const HEADER: usize = 8;
    const CHECKSUM: usize = 4;
    const COLOR: usize = 3;
    const MAX_COLORS: usize = 256;
    /// Where in the first chunk the kind of pixels is, and the one that numbers colours.
    const COLOR_TYPE: usize = SIGNATURE + HEADER + 9;
    const INDEXED: u8 = 3;

    let is_indexed = bytes.get(COLOR_TYPE) == Some(&INDEXED);
    let mut at = SIGNATURE;
    while let Some(header) = bytes.get(at..).and_then(<[u8]>::first_chunk::<HEADER>) {
        let length = u32::from_be_bytes([header[0], header[1], header[2], header[3]]) as usize;
        match &header[4..] {
            b"PLTE" if is_indexed => ensure!(
                length > 0 && length.is_multiple_of(COLOR) && length <= MAX_COLORS * COLOR,
                "its palette is damaged: expected 1 to {MAX_COLORS} colours of {COLOR} bytes, found {length} bytes"
            ),
            b"IDAT" => break,
            _ => (),
        }
        at = at.saturating_add(HEADER + length + CHECKSUM);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(color_type: u8, chunks: &[(&[u8; 4], u32)]) -> Vec<u8> {
        let mut bytes = b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR\0\0\0\x07\0\0\0\x03\x08".to_vec();
        bytes.extend([color_type, 0, 0, 0, 1, 2, 3, 4]);
        for (name, length) in chunks {
            bytes.extend(length.to_be_bytes());
            bytes.extend(*name);
            bytes.resize(bytes.len() + (*length).min(1000) as usize + 4, 0);
        }
        bytes
    }

    #[test]
    fn a_palette_is_of_whole_colours_and_not_too_many() {
        for (length, is_whole) in [
            (0, false),
            (1, false),
            (3, true),
            (49, false),
            (768, true),
            (771, false),
        ] {
            let chunks = [(b"gAMA", 4), (b"PLTE", length), (b"IDAT", 9)];
            assert_eq!(check(&file(3, &chunks)).is_ok(), is_whole, "{length}");
            // A suggestion that nobody takes.
            assert!(check(&file(2, &chunks)).is_ok());
        }
        // Nothing behind the first pixels, or beyond the end, is looked at.
        assert!(check(&file(3, &[(b"IDAT", 9), (b"PLTE", 1)])).is_ok());
        assert!(check(&file(3, &[(b"tEXt", u32::MAX), (b"PLTE", 1)])).is_ok());
        assert!(check(b"").is_ok());
    }
}
