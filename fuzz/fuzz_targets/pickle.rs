//! Any bytes as the pickle of a checkpoint that is otherwise good, in both forms of `.pth`:
//! checksums and headers, which chance seldom gets right, are not in the way.

#![no_main]

use libfuzzer_sys::fuzz_target;
use maskrcnn_fuzz::{archive, legacy};

fuzz_target!(|pickle: &[u8]| {
    for bytes in [legacy(pickle), archive(pickle)] {
        // Modules that share others have names of up to a MiB, and a candidate each.
        let most = 256 * bytes.len() + (4 << 20);
        if let Err(error) = maskrcnn_fuzz::within(most, || maskrcnn_fuzz::take_all(&bytes)) {
            let message = error.to_string();
            assert!(!message.contains(char::is_control), "{message:?}");
        }
    }
});
