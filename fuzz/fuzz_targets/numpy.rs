//! Any bytes as a pickle of NumPy arrays that is the whole file, as detectron2's model zoo has them,
//! and in both forms of `.pth`.

#![no_main]

use libfuzzer_sys::fuzz_target;
use maskrcnn_fuzz::{archive, legacy};

fuzz_target!(|pickle: &[u8]| {
    for bytes in [pickle.to_vec(), legacy(pickle), archive(pickle)] {
        let most = 256 * bytes.len() + (4 << 20);
        if let Err(error) = maskrcnn_fuzz::within(most, || maskrcnn_fuzz::take_all(&bytes)) {
            let message = error.to_string();
            assert!(!message.contains(char::is_control), "{message:?}");
        }
    }
});
