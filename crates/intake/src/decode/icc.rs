//! Whether an ICC profile may be put beside RGB pixels. Nothing is converted here.
//!
//! ICC.1:2022, section 7.2 (header) and 7.3 (tag table). What is asked is what libpng asks before
//! it believes a profile (`png_icc_check_header` and `png_icc_check_tag_table` in `png.c`): any
//! other one would only make viewers complain of the picture that carries it.

/// Largest profile that is kept, in bytes: what 255 segments of a JPEG hold, each of 65,535 bytes
/// less 16 that say what it is. Those of cameras and screens have at most a few megabytes.
pub const MAX_BYTES: usize = 255 * (65_535 - 16);

/// Where the tags are counted, behind the header.
const HEADER: usize = 128;

/// Whether `profile` is whole and says what RGB stands for.
pub fn describes_rgb(profile: &[u8]) -> bool {
    const SIZE: usize = 0;
    const CLASS: usize = 12;
    /// Scanners and cameras, screens, printers, and spaces between them. The others describe no
    /// image: links between devices, abstract effects, names of colours.
    const CLASSES: [&[u8; 4]; 4] = [b"scnr", b"mntr", b"prtr", b"spac"];
    const COLOR_SPACE: usize = 16;
    const CONNECTION_SPACE: usize = 20;
    const SIGNATURE: usize = 36;

    let field = |at: usize| profile.get(at..).and_then(<[u8]>::first_chunk::<4>);
    profile.len() <= MAX_BYTES
        && number(profile, SIZE) == Some(profile.len())
        && field(CLASS).is_some_and(|class| CLASSES.contains(&class))
        && field(COLOR_SPACE) == Some(b"RGB ")
        && field(CONNECTION_SPACE).is_some_and(|space| [b"XYZ ", b"Lab "].contains(&space))
        && field(SIGNATURE) == Some(b"acsp")
        && tags_are_inside(profile)
}

/// Whether all that the table of tags points at lies in the profile.
fn tags_are_inside(profile: &[u8]) -> bool {
    const TABLE: usize = HEADER + 4;
    /// A name, an offset and a length.
    const TAG: usize = 12;
    let Some(count) = number(profile, HEADER) else {
        return false;
    };
    let table = profile
        .get(TABLE..)
        .and_then(|rest| rest.get(..count.checked_mul(TAG)?));
    table.is_some_and(|table| {
        table.chunks_exact(TAG).all(|tag| {
            let end = number(tag, 4)
                .zip(number(tag, 8))
                .and_then(|(offset, length)| offset.checked_add(length));
            end.is_some_and(|end| end <= profile.len())
        })
    })
}

/// The number of four bytes at `at`, the highest first.
fn number(bytes: &[u8], at: usize) -> Option<usize> {
    let bytes = bytes.get(at..)?.first_chunk()?;
    usize::try_from(u32::from_be_bytes(*bytes)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A profile with one tag of four bytes.
    fn profile() -> Vec<u8> {
        let mut bytes = vec![0; HEADER];
        bytes[12..16].copy_from_slice(b"mntr");
        bytes[16..24].copy_from_slice(b"RGB XYZ ");
        bytes[36..40].copy_from_slice(b"acsp");
        bytes.extend(b"\0\0\0\x01cprt\0\0\0\x90\0\0\0\x04free");
        resized(bytes)
    }

    fn resized(mut bytes: Vec<u8>) -> Vec<u8> {
        let size = (bytes.len() as u32).to_be_bytes();
        bytes[..4].copy_from_slice(&size);
        bytes
    }

    fn with(at: usize, bytes: &[u8]) -> Vec<u8> {
        let mut profile = profile();
        profile[at..at + bytes.len()].copy_from_slice(bytes);
        profile
    }

    #[test]
    fn only_a_whole_profile_of_rgb_is_kept() {
        assert!(describes_rgb(&profile()));
        assert!(describes_rgb(&with(12, b"spac")));
        assert!(describes_rgb(&with(20, b"Lab ")));
        for (at, bytes) in [
            (3, b"\x93".as_slice()), // a byte less, and a byte more
            (3, b"\x95"),
            (12, b"link"),
            (12, b"nmcl"),
            (16, b"GRAY"),
            (16, b"CMYK"),
            (16, b"rgb "),
            (20, b"RGB "),
            (36, b"ascp"),
            (HEADER, b"\0\0\0\x02"),
            (HEADER, b"\xff\xff\xff\xff"),
            (HEADER + 8, b"\0\0\0\x91"),
            (HEADER + 8, b"\xff\xff\xff\xff\xff\xff\xff\xff"),
        ] {
            assert!(!describes_rgb(&with(at, bytes)), "{at} {bytes:?}");
        }
        for length in 0..profile().len() {
            assert!(!describes_rgb(&profile()[..length]));
            assert!(length < 4 || !describes_rgb(&resized(profile()[..length].to_vec())));
        }
    }

    #[test]
    fn a_profile_larger_than_a_jpeg_holds_is_not_kept() {
        let mut largest = profile();
        largest.resize(MAX_BYTES, 0);
        assert!(describes_rgb(&resized(largest.clone())));
        largest.push(0);
        assert!(!describes_rgb(&resized(largest)));
    }
}
