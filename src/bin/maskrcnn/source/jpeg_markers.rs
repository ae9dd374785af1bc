//! What the JPEG decoder does not mind, or gets wrong without a word, read from the markers. Nothing is decoded here.
//!
//! ITU-T T.81, annex B.

use anyhow::{Result, bail};

use super::decode::CUT_SHORT;

/// Follows the markers to the end of the image. Whatever lies behind it (cameras append films and depth maps) is not looked
/// at.
///
/// # Errors
///
/// When there is no end: the decoder paints what is missing grey, and a download that broke off should not pass for a
/// photo. When the colours of smaller size come one after the other in a sequential image: the decoder mixes them up.
pub fn check(bytes: &[u8]) -> Result<()> {
    const START: u8 = 0xd8;
    const END: u8 = 0xd9;
    const SEQUENTIAL: std::ops::RangeInclusive<u8> = 0xc0..=0xc1;
    const SCAN: u8 = 0xda;
    const RESTART: std::ops::RangeInclusive<u8> = 0xd0..=0xd7;
    let mut at = 0;
    // Of a sequential image with colours of different sizes.
    let mut components = None;
    // In coded data a 0xff is followed by 0; between segments, fill bytes of 0xff are allowed.
    while let Some(next) = bytes[at..].windows(2).position(|pair| pair[0] == 0xff && !matches!(pair[1], 0 | 0xff)) {
        let marker = bytes[at + next + 1];
        at += next + 2;
        if marker == END {
            return Ok(());
        }
        if marker == START || RESTART.contains(&marker) {
            continue;
        }
        let Some(length) = bytes.get(at..at + 2) else { break };
        let Some(segment) = bytes.get(at..at + usize::from(u16::from_be_bytes([length[0], length[1]]))) else { break };
        if SEQUENTIAL.contains(&marker) {
            components = subsampled(segment);
        } else if marker == SCAN && components.is_some_and(|all| segment.get(2).is_some_and(|&in_scan| in_scan < all)) {
            bail!(
                "its colours are stored one after the other in different sizes, which is not read; convert it to PNG"
            );
        }
        at += segment.len();
    }
    bail!(CUT_SHORT)
}

/// The number of components of a frame header, when their sampling factors differ from one another.
fn subsampled(segment: &[u8]) -> Option<u8> {
    const COMPONENTS: usize = 7;
    const SAMPLING: usize = 1;
    let (&count, components) = segment.get(COMPONENTS..)?.split_first()?;
    let mut factors = components.chunks_exact(3).map(|component| component[SAMPLING]);
    let first = factors.next()?;
    factors.any(|factor| factor != first).then_some(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fixture(name: &str) -> Vec<u8> {
        std::fs::read(format!("{}/tests/fixtures/images/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
    }

    #[test]
    fn a_thumbnail_inside_does_not_count_as_the_end() {
        let photo = fixture("jpeg-444.jpg");
        let segment = [b"\xff\xe1\0\x0aExif\xff\xd9\0\0".as_slice(), &photo[2..photo.len() / 2]].concat();
        assert_eq!(check(&[&photo[..2], &segment].concat()).unwrap_err().to_string(), CUT_SHORT);
    }

    #[test]
    fn segments_of_any_length_are_safe() {
        for bytes in [b"\xff\xd8\xff\xc0\0\0".as_slice(), b"\xff\xd8\xff\xc0\0\x01\xff\xda\0\x02", b"\xff\xd8\xff\xda"]
        {
            assert!(check(bytes).is_err(), "{bytes:?}");
        }
    }

    #[test]
    fn colours_of_different_sizes_in_scans_of_their_own_are_refused_and_equal_ones_are_not() {
        // Y of 16×16 samples a unit with Cb and Cr of 8×8, then all of 8×8; the scan holds Y alone.
        let header = |sampling: u8| {
            let frame = [b"\xff\xd8\xff\xc0\0\x11\x08\0\x10\0\x10\x03\x01".as_slice(), &[sampling]].concat();
            [&frame, b"\0\x02\x11\x01\x03\x11\x01\xff\xda\0\x08\x01\x01\0\0\x3f\0\x12\x34\xff\xd9".as_slice()].concat()
        };
        let expected =
            "its colours are stored one after the other in different sizes, which is not read; convert it to PNG";
        assert_eq!(check(&header(0x22)).unwrap_err().to_string(), expected);
        assert!(check(&header(0x11)).is_ok());
    }
}
