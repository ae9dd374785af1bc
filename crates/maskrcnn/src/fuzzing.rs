//! The way in for the fuzz targets of `fuzz/`, which see only the public face; it exists only where
//! `cfg(fuzzing)` is set.

use crate::checkpoint::Checkpoint;
use crate::error::{Error, Result};

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
pub fn checkpoint(bytes: &[u8]) -> Result<usize> {
    let mut tensors = Checkpoint::from_bytes(bytes.to_vec())?.tensors;
    let names: Vec<String> = tensors.names().map(str::to_owned).collect();
    let mut elements = 0;
    for name in names {
        let shape = tensors.shape(&name).expect("the name was listed").to_vec();
        match tensors.take(&name, &shape) {
            Ok(tensor) => {
                assert_eq!(tensor.size(), shape, "{name}");
                elements += tensor.numel();
            }
            Err(Error::Unsupported { .. }) => assert!(tensors.remove(&name), "{name}"), // integers
            Err(error) => panic!("{name}: {error}"),
        }
    }
    tensors.finish().expect("every tensor was taken");
    Ok(elements)
}
