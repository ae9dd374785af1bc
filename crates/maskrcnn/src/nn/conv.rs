//! Convolutions, and the norms behind them.

use tch::{Device, Kind, Tensor};

use super::onednn;
use super::parameters::Parameters;
use super::torch::{Prepare, TchResult, channels_last, during, is_finite, place};
use crate::error::{Error, Result};

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

    /// The same in groups of channels that do not see each other.
    pub const fn groups(self, groups: i64) -> Self {
        Self { groups, ..self }
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

    /// A convolution with the batch norm of this epsilon behind it, or with a bias where there is
    /// none: the tensors that torchvision's `ops/misc.py`, `Conv2dNormActivation`, has,
    /// `{name}.0.weight` and either `{name}.1.*` or `{name}.0.bias`.
    ///
    /// # Errors
    ///
    /// When a tensor is missing or has another shape.
    pub fn with_norm_or_bias(
        parameters: &mut Parameters,
        name: &str,
        epsilon: Option<f64>,
        shape: ConvShape,
    ) -> Result<Self> {
        let conv = format!("{name}.0");
        match epsilon {
            Some(epsilon) => {
                Self::with_norm(parameters, &conv, &format!("{name}.1"), epsilon, shape)
            }
            None => Self::new(parameters, &conv, shape),
        }
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
            let (weight, bias) = norm.fold(&self.weight, self.bias.as_ref())?;
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
    name: String,
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
            name: name.to_owned(),
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
    ///
    /// # Errors
    ///
    /// When the results are not finite; and when libtorch fails.
    fn fold(&self, weight: &Tensor, bias: Option<&Tensor>) -> Result<(Tensor, Tensor)> {
        let during = during("folding a batch norm into its convolution");
        let (weight, bias) = self.product(weight, bias).map_err(&during)?;
        let finite = is_finite(&weight).and_then(|finite| Ok(finite && is_finite(&bias)?));
        if finite.map_err(&during)? {
            Ok((weight, bias))
        } else {
            Err(self.not_finite().map_err(&during)?)
        }
    }

    /// What [`fold`](Self::fold) gives, finite or not.
    fn product(&self, weight: &Tensor, bias: Option<&Tensor>) -> TchResult<(Tensor, Tensor)> {
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

    /// Says why a division by √(variance + ε) went wrong. torchvision goes on with infinite and
    /// undefined numbers, and finds nothing.
    fn not_finite(&self) -> TchResult<Error> {
        let variances = Vec::<f32>::try_from(self.variance.f_view([-1])?)?;
        let epsilon = self.epsilon;
        let channel = variances
            .iter()
            .position(|&variance| f64::from(variance) + epsilon <= 0.0);
        let (tensor, reason) = match channel {
            Some(channel) => (
                "running_var",
                format!(
                    "channel {channel} has the variance {}, which with the epsilon {epsilon} of its norm has no \
                     inverse root; was the network trained with another epsilon? A blueprint can give it",
                    variances[channel]
                ),
            ),
            None => (
                "weight",
                "folded into its convolution it gives numbers beyond the range of float32"
                    .to_owned(),
            ),
        };
        Ok(Error::NotFinite {
            name: format!("{}.{tensor}", self.name),
            reason,
        })
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
                    name: "bn".to_owned(),
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

    /// A convolution to three channels whose norm has these numbers.
    fn normed(gain: [f32; 3], variance: [f32; 3], epsilon: f64) -> Conv {
        let shape = ConvShape::new(2, 3, 1);
        Conv {
            weight: random(&shape.weight()),
            bias: None,
            norm: Some(Norm {
                name: "layer1.0.bn1".to_owned(),
                gain: Tensor::from_slice(&gain),
                shift: random(&[3]),
                mean: random(&[3]),
                variance: Tensor::from_slice(&variance),
                epsilon,
            }),
            shape,
        }
    }

    #[test]
    fn a_dead_channel_without_an_epsilon_is_an_error() {
        let dead = |epsilon| normed([1.0; 3], [0.5, 0.0, 0.5], epsilon).prepare(Device::Cpu);
        assert_eq!(
            dead(0.0).unwrap_err().to_string(),
            "tensor `layer1.0.bn1.running_var` cannot be computed with: channel 1 has the variance \
             0, which with the epsilon 0 of its norm has no inverse root; was the network trained \
             with another epsilon? A blueprint can give it"
        );
        dead(1e-5).unwrap();
        // A gain of 0 makes 0 · ∞ of it.
        let silent = normed([1.0, 0.0, 1.0], [0.5, 0.0, 0.5], 0.0).prepare(Device::Cpu);
        assert_eq!(silent.unwrap_err().code(), "not-finite");
        let negative = normed([1.0; 3], [0.5, 0.5, -1.0], 1e-5).prepare(Device::Cpu);
        let message = negative.unwrap_err().to_string();
        assert!(
            message.contains("channel 2 has the variance -1"),
            "{message}"
        );
        let vast = normed([1.0, 1.0, 3e38], [0.5, 0.5, 1e-9], 0.0).prepare(Device::Cpu);
        let message = vast.unwrap_err().to_string();
        assert!(message.contains("`layer1.0.bn1.weight`"), "{message}");
        assert!(
            message.ends_with("beyond the range of float32"),
            "{message}"
        );
    }
}
