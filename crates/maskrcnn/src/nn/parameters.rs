//! Where layers get their parameters from.

use tch::{Kind, Tensor};

use super::torch::{during, is_finite};
use crate::checkpoint::{DType, Elements, StateDict};
use crate::error::{Error, Result};

/// The tensors of a checkpoint under canonical names, as libtorch's.
pub(crate) struct Parameters<'a>(pub &'a mut StateDict);

impl Parameters<'_> {
    /// Takes the tensor `name` of exactly this shape out of the state dict: in f32, row-major, on
    /// the processor.
    ///
    /// # Errors
    ///
    /// When it is missing, has another shape, or holds NaN or infinity.
    pub fn take(&mut self, name: &str, shape: &[i64]) -> Result<Tensor> {
        let copied = match self.0.take(name, shape)? {
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
        let during = during("copying a tensor of the checkpoint");
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
