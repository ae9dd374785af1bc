//! ResNet with bottleneck blocks. "Deep Residual Learning for Image Recognition",
//! <https://arxiv.org/abs/1512.03385>.
//!
//! The stride of a layer is in the 3×3 convolution of its first block, as in torchvision
//! (`models/resnet.py`, "v1.5").

use tch::{Device, Tensor};

use super::conv::{Conv, ConvShape};
use super::parameters::Parameters;
use super::torch::{Prepare, TchResult};
use crate::blueprint::ResNetBlueprint;
use crate::error::Result;

/// Channels that a block gives for each channel that its 3×3 convolution has.
const EXPANSION: i64 = 4;

/// Channels of the stem, and of the 3×3 convolutions of the first layer; each further layer has
/// twice as many.
const WIDTH: i64 = 64;

/// The stem and four layers, giving C2..C5 at strides 4, 8, 16, 32.
#[derive(Debug)]
pub(crate) struct ResNet {
    stem: Conv,
    layers: Vec<Vec<Bottleneck>>,
}

impl ResNet {
    /// Channels of C2..C5.
    pub const CHANNELS: [i64; 4] = [WIDTH * 4, WIDTH * 8, WIDTH * 16, WIDTH * 32];

    /// From the tensors below `scope`: `conv1`, `bn1`, `layer1` to `layer4`.
    ///
    /// # Errors
    ///
    /// When a tensor is missing or has another shape.
    pub fn new(
        parameters: &mut Parameters,
        scope: &str,
        blueprint: &ResNetBlueprint,
    ) -> Result<Self> {
        let epsilon = blueprint.norm_epsilon;
        let stem_shape = ConvShape::new(3, WIDTH, 7).stride(2);
        let stem = Conv::with_norm(
            parameters,
            &format!("{scope}.conv1"),
            &format!("{scope}.bn1"),
            epsilon,
            stem_shape,
        )?;
        let mut layers = Vec::new();
        let mut input = WIDTH;
        for (i, &count) in blueprint.blocks.iter().enumerate() {
            let width = WIDTH << i;
            let mut blocks = Vec::new();
            for block in 0..count {
                let stride = if block == 0 && i > 0 { 2 } else { 1 };
                let name = format!("{scope}.layer{}.{block}", i + 1);
                blocks.push(Bottleneck::new(
                    parameters, &name, input, width, stride, epsilon,
                )?);
                input = width * EXPANSION;
            }
            layers.push(blocks);
        }
        Ok(Self { stem, layers })
    }

    /// `[1, 3, H, W]` to C2..C5, `[1, 256·2^i, H/2^(i+2), W/2^(i+2)]`.
    pub fn forward(&self, input: &Tensor) -> TchResult<Vec<Tensor>> {
        let x = self.stem.forward_relu(input)?; // [1, 64, H/2, W/2]
        let mut x = x.f_max_pool2d([3, 3], [2, 2], [1, 1], [1, 1], false)?; // [1, 64, H/4, W/4]
        let mut features = Vec::with_capacity(self.layers.len());
        for layer in &self.layers {
            for block in layer {
                x = block.forward(&x)?;
            }
            features.push(x.shallow_clone());
        }
        Ok(features)
    }
}

impl Prepare for ResNet {
    fn prepare(&mut self, device: Device) -> Result<()> {
        self.stem.prepare(device)?;
        self.layers.prepare(device)
    }
}

/// 1×1 down, 3×3, 1×1 up, and the input added before the last ReLU.
#[derive(Debug)]
struct Bottleneck {
    conv1: Conv,
    conv2: Conv,
    conv3: Conv,
    downsample: Option<Conv>,
}

impl Bottleneck {
    fn new(
        parameters: &mut Parameters,
        name: &str,
        input: i64,
        width: i64,
        stride: i64,
        epsilon: f64,
    ) -> Result<Self> {
        let output = width * EXPANSION;
        let mut conv = |i: u32, shape| {
            Conv::with_norm(
                parameters,
                &format!("{name}.conv{i}"),
                &format!("{name}.bn{i}"),
                epsilon,
                shape,
            )
        };
        let conv1 = conv(1, ConvShape::new(input, width, 1))?;
        let conv2 = conv(2, ConvShape::new(width, width, 3).stride(stride))?;
        let conv3 = conv(3, ConvShape::new(width, output, 1))?;
        let downsample = if stride != 1 || input != output {
            let (conv, norm) = (
                format!("{name}.downsample.0"),
                format!("{name}.downsample.1"),
            );
            let shape = ConvShape::new(input, output, 1).stride(stride);
            Some(Conv::with_norm(parameters, &conv, &norm, epsilon, shape)?)
        } else {
            None
        };
        Ok(Self {
            conv1,
            conv2,
            conv3,
            downsample,
        })
    }

    fn forward(&self, input: &Tensor) -> TchResult<Tensor> {
        let x = self.conv1.forward_relu(input)?;
        let x = self.conv2.forward_relu(&x)?;
        let mut x = self.conv3.forward(&x)?;
        match &self.downsample {
            Some(downsample) => x.f_add_(&downsample.forward(input)?)?,
            None => x.f_add_(input)?,
        }
        .f_relu_()
    }
}

impl Prepare for Bottleneck {
    fn prepare(&mut self, device: Device) -> Result<()> {
        let Self {
            conv1,
            conv2,
            conv3,
            downsample,
        } = self;
        for conv in [conv1, conv2, conv3] {
            conv.prepare(device)?;
        }
        downsample.prepare(device)
    }
}
