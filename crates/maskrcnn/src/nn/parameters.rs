//! Where layers get their parameters from.

use tch::{Kind, Tensor};

use super::torch::during;
use crate::checkpoint::{DType, Elements, StateDict};
use crate::error::Result;

/// The tensors of a checkpoint under canonical names, as libtorch's.
pub(crate) struct Parameters<'a>(pub &'a mut StateDict);

impl Parameters<'_> {
    /// Takes the tensor `name` of exactly this shape out of the state dict: in f32, row-major, on
    /// the processor.
    ///
    /// # Errors
    ///
    /// When it is missing or has another shape.
    pub fn take(&mut self, name: &str, shape: &[i64]) -> Result<Tensor> {
        let tensor = match self.0.take(name, shape)? {
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
        tensor.map_err(during("copying a tensor of the checkpoint"))
    }
}
