//! What the JPEG decoder does not mind, leaves out, or gets wrong without a word, read from the
//! markers. Nothing is decoded here.
//!
//! ITU-T T.81, annexes B (markers) and K.3.3 (typical Huffman tables).

use anyhow::{Result, bail};

use super::error::{CUT_SHORT, NO_MEMORY};
use crate::allocation::OutOfMemory;

/// The Huffman tables of annex K.3.3 as one segment: of DC and of AC coefficients, for brightness
/// (tables 0) and for colour (tables 1).
const STANDARD_TABLES: &[u8; 420] = b"\
\xff\xc4\x01\xa2\
\x00\x00\x01\x05\x01\x01\x01\x01\x01\x01\x00\x00\x00\x00\x00\x00\x00\
\x00\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\
\x01\x00\x03\x01\x01\x01\x01\x01\x01\x01\x01\x01\x00\x00\x00\x00\x00\
\x00\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\
\x10\x00\x02\x01\x03\x03\x02\x04\x03\x05\x05\x04\x04\x00\x00\x01\x7d\
\x01\x02\x03\x00\x04\x11\x05\x12\x21\x31\x41\x06\x13\x51\x61\x07\x22\x71\x14\x32\x81\x91\
\xa1\x08\x23\x42\xb1\xc1\x15\x52\xd1\xf0\x24\x33\x62\x72\x82\x09\x0a\x16\x17\x18\x19\x1a\
\x25\x26\x27\x28\x29\x2a\x34\x35\x36\x37\x38\x39\x3a\x43\x44\x45\x46\x47\x48\x49\x4a\x53\
\x54\x55\x56\x57\x58\x59\x5a\x63\x64\x65\x66\x67\x68\x69\x6a\x73\x74\x75\x76\x77\x78\x79\
\x7a\x83\x84\x85\x86\x87\x88\x89\x8a\x92\x93\x94\x95\x96\x97\x98\x99\x9a\xa2\xa3\xa4\xa5\
\xa6\xa7\xa8\xa9\xaa\xb2\xb3\xb4\xb5\xb6\xb7\xb8\xb9\xba\xc2\xc3\xc4\xc5\xc6\xc7\xc8\xc9\
\xca\xd2\xd3\xd4\xd5\xd6\xd7\xd8\xd9\xda\xe1\xe2\xe3\xe4\xe5\xe6\xe7\xe8\xe9\xea\xf1\xf2\
\xf3\xf4\xf5\xf6\xf7\xf8\xf9\xfa\
\x11\x00\x02\x01\x02\x04\x04\x03\x04\x07\x05\x04\x04\x00\x01\x02\x77\
\x00\x01\x02\x03\x11\x04\x05\x21\x31\x06\x12\x41\x51\x07\x61\x71\x13\x22\x32\x81\x08\x14\
\x42\x91\xa1\xb1\xc1\x09\x23\x33\x52\xf0\x15\x62\x72\xd1\x0a\x16\x24\x34\xe1\x25\xf1\x17\
\x18\x19\x1a\x26\x27\x28\x29\x2a\x35\x36\x37\x38\x39\x3a\x43\x44\x45\x46\x47\x48\x49\x4a\
\x53\x54\x55\x56\x57\x58\x59\x5a\x63\x64\x65\x66\x67\x68\x69\x6a\x73\x74\x75\x76\x77\x78\
\x79\x7a\x82\x83\x84\x85\x86\x87\x88\x89\x8a\x92\x93\x94\x95\x96\x97\x98\x99\x9a\xa2\xa3\
\xa4\xa5\xa6\xa7\xa8\xa9\xaa\xb2\xb3\xb4\xb5\xb6\xb7\xb8\xb9\xba\xc2\xc3\xc4\xc5\xc6\xc7\
\xc8\xc9\xca\xd2\xd3\xd4\xd5\xd6\xd7\xd8\xd9\xda\xe2\xe3\xe4\xe5\xe6\xe7\xe8\xe9\xea\xf2\
\xf3\xf4\xf5\xf6\xf7\xf8\xf9\xfa";

/// Number of [`STANDARD_TABLES`] of each class.
const STANDARD: usize = 2;

/// What the markers say of an image.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Markers {
    /// Bytes of coefficients that the decoder will hold at once: those of the whole image where it
    /// comes in several scans, none where it comes in one.
    pub coefficient_bytes: u64,
    /// How many colours a pixel is stored as, as far as the decoder makes something of them.
    pub components: usize,
    /// Whether a scan is coded with Huffman tables that are nowhere defined before it and have a
    /// standard meaning: see [`add_tables`].
    pub lacks_tables: bool,
}

/// Follows the markers to the end of the image. Whatever lies behind the end (cameras append films,
/// depth maps and, of interlaced video, the second field) is not looked at.
///
/// # Errors
///
/// When there is no end: the decoder paints what is missing grey, and a download that broke off
/// should not pass for a photo. That is a choice of the decoder's
/// (<https://github.com/etemesi254/zune-image/pull/312>) and of the `image` crate's, which gives
/// no way out of it yet (<https://github.com/image-rs/image/pull/2684>). When the colours of
/// smaller size come one after the other in a sequential image: the decoder mixes them up
/// (<https://github.com/etemesi254/zune-image/issues/422>), which is mended upstream and may go
/// with the first release of `zune-jpeg` after 0.5.15. When a progressive image lacks Huffman
/// tables: the decoder paints it grey (`mcu_prog.rs`, where what fails in a scan is dropped unless
/// the decoder is strict; not reported upstream as of 2026-11).
pub fn check(bytes: &[u8]) -> Result<Markers> {
    const START: u8 = 0xd8;
    const END: u8 = 0xd9;
    const SEQUENTIAL: std::ops::RangeInclusive<u8> = 0xc0..=0xc1;
    const PROGRESSIVE: u8 = 0xc2;
    const TABLES: u8 = 0xc4;
    const SCAN: u8 = 0xda;
    const RESTART: std::ops::RangeInclusive<u8> = 0xd0..=0xd7;
    let mut at = 0;
    let mut frame: Option<Frame> = None;
    let mut is_sequential = false;
    let mut tables = Tables::default();
    let mut markers = Markers::default();
    // In coded data a 0xff is followed by 0; between segments, fill bytes of 0xff are allowed.
    while let Some(next) = bytes[at..]
        .windows(2)
        .position(|pair| pair[0] == 0xff && !matches!(pair[1], 0 | 0xff))
    {
        let marker = bytes[at + next + 1];
        at += next + 2;
        if marker == END {
            return Ok(markers);
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
            markers.components = frame.as_ref().map_or(0, |frame| frame.sampling.len());
        } else if marker == TABLES {
            tables.define(segment);
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
                markers.coefficient_bytes = frame.coefficient_bytes();
            }
            // For a progressive image the standard has none, and libjpeg-turbo adds none.
            if !is_sequential && tables.are_lacking(segment, Tables::NUMBERS, false) {
                bail!(
                    "the tables that its pixels are coded with are missing; get the file from its source again"
                );
            }
            markers.lacks_tables |= is_sequential && tables.are_lacking(segment, STANDARD, true);
        }
        at += segment.len();
    }
    bail!(CUT_SHORT)
}

/// Puts the standard Huffman tables in front of everything, so that those that the file defines
/// itself count. Frames of webcams and of Motion JPEG leave them out, and libjpeg-turbo adds them
/// in the same way (`std_huff_tables` in `jstdhuff.c`).
///
/// The decoder does so only where a segment marks a frame of AVI and names no field
/// (`fill_default_mjpeg_tables` in `misc.rs` of `zune-jpeg`,
/// <https://github.com/etemesi254/zune-image/issues/136>), which many webcams don't write. This
/// may go when it does so for every image.
///
/// # Errors
///
/// When there is no memory.
pub fn add_tables(bytes: &mut Vec<u8>) -> Result<(), OutOfMemory> {
    const BEHIND_START: usize = 2;
    bytes
        .try_reserve_exact(STANDARD_TABLES.len())
        .map_err(|_| OutOfMemory(NO_MEMORY))?;
    bytes.extend_from_slice(STANDARD_TABLES);
    bytes[BEHIND_START..].rotate_right(STANDARD_TABLES.len());
    Ok(())
}

/// Which Huffman tables are defined so far.
#[derive(Default)]
struct Tables {
    /// Of each class, DC and AC, each number.
    defined: [[bool; Self::NUMBERS]; 2],
}

impl Tables {
    const NUMBERS: usize = 4;
    const DC: usize = 0;
    const AC: usize = 1;

    /// Reads a segment that defines tables (B.2.4.2). Of a broken one the decoder says so itself.
    fn define(&mut self, segment: &[u8]) {
        const LENGTH: usize = 2;
        /// How many codes there are of each length from 1 to 16 bits.
        const COUNTS: usize = 16;
        let mut rest = segment.get(LENGTH..).unwrap_or_default();
        while let Some((&[name], behind)) = rest.split_first_chunk() {
            let Some((counts, values)) = behind.split_first_chunk::<COUNTS>() else {
                return;
            };
            let class = self.defined.get_mut(usize::from(name >> 4));
            if let Some(defined) = class.and_then(|class| class.get_mut(usize::from(name & 0xf))) {
                *defined = true;
            }
            let values_here = counts.iter().map(|&count| usize::from(count)).sum();
            rest = values.get(values_here..).unwrap_or_default();
        }
    }

    /// Whether a scan with this header (B.2.3) uses one of the first `known` tables of a class and
    /// it is not defined.
    fn are_lacking(&self, header: &[u8], known: usize, is_sequential: bool) -> bool {
        const COUNT: usize = 2;
        let Some((&count, rest)) = header.get(COUNT..).and_then(<[u8]>::split_first) else {
            return false;
        };
        let Some((components, &[first_coefficient, _, bits, ..])) =
            rest.split_at_checked(2 * usize::from(count))
        else {
            return false;
        };
        // A progressive scan holds either class, and bits that refine DC need no table (G.1.2).
        let is_first_of_bits = bits >> 4 == 0;
        let uses_dc = is_sequential || first_coefficient == 0 && is_first_of_bits;
        let uses_ac = is_sequential || first_coefficient > 0;
        let is_lacking = |class: usize, number: u8| {
            let number = usize::from(number);
            number < known && self.defined[class].get(number) == Some(&false)
        };
        components.chunks_exact(2).any(|component| {
            uses_dc && is_lacking(Self::DC, component[1] >> 4)
                || uses_ac && is_lacking(Self::AC, component[1] & 0xf)
        })
    }
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
    fn scans_of_their_own_are_refused_for_colours_of_unequal_sizes() {
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
        assert_eq!(
            check(&header(0x11)).unwrap().coefficient_bytes,
            2 * 3 * 16 * 16
        );
    }

    #[test]
    fn only_a_progressive_image_is_held_in_coefficients() {
        // 46×29 pixels in units of 16×16: 3 across, 2 down, of 6 blocks; in units of 8×8: 6 across,
        // 4 down, of 3.
        assert_eq!(
            check(&fixture("jpeg-420.jpg")).unwrap().coefficient_bytes,
            0
        );
        assert_eq!(
            check(&fixture("jpeg-progressive.jpg"))
                .unwrap()
                .coefficient_bytes,
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
        assert_eq!(check(&twice).unwrap().coefficient_bytes, 3 * 2 * 6 * 64 * 2);
        // The largest side and factors, and none: nothing overflows.
        for sampling in [0x44, 0xff, 0] {
            let mut frame = vec![0xff, 0xd8, 0xff, 0xc2, 0, 20, 8, 0xff, 0xff, 0xff, 0xff, 4];
            frame.extend([1, sampling, 0].repeat(4));
            frame.extend(b"\xff\xda\0\x03\x04\xff\xd9");
            let most = 2 * 4 * (u64::from(u16::MAX) + 120).pow(2);
            assert!(check(&frame).unwrap().coefficient_bytes <= most);
        }
    }

    #[test]
    fn standard_tables_are_added_only_where_they_lack() {
        for (name, lacks) in [
            ("jpeg-420.jpg", false),
            ("jpeg-grey.jpg", false), // it has no use for those of colour
            ("jpeg-progressive.jpg", false),
            ("jpeg-webcam.jpg", true),
            ("jpeg-webcam-some-tables.jpg", true),
            ("jpeg-avi1-fields.jpg", true),
        ] {
            let mut photo = fixture(name);
            assert_eq!(check(&photo).unwrap().lacks_tables, lacks, "{name}");
            add_tables(&mut photo).unwrap();
            assert!(!check(&photo).unwrap().lacks_tables, "{name}");
        }
    }

    #[test]
    fn the_standard_tables_are_those_that_libjpeg_writes() {
        // In a segment each: DC and AC of brightness, then of colour.
        let photo = fixture("jpeg-420.jpg");
        for part in [4..33, 33..62, 62..241, 241..420] {
            let table = &STANDARD_TABLES[part];
            assert!(photo.windows(table.len()).any(|bytes| bytes == table));
        }
    }

    #[test]
    fn broken_tables_and_scans_are_safe() {
        let mut tables = Tables::default();
        for segment in [
            b"".as_slice(),
            b"\0\x02",
            b"\0\x03\0",
            b"\0\x13\x45\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
            &[0xff; 99],
        ] {
            tables.define(segment);
        }
        assert_eq!(tables.defined, [[false; Tables::NUMBERS]; 2]);
        let lacking = |header: &[u8], is_sequential| tables.are_lacking(header, 2, is_sequential);
        // Of a table that is no standard one, nothing is known.
        assert!(!lacking(b"\0\x08\x01\x01\x22\0\x3f\0", true));
        assert!(lacking(b"\0\x08\x01\x01\x12\0\x3f\0", true));
        assert!(lacking(b"\0\x08\x01\x01\x21\0\x3f\0", true));
        // DC, its refinement, AC, and its refinement.
        assert!(lacking(b"\0\x08\x01\x01\x12\0\0\x01", false));
        assert!(!lacking(b"\0\x08\x01\x01\x12\0\0\x10", false));
        assert!(!lacking(b"\0\x08\x01\x01\x12\x01\x05\0", false));
        assert!(lacking(b"\0\x08\x01\x01\x21\x01\x05\x10", false));
        for header in [b"".as_slice(), b"\0\x03", b"\0\x03\xff", b"\0\x03\xff\x01"] {
            assert!(!lacking(header, true));
        }
    }
}
