//! The box head: which class a proposal is, and where exactly.

use rayon::prelude::*;
use tch::{Device, Tensor};

use crate::blueprint::{BoxHeadBlueprint, FpnBlueprint};
use crate::error::Result;
use crate::nn::host::HostTensor;
use crate::nn::{Conv, ConvShape, Linear, Parameters, Prepare, TchResult, check_finite, during};
use crate::ops::RoiAlign;
use crate::ops::elementary::softmax;

/// Convolutions, if any, fully connected layers and two linear predictors.
///
/// torchvision `models/detection/faster_rcnn.py`: `TwoMLPHead` or `FastRCNNConvFCHead`, and
/// `FastRCNNPredictor`.
#[derive(Debug)]
pub(super) struct BoxHead {
    convolutions: Vec<Conv>,
    fully_connected: Vec<Linear>,
    cls_score: Linear,
    bbox_pred: Linear,
    /// How RoIs are pooled for this head.
    pub align: RoiAlign,
}

/// What the box head says of each of R proposals, for K classes.
pub(super) struct BoxPrediction {
    /// Probabilities, `[R, K]`, the background first.
    pub scores: HostTensor,
    /// `[R, K, 4]`.
    pub deltas: HostTensor,
}

impl BoxHead {
    /// From the tensors below `roi_heads.box_head` (their names: [`fully_connected_name`]) and
    /// `roi_heads.box_predictor.{cls_score,bbox_pred}`.
    ///
    /// # Errors
    ///
    /// When a tensor is missing or has another shape.
    pub fn new(
        parameters: &mut Parameters,
        fpn: &FpnBlueprint,
        blueprint: &BoxHeadBlueprint,
        classes: i64,
    ) -> Result<Self> {
        let (head, predictor) = ("roi_heads.box_head", "roi_heads.box_predictor");
        let (side, hidden) = (blueprint.resolution as i64, blueprint.hidden);
        let channels = fpn.channels;
        let convolutions = (0..blueprint.convolutions)
            .map(|i| {
                let (name, shape) = (format!("{head}.{i}"), ConvShape::new(channels, channels, 3));
                Conv::with_norm_or_bias(parameters, &name, blueprint.norm_epsilon, shape)
            })
            .collect::<Result<_>>()?;
        let fully_connected = (0..blueprint.fully_connected)
            .map(|i| {
                let name = format!("{head}.{}", fully_connected_name(blueprint.convolutions, i));
                match i {
                    0 => Linear::over_channels_last(parameters, &name, channels, side, hidden),
                    _ => Linear::new(parameters, &name, hidden, hidden),
                }
            })
            .collect::<Result<_>>()?;
        Ok(Self {
            convolutions,
            fully_connected,
            cls_score: Linear::new(
                parameters,
                &format!("{predictor}.cls_score"),
                hidden,
                classes,
            )?,
            bbox_pred: Linear::new(
                parameters,
                &format!("{predictor}.bbox_pred"),
                hidden,
                4 * classes,
            )?,
            align: RoiAlign {
                resolution: blueprint.resolution,
                sampling_ratio: blueprint.sampling_ratio,
            },
        })
    }

    /// Class logits `[R, K]` and deltas `[R, 4·K]` of pooled features `[R, C, bins, bins]`,
    /// channels-last.
    pub fn logits(&self, pooled: &Tensor) -> TchResult<(Tensor, Tensor)> {
        let mut x = pooled.shallow_clone();
        for convolution in &self.convolutions {
            x = convolution.forward_relu(&x)?; // [R, C, bins, bins]
        }
        let mut x = x.f_permute([0, 2, 3, 1])?.f_flatten(1, -1)?; // [R, bins·bins·C]
        for layer in &self.fully_connected {
            x = layer.forward(&x)?.f_relu_()?; // [R, hidden]
        }
        Ok((self.cls_score.forward(&x)?, self.bbox_pred.forward(&x)?))
    }

    /// Probabilities and deltas of pooled features `[R, C, bins, bins]`, channels-last. `R` may be
    /// 0.
    ///
    /// # Errors
    ///
    /// When logits or deltas are not finite, or libtorch fails.
    pub fn forward(&self, pooled: &Tensor) -> Result<BoxPrediction> {
        const DOING: &str = "classifying proposals";
        let (logits, deltas) = self.logits(pooled).map_err(during(DOING))?; // [R, K], [R, 4·K]
        check_finite(DOING, &logits)?;
        check_finite(DOING, &deltas)?;
        let slots = logits.size()[1] as usize;
        let scores = HostTensor::changed(&logits, |scores| {
            scores.par_chunks_exact_mut(slots).for_each(softmax)
        });
        Ok(BoxPrediction {
            scores: scores.map_err(during(DOING))?,
            deltas: HostTensor::new(&deltas).map_err(during(DOING))?,
        })
    }
}

impl Prepare for BoxHead {
    fn prepare(&mut self, device: Device) -> Result<()> {
        self.convolutions.prepare(device)?;
        self.fully_connected.prepare(device)?;
        self.cls_score.prepare(device)?;
        self.bbox_pred.prepare(device)
    }
}

/// What torchvision calls the fully connected layer numbered `index`, behind so many convolutions:
/// `fc6`, `fc7`, … where there are none (`TwoMLPHead`), else its place in a sequence of the
/// convolutions, the flattening, and a ReLU behind each of these layers (`FastRCNNConvFCHead`).
fn fully_connected_name(convolutions: usize, index: usize) -> String {
    if convolutions == 0 {
        format!("fc{}", 6 + index)
    } else {
        (convolutions + 1 + 2 * index).to_string()
    }
}
