//! Convolutions with their norms folded in.

use tch::{Kind, Tensor};

use super::{Parameters, TchResult, channels_last, onednn};
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

/// A convolution with a bias: `[N, input, H, W]` to `[N, output, ⌈H/stride⌉, ⌈W/stride⌉]` for odd
/// kernels.
#[derive(Debug)]
pub(crate) struct Conv {
    weight: Tensor,
    bias: Tensor,
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
        Self::placed(parameters, weight, bias, shape)
    }

    /// A convolution without a bias (`{name}.weight`) and the batch norm behind it
    /// (`{norm}.weight`, `.bias`, `.running_mean`, `.running_var`) as one convolution.
    ///
    /// With s = weight / √(var + ε), norm(conv(x)) = conv(x) · s + (bias − mean · s): the scale
    /// goes into the filters, the rest is the bias. Computed in f64, so that folding costs no
    /// accuracy. torchvision `ops/misc.py`, `FrozenBatchNorm2d.forward`.
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
        let mut statistic = |of: &str| parameters.take(&format!("{norm}.{of}"), &[shape.output]);
        let (gain, shift) = (statistic("weight")?, statistic("bias")?);
        let (mean, variance) = (statistic("running_mean")?, statistic("running_var")?);
        let (weight, bias) = fold(&weight, &gain, &shift, &mean, &variance, epsilon)
            .map_err(|e| Error::torch("folding a batch norm into its convolution", e))?;
        Self::placed(parameters, weight, bias, shape)
    }

    fn placed(
        parameters: &Parameters,
        weight: Tensor,
        bias: Tensor,
        shape: ConvShape,
    ) -> Result<Self> {
        let weight = channels_last(&weight)
            .map_err(|e| Error::torch("laying out a convolution's weights", e))?;
        Ok(Self {
            weight: parameters.place(weight)?,
            bias: parameters.place(bias)?,
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
        onednn::convolution(input, &self.weight, &self.bias, kernel / 2, stride, groups)
    }

    /// The convolution and a ReLU in place of its output.
    pub fn forward_relu(&self, input: &Tensor) -> TchResult<Tensor> {
        self.forward(input)?.f_relu_()
    }
}

/// The weight and bias of the one convolution that does what a convolution `[O, I, k, k]` and the
/// norm behind it do.
fn fold(
    weight: &Tensor,
    gain: &Tensor,
    shift: &Tensor,
    mean: &Tensor,
    variance: &Tensor,
    epsilon: f64,
) -> TchResult<(Tensor, Tensor)> {
    let double = |tensor: &Tensor| tensor.f_to_kind(Kind::Double);
    let scale = double(gain)?.f_div(&double(variance)?.f_add_scalar(epsilon)?.f_sqrt()?)?; // [O]
    let bias = double(shift)?.f_sub(&double(mean)?.f_mul(&scale)?)?;
    let weight = double(weight)?.f_mul(&scale.f_view([-1, 1, 1, 1])?)?;
    Ok((weight.f_to_kind(Kind::Float)?, bias.f_to_kind(Kind::Float)?))
}

/// The 2×2, stride 2 transposed convolution that doubles the size of the mask features.
///
/// Kernel and stride being equal, no two taps meet: every output pixel is one matrix product of its
/// input pixel, and all of them are one 1×1 convolution.
#[derive(Debug)]
pub(crate) struct Deconv {
    weight: Tensor,
    bias: Tensor,
}

impl Deconv {
    /// From `{name}.weight` `[input, output, 2, 2]` and `{name}.bias`.
    ///
    /// # Errors
    ///
    /// When a tensor is missing or has another shape.
    pub fn new(parameters: &mut Parameters, name: &str, input: i64, output: i64) -> Result<Self> {
        let weight = parameters.take(&format!("{name}.weight"), &[input, output, 2, 2])?;
        let bias = parameters.take(&format!("{name}.bias"), &[output])?;
        // [input, output, 2, 2] -> one row of the matrix for each (dy, dx, output): [4·output,
        // input, 1, 1]
        let weight = weight
            .f_permute([2, 3, 1, 0])
            .and_then(|w| w.f_reshape([4 * output, input, 1, 1]))
            .and_then(|w| w.f_contiguous())
            .map_err(|e| Error::torch("laying out a deconvolution's weights", e))?;
        let bias = bias
            .f_repeat([4])
            .map_err(|e| Error::torch("laying out a deconvolution's bias", e))?;
        Ok(Self {
            weight: parameters.place(weight)?,
            bias: parameters.place(bias)?,
        })
    }

    /// `[N, input, H, W]` to `[N, output, 2H, 2W]`; channels-last in, channels-last out. `N` may be
    /// 0.
    pub fn forward(&self, input: &Tensor) -> TchResult<Tensor> {
        let size = input.size();
        let (n, height, width) = (size[0], size[2], size[3]);
        let output = self.bias.size()[0] / 4;
        onednn::convolution(input, &self.weight, &self.bias, 0, 1, 1)? // [N, 4·output, H, W]
            .f_permute([0, 2, 3, 1])?
            .f_view([n, height, width, 2, 2, output])?
            .f_permute([0, 1, 3, 2, 4, 5])? // [N, H, 2, W, 2, output]
            .f_contiguous()?
            .f_view([n, 2 * height, 2 * width, output])?
            .f_permute([0, 3, 1, 2]) // [N, output, 2H, 2W]
    }
}
