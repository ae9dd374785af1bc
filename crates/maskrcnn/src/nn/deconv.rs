//! The transposed convolution of the mask head.

use tch::{Device, Tensor};

use super::onednn;
use super::parameters::Parameters;
use super::torch::{Prepare, TchResult, during, place};
use crate::error::Result;

/// The 2×2, stride 2 transposed convolution that doubles the size of the mask features.
///
/// Kernel and stride being equal, no two taps meet: every output pixel is one matrix product of its
/// input pixel, and all of them are one 1×1 convolution. That is what it becomes when prepared.
#[derive(Debug)]
pub(crate) struct Deconv {
    /// `[input, output, 2, 2]`; when prepared `[4·output, input, 1, 1]`.
    weight: Tensor,
    /// `[output]`; when prepared `[4·output]`.
    bias: Tensor,
    is_prepared: bool,
}

impl Deconv {
    /// From `{name}.weight` `[input, output, 2, 2]` and `{name}.bias`.
    ///
    /// # Errors
    ///
    /// When a tensor is missing or has another shape.
    pub fn new(parameters: &mut Parameters, name: &str, input: i64, output: i64) -> Result<Self> {
        Ok(Self {
            weight: parameters.take(&format!("{name}.weight"), &[input, output, 2, 2])?,
            bias: parameters.take(&format!("{name}.bias"), &[output])?,
            is_prepared: false,
        })
    }

    /// `[N, input, H, W]` to `[N, output, 2H, 2W]`; channels-last in, channels-last out. `N` may be
    /// 0.
    pub fn forward(&self, input: &Tensor) -> TchResult<Tensor> {
        if !self.is_prepared {
            let bias = Some(&self.bias);
            return input.f_conv_transpose2d(&self.weight, bias, 2, 0, 0, 1, 1);
        }
        let size = input.size();
        let (n, height, width) = (size[0], size[2], size[3]);
        let output = self.bias.size()[0] / 4;
        onednn::convolution(input, &self.weight, Some(&self.bias), 0, 1, 1)? // [N, 4·output, H, W]
            .f_permute([0, 2, 3, 1])?
            .f_view([n, height, width, 2, 2, output])?
            .f_permute([0, 1, 3, 2, 4, 5])? // [N, H, 2, W, 2, output]
            .f_contiguous()?
            .f_view([n, 2 * height, 2 * width, output])?
            .f_permute([0, 3, 1, 2]) // [N, output, 2H, 2W]
    }
}

impl Prepare for Deconv {
    fn prepare(&mut self, device: Device) -> Result<()> {
        if !self.is_prepared {
            let size = self.weight.size();
            let (input, output) = (size[0], size[1]);
            // One row of the matrix for each (dy, dx, output).
            self.weight = self
                .weight
                .f_permute([2, 3, 1, 0])
                .and_then(|weight| weight.f_reshape([4 * output, input, 1, 1]))
                .and_then(|weight| weight.f_contiguous())
                .map_err(during("laying out a deconvolution's weights"))?; // [4·output, input, 1, 1]
            let bias = self.bias.f_repeat([4]);
            self.bias = bias.map_err(during("laying out a deconvolution's bias"))?;
            self.is_prepared = true;
        }
        place(&mut self.weight, device)?;
        place(&mut self.bias, device)
    }
}

#[cfg(test)]
mod tests {
    use tch::Kind;

    use super::*;

    #[test]
    fn a_prepared_deconvolution_computes_what_it_was_given() {
        let random = |shape: &[i64]| Tensor::rand(shape, (Kind::Float, Device::Cpu));
        let mut deconv = Deconv {
            weight: random(&[5, 3, 2, 2]),
            bias: random(&[3]),
            is_prepared: false,
        };
        let input = random(&[2, 5, 4, 6]);
        let given = deconv.forward(&input).unwrap();
        deconv.prepare(Device::Cpu).unwrap();
        let prepared = deconv.forward(&input).unwrap();
        assert_eq!(prepared.size(), [2, 3, 8, 12]);
        let apart = (given - prepared).abs().max().double_value(&[]);
        assert!(apart < 1e-5, "{apart}");
    }
}
