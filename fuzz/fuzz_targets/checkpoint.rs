//! Any bytes as a checkpoint: what tells the formats apart, safetensors, both forms of `.pth`.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let result = maskrcnn_fuzz::within(64 * bytes.len() + (1 << 20), || {
        maskrcnn_fuzz::take_all(bytes)
    });
    match result {
        // Elements take a byte at least and none stands for more than one of the file, so a small
        // file is never a huge network; the same bytes may be elements of many tensors.
        Ok(_) => {}
        Err(error) => {
            let message = error.to_string();
            assert!(!message.contains(char::is_control), "{message:?}");
            assert!(message.len() < 8192, "{message}");
        }
    }
});
