//! Any bytes as an HDF5 file of Keras, its checksums made good.

#![no_main]

use hdf5_reader::checksum::jenkins_lookup3;
use libfuzzer_sys::fuzz_target;

/// Structures with a checksum behind a length that is known or near: their signature and the bytes
/// before it, where addresses and lengths have 8 bytes.
const FIXED: [(&[u8], usize); 4] = [
    (b"BTHD", 34),
    (b"FRHP", 142),
    (b"FAHD", 24),
    (b"EAHD", 68),
];

fuzz_target!(|bytes: &[u8]| {
    let mut bytes = bytes.to_vec();
    seal(&mut bytes);
    let most = 512 * bytes.len() + (256 << 20);
    if let Err(error) = maskrcnn_fuzz::within(most, || maskrcnn_fuzz::take_all(&bytes)) {
        let message = error.to_string();
        assert!(!message.contains(char::is_control), "{message:?}");
        assert!(message.len() < 8192, "{message}");
    }
});

/// Puts the signature at the beginning, and right checksums where they are looked at first.
fn seal(bytes: &mut [u8]) {
    if let Some(signature) = bytes.first_chunk_mut() {
        *signature = *b"\x89HDF\r\n\x1a\n";
    }
    if matches!(bytes.get(8), Some(2 | 3)) {
        write(bytes, 0, 44);
    }
    for at in 0..bytes.len().saturating_sub(8) {
        let rest = &bytes[at..];
        if rest.starts_with(b"OHDR") {
            let flags = rest[5];
            let times = if flags & 0x20 != 0 { 16 } else { 0 };
            let attributes = if flags & 0x10 != 0 { 4 } else { 0 };
            let size = 1 << (flags & 3);
            let start = 6 + times + attributes;
            let Some(field) = rest.get(start..start + size) else {
                continue;
            };
            let mut length = [0; 8];
            length[..size].copy_from_slice(field);
            let length = usize::try_from(u64::from_le_bytes(length)).unwrap_or(usize::MAX);
            write(bytes, at, length.saturating_add(start + size));
        } else if let Some((_, length)) = FIXED.iter().find(|(name, _)| rest.starts_with(name)) {
            write(bytes, at, *length);
        }
    }
}

/// Writes the checksum of `length` bytes at `start` behind them, if there is room.
fn write(bytes: &mut [u8], start: usize, length: usize) {
    let Some(rest) = bytes.get_mut(start..) else {
        return;
    };
    if let Some((content, behind)) = rest.split_at_mut_checked(length)
        && let Some(place) = behind.first_chunk_mut()
    {
        *place = jenkins_lookup3(content).to_le_bytes();
    }
}
