//! Convolutions, and the norms behind them.

use tch::{Device, Kind, Tensor};

use super::onednn;
use super::parameters::Parameters;
use super::torch::{Prepare, TchResult, channels_last, during, place};
use crate::error::Result;

/// What a convolution does apart from its values. Padding is always half the kernel, so that stride
/// 1 keeps the size.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ConvShape {
    pub input: i64,
    pub output: i64,
    pub kernel: i64,
    pub stride: i64,
    pub groups: i64,
}

impl ConvShape {
    /// A convolution with stride 1 over all channels.
    pub const fn new(input: i64, output: i64, kernel: i64) -> Self {
        Self {
            input,
            output,
            kernel,
            stride: 1,
            groups: 1,
        }
    }

    /// The same with another stride.
    pub const fn stride(self, stride: i64) -> Self {
        Self { stride, ..self }
    }

    /// A convolution of each of `channels` by itself.
    pub const fn depthwise(channels: i64, kernel: i64) -> Self {
        Self {
            groups: channels,
            ..Self::new(channels, channels, kernel)
        }
    }

    fn weight(&self) -> [i64; 4] {
        [
            self.output,
            self.input / self.groups,
            self.kernel,
            self.kernel,
        ]
    }
}

/// A convolution, and the batch norm behind it where there is one: `[N, input, H, W]` to
/// `[N, output, ⌈H/stride⌉, ⌈W/stride⌉]` for odd kernels.
#[derive(Debug)]
pub(crate) struct Conv {
    weight: Tensor,
    bias: Option<Tensor>,
    /// Gone once it is folded.
    norm: Option<Norm>,
    shape: ConvShape,
}

impl Conv {
    /// A convolution that has its own bias: `{name}.weight` and `{name}.bias`.
    ///
    /// # Errors
    ///
    /// When a tensor is missing or has another shape.
    pub fn new(parameters: &mut Parameters, name: &str, shape: ConvShape) -> Result<Self> {
        let weight = parameters.take(&format!("{name}.weight"), &shape.weight())?;
        let bias = parameters.take(&format!("{name}.bias"), &[shape.output])?;
        Ok(Self {
            weight,
            bias: Some(bias),
            norm: None,
            shape,
        })
    }

    /// A convolution without a bias (`{name}.weight`) and the batch norm behind it
    /// (`{norm}.weight`, `.bias`, `.running_mean`, `.running_var`).
    ///
    /// # Errors
    ///
    /// When a tensor is missing or has another shape.
    pub fn with_norm(
        parameters: &mut Parameters,
        name: &str,
        norm: &str,
        epsilon: f64,
        shape: ConvShape,
    ) -> Result<Self> {
        let weight = parameters.take(&format!("{name}.weight"), &shape.weight())?;
        let norm = Norm::new(parameters, norm, shape.output, epsilon)?;
        Ok(Self {
            weight,
            bias: None,
            norm: Some(norm),
            shape,
        })
    }

    /// `[N, input, H, W]` to `[N, output, H', W']`; channels-last in, channels-last out.
    pub fn forward(&self, input: &Tensor) -> TchResult<Tensor> {
        let ConvShape {
            kernel,
            stride,
            groups,
            ..
        } = self.shape;
        let (weight, bias) = (&self.weight, self.bias.as_ref());
        let output = onednn::convolution(input, weight, bias, kernel / 2, stride, groups)?;
        match &self.norm {
            Some(norm) => norm.forward(&output),
            None => Ok(output),
        }
    }

    /// The convolution and a ReLU in place of its output.
    pub fn forward_relu(&self, input: &Tensor) -> TchResult<Tensor> {
        self.forward(input)?.f_relu_()
    }
}

impl Prepare for Conv {
    fn prepare(&mut self, device: Device) -> Result<()> {
        if let Some(norm) = self.norm.take() {
            let (weight, bias) = norm
                .fold(&self.weight, self.bias.as_ref())
                .map_err(during("folding a batch norm into its convolution"))?;
            (self.weight, self.bias) = (weight, Some(bias));
        }
        let laid_out = channels_last(&self.weight);
        self.weight = laid_out.map_err(during("laying out a convolution's weights"))?;
        place(&mut self.weight, device)?;
        self.bias
            .iter_mut()
            .try_for_each(|bias| place(bias, device))
    }
}

/// A batch norm of a trained network: each channel times a scale, plus a shift.
///
/// torchvision `ops/misc.py`, `FrozenBatchNorm2d.forward`.
#[derive(Debug)]
struct Norm {
    gain: Tensor,
    shift: Tensor,
    mean: Tensor,
    variance: Tensor,
    epsilon: f64,
}

impl Norm {
    fn new(parameters: &mut Parameters, name: &str, channels: i64, epsilon: f64) -> Result<Self> {
        let mut statistic = |of: &str| parameters.take(&format!("{name}.{of}"), &[channels]);
        Ok(Self {
            gain: statistic("weight")?,
            shift: statistic("bias")?,
            mean: statistic("running_mean")?,
            variance: statistic("running_var")?,
            epsilon,
        })
    }

    /// The scale s = gain / √(variance + ε) and the shift − mean · s, `[C]` each, in f64.
    fn affine(&self) -> TchResult<(Tensor, Tensor)> {
        let double = |tensor: &Tensor| tensor.f_to_kind(Kind::Double);
        let deviation = double(&self.variance)?
            .f_add_scalar(self.epsilon)?
            .f_sqrt()?;
        let scale = double(&self.gain)?.f_div(&deviation)?; // [C]
        let shift = double(&self.shift)?.f_sub(&double(&self.mean)?.f_mul(&scale)?)?;
        Ok((scale, shift))
    }

    /// `[N, C, H, W]` to the same.
    fn forward(&self, input: &Tensor) -> TchResult<Tensor> {
        let (scale, shift) = self.affine()?;
        let channels = |tensor: Tensor| tensor.f_to_kind(Kind::Float)?.f_view([1, -1, 1, 1]);
        input.f_mul(&channels(scale)?)?.f_add(&channels(shift)?)
    }

    /// The weight and bias of the one convolution that does what a convolution `[C, I, k, k]`, with
    /// a bias `[C]` or without, and this norm behind it do.
    ///
    /// norm(conv(x) + b) = conv(x) · s + (shift + b · s): the scale goes into the filters, the rest
    /// is the bias. Computed in f64, so that folding costs no accuracy.
    fn fold(&self, weight: &Tensor, bias: Option<&Tensor>) -> TchResult<(Tensor, Tensor)> {
        let (scale, mut shift) = self.affine()?;
        if let Some(bias) = bias {
            shift = shift.f_add(&bias.f_to_kind(Kind::Double)?.f_mul(&scale)?)?;
        }
        let filters = weight
            .f_to_kind(Kind::Double)?
            .f_mul(&scale.f_view([-1, 1, 1, 1])?)?;
        Ok((
            filters.f_to_kind(Kind::Float)?,
            shift.f_to_kind(Kind::Float)?,
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn random(shape: &[i64]) -> Tensor {
        Tensor::rand(shape, (Kind::Float, Device::Cpu))
    }

    #[test]
    fn a_prepared_convolution_computes_what_it_was_given() {
        for bias in [None, Some(random(&[6]))] {
            let shape = ConvShape::new(4, 6, 3).stride(2);
            let mut conv = Conv {
                weight: random(&shape.weight()),
                bias,
                norm: Some(Norm {
                    gain: random(&[6]),
                    shift: random(&[6]),
                    mean: random(&[6]),
                    variance: random(&[6]),
                    epsilon: 1e-3,
                }),
                shape,
            };
            let input = channels_last(&random(&[1, 4, 9, 13])).unwrap();
            let given = conv.forward(&input).unwrap();
            conv.prepare(Device::Cpu).unwrap();
            assert!(conv.norm.is_none());
            let prepared = conv.forward(&input).unwrap();
            assert_eq!(prepared.size(), [1, 6, 5, 7]);
            let apart = (given - prepared).abs().max().double_value(&[]);
            assert!(apart < 1e-4, "{apart}");
        }
    }
}
