//! Any bytes as the pickle of a checkpoint that is otherwise good, in both forms of `.pth`:
//! checksums and headers, which chance seldom gets right, are not in the way.

#![no_main]

use std::io::{Cursor, Write};

use libfuzzer_sys::fuzz_target;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

/// The pickles of the magic number, of the protocol version 1001, and of `{"little_endian": True}`.
const LEGACY_HEADER: &[u8] = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.\
    \x80\x02M\xe9\x03.\
    \x80\x02}X\x0d\0\0\0little_endian\x88s.";

/// The pickle of `["0"]`.
const KEYS: &[u8] = b"\x80\x02]X\x01\0\0\0" as &[u8];

/// Six floats, the storage `0`.
const STORAGE: [u8; 24] = [0x3f; 24];

fn legacy(pickle: &[u8]) -> Vec<u8> {
    [
        LEGACY_HEADER,
        pickle,
        KEYS,
        b"0a.",
        &6i64.to_le_bytes(),
        &STORAGE,
    ]
    .concat()
}

fn archive(pickle: &[u8]) -> Vec<u8> {
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, data) in [
        ("archive/data.pkl", pickle),
        ("archive/data/0", &STORAGE[..]),
    ] {
        writer.start_file(name, options).expect("memory takes it");
        writer.write_all(data).expect("memory takes it");
    }
    writer.finish().expect("memory takes it").into_inner()
}

fuzz_target!(|pickle: &[u8]| {
    for bytes in [legacy(pickle), archive(pickle)] {
        let most = 256 * bytes.len() + (1 << 20);
        if let Err(error) = maskrcnn_fuzz::within(most, || maskrcnn_fuzz::take_all(&bytes)) {
            let message = error.to_string();
            assert!(!message.contains(char::is_control), "{message:?}");
        }
    }
});
