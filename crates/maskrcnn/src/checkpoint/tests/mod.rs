//! Checkpoints that PyTorch wrote, read to the bit, and hundreds of thousands that are broken,
//! refused.

mod arrays;
mod assemble;
mod broken;
mod fixtures;
mod fuzzed;
mod hdf5;
mod hostile;
mod mutated;
mod old;
mod refused;
mod wrapped;

use std::path::PathBuf;

use super::{Checkpoint, DType, Format};
use crate::error::{Error, Result};

/// A file of tests/fixtures/checkpoints.
fn path(name: &str) -> PathBuf {
    [
        env!("CARGO_MANIFEST_DIR"),
        "..",
        "..",
        "tests",
        "fixtures",
        "checkpoints",
        name,
    ]
    .iter()
    .collect()
}

fn bytes(name: &str) -> Vec<u8> {
    std::fs::read(path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Takes every tensor that can be taken, so that every offset that a checkpoint promises is used.
fn take_all(mut checkpoint: Checkpoint) -> Vec<(String, Vec<i64>, Vec<f32>)> {
    let names: Vec<String> = checkpoint.tensors.names().map(str::to_owned).collect();
    let mut taken = Vec::new();
    for name in names {
        let shape = checkpoint.tensors.shape(&name).unwrap().to_vec();
        match checkpoint.tensors.take(&name, &shape) {
            Ok(elements) => {
                let values = elements.into_f32();
                assert_eq!(values.len() as i64, shape.iter().product::<i64>(), "{name}");
                taken.push((name, shape, values));
            }
            Err(Error::Unsupported { .. }) => assert!(checkpoint.tensors.remove(&name)), // integers
            Err(error) => panic!("{name}: {error}"),
        }
    }
    checkpoint.tensors.finish().unwrap();
    taken
}

/// The error that some bytes must give.
fn error(bytes: Vec<u8>) -> Error {
    Checkpoint::from_bytes(bytes)
        .err()
        .expect("the bytes are no good checkpoint")
}

fn outcome(bytes: Vec<u8>) -> Result<()> {
    Checkpoint::from_bytes(bytes).map(|checkpoint| drop(take_all(checkpoint)))
}
