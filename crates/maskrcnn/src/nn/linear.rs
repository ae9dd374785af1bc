//! Fully connected layers.

use tch::{Device, Tensor};

use super::onednn;
use super::parameters::Parameters;
use super::torch::{Prepare, TchResult, during, place};
use crate::error::Result;

/// `[N, input]` to `[N, output]`.
#[derive(Debug)]
pub(crate) struct Linear {
    weight: Tensor,
    bias: Tensor,
    /// Channels and side of the features whose channels-first order the columns have; none when
    /// they are in the order of the input.
    channels_first: Option<[i64; 2]>,
}

impl Linear {
    /// From `{name}.weight` `[output, input]` and `{name}.bias`.
    ///
    /// # Errors
    ///
    /// When a tensor is missing or has another shape.
    pub fn new(parameters: &mut Parameters, name: &str, input: i64, output: i64) -> Result<Self> {
        Ok(Self {
            weight: parameters.take(&format!("{name}.weight"), &[output, input])?,
            bias: parameters.take(&format!("{name}.bias"), &[output])?,
            channels_first: None,
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
        let layer = Self::new(parameters, name, channels * side * side, output)?;
        Ok(Self {
            channels_first: Some([channels, side]),
            ..layer
        })
    }

    /// `[N, input]` to `[N, output]`; `N` may be 0.
    pub fn forward(&self, input: &Tensor) -> TchResult<Tensor> {
        onednn::linear(input, &self.columns()?, &self.bias)
    }

    /// The weight with its columns in the order of the input, `[output, input]`.
    fn columns(&self) -> TchResult<Tensor> {
        let Some([channels, side]) = self.channels_first else {
            return Ok(self.weight.shallow_clone());
        };
        self.weight
            .f_view([-1, channels, side, side])?
            .f_permute([0, 2, 3, 1])? // [output, side, side, channels]
            .f_reshape([-1, channels * side * side])
    }
}

impl Prepare for Linear {
    fn prepare(&mut self, device: Device) -> Result<()> {
        let laid_out = during("laying out a fully connected layer's weights");
        self.weight = self.columns().map_err(laid_out)?;
        self.channels_first = None;
        place(&mut self.weight, device)?;
        place(&mut self.bias, device)
    }
}

#[cfg(test)]
mod tests {
    use tch::Kind;

    use super::*;

    #[test]
    fn a_prepared_layer_takes_channels_last_features_as_before() {
        let random = |shape: &[i64]| Tensor::rand(shape, (Kind::Float, Device::Cpu));
        let features = random(&[2, 3, 4, 4]);
        let mut layer = Linear {
            weight: random(&[5, 48]),
            bias: random(&[5]),
            channels_first: Some([3, 4]),
        };
        let trained = features
            .flatten(1, -1)
            .linear(&layer.weight, Some(&layer.bias));
        let input = features.permute([0, 2, 3, 1]).flatten(1, -1);
        for _ in 0..2 {
            let found = layer.forward(&input).unwrap();
            let apart = (&trained - found).abs().max().double_value(&[]);
            assert!(apart < 1e-5, "{apart}");
            layer.prepare(Device::Cpu).unwrap();
        }
        assert!(layer.channels_first.is_none());
    }
}
