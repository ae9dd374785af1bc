//! The feature pyramid. "Feature Pyramid Networks for Object Detection",
//! <https://arxiv.org/abs/1612.03144>.

use tch::{Device, Tensor};

use super::conv::{Conv, ConvShape};
use super::parameters::Parameters;
use super::torch::{Prepare, TchResult};
use crate::blueprint::FpnBlueprint;
use crate::error::Result;

/// Lateral 1×1 convolutions, a top-down sum, and a 3×3 convolution on each level.
///
/// torchvision `ops/feature_pyramid_network.py`, `FeaturePyramidNetwork` with `LastLevelMaxPool`.
#[derive(Debug)]
pub(crate) struct FeaturePyramid {
    inner: Vec<Conv>,
    layer: Vec<Conv>,
}

impl FeaturePyramid {
    /// From the tensors below `backbone.fpn.inner_blocks.{i}` and `backbone.fpn.layer_blocks.{i}`;
    /// `inputs` are the channels of C2..C5.
    ///
    /// # Errors
    ///
    /// When a tensor is missing or has another shape.
    pub fn new(
        parameters: &mut Parameters,
        inputs: [i64; 4],
        blueprint: &FpnBlueprint,
    ) -> Result<Self> {
        let (mut inner, mut layer) = (Vec::new(), Vec::new());
        for (i, &input) in inputs.iter().enumerate() {
            let lateral = ConvShape::new(input, blueprint.channels, 1);
            let smooth = ConvShape::new(blueprint.channels, blueprint.channels, 3);
            let mut conv = |blocks, shape| {
                let name = format!("backbone.fpn.{blocks}.{i}");
                Conv::with_norm_or_bias(parameters, &name, blueprint.norm_epsilon, shape)
            };
            inner.push(conv("inner_blocks", lateral)?);
            layer.push(conv("layer_blocks", smooth)?);
        }
        Ok(Self { inner, layer })
    }

    /// C2..C5 to P2..P6, each `[1, channels, H_i, W_i]`; P6 is every other row and column of P5.
    pub fn forward(&self, features: &[Tensor]) -> TchResult<Vec<Tensor>> {
        let mut pyramid = Vec::with_capacity(features.len() + 1);
        let mut above: Option<Tensor> = None;
        for ((feature, inner), layer) in features.iter().zip(&self.inner).zip(&self.layer).rev() {
            let mut merged = inner.forward(feature)?;
            if let Some(above) = above {
                let size = &merged.size()[2..];
                let _ = merged.f_add_(&above.f_upsample_nearest2d(size, None, None)?)?;
            }
            pyramid.push(layer.forward(&merged)?);
            above = Some(merged);
        }
        pyramid.reverse();
        let p6 = pyramid[pyramid.len() - 1].f_max_pool2d([1, 1], [2, 2], [0, 0], [1, 1], false)?;
        pyramid.push(p6);
        Ok(pyramid)
    }
}

impl Prepare for FeaturePyramid {
    fn prepare(&mut self, device: Device) -> Result<()> {
        self.inner.prepare(device)?;
        self.layer.prepare(device)
    }
}
