//! ResNet, and with it ResNeXt and wide ResNets. "Deep Residual Learning for Image Recognition",
//! <https://arxiv.org/abs/1512.03385>; "Aggregated Residual Transformations for Deep Neural
//! Networks", <https://arxiv.org/abs/1611.05431>; "Wide Residual Networks",
//! <https://arxiv.org/abs/1605.07146>.

use tch::{Device, Tensor};

use super::conv::{Conv, ConvShape};
use super::parameters::Parameters;
use super::torch::{Prepare, TchResult};
use crate::blueprint::{Block, BottleneckStride, PoolPadding, ResNetBlueprint};
use crate::error::Result;

/// Channels of the stem, and planes of the first layer; each further layer has twice as many planes.
const WIDTH: i64 = 64;

/// The stem and four layers, giving C2..C5 at strides 4, 8, 16, 32.
#[derive(Debug)]
pub(crate) struct ResNet {
    stem: Conv,
    pool_padding: PoolPadding,
    layers: Vec<Vec<Residual>>,
    channels: [i64; 4],
}

impl ResNet {
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
        let stem_shape = ConvShape::new(3, WIDTH, 7).stride(2);
        let stem = Conv::with_norm(
            parameters,
            &format!("{scope}.conv1"),
            &format!("{scope}.bn1"),
            blueprint.norm_epsilon,
            stem_shape,
        )?;
        let mut layers = Vec::new();
        let mut channels = [0; 4];
        let mut input = WIDTH;
        for (i, &count) in blueprint.blocks.iter().enumerate() {
            let planes = WIDTH << i;
            let mut blocks = Vec::new();
            for block in 0..count {
                let stride = if block == 0 && i > 0 { 2 } else { 1 };
                let name = format!("{scope}.layer{}.{block}", i + 1);
                let shape = BlockShape {
                    input,
                    planes,
                    stride,
                };
                let residual = Residual::new(parameters, &name, shape, blueprint)?;
                input = shape.output(blueprint.block);
                blocks.push(residual);
            }
            channels[i] = input;
            layers.push(blocks);
        }
        Ok(Self {
            stem,
            pool_padding: blueprint.pool_padding,
            layers,
            channels,
        })
    }

    /// Channels of C2..C5.
    pub fn channels(&self) -> [i64; 4] {
        self.channels
    }

    /// `[1, 3, H, W]` to C2..C5, `[1, C_i, H/2^(i+2), W/2^(i+2)]`.
    pub fn forward(&self, input: &Tensor) -> TchResult<Vec<Tensor>> {
        let x = self.stem.forward_relu(input)?; // [1, 64, H/2, W/2]
        let mut x = self.pool(x)?; // [1, 64, H/4, W/4]
        let mut features = Vec::with_capacity(self.layers.len());
        for layer in &self.layers {
            for block in layer {
                x = block.forward(&x)?;
            }
            features.push(x.shallow_clone());
        }
        Ok(features)
    }

    /// The largest of 3×3 values, with stride 2: `[1, 64, H, W]`, both sides even, to
    /// `[1, 64, H/2, W/2]`.
    fn pool(&self, input: Tensor) -> TchResult<Tensor> {
        let (input, padding) = match self.pool_padding {
            PoolPadding::Symmetric => (input, 1),
            // Behind a ReLU zeros are never larger than what is there.
            PoolPadding::Trailing => (input.f_constant_pad_nd([0, 1, 0, 1])?, 0),
        };
        input.f_max_pool2d([3, 3], [2, 2], [padding; 2], [1, 1], false)
    }
}

impl Prepare for ResNet {
    fn prepare(&mut self, device: Device) -> Result<()> {
        self.stem.prepare(device)?;
        self.layers.prepare(device)
    }
}

/// What a block does apart from its values.
#[derive(Clone, Copy)]
struct BlockShape {
    input: i64,
    /// Channels of the 3×3 convolutions of an ordinary network.
    planes: i64,
    stride: i64,
}

impl BlockShape {
    /// Channels of the block's output. torchvision `models/resnet.py`, `expansion`.
    fn output(self, block: Block) -> i64 {
        match block {
            Block::Bottleneck => 4 * self.planes,
            Block::Basic => self.planes,
        }
    }
}

/// A row of convolutions with ReLUs between them, and the input added before the last ReLU.
#[derive(Debug)]
struct Residual {
    convolutions: Vec<Conv>,
    downsample: Option<Conv>,
}

impl Residual {
    /// From `{name}.conv{i}`, `{name}.bn{i}`, and where the input has another shape than the output
    /// `{name}.downsample.{0,1}`. torchvision `models/resnet.py`, `BasicBlock` and `Bottleneck`.
    fn new(
        parameters: &mut Parameters,
        name: &str,
        shape: BlockShape,
        blueprint: &ResNetBlueprint,
    ) -> Result<Self> {
        let BlockShape {
            input,
            planes,
            stride,
        } = shape;
        let output = shape.output(blueprint.block);
        let shapes = match blueprint.block {
            Block::Basic => vec![
                ConvShape::new(input, planes, 3).stride(stride),
                ConvShape::new(planes, planes, 3),
            ],
            Block::Bottleneck => {
                let groups = blueprint.groups;
                let width = planes * blueprint.width_per_group / WIDTH * groups;
                let (first, middle) = match blueprint.stride {
                    BottleneckStride::First => (stride, 1),
                    BottleneckStride::Middle => (1, stride),
                };
                vec![
                    ConvShape::new(input, width, 1).stride(first),
                    ConvShape::new(width, width, 3)
                        .stride(middle)
                        .groups(groups),
                    ConvShape::new(width, output, 1),
                ]
            }
        };
        let epsilon = blueprint.norm_epsilon;
        let convolutions = (1..)
            .zip(shapes)
            .map(|(i, shape)| {
                let (conv, norm) = (format!("{name}.conv{i}"), format!("{name}.bn{i}"));
                Conv::with_norm(parameters, &conv, &norm, epsilon, shape)
            })
            .collect::<Result<_>>()?;
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
            convolutions,
            downsample,
        })
    }

    fn forward(&self, input: &Tensor) -> TchResult<Tensor> {
        let mut x = input.shallow_clone();
        let last = self.convolutions.len() - 1;
        for convolution in &self.convolutions[..last] {
            x = convolution.forward_relu(&x)?;
        }
        let mut x = self.convolutions[last].forward(&x)?;
        match &self.downsample {
            Some(downsample) => x.f_add_(&downsample.forward(input)?)?,
            None => x.f_add_(input)?,
        }
        .f_relu_()
    }
}

impl Prepare for Residual {
    fn prepare(&mut self, device: Device) -> Result<()> {
        self.convolutions.prepare(device)?;
        self.downsample.prepare(device)
    }
}
