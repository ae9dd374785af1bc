//! A checkpoint of a full-size network, in PyTorch's own format.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use crate::formula;

/// Names, shapes and checksums of the tensors of torchvision's `maskrcnn_resnet50_fpn`.
const TENSORS: &str = include_str!("../fixtures/parity/formula.tsv");

/// Writes torchvision's `maskrcnn_resnet50_fpn`, 178 MB, with weights from a formula, as
/// `torch.save` writes a state dict.
pub fn write_torchvision(path: &Path) {
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    let mut archive = ZipWriter::new(BufWriter::new(File::create(path).unwrap()));
    let tensors = TENSORS.lines().map(|line| {
        let [name, shape, _] = line.split('\t').collect::<Vec<_>>()[..] else {
            panic!("not three fields: {line}")
        };
        (
            name,
            shape
                .split(',')
                .map(|side| side.parse().unwrap())
                .collect::<Vec<i64>>(),
        )
    });
    let mut pickle = b"\x80\x02}(".to_vec();
    for (number, (name, shape)) in tensors.enumerate() {
        let values = formula::fill(name, &shape, false);
        archive
            .start_file(format!("archive/data/{number}"), options)
            .unwrap();
        for value in &values {
            archive.write_all(&value.to_le_bytes()).unwrap();
        }
        push_text(&mut pickle, name);
        pickle.extend(b"ctorch._utils\n_rebuild_tensor_v2\n((");
        push_text(&mut pickle, "storage");
        pickle.extend(b"ctorch\nFloatStorage\n");
        push_text(&mut pickle, &number.to_string());
        push_text(&mut pickle, "cpu");
        push_int(&mut pickle, values.len() as i64);
        pickle.extend(b"tQ");
        push_int(&mut pickle, 0);
        let strides: Vec<i64> = (1..=shape.len())
            .map(|axis| shape[axis..].iter().product())
            .collect();
        for sides in [&shape, &strides] {
            pickle.push(b'(');
            sides.iter().for_each(|&side| push_int(&mut pickle, side));
            pickle.push(b't');
        }
        pickle.extend(b"\x89}tR");
    }
    pickle.extend(b"u.");
    for (name, content) in [
        ("archive/data.pkl", &pickle[..]),
        ("archive/byteorder", b"little"),
    ] {
        archive.start_file(name, options).unwrap();
        archive.write_all(content).unwrap();
    }
    archive.finish().unwrap().flush().unwrap();
}

fn push_text(pickle: &mut Vec<u8>, text: &str) {
    pickle.push(b'X');
    pickle.extend((text.len() as u32).to_le_bytes());
    pickle.extend(text.as_bytes());
}

fn push_int(pickle: &mut Vec<u8>, value: i64) {
    pickle.extend([0x8a, 8]);
    pickle.extend(value.to_le_bytes());
}
