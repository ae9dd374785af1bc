//! What the JPEG decoder does not mind, or gets wrong without a word, read from the markers.
//! Nothing is decoded here.
//!
//! ITU-T T.81, annex B.

use anyhow::{Result, bail};

use super::error::CUT_SHORT;

/// Follows the markers to the end of the image, and returns how many bytes of coefficients the
/// decoder will hold at once: those of the whole image where it comes in several scans, none where
/// it comes in one. Whatever lies behind the end (cameras append films and depth maps) is not
/// looked at.
///
/// # Errors
///
/// When there is no end: the decoder paints what is missing grey, and a download that broke off
/// should not pass for a photo. When the colours of smaller size come one after the other in a
/// sequential image: the decoder mixes them up.
pub fn check(bytes: &[u8]) -> Result<u64> {
    const START: u8 = 0xd8;
    const END: u8 = 0xd9;
    const SEQUENTIAL: std::ops::RangeInclusive<u8> = 0xc0..=0xc1;
    const PROGRESSIVE: u8 = 0xc2;
    const SCAN: u8 = 0xda;
    const RESTART: std::ops::RangeInclusive<u8> = 0xd0..=0xd7;
    let mut at = 0;
    let mut frame = None;
    let mut is_sequential = false;
    let mut coefficient_bytes = 0;
    // In coded data a 0xff is followed by 0; between segments, fill bytes of 0xff are allowed.
    while let Some(next) = bytes[at..]
        .windows(2)
        .position(|pair| pair[0] == 0xff && !matches!(pair[1], 0 | 0xff))
    {
        let marker = bytes[at + next + 1];
        at += next + 2;
        if marker == END {
            return Ok(coefficient_bytes);
        }
        if marker == START || RESTART.contains(&marker) {
            continue;
        }
        let Some(length) = bytes.get(at..at + 2) else {
            break;
        };
        let Some(segment) =
            bytes.get(at..at + usize::from(u16::from_be_bytes([length[0], length[1]])))
        else {
            break;
        };
        // Of a second frame header the decoder believes nothing.
        if frame.is_none() && (SEQUENTIAL.contains(&marker) || marker == PROGRESSIVE) {
            frame = Frame::read(segment);
            is_sequential = marker != PROGRESSIVE;
        } else if let (SCAN, Some(frame)) = (marker, &frame) {
            let is_partial = segment
                .get(2)
                .is_some_and(|&in_scan| usize::from(in_scan) < frame.sampling.len());
            if is_sequential && is_partial && frame.is_subsampled() {
                bail!(
                    "its colours are stored one after the other in different sizes, which is not read; convert it to PNG"
                );
            }
            if !is_sequential || is_partial {
                coefficient_bytes = frame.coefficient_bytes();
            }
        }
        at += segment.len();
    }
    bail!(CUT_SHORT)
}

/// What a frame header says.
struct Frame {
    height: u16,
    width: u16,
    /// Horizontal and vertical factor of each component.
    sampling: Vec<[u8; 2]>,
}

impl Frame {
    /// Of more the decoder makes nothing.
    const MAX_COMPONENTS: usize = 4;

    fn read(segment: &[u8]) -> Option<Self> {
        const HEIGHT: usize = 3;
        const WIDTH: usize = 5;
        const COMPONENTS: usize = 7;
        let short = |at: usize| {
            Some(u16::from_be_bytes([
                *segment.get(at)?,
                *segment.get(at + 1)?,
            ]))
        };
        let (&count, components) = segment.get(COMPONENTS..)?.split_first()?;
        let components = components
            .chunks_exact(3)
            .take(usize::from(count).min(Self::MAX_COMPONENTS));
        let sampling = components
            .map(|component| [component[1] >> 4, component[1] & 0xf])
            .collect();
        Some(Self {
            height: short(HEIGHT)?,
            width: short(WIDTH)?,
            sampling,
        })
    }

    /// Whether the components differ in size.
    fn is_subsampled(&self) -> bool {
        self.sampling
            .iter()
            .any(|factors| *factors != self.sampling[0])
    }

    /// Two bytes for each sample of each component, whose sizes are rounded up to whole units of
    /// 8×8 samples times the largest factors (A.2.4).
    fn coefficient_bytes(&self) -> u64 {
        let most = |axis: usize| {
            self.sampling
                .iter()
                .map(|factors| factors[axis].max(1))
                .max()
                .unwrap_or(1)
        };
        let units = |size: u16, most: u8| u64::from(size.div_ceil(8 * u16::from(most)));
        let units = units(self.width, most(0)) * units(self.height, most(1));
        let blocks: u64 = self
            .sampling
            .iter()
            .map(|[across, down]| u64::from(*across) * u64::from(*down))
            .sum();
        2 * 64 * blocks * units
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fixture(name: &str) -> Vec<u8> {
        std::fs::read(format!(
            "{}/../../tests/fixtures/images/{name}",
            env!("CARGO_MANIFEST_DIR")
        ))
        .unwrap()
    }

    #[test]
    fn a_thumbnail_inside_does_not_count_as_the_end() {
        let photo = fixture("jpeg-444.jpg");
        let segment = [
            b"\xff\xe1\0\x0aExif\xff\xd9\0\0".as_slice(),
            &photo[2..photo.len() / 2],
        ]
        .concat();
        assert_eq!(
            check(&[&photo[..2], &segment].concat())
                .unwrap_err()
                .to_string(),
            CUT_SHORT
        );
    }

    #[test]
    fn segments_of_any_length_are_safe() {
        for bytes in [
            b"\xff\xd8\xff\xc0\0\0".as_slice(),
            b"\xff\xd8\xff\xc0\0\x01\xff\xda\0\x02",
            b"\xff\xd8\xff\xda",
        ] {
            assert!(check(bytes).is_err(), "{bytes:?}");
        }
    }

    #[test]
    fn colours_of_different_sizes_in_scans_of_their_own_are_refused_and_equal_ones_are_not() {
        // Y of 16×16 samples a unit with Cb and Cr of 8×8, then all of 8×8; the scan holds Y alone.
        let header = |sampling: u8| {
            let frame = [
                b"\xff\xd8\xff\xc0\0\x11\x08\0\x10\0\x10\x03\x01".as_slice(),
                &[sampling],
            ]
            .concat();
            [
                &frame,
                b"\0\x02\x11\x01\x03\x11\x01\xff\xda\0\x08\x01\x01\0\0\x3f\0\x12\x34\xff\xd9"
                    .as_slice(),
            ]
            .concat()
        };
        let expected = "its colours are stored one after the other in different sizes, which is not read; convert it to PNG";
        assert_eq!(check(&header(0x22)).unwrap_err().to_string(), expected);
        assert_eq!(check(&header(0x11)).unwrap(), 2 * 3 * 16 * 16);
    }

    #[test]
    fn a_progressive_image_is_held_in_coefficients_and_one_of_a_single_scan_is_not() {
        // 46×29 pixels in units of 16×16: 3 across, 2 down, of 6 blocks; in units of 8×8: 6 across,
        // 4 down, of 3.
        assert_eq!(check(&fixture("jpeg-420.jpg")).unwrap(), 0);
        assert_eq!(
            check(&fixture("jpeg-progressive.jpg")).unwrap(),
            3 * 2 * 6 * 64 * 2
        );
        // What a second header announces is not believed.
        let photo = fixture("jpeg-progressive.jpg");
        let second = b"\xff\xc2\0\x11\x08\xff\xff\xff\xff\x03\x01\x22\0\x02\x11\x01\x03\x11\x01";
        let twice = [
            &photo[..photo.len() - 2],
            second,
            b"\xff\xda\0\x03\x03\xff\xd9",
        ]
        .concat();
        assert_eq!(check(&twice).unwrap(), 3 * 2 * 6 * 64 * 2);
        // The largest side and factors, and none: nothing overflows.
        for sampling in [0x44, 0xff, 0] {
            let mut frame = vec![0xff, 0xd8, 0xff, 0xc2, 0, 20, 8, 0xff, 0xff, 0xff, 0xff, 4];
            frame.extend([1, sampling, 0].repeat(4));
            frame.extend(b"\xff\xda\0\x03\x04\xff\xd9");
            let most = 2 * 4 * (u64::from(u16::MAX) + 120).pow(2);
            assert!(check(&frame).unwrap() <= most);
        }
    }
}
