//! Layers and the networks made of them, built strictly from a state dict: no initialisation, no
//! training.
//!
//! Every norm is folded into its convolution when the layer is built, and every weight is laid out
//! channels-last once, so that the forward pass is convolutions and ReLUs in libtorch's fastest
//! layout. Forward passes return tch's own result; `model` says what was being done when one fails.

mod backbone;
mod conv;
mod efficientnet_lite;
mod fpn;
mod linear;
pub(crate) mod memory;
mod onednn;
mod resnet;

pub(crate) use backbone::Backbone;
pub(crate) use conv::{Conv, ConvShape, Deconv};
pub(crate) use fpn::FeaturePyramid;
pub(crate) use linear::Linear;

use tch::{Device, Tensor};

use crate::checkpoint::StateDict;
use crate::error::{Error, Result};

/// What a forward pass of a layer gives.
pub(crate) type TchResult<T> = std::result::Result<T, tch::TchError>;

/// Where layers take their parameters from and put them.
pub(crate) struct Parameters<'a> {
    pub state: &'a mut StateDict,
    pub device: Device,
}

impl Parameters<'_> {
    /// Takes the tensor `name` of exactly this shape out of the state dict, in f32.
    ///
    /// # Errors
    ///
    /// When it is missing or has another shape.
    pub fn take(&mut self, name: &str, shape: &[i64]) -> Result<Tensor> {
        self.state.take(name, shape)
    }

    /// Puts a finished parameter where the network runs.
    pub fn place(&self, parameter: Tensor) -> Result<Tensor> {
        parameter
            .f_to_device(self.device)
            .map_err(|e| Error::torch("moving weights to the device", e))
    }
}

/// The same values with channels innermost in memory: `[N, C, H, W]` in, `[N, C, H, W]` out,
/// strides of `[N, H, W, C]`.
///
/// tch has no memory-format argument, so the strides are made by a round trip through the permuted
/// shape.
pub(crate) fn channels_last(tensor: &Tensor) -> TchResult<Tensor> {
    tensor
        .f_permute([0, 2, 3, 1])?
        .f_contiguous()?
        .f_permute([0, 3, 1, 2])
}
