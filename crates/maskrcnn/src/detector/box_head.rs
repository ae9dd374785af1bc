//! The box head: which class a proposal is, and where exactly.

use rayon::prelude::*;
use tch::{Device, Tensor};

use crate::blueprint::{BoxHeadBlueprint, FpnBlueprint};
use crate::error::Result;
use crate::nn::host::HostTensor;
use crate::nn::{Linear, Parameters, Prepare, TchResult};
use crate::ops::RoiAlign;
use crate::ops::elementary::softmax;

/// Two fully connected layers and two linear predictors.
///
/// torchvision `models/detection/faster_rcnn.py`, `TwoMLPHead` and `FastRCNNPredictor`.
#[derive(Debug)]
pub(super) struct BoxHead {
    fc6: Linear,
    fc7: Linear,
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
    /// From `roi_heads.box_head.{fc6,fc7}` and `roi_heads.box_predictor.{cls_score,bbox_pred}`.
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
        Ok(Self {
            fc6: Linear::over_channels_last(
                parameters,
                &format!("{head}.fc6"),
                fpn.channels,
                side,
                hidden,
            )?,
            fc7: Linear::new(parameters, &format!("{head}.fc7"), hidden, hidden)?,
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
        let x = pooled.f_permute([0, 2, 3, 1])?.f_flatten(1, -1)?; // [R, bins·bins·C]
        let x = self.fc6.forward(&x)?.f_relu_()?; // [R, hidden]
        let x = self.fc7.forward(&x)?.f_relu_()?; // [R, hidden]
        Ok((self.cls_score.forward(&x)?, self.bbox_pred.forward(&x)?))
    }

    /// Probabilities and deltas of pooled features `[R, C, bins, bins]`, channels-last. `R` may be
    /// 0.
    pub fn forward(&self, pooled: &Tensor) -> TchResult<BoxPrediction> {
        let (logits, deltas) = self.logits(pooled)?;
        let slots = logits.size()[1] as usize;
        let scores = HostTensor::changed(&logits, |scores| {
            scores.par_chunks_exact_mut(slots).for_each(softmax)
        })?;
        Ok(BoxPrediction {
            scores,
            deltas: HostTensor::new(&deltas)?,
        })
    }
}

impl Prepare for BoxHead {
    fn prepare(&mut self, device: Device) -> Result<()> {
        let Self {
            fc6,
            fc7,
            cls_score,
            bbox_pred,
            ..
        } = self;
        let mut layers = [fc6, fc7, cls_score, bbox_pred].into_iter();
        layers.try_for_each(|layer| layer.prepare(device))
    }
}
