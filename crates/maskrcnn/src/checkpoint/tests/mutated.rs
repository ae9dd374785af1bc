//! Every good fixture, cut off at every byte and with every byte changed: whatever comes of it, it
//! is a typed error or tensors that lie within the file, and it comes soon.

use std::time::{Duration, Instant};

use super::*;

/// Small files that between them have every feature.
const FIXTURES: [&str; 14] = [
    "dtypes.safetensors",
    "module.safetensors",
    "dtypes.zip.pth",
    "dtypes.legacy.pth",
    "strided.zip.pth",
    "strided.legacy.pth",
    "module_protocol_4.zip.pth",
    "module_protocol_4.legacy.pth",
    "parameters.zip.pth",
    "parameters.legacy.pth",
    "training.legacy.pth",
    "../hdf5/latest.h5",
    "../hdf5/stored.h5",
    "../hdf5/chunked_latest.h5",
];

#[test]
fn a_file_cut_off_anywhere_is_refused() {
    for name in FIXTURES {
        let whole = bytes(name);
        for len in 0..whole.len() {
            let error = Checkpoint::from_bytes(whole[..len].to_vec()).err();
            let error = error
                .unwrap_or_else(|| panic!("{name} is good after {len} of {} bytes", whole.len()));
            assert!(
                matches!(error, Error::UnknownFormat { .. } | Error::Malformed { .. }),
                "{name} after {len} bytes: {error}"
            );
            assert!(
                !error.to_string().contains(char::is_control),
                "{name} after {len} bytes: {error}"
            );
        }
    }
}

/// A step of a linear congruential generator (Knuth, MMIX), its high bits.
fn next(state: &mut u64) -> u8 {
    *state = state
        .wrapping_mul(6364136223846793005)
        .wrapping_add(1442695040888963407);
    (*state >> 56) as u8
}

#[test]
fn a_file_with_any_byte_changed_is_read_or_refused() {
    let mut state = 20240;
    for name in FIXTURES {
        let whole = bytes(name);
        let mut slowest = Duration::ZERO;
        for at in 0..whole.len() {
            let byte = whole[at];
            for changed in [0, 0xff, byte ^ 1, byte ^ 0x80, b'.', next(&mut state)] {
                let mut bytes = whole.clone();
                bytes[at] = changed;
                let start = Instant::now();
                let _ = outcome(bytes);
                slowest = slowest.max(start.elapsed());
            }
        }
        // A thousand times what it takes.
        assert!(slowest < Duration::from_secs(5), "{name}: {slowest:?}");
    }
}

#[test]
fn a_file_with_several_bytes_changed_is_read_or_refused() {
    let mut state = 4711;
    for name in FIXTURES {
        let whole = bytes(name);
        for _ in 0..2000 {
            let mut bytes = whole.clone();
            for _ in 0..1 + next(&mut state) % 8 {
                let at = usize::from(next(&mut state)) << 8 | usize::from(next(&mut state));
                let at = at % bytes.len();
                bytes[at] = next(&mut state);
            }
            let _ = outcome(bytes);
        }
    }
}
