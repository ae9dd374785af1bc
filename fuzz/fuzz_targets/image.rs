//! Any bytes as an image: what tells the formats apart, the limits, the decoders.

#![no_main]

use libfuzzer_sys::fuzz_target;

/// A decoder's limit, and the pixels it leaves as 8-bit RGB, turned once: what one image may take
/// at any moment.
const MOST: usize = (1 << 30) + 2 * 300_000_000 + (64 << 20);

fuzz_target!(|bytes: &[u8]| {
    match maskrcnn_fuzz::within(MOST, || {
        intake::decode(bytes.to_vec(), intake::DEFAULT_MAX_PIXELS)
    }) {
        Ok(decoded) => {
            let image = decoded.pixels;
            assert!(image.width() > 0 && image.height() > 0);
            assert_eq!(
                image.len(),
                3 * image.width() as usize * image.height() as usize
            );
        }
        Err(error) => {
            let source = std::error::Error::source(&error).map(|source| source.to_string());
            let message = format!("{error}: {}", source.unwrap_or_default());
            assert!(!message.contains(char::is_control), "{message:?}");
            assert!(message.len() < 1000, "{message}");
        }
    }
});
