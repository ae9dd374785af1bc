//! Tells a checkpoint's format from its first bytes, never from its name, and says what other files
//! look like.

use super::format::Format;
use super::hdf5;
use super::torch::legacy;
use crate::error::{Error, Result};

/// What else people hand over, by the bytes it begins with.
const STRANGERS: [(&[u8], &str); 19] = [
    (b"PK\x05\x06", "an empty zip archive"),
    (
        b"version https://git-lfs",
        "a git-lfs pointer in place of the file (`git lfs pull` fetches it)",
    ),
    (b"\x1f\x8b", "a gzip file (unpack it first)"),
    (b"BZh", "a bzip2 file (unpack it first)"),
    (b"\xfd7zXZ\0", "an xz file (unpack it first)"),
    (b"\x28\xb5\x2f\xfd", "a zstd file (unpack it first)"),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive (unpack it first)"),
    (b"Rar!", "a RAR archive (unpack it first)"),
    (b"\x89PNG\r\n\x1a\n", "a PNG image"),
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"GIF8", "a GIF image"),
    (b"RIFF", "a RIFF file, such as a WebP image"),
    (b"BM", "a BMP image"),
    (b"%PDF", "a PDF document"),
    (b"GGUF", "a GGUF file"),
    (b"\x93NUMPY", "a NumPy array"),
    (b"\x7fELF", "a program"),
    (b"{", "JSON text"),
    (b"<?xml", "an XML document (a download that went wrong?)"),
];

/// The format of the checkpoint that is the whole of `bytes`.
///
/// # Errors
///
/// [`Error::UnknownFormat`], saying what the bytes look like; [`Error::Unsupported`] for checkpoints
/// of PyTorch before 0.1.10.
pub(super) fn format(bytes: &[u8]) -> Result<Format> {
    if bytes.starts_with(b"PK\x03\x04") {
        return Ok(Format::TorchZip);
    }
    if legacy::is_legacy(bytes) {
        return Ok(Format::TorchLegacy);
    }
    // After the opcode that says the protocol comes a value, if nothing was cut off.
    if matches!(bytes, [0x80, 2..=5, _, ..]) {
        return Ok(Format::Pickle);
    }
    if is_safetensors(bytes) {
        return Ok(Format::Safetensors);
    }
    if hdf5::is_hdf5(bytes) {
        return Ok(Format::Hdf5);
    }
    // tar's magic stands after a file name of 100 bytes and the numbers that belong to it.
    if bytes.get(257..262) == Some(b"ustar") {
        return Err(Error::Unsupported {
            what: "a tar archive".to_owned(),
            remedy: "unpack it; a checkpoint of PyTorch 0.1 must be loaded and saved again with a newer PyTorch",
        });
    }
    Err(Error::UnknownFormat {
        found: describe(bytes),
    })
}

/// A plausible length of the header, then the header's first character.
fn is_safetensors(bytes: &[u8]) -> bool {
    /// The format's own limit.
    const LONGEST_HEADER: u64 = 100_000_000;
    bytes.split_first_chunk().is_some_and(|(length, header)| {
        (2..=LONGEST_HEADER).contains(&u64::from_le_bytes(*length)) && header.first() == Some(&b'{')
    })
}

fn describe(bytes: &[u8]) -> String {
    /// Enough to get past a byte order mark, blank lines and a comment.
    const BEGINNING: usize = 512;
    if bytes.is_empty() {
        return "an empty file".to_owned();
    }
    let beginning = &bytes[..bytes.len().min(BEGINNING)];
    if beginning.iter().all(|&byte| byte == 0) {
        return "only zeros (a download that was cut short?)".to_owned();
    }
    let text = beginning
        .strip_prefix(b"\xef\xbb\xbf")
        .unwrap_or(beginning)
        .trim_ascii_start()
        .to_ascii_lowercase();
    if [&b"<!doctype html"[..], b"<html", b"<head", b"<!--"]
        .iter()
        .any(|tag| text.starts_with(tag))
    {
        return "an HTML page (a download that went wrong?)".to_owned();
    }
    if let [0x80, 2..=5] = bytes {
        return "a pickle that was cut short".to_owned();
    }
    if bytes.first() == Some(&b'{') && contains(beginning, b"\"weight_map\"") {
        return "the index of a checkpoint in several files, without its folder".to_owned();
    }
    if let Some((_, what)) = STRANGERS
        .iter()
        .find(|(signature, _)| bytes.starts_with(signature))
    {
        return (*what).to_owned();
    }
    // A FlatBuffer's identifier stands after the offset of its root.
    if bytes.get(4..8) == Some(b"TFL3") {
        return "a TensorFlow Lite model (what it was converted from is wanted)".to_owned();
    }
    if is_onnx(bytes) {
        return "an ONNX model (the checkpoint that it was exported from is wanted)".to_owned();
    }
    // Field 1, a small version, and then another field of one of the first: Core ML's `Model`,
    // TensorFlow's `SavedModel`.
    if let [0x08, 1..=31, 0x12 | 0x1a | 0x22 | 0x3a | 0x42, ..] = bytes {
        return "a protobuf file, such as a Core ML model".to_owned();
    }
    if is_text(beginning) {
        return "a text file".to_owned();
    }
    let first = bytes
        .iter()
        .take(8)
        .map(|byte| format!("{byte:02x}"))
        .collect::<Vec<_>>()
        .join(" ");
    format!("a file of {} bytes that begins with {first}", bytes.len())
}

/// Whether these are the first bytes of ONNX's `ModelProto` (`onnx.proto`): field 1, the version of
/// its form, of which the first two are no longer written; then field 2, the producer, which is
/// followed by field 3, its version, or 7, the graph; or the graph at once.
fn is_onnx(bytes: &[u8]) -> bool {
    const PRODUCER_VERSION: u8 = 0x1a;
    const GRAPH: u8 = 0x3a;
    match bytes {
        [0x08, 3..=31, GRAPH, ..] => true,
        [0x08, 3..=31, 0x12, length @ 0..=127, rest @ ..] => rest
            .get(usize::from(*length))
            .is_some_and(|&next| matches!(next, PRODUCER_VERSION | GRAPH)),
        _ => false,
    }
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

/// Whether these are the first bytes of text: UTF-8 as far as it goes, of at least a few characters,
/// and nothing that no text has.
fn is_text(beginning: &[u8]) -> bool {
    const SHORTEST: usize = 4;
    let text = match std::str::from_utf8(beginning) {
        Ok(text) => text,
        // A character may be cut in two at the end.
        Err(error) if error.error_len().is_none() => {
            std::str::from_utf8(&beginning[..error.valid_up_to()]).unwrap_or_default()
        }
        Err(_) => return false,
    };
    text.len() >= SHORTEST && !text.contains(|c: char| c.is_control() && !c.is_ascii_whitespace())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(bytes: &[u8]) -> String {
        match format(bytes) {
            Err(Error::UnknownFormat { found }) => found,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_users_hand_over_by_mistake_is_named() {
        let cases: [(&[u8], &str); 13] = [
            (b"", "empty file"),
            (b"<!DOCTYPE html>\n<html>", "HTML page"),
            (b"\xef\xbb\xbf\r\n  <HTML lang=en>", "HTML page"),
            (b"<?xml version=\"1.0\"?><Error><Code>AccessDenied", "XML"),
            (
                b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a",
                "git lfs pull",
            ),
            (b"\x1f\x8b\x08\x00", "gzip"),
            (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "PNG"),
            (b"\xff\xd8\xff\xe0\0\x10JFIF", "JPEG"),
            (b"\x80\x02", "pickle that was cut short"),
            (b"PK\x05\x06\0\0", "empty zip"),
            (&[0; 700], "only zeros"),
            (b"{\"model\": 1}", "JSON"),
            (b"\x01\x02\x03hello", "8 bytes that begins with 01 02 03 68"),
        ];
        for (bytes, expected) in cases {
            let found = found(bytes);
            assert!(found.contains(expected), "{found} for {expected}");
        }
    }

    #[test]
    fn hdf5_is_found_at_the_beginning_and_behind_user_blocks() {
        let at = |start: usize| [&vec![b'x'; start][..], b"\x89HDF\r\n\x1a\n"].concat();
        for start in [0, 512, 1024, 2048, 65536] {
            assert_eq!(format(&at(start)).unwrap(), Format::Hdf5, "{start}");
        }
        for start in [8, 256, 1536] {
            assert!(format(&at(start)).is_err(), "{start}");
        }
    }

    #[test]
    fn a_header_length_beyond_the_limit_is_not_safetensors() {
        let bytes = |length: u64| [&length.to_le_bytes()[..], b"{}"].concat();
        assert_eq!(format(&bytes(2)).unwrap(), Format::Safetensors);
        assert!(found(&bytes(u64::MAX)).starts_with("a file of 10 bytes"));
    }
}
