//! Fully connected layers.

use tch::Tensor;

use super::{Parameters, TchResult, onednn};
use crate::error::{Error, Result};

/// `[N, input]` to `[N, output]`.
#[derive(Debug)]
pub(crate) struct Linear {
    weight: Tensor,
    bias: Tensor,
}

impl Linear {
    /// From `{name}.weight` `[output, input]` and `{name}.bias`.
    ///
    /// # Errors
    ///
    /// When a tensor is missing or has another shape.
    pub fn new(parameters: &mut Parameters, name: &str, input: i64, output: i64) -> Result<Self> {
        let weight = parameters.take(&format!("{name}.weight"), &[output, input])?;
        let bias = parameters.take(&format!("{name}.bias"), &[output])?;
        Ok(Self {
            weight: parameters.place(weight)?,
            bias: parameters.place(bias)?,
        })
    }

    /// The same for a layer that was trained on flattened `[channels, side, side]` features and is
    /// given channels-last ones: its columns are put into the order `[side, side, channels]` once,
    /// so that no feature is ever transposed.
    ///
    /// # Errors
    ///
    /// When a tensor is missing or has another shape.
    pub fn over_channels_last(
        parameters: &mut Parameters,
        name: &str,
        channels: i64,
        side: i64,
        output: i64,
    ) -> Result<Self> {
        let input = channels * side * side;
        let weight = parameters.take(&format!("{name}.weight"), &[output, input])?;
        let bias = parameters.take(&format!("{name}.bias"), &[output])?;
        let weight = weight
            .f_view([output, channels, side, side])
            .and_then(|w| w.f_permute([0, 2, 3, 1]))
            .and_then(|w| w.f_reshape([output, input]))
            .map_err(|e| Error::torch("laying out a fully connected layer's weights", e))?;
        Ok(Self {
            weight: parameters.place(weight)?,
            bias: parameters.place(bias)?,
        })
    }

    /// `[N, input]` to `[N, output]`; `N` may be 0.
    pub fn forward(&self, input: &Tensor) -> TchResult<Tensor> {
        onednn::linear(input, &self.weight, &self.bias)
    }
}
