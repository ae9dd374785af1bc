//! The pipeline. "Mask R-CNN", <https://arxiv.org/abs/1703.06870>, as torchvision computes it.
//!
//! Boxes are in resized-image pixels until the detections are assembled, in original pixels from
//! there on.

mod anchors;
mod box_head;
mod mask_head;
#[cfg(test)]
mod parity;
mod pooler;
mod postprocess;
mod rpn;
mod transform;

use std::fmt;

use image::RgbImage;
use rayon::prelude::*;

use crate::config::ModelConfig;
use crate::detection::Detection;
use crate::device::Device;
use crate::error::{Error, Result};
use crate::family::Weights;
use crate::labels::Labels;
use crate::nn::memory::HostTensor;
use crate::nn::{Backbone, FeaturePyramid, Parameters};
use crate::ops::paste_mask;
use crate::options::SegmentOptions;

use box_head::BoxHead;
use mask_head::MaskHead;
use pooler::Pooler;
use postprocess::{ScoredBox, postprocess};
use rpn::Rpn;
use transform::{Frame, Transformed, transform};

/// A network that finds objects and their masks.
#[derive(Debug)]
pub struct MaskRcnn {
    backbone: Backbone,
    fpn: FeaturePyramid,
    rpn: Rpn,
    box_head: BoxHead,
    mask_head: MaskHead,
    config: ModelConfig,
    labels: Labels,
    device: tch::Device,
}

/// A part of the pipeline, for those who watch it at work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Stage {
    /// Resizing, normalising and padding the image.
    Transform,
    /// C2 to C5.
    Backbone,
    /// P2 to P6.
    FeaturePyramid,
    /// Boxes that may hold something.
    Proposals,
    /// What they hold, and where exactly.
    BoxHead,
    /// The masks of what will be reported, small.
    MaskHead,
    /// The masks in the image's pixels.
    PasteMasks,
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Transform => "transform",
            Self::Backbone => "backbone",
            Self::FeaturePyramid => "feature pyramid",
            Self::Proposals => "proposals",
            Self::BoxHead => "box head",
            Self::MaskHead => "mask head",
            Self::PasteMasks => "paste masks",
        })
    }
}

impl MaskRcnn {
    /// Builds the network on a device from weights.
    ///
    /// # Errors
    ///
    /// When the device is absent, or when a tensor is missing, left over, or of another shape than
    /// the network needs.
    pub fn new(weights: Weights, device: Device) -> Result<Self> {
        let Weights {
            checkpoint,
            config,
            labels,
            ..
        } = weights;
        let mut state = checkpoint.tensors;
        let device = present(device)?;
        let parameters = &mut Parameters {
            state: &mut state,
            device,
        };
        let classes = config.num_classes;
        let backbone = Backbone::new(parameters, &config.backbone)?;
        let network = Self {
            fpn: FeaturePyramid::new(parameters, backbone.channels(), &config.fpn)?,
            backbone,
            rpn: Rpn::new(parameters, &config.fpn, &config.rpn)?,
            box_head: BoxHead::new(parameters, &config.fpn, &config.box_head, classes)?,
            mask_head: MaskHead::new(parameters, &config.fpn, &config.mask_head, classes)?,
            config,
            labels,
            device,
        };
        state.finish()?;
        Ok(network)
    }

    /// The names of the classes that the network knows.
    pub fn labels(&self) -> impl Iterator<Item = &str> {
        self.labels.named().map(|label| &*label.name)
    }

    /// Checks options against this network, for those who want to know before they have an image.
    ///
    /// # Errors
    ///
    /// When a class of the options is unknown.
    pub fn check(&self, options: &SegmentOptions) -> Result<()> {
        self.selection(options).map(drop)
    }

    /// For each slot whether its class is to be reported; none when all are.
    fn selection(&self, options: &SegmentOptions) -> Result<Option<Vec<bool>>> {
        options
            .classes
            .as_ref()
            .map(|names| self.labels.select(names))
            .transpose()
    }

    /// Finds the objects in an image: by falling score, in original pixels. Finding none is no
    /// error.
    ///
    /// # Errors
    ///
    /// When the image has no pixels, a class of the options is unknown, or libtorch fails (out of
    /// memory, say).
    pub fn segment(&self, image: &RgbImage, options: &SegmentOptions) -> Result<Vec<Detection>> {
        self.segment_observed(image, options, &mut |_| ())
    }

    /// [`segment`](Self::segment), calling `on_stage` as each stage ends.
    ///
    /// # Errors
    ///
    /// As [`segment`](Self::segment).
    pub fn segment_observed(
        &self,
        image: &RgbImage,
        options: &SegmentOptions,
        on_stage: &mut dyn FnMut(Stage),
    ) -> Result<Vec<Detection>> {
        let selected = self.selection(options)?;
        let _no_grad = tch::no_grad_guard();

        let Transformed { input, frame } = transform(image, &self.config.transform)?; // [1, 3, H, W]
        on_stage(Stage::Transform);
        let input = input
            .f_to_device(self.device)
            .map_err(during("moving the image to the device"))?;
        let features = self
            .backbone
            .forward(&input)
            .map_err(during("computing the backbone"))?; // C2..C5
        on_stage(Stage::Backbone);
        let pyramid = self
            .fpn
            .forward(&features)
            .map_err(during("computing the feature pyramid"))?; // P2..P6
        drop(features);
        on_stage(Stage::FeaturePyramid);
        let levels = self
            .rpn
            .head(&pyramid)
            .map_err(during("computing objectness"))?;
        let proposals = self
            .rpn
            .proposals(&levels, frame.resized, frame.padded)
            .map_err(during("choosing proposals"))?; // at most 1000
        on_stage(Stage::Proposals);

        let pooler = Pooler::new(&pyramid[..4], frame.resized)
            .map_err(during("reading the feature pyramid"))?;
        let rois: Vec<_> = proposals.iter().map(|proposal| proposal.bbox).collect();
        let pooled = pooler
            .pool(&rois, self.box_head.align)
            .map_err(during("pooling proposals"))?; // [R, C, 7, 7]
        let pooled = pooled
            .f_to_device(self.device)
            .map_err(during("moving pooled features to the device"))?;
        let prediction = self
            .box_head
            .forward(&pooled)
            .map_err(during("classifying proposals"))?; // [R, K]
        drop(pooled);
        let ModelConfig {
            box_head,
            postprocess: config,
            ..
        } = &self.config;
        let classes = self.labels.slots();
        let mut boxes = postprocess(
            &proposals,
            &prediction,
            frame.resized,
            classes,
            box_head,
            config,
        );
        boxes.retain(|b| {
            b.score >= options.score_threshold && selected.as_ref().is_none_or(|s| s[b.slot])
        });
        boxes.truncate(options.max_detections.unwrap_or(usize::MAX));
        on_stage(Stage::BoxHead);

        let masks = self
            .masks(&pooler, &boxes)
            .map_err(during("computing masks"))?; // [N, 28, 28]
        on_stage(Stage::MaskHead);
        let detections = self.assemble(&boxes, &masks, &frame);
        on_stage(Stage::PasteMasks);
        Ok(detections)
    }

    /// The mask probabilities of boxes, `[N, side, side]`: only of those that will be reported.
    fn masks(&self, pooler: &Pooler, boxes: &[ScoredBox]) -> crate::nn::TchResult<HostTensor> {
        let rois: Vec<_> = boxes.iter().map(|b| b.bbox).collect();
        let slots: Vec<_> = boxes.iter().map(|b| b.slot).collect();
        let pooled = pooler.pool(&rois, self.mask_head.align)?; // [N, C, 14, 14]
        self.mask_head
            .forward(&pooled.f_to_device(self.device)?, &slots)
    }

    /// Boxes and masks in original pixels, with the names of their classes.
    fn assemble(&self, boxes: &[ScoredBox], masks: &HostTensor, frame: &Frame) -> Vec<Detection> {
        let side = self.mask_head.side();
        let labels = &self.labels;
        let detection = |(found, probabilities): (&ScoredBox, &[f32])| {
            let bbox = frame.to_original(found.bbox);
            let label = labels.of_slot(found.slot);
            let mask = paste_mask(probabilities, side, bbox, frame.original);
            Detection {
                category_id: label.category_id,
                label: label.name.clone(),
                score: found.score,
                bbox,
                mask,
            }
        };
        boxes
            .par_iter()
            .zip(masks.as_slice().par_chunks_exact(side * side))
            .map(detection)
            .collect()
    }
}

/// Names what was being done when libtorch failed.
fn during(doing: &'static str) -> impl Fn(tch::TchError) -> Error {
    move |error| Error::torch(doing, error)
}

/// The device as libtorch names it.
///
/// # Errors
///
/// When this libtorch, or this machine, does not have it.
fn present(device: Device) -> Result<tch::Device> {
    let absent = |reason: String| {
        Err(Error::Device {
            device: device.to_string(),
            reason,
        })
    };
    match device {
        Device::Cpu => Ok(tch::Device::Cpu),
        Device::Cuda(number) => match usize::try_from(tch::Cuda::device_count()).unwrap_or(0) {
            0 => {
                absent("libtorch finds no CUDA device here; use cpu, or build with a LIBTORCH that has CUDA".to_owned())
            }
            count if number >= count => absent(format!("there are {count} CUDA devices, numbered from 0")),
            _ => Ok(tch::Device::Cuda(number)),
        },
        Device::Mps if tch::utils::has_mps() => Ok(tch::Device::Mps),
        Device::Mps => absent("this libtorch has no Metal; use cpu".to_owned()),
    }
}

/// Most threads that [`set_threads`] takes. Empirical: few enough that starting them does not fail;
/// libtorch does not survive when it does.
pub const MAX_THREADS: usize = 256;

/// Sets how many threads libtorch and the native operators use: at least one, at most
/// [`MAX_THREADS`]. To be called before the first network is built; later calls may change
/// libtorch's part only.
pub fn set_threads(count: usize) {
    let count = count.clamp(1, MAX_THREADS);
    tch::set_num_threads(count as i32);
    // Fails only when the pool is there already, and then it stays as it is.
    let _ = rayon::ThreadPoolBuilder::new()
        .num_threads(count)
        .build_global();
}

/// How many threads libtorch uses.
pub fn threads() -> usize {
    usize::try_from(tch::get_num_threads()).unwrap_or(1)
}

/// The version of libtorch that the program was built with.
pub fn libtorch_version() -> &'static str {
    env!("MASKRCNN_LIBTORCH_VERSION")
}
