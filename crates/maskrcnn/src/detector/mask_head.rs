//! The mask head: which part of its box an object covers. "Mask R-CNN" section 3,
//! <https://arxiv.org/abs/1703.06870>.

use rayon::prelude::*;
use tch::{Device, Kind, Tensor};

use crate::blueprint::{FpnBlueprint, MaskHeadBlueprint};
use crate::error::Result;
use crate::nn::host::HostTensor;
use crate::nn::{Conv, ConvShape, Deconv, Parameters, Prepare, TchResult, check_finite, during};
use crate::ops::RoiAlign;
use crate::ops::elementary::sigmoid;

/// A row of 3×3 convolutions, a deconvolution, and a 1×1 convolution to one mask a class.
///
/// torchvision `models/detection/mask_rcnn.py`, `MaskRCNNHeads` and `MaskRCNNPredictor`.
#[derive(Debug)]
pub(super) struct MaskHead {
    convolutions: Vec<Conv>,
    deconvolution: Deconv,
    logits: Conv,
    /// How RoIs are pooled for this head.
    pub align: RoiAlign,
}

impl MaskHead {
    /// From the tensors below `roi_heads.mask_head.{i}` and
    /// `roi_heads.mask_predictor.{conv5_mask,mask_fcn_logits}`.
    ///
    /// # Errors
    ///
    /// When a tensor is missing or has another shape.
    pub fn new(
        parameters: &mut Parameters,
        fpn: &FpnBlueprint,
        blueprint: &MaskHeadBlueprint,
        classes: i64,
    ) -> Result<Self> {
        let predictor = "roi_heads.mask_predictor";
        let channels = blueprint.channels;
        let reduced = blueprint.reduced.unwrap_or(channels);
        let convolutions = (0..blueprint.convolutions)
            .map(|i| {
                let input = if i == 0 { fpn.channels } else { channels };
                let (name, shape) = (
                    format!("roi_heads.mask_head.{i}"),
                    ConvShape::new(input, channels, 3),
                );
                Conv::with_norm_or_bias(parameters, &name, blueprint.norm_epsilon, shape)
            })
            .collect::<Result<_>>()?;
        let logits_name = format!("{predictor}.mask_fcn_logits");
        Ok(Self {
            convolutions,
            deconvolution: Deconv::new(
                parameters,
                &format!("{predictor}.conv5_mask"),
                channels,
                reduced,
            )?,
            logits: Conv::new(
                parameters,
                &logits_name,
                ConvShape::new(reduced, classes, 1),
            )?,
            align: RoiAlign {
                resolution: blueprint.resolution,
                sampling_ratio: blueprint.sampling_ratio,
            },
        })
    }

    /// Cells along each side of a mask: the deconvolution doubles the pooled resolution.
    pub fn side(&self) -> usize {
        2 * self.align.resolution
    }

    /// Probabilities `[R, side, side]` of the class slot of each of the pooled features `[R, C,
    /// bins, bins]`. `R` may be 0.
    ///
    /// torchvision `models/detection/roi_heads.py`, `maskrcnn_inference`; unlike there, the sigmoid
    /// is taken only of the class that is asked for.
    ///
    /// # Errors
    ///
    /// When logits of these classes are not finite, or libtorch fails.
    pub fn forward(&self, pooled: &Tensor, slots: &[usize]) -> Result<HostTensor> {
        const DOING: &str = "computing masks";
        let logits = self.logits(pooled, slots).map_err(during(DOING))?;
        check_finite(DOING, &logits)?;
        let probabilities = HostTensor::changed(&logits, |values| {
            values
                .par_iter_mut()
                .for_each(|value| *value = sigmoid(*value))
        });
        probabilities.map_err(during(DOING))
    }

    /// The logits of which [`forward`](Self::forward) makes probabilities, `[R, side, side]`.
    fn logits(&self, pooled: &Tensor, slots: &[usize]) -> TchResult<Tensor> {
        let mut x = pooled.shallow_clone();
        for convolution in &self.convolutions {
            x = convolution.forward_relu(&x)?; // [R, channels, bins, bins]
        }
        let x = self.deconvolution.forward(&x)?.f_relu_()?; // [R, reduced, side, side]
        let logits = self.logits.forward(&x)?; // [R, K, side, side]
        let slots: Vec<i64> = slots.iter().map(|&slot| slot as i64).collect();
        let rows = Tensor::f_arange(slots.len() as i64, (Kind::Int64, logits.device()))?;
        let slots = Tensor::f_from_slice(&slots)?.f_to_device(logits.device())?;
        logits.f_index(&[Some(rows), Some(slots)]) // [R, side, side]
    }
}

impl Prepare for MaskHead {
    fn prepare(&mut self, device: Device) -> Result<()> {
        self.convolutions.prepare(device)?;
        self.deconvolution.prepare(device)?;
        self.logits.prepare(device)
    }
}
