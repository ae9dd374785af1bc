//! Where layers get their parameters from.

use std::collections::BTreeMap;

use tch::{Device, Kind, Tensor};

use super::torch::{during, is_finite};
use crate::checkpoint::{DType, Elements, StateDict};
use crate::error::{Error, Result};

/// Where layers get their parameters from, under canonical names, as libtorch's tensors.
pub(crate) enum Parameters<'a> {
    /// From a checkpoint.
    Read(&'a mut StateDict),
    /// From nowhere: what is asked for is written down, with its shape, and given as ones that take
    /// no memory. For a comparison with what a checkpoint has.
    Listed(&'a mut BTreeMap<String, Vec<i64>>),
}

impl Parameters<'_> {
    /// Takes the tensor `name` of exactly this shape: in f32, row-major, on the processor.
    ///
    /// # Errors
    ///
    /// When it is missing, has another shape, or holds NaN or infinity.
    pub fn take(&mut self, name: &str, shape: &[i64]) -> Result<Tensor> {
        let during = during("copying a tensor of the checkpoint");
        let state = match self {
            Self::Read(state) => state,
            Self::Listed(listed) => {
                listed.insert(name.to_owned(), shape.to_vec());
                let one = Tensor::f_ones([1], (Kind::Float, Device::Cpu));
                return one
                    .and_then(|one| one.f_expand(shape, false))
                    .map_err(during);
            }
        };
        let copied = match state.take(name, shape)? {
            Elements::Stored(dtype, bytes) => {
                let kind = match dtype {
                    DType::F64 => Kind::Double,
                    DType::F16 => Kind::Half,
                    DType::BF16 => Kind::BFloat16,
                    // The state dict gives no integers.
                    _ => Kind::Float,
                };
                Tensor::f_from_data_size(&bytes, shape, kind)
                    .and_then(|tensor| tensor.f_to_kind(Kind::Float))
            }
            Elements::Computed(values) => {
                Tensor::f_from_slice(&values).and_then(|tensor| tensor.f_view(shape))
            }
        };
        let tensor = copied.map_err(&during)?;
        if is_finite(&tensor).map_err(&during)? {
            return Ok(tensor);
        }
        Err(Error::NotFinite {
            name: name.to_owned(),
            reason: "it holds NaN or infinity, as after a training that went wrong".to_owned(),
        })
    }
}
