//! The chunks of a WebP file, as far as their announced lengths must be checked. Nothing is decoded
//! here.

/// Whether the file's EXIF chunk, if it has one, lies inside the file.
///
/// The decoder allocates what the chunk's header announces, up to 4 GiB, before it finds the file
/// shorter. RFC 9649, section 2.3 (RIFF) and 2.7 (extended files).
pub fn exif_is_whole(bytes: &[u8]) -> bool {
    const FIRST_CHUNK: usize = 12;
    const HEADER: usize = 8;
    let mut at = FIRST_CHUNK;
    while let Some(header) = bytes.get(at..).and_then(<[u8]>::first_chunk::<HEADER>) {
        let length = u32::from_le_bytes([header[4], header[5], header[6], header[7]]) as usize;
        let rest = bytes.len() - at - HEADER;
        if length > rest {
            return &header[..4] != b"EXIF";
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
    fn only_exif_that_leaves_the_file_is_not_whole() {
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
            assert_eq!(exif_is_whole(&file(&chunks)), whole, "{chunks:?}");
        }
        assert!(exif_is_whole(b"RIFF\0\0\0\0WEBPEXIF\xff"));
    }
}
