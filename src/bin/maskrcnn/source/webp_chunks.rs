//! The chunks of a WebP file, as far as their announced lengths must be checked. Nothing is decoded here.

/// Whether the file's EXIF chunk, if it has one, lies inside the file.
///
/// The decoder allocates what the chunk's header announces, up to 4 GiB, before it finds the file shorter.
/// RFC 9649, section 2.3 (RIFF) and 2.7 (extended files).
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
