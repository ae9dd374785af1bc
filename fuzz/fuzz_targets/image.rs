//! Any bytes as an image: what tells the formats apart, the limits, the decoders.

#![no_main]

#[allow(dead_code)]
#[path = "../../src/bin/maskrcnn/memory.rs"]
mod memory;

/// The program's own decoding and what it stands on.
#[allow(dead_code)]
#[path = "../../src/bin/maskrcnn/source"]
mod program {
    pub mod decode;
    mod jpeg_markers;
    mod png_chunks;
    mod tiff_tags;
    mod webp_chunks;
}

use libfuzzer_sys::fuzz_target;

/// A decoder's limit, and the pixels it leaves as 8-bit RGB, turned once: what one image may take
/// at any moment.
const MOST: usize = (1 << 30) + 2 * 300_000_000 + (64 << 20);

fuzz_target!(|bytes: &[u8]| {
    match maskrcnn_fuzz::within(MOST, || {
        program::decode::decode(bytes.to_vec(), program::decode::DEFAULT_MAX_PIXELS)
    }) {
        Ok(image) => {
            assert!(image.width() > 0 && image.height() > 0);
            assert_eq!(
                image.len(),
                3 * image.width() as usize * image.height() as usize
            );
        }
        Err(error) => {
            let message = format!("{error:#}");
            assert!(!message.contains(char::is_control), "{message:?}");
            assert!(message.len() < 1000, "{message}");
        }
    }
});
