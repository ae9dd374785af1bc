//! The networks that compute C2..C5. A closed set: each is chosen by the model's configuration.

use tch::{Device, Tensor};

use super::efficientnet_lite::EfficientNetLite0;
use super::parameters::Parameters;
use super::resnet::ResNet;
use super::torch::{Prepare, TchResult};
use crate::blueprint::BackboneBlueprint;
use crate::error::Result;

/// A feature extractor with outputs at strides 4, 8, 16 and 32.
#[derive(Debug)]
pub(crate) enum Backbone {
    ResNet(ResNet),
    EfficientNetLite0(EfficientNetLite0),
}

impl Backbone {
    /// From the tensors below `backbone.body`.
    ///
    /// # Errors
    ///
    /// When a tensor is missing or has another shape.
    pub fn new(parameters: &mut Parameters, blueprint: &BackboneBlueprint) -> Result<Self> {
        let scope = "backbone.body";
        Ok(match blueprint {
            BackboneBlueprint::ResNet(blueprint) => {
                Self::ResNet(ResNet::new(parameters, scope, blueprint)?)
            }
            BackboneBlueprint::EfficientNetLite0 => {
                Self::EfficientNetLite0(EfficientNetLite0::new(parameters, scope)?)
            }
        })
    }

    /// Channels of C2..C5.
    pub fn channels(&self) -> [i64; 4] {
        match self {
            Self::ResNet(resnet) => resnet.channels(),
            Self::EfficientNetLite0(_) => EfficientNetLite0::CHANNELS,
        }
    }

    /// `[1, 3, H, W]`, both sides multiples of 32, to C2..C5 at strides 4, 8, 16, 32.
    pub fn forward(&self, input: &Tensor) -> TchResult<Vec<Tensor>> {
        match self {
            Self::ResNet(resnet) => resnet.forward(input),
            Self::EfficientNetLite0(efficientnet) => efficientnet.forward(input),
        }
    }
}

impl Prepare for Backbone {
    fn prepare(&mut self, device: Device) -> Result<()> {
        match self {
            Self::ResNet(resnet) => resnet.prepare(device),
            Self::EfficientNetLite0(efficientnet) => efficientnet.prepare(device),
        }
    }
}
