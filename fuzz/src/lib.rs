//! What the fuzz targets share: an allocator that knows how much is held, so that a target can say
//! how much may be; and the files around a pickle.

use std::alloc::{GlobalAlloc, Layout, System};
use std::io::{Cursor, Write};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use maskrcnn::Error;
use maskrcnn::checkpoint::Checkpoint;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

/// The system's allocator, counting.
struct Counting;

static HELD: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call is handed on to the system's allocator unchanged; counting allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        // SAFETY: the caller keeps the contract of `alloc_zeroed`.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        HELD.fetch_sub(layout.size(), Relaxed);
        // SAFETY: the caller keeps the contract of `dealloc`.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // As if the block were moved, which it may be: the old and the new one exist together for a
        // moment.
        count(size);
        HELD.fetch_sub(layout.size(), Relaxed);
        // SAFETY: the caller keeps the contract of `realloc`.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

fn count(size: usize) {
    let held = HELD.fetch_add(size, Relaxed).saturating_add(size);
    PEAK.fetch_max(held, Relaxed);
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Runs `work` and panics when it held more than `most` bytes at any moment, in all threads.
///
/// # Panics
///
/// Then, which is a finding.
pub fn within<T>(most: usize, work: impl FnOnce() -> T) -> T {
    let before = HELD.load(Relaxed);
    PEAK.store(before, Relaxed);
    let result = work();
    let held = PEAK.load(Relaxed).saturating_sub(before);
    assert!(
        held <= most,
        "held {held} bytes, at most {most} are allowed"
    );
    result
}

/// Reads `bytes` as a checkpoint of any format and takes every tensor, so that each offset that it
/// promises is used. Returns the number of elements that were taken.
///
/// # Errors
///
/// What is wrong with the checkpoint.
///
/// # Panics
///
/// When a tensor that was promised cannot be taken or something is left: a bug, whatever the bytes
/// are.
pub fn take_all(bytes: &[u8]) -> maskrcnn::Result<usize> {
    let mut tensors = Checkpoint::from_bytes(bytes.to_vec())?.tensors;
    let names: Vec<String> = tensors.names().map(str::to_owned).collect();
    let mut elements = 0;
    for name in names {
        let shape = tensors.shape(&name).expect("the name was listed").to_vec();
        match tensors.take(&name, &shape) {
            Ok(taken) => {
                let values = taken.into_f32();
                // A tensor without elements may have any sides.
                let promised = shape.iter().fold(1i64, |count, side| count.saturating_mul(*side));
                assert_eq!(values.len() as i64, promised, "{name}");
                elements += values.len();
            }
            Err(Error::Unsupported { .. }) => assert!(tensors.remove(&name), "{name}"), // integers
            Err(error) => panic!("{name}: {error}"),
        }
    }
    tensors.finish().expect("every tensor was taken");
    Ok(elements)
}

/// The pickles of the magic number, of the protocol version 1001, and of `{"little_endian": True}`.
const LEGACY_HEADER: &[u8] = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.\
    \x80\x02M\xe9\x03.\
    \x80\x02}X\x0d\0\0\0little_endian\x88s.";

/// The pickle of `["0"]`.
const KEYS: &[u8] = b"\x80\x02]X\x01\0\0\0" as &[u8];

/// Six floats, the storage `0`.
const STORAGE: [u8; 24] = [0x3f; 24];

/// A file of PyTorch's older form whose object is `pickle`.
pub fn legacy(pickle: &[u8]) -> Vec<u8> {
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

/// An archive of `torch.save` whose object is `pickle`.
///
/// # Panics
///
/// When there is no memory.
pub fn archive(pickle: &[u8]) -> Vec<u8> {
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
