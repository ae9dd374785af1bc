//! Any bytes as the pickle of a checkpoint in which a network is looked for: the dicts of tensors that
//! are found, the one that is chosen, what stands before and between the parts of its names. The
//! first byte says whether a key is asked for.

#![no_main]

use libfuzzer_sys::fuzz_target;
use maskrcnn::{ReadOptions, Weights};
use maskrcnn_fuzz::{archive, legacy};

fuzz_target!(|input: &[u8]| {
    let Some((&first, pickle)) = input.split_first() else {
        return;
    };
    let mut options = ReadOptions::default();
    options.key = (first & 1 == 1).then(|| "model".to_owned());
    for bytes in [legacy(pickle), archive(pickle)] {
        let most = 256 * bytes.len() + (8 << 20);
        match maskrcnn_fuzz::within(most, || Weights::from_bytes_with(bytes.clone(), &options)) {
            Ok(weights) => {
                let place = weights.wrapper().to_string();
                assert!(!place.contains(char::is_control), "{place:?}");
            }
            Err(error) => {
                let message = error.to_string();
                assert!(!message.contains(char::is_control), "{message:?}");
                assert!(message.len() < 8192, "{message}");
            }
        }
    }
});
