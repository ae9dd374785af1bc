//! EfficientNet-Lite0: EfficientNet without squeeze-and-excitation and with ReLU6, for CPUs.
//! "EfficientNet", <https://arxiv.org/abs/1905.11946>; the Lite variants are described in
//! TensorFlow's `tpu` repository, `models/official/efficientnet/lite`. Symmetric padding and folded
//! norms, as the compact checkpoint was trained.

use tch::{Device, Tensor};

use super::conv::{Conv, ConvShape};
use super::parameters::Parameters;
use super::torch::{Prepare, TchResult};
use crate::error::Result;

/// One row of the architecture's table.
struct Row {
    expansion: i64,
    kernel: i64,
    channels: i64,
    blocks: usize,
    stride: i64,
}

const fn row(expansion: i64, kernel: i64, channels: i64, blocks: usize, stride: i64) -> Row {
    Row {
        expansion,
        kernel,
        channels,
        blocks,
        stride,
    }
}

/// EfficientNet paper, table 1; Lite0 keeps B0's widths and depths.
const ROWS: [Row; 7] = [
    row(1, 3, 16, 1, 1),
    row(6, 3, 24, 2, 2),
    row(6, 5, 40, 2, 2),
    row(6, 3, 80, 3, 2),
    row(6, 5, 112, 3, 1),
    row(6, 5, 192, 4, 2),
    row(6, 3, 320, 1, 1),
];

/// Channels of the stem; Lite variants do not scale it.
const STEM_CHANNELS: i64 = 32;

/// The stages whose outputs are C2..C5: the last ones at strides 4, 8, 16, 32.
const TAPS: [usize; 4] = [1, 2, 4, 6];

/// The stem and seven stages of inverted residuals, giving C2..C5 at strides 4, 8, 16, 32.
#[derive(Debug)]
pub(crate) struct EfficientNetLite0 {
    stem: Conv,
    stages: Vec<Vec<InvertedResidual>>,
}

impl EfficientNetLite0 {
    /// Channels of C2..C5.
    pub const CHANNELS: [i64; 4] = [
        ROWS[TAPS[0]].channels,
        ROWS[TAPS[1]].channels,
        ROWS[TAPS[2]].channels,
        ROWS[TAPS[3]].channels,
    ];

    /// From the tensors below `scope`: `stem`, `stages.{stage}.{block}`.
    ///
    /// # Errors
    ///
    /// When a tensor is missing or has another shape.
    pub fn new(parameters: &mut Parameters, scope: &str) -> Result<Self> {
        let stem = Conv::new(
            parameters,
            &format!("{scope}.stem"),
            ConvShape::new(3, STEM_CHANNELS, 3).stride(2),
        )?;
        let mut stages = Vec::new();
        let mut input = STEM_CHANNELS;
        for (i, row) in ROWS.iter().enumerate() {
            let mut blocks = Vec::new();
            for block in 0..row.blocks {
                let stride = if block == 0 { row.stride } else { 1 };
                let name = format!("{scope}.stages.{i}.{block}");
                blocks.push(InvertedResidual::new(
                    parameters, &name, input, row, stride,
                )?);
                input = row.channels;
            }
            stages.push(blocks);
        }
        Ok(Self { stem, stages })
    }

    /// `[1, 3, H, W]` to C2..C5 at strides 4, 8, 16, 32.
    pub fn forward(&self, input: &Tensor) -> TchResult<Vec<Tensor>> {
        let mut x = self.stem.forward(input)?.f_relu6_()?; // [1, 32, H/2, W/2]
        let mut features = Vec::with_capacity(TAPS.len());
        for (i, stage) in self.stages.iter().enumerate() {
            for block in stage {
                x = block.forward(x)?;
            }
            if TAPS.contains(&i) {
                features.push(x.shallow_clone());
            }
        }
        Ok(features)
    }
}

impl Prepare for EfficientNetLite0 {
    fn prepare(&mut self, device: Device) -> Result<()> {
        self.stem.prepare(device)?;
        self.stages.prepare(device)
    }
}

/// 1×1 up, depthwise k×k, 1×1 down without activation, and the input added where the shape is kept.
#[derive(Debug)]
struct InvertedResidual {
    expand: Option<Conv>,
    depthwise: Conv,
    project: Conv,
    residual: bool,
}

impl InvertedResidual {
    fn new(
        parameters: &mut Parameters,
        name: &str,
        input: i64,
        row: &Row,
        stride: i64,
    ) -> Result<Self> {
        let expanded = input * row.expansion;
        let expand = match row.expansion {
            1 => None,
            _ => Some(Conv::new(
                parameters,
                &format!("{name}.expand"),
                ConvShape::new(input, expanded, 1),
            )?),
        };
        let depthwise_shape = ConvShape::depthwise(expanded, row.kernel).stride(stride);
        let depthwise = Conv::new(parameters, &format!("{name}.depthwise"), depthwise_shape)?;
        let project = Conv::new(
            parameters,
            &format!("{name}.project"),
            ConvShape::new(expanded, row.channels, 1),
        )?;
        Ok(Self {
            expand,
            depthwise,
            project,
            residual: stride == 1 && input == row.channels,
        })
    }

    fn forward(&self, input: Tensor) -> TchResult<Tensor> {
        let x = match &self.expand {
            Some(expand) => expand.forward(&input)?.f_relu6_()?,
            None => input.shallow_clone(),
        };
        let x = self.depthwise.forward(&x)?.f_relu6_()?;
        let mut x = self.project.forward(&x)?;
        if self.residual {
            x.f_add_(&input)
        } else {
            Ok(x)
        }
    }
}

impl Prepare for InvertedResidual {
    fn prepare(&mut self, device: Device) -> Result<()> {
        self.expand.prepare(device)?;
        self.depthwise.prepare(device)?;
        self.project.prepare(device)
    }
}
