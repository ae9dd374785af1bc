//! The chunks of a WebP file, as far as their announced lengths must be checked. Nothing is decoded
//! here.

/// Whether every chunk of this name lies inside the file; so it does when there is none.
///
/// The decoder allocates what the header of an `EXIF` or `ICCP` chunk announces, up to 4 GiB,
/// before it finds the file shorter: `read_chunk` in `decoder.rs` of `image-webp` 0.2.4, not
/// reported upstream as of 2026-11 but for a general wish for limits
/// (<https://github.com/image-rs/image-webp/issues/21>). This may go when it asks first how long
/// the file is. RFC 9649, section 2.3 (RIFF) and 2.7 (extended files).
pub fn is_whole(bytes: &[u8], name: &[u8; 4]) -> bool {
    const FIRST_CHUNK: usize = 12;
    const HEADER: usize = 8;
    let mut at = FIRST_CHUNK;
    while let Some(header) = bytes.get(at..).and_then(<[u8]>::first_chunk::<HEADER>) {
        let length = u32::from_le_bytes([header[4], header[5], header[6], header[7]]) as usize;
        let rest = bytes.len() - at - HEADER;
        if length > rest {
            return header[..4] != *name;
        }
        // Chunks of odd length are padded by a byte.
        at += HEADER + length + length % 2;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(chunks: &[(&[u8; 4], u32, &[u8])]) -> Vec<u8> {
        let chunks = chunks.iter().flat_map(|(name, length, content)| {
            [&name[..], &length.to_le_bytes(), content].concat()
        });
        b"RIFF\0\0\0\0WEBP".iter().copied().chain(chunks).collect()
    }

    #[test]
    fn only_a_chunk_that_leaves_the_file_is_not_whole() {
        for (chunks, whole) in [
            (vec![], true),
            (
                vec![
                    (b"VP8X", 3, b"abc\0".as_slice()),
                    (b"EXIF", 2, b"II".as_slice()),
                ],
                true,
            ),
            (vec![(b"VP8X", 3, b"abc\0"), (b"EXIF", 3, b"II")], false),
            (vec![(b"EXIF", u32::MAX, b"II")], false),
            (vec![(b"VP8 ", u32::MAX, b"II")], true), // the decoder says so itself
        ] {
            assert_eq!(is_whole(&file(&chunks), b"EXIF"), whole, "{chunks:?}");
            assert!(is_whole(&file(&chunks), b"ICCP"), "{chunks:?}");
        }
        assert!(is_whole(b"RIFF\0\0\0\0WEBPEXIF\xff", b"EXIF"));
        let profile = file(&[(b"VP8X", 2, b"ab"), (b"ICCP", 3, b"II")]);
        assert!(is_whole(&profile, b"EXIF") && !is_whole(&profile, b"ICCP"));
    }
}
