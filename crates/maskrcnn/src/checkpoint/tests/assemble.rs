//! Checkpoints put together byte by byte, to say in them what no library would write.

use std::io::{Cursor, Write};

use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

/// A pickle under construction: each method adds the opcodes that push one thing.
#[derive(Clone)]
pub(super) struct Pickle(pub(super) Vec<u8>);

impl Pickle {
    pub(super) fn new() -> Self {
        Self(vec![0x80, 2])
    }

    pub(super) fn op(mut self, opcodes: impl AsRef<[u8]>) -> Self {
        self.0.extend(opcodes.as_ref());
        self
    }

    pub(super) fn text(self, text: &str) -> Self {
        self.op(b"X").op((text.len() as u32).to_le_bytes()).op(text)
    }

    pub(super) fn int(self, value: i64) -> Self {
        self.op([0x8a, 8]).op(value.to_le_bytes())
    }

    pub(super) fn ints(self, values: &[i64]) -> Self {
        values
            .iter()
            .fold(self.op(b"("), |pickle, &value| pickle.int(value))
            .op(b"t")
    }

    pub(super) fn global(self, module: &str, name: &str) -> Self {
        self.op(format!("c{module}\n{name}\n"))
    }

    pub(super) fn stack_global(self, module: &str, name: &str) -> Self {
        self.text(module).text(name).op([0x93])
    }

    /// A float storage.
    pub(super) fn storage(self, key: &str, len: i64) -> Self {
        self.op(b"(")
            .text("storage")
            .global("torch", "FloatStorage")
            .text(key)
            .text("cpu")
            .int(len)
            .op(b"NtQ")
    }

    /// A float tensor on a storage `0` of `len` elements.
    pub(super) fn tensor(self, len: i64, offset: i64, shape: &[i64], strides: &[i64]) -> Self {
        let pickle = self
            .global("torch._utils", "_rebuild_tensor_v2")
            .op(b"(")
            .storage("0", len)
            .int(offset);
        pickle.ints(shape).ints(strides).op([0x89]).op(b"}tR")
    }

    /// A good tensor of six elements, on a storage `0`.
    pub(super) fn good_tensor(self) -> Self {
        self.tensor(6, 0, &[2, 3], &[3, 1])
    }

    pub(super) fn stop(self) -> Vec<u8> {
        self.op(b".").0
    }
}

/// {"weight": a good tensor, "x": what `then` adds}.
pub(super) fn state_dict_with(then: impl Fn(Pickle) -> Pickle) -> Vec<u8> {
    let pickle = Pickle::new()
        .op(b"}(")
        .text("weight")
        .good_tensor()
        .text("x");
    then(pickle).op(b"u").stop()
}

/// {"weight": what `tensor` adds}.
pub(super) fn state_dict_of(tensor: impl Fn(Pickle) -> Pickle) -> Vec<u8> {
    tensor(Pickle::new().op(b"}").text("weight"))
        .op(b"s")
        .stop()
}

/// Six floats: 0.5, 1.5, …
pub(super) fn six_floats() -> Vec<u8> {
    (0..6)
        .flat_map(|i| (i as f32 + 0.5).to_le_bytes())
        .collect()
}

/// The beginning of a legacy file, up to the object.
pub(super) fn legacy_header(little_endian: bool, version: i64) -> Vec<u8> {
    let magic = Pickle::new()
        .op([0x8a, 10])
        .op([0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19])
        .stop();
    let version = Pickle::new().int(version).stop();
    let flag = if little_endian { 0x88 } else { 0x89 };
    [
        magic,
        version,
        Pickle::new()
            .op(b"}")
            .text("little_endian")
            .op([flag])
            .op(b"s")
            .stop(),
    ]
    .concat()
}

/// A legacy file of an object, its storages' keys, and their bytes with the number of elements that
/// they claim.
pub(super) fn legacy_with(object: &[u8], keys: &[&str], storages: &[(i64, Vec<u8>)]) -> Vec<u8> {
    let mut bytes = legacy_header(true, 1001);
    bytes.extend(object);
    bytes.extend(
        keys.iter()
            .fold(Pickle::new().op(b"]("), |pickle, key| pickle.text(key))
            .op(b"e")
            .stop(),
    );
    for (len, data) in storages {
        bytes.extend(len.to_le_bytes());
        bytes.extend(data);
    }
    bytes
}

/// A legacy file of an object whose storage `0` has six floats.
pub(super) fn legacy(object: &[u8]) -> Vec<u8> {
    legacy_with(object, &["0"], &[(6, six_floats())])
}

/// An archive of such files, none compressed.
pub(super) fn zip_of(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, data) in files {
        writer
            .start_file(
                *name,
                SimpleFileOptions::default().compression_method(CompressionMethod::Stored),
            )
            .unwrap();
        writer.write_all(data).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

/// An archive of an object whose storage `0` has six floats.
pub(super) fn zip(object: &[u8]) -> Vec<u8> {
    zip_of(&[
        ("archive/data.pkl", object),
        ("archive/byteorder", b"little"),
        ("archive/data/0", &six_floats()),
    ])
}

/// A safetensors file of a header and what follows it.
pub(super) fn safetensors(header: &str, data: &[u8]) -> Vec<u8> {
    [
        &(header.len() as u64).to_le_bytes()[..],
        header.as_bytes(),
        data,
    ]
    .concat()
}
