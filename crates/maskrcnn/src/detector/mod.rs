//! The pipeline. "Mask R-CNN", <https://arxiv.org/abs/1703.06870>, as torchvision computes it.
//!
//! Boxes are in the coordinates that the blueprint says ([`space`]) until the detections are
//! assembled, in original pixels from there on.

mod all_levels;
mod anchors;
mod box_head;
mod mask_head;
#[cfg(test)]
mod parity;
mod pooler;
mod postprocess;
mod proposal;
mod rpn;
mod scored_box;
mod shortest_edge;
mod space;
mod square;
mod stage;
mod surest_class;
mod transform;

use std::collections::BTreeMap;

use image::RgbImage;
use rayon::prelude::*;

use crate::blueprint::{Blueprint, Candidates, Paste, PostprocessBlueprint};
use crate::error::Result;
use crate::labels::Labels;
use crate::nn::host::HostTensor;
use crate::nn::{Backbone, FeaturePyramid, Parameters, Prepare, during};
use crate::ops::{paste_mask, paste_mask_at_centres, paste_whole_mask};
use crate::runtime::{self, Device};
use crate::weights::Weights;
use detections::{BBox, Detection, Mask, SegmentOptions, Size};

use box_head::BoxHead;
use mask_head::MaskHead;
use pooler::Pooler;
use postprocess::postprocess;
use rpn::Rpn;
use scored_box::ScoredBox;
use space::Space;
pub use stage::Stage;
use transform::{Transformed, transform};

/// A network that finds objects and their masks.
#[derive(Debug)]
pub struct MaskRcnn {
    backbone: Backbone,
    fpn: FeaturePyramid,
    rpn: Rpn,
    box_head: BoxHead,
    mask_head: MaskHead,
    blueprint: Blueprint,
    labels: Labels,
    device: tch::Device,
}

impl MaskRcnn {
    /// Builds the network on a device from weights.
    ///
    /// # Errors
    ///
    /// When the device is absent, or when a tensor is missing, left over, of another shape than the
    /// network needs, or not finite.
    pub fn new(weights: Weights, device: Device) -> Result<Self> {
        let (mut state, blueprint, labels) = weights.into_parts()?;
        let device = runtime::present(device)?;
        let mut network =
            Self::build(&mut Parameters::Read(&mut state), blueprint, labels, device)?;
        state.finish()?;
        network.prepare(device)?;
        Ok(network)
    }

    /// The names and shapes of all tensors that a network of this blueprint is made of.
    ///
    /// # Errors
    ///
    /// When libtorch fails.
    pub(crate) fn requirements(blueprint: Blueprint) -> Result<BTreeMap<String, Vec<i64>>> {
        let mut listed = BTreeMap::new();
        let labels = Labels::unnamed(blueprint.num_classes);
        let parameters = &mut Parameters::Listed(&mut listed);
        Self::build(parameters, blueprint, labels, tch::Device::Cpu)?;
        Ok(listed)
    }

    /// The network as its parameters are given.
    fn build(
        parameters: &mut Parameters,
        blueprint: Blueprint,
        labels: Labels,
        device: tch::Device,
    ) -> Result<Self> {
        let Blueprint {
            fpn, num_classes, ..
        } = &blueprint;
        let backbone = Backbone::new(parameters, &blueprint.backbone)?;
        Ok(Self {
            fpn: FeaturePyramid::new(parameters, backbone.channels(), fpn)?,
            backbone,
            rpn: Rpn::new(parameters, fpn, &blueprint.rpn)?,
            box_head: BoxHead::new(parameters, fpn, &blueprint.box_head, *num_classes)?,
            mask_head: MaskHead::new(parameters, fpn, &blueprint.mask_head, *num_classes)?,
            blueprint,
            labels,
            device,
        })
    }

    /// The names of the classes that the network knows.
    pub fn labels(&self) -> impl Iterator<Item = &str> {
        self.labels.named().map(|label| &*label.name)
    }

    /// What is reported when nobody asks for anything else: [`SegmentOptions::default`], with the
    /// score that the network's own program asks for where it is not what all others do.
    pub fn default_options(&self) -> SegmentOptions {
        let options = SegmentOptions::default();
        let rules = &self.blueprint.postprocess;
        match rules.candidates {
            Candidates::EveryClass => options,
            Candidates::SurestClass => SegmentOptions {
                score_threshold: rules.score_thresh,
                ..options
            },
        }
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
    /// When the image has no pixels, a class of the options is unknown, the network computes NaN or
    /// infinity, or libtorch fails (out of memory, say).
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

        let transformed = transform(image, &self.blueprint.transform)?;
        let Transformed { input, frame } = transformed; // [1, 3, H, W]
        let space = Space::new(self.blueprint.coordinates, frame);
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
        let levels = self.rpn.head(&pyramid)?;
        let proposals = self
            .rpn
            .proposals(&levels, space)
            .map_err(during("choosing proposals"))?; // at most 1000
        on_stage(Stage::Proposals);

        let pooler = Pooler::new(&pyramid[..4], &frame, &self.blueprint.pooler)
            .map_err(during("reading the feature pyramid"))?;
        let rois: Vec<_> = proposals.iter().map(|proposal| proposal.bbox).collect();
        let pooled = pooler
            .pool(&rois, self.box_head.align)
            .map_err(during("pooling proposals"))?; // [R, C, 7, 7]
        let pooled = pooled
            .f_to_device(self.device)
            .map_err(during("moving pooled features to the device"))?;
        let prediction = self.box_head.forward(&pooled)?; // [R, K]
        drop(pooled);
        let head = &self.blueprint.box_head;
        let (classes, rules) = (self.labels.slots(), self.rules(options));
        let mut boxes = postprocess(&proposals, &prediction, space, classes, head, &rules);
        // What the way back leaves nothing of. It still took one of the best places.
        boxes.retain(|b| !space.to_original(b.bbox).is_empty());
        boxes.retain(|b| {
            b.score >= options.score_threshold && selected.as_ref().is_none_or(|s| s[b.slot])
        });
        boxes.truncate(options.max_detections.unwrap_or(usize::MAX));
        on_stage(Stage::BoxHead);

        let masks = self.masks(&pooler, &boxes)?; // [N, 28, 28]
        on_stage(Stage::MaskHead);
        let detections = self.assemble(&boxes, &masks, space);
        on_stage(Stage::PasteMasks);
        Ok(detections)
    }

    /// What an image's boxes are chosen by. Where a proposal has one class alone, the threshold of
    /// the options takes the place of the network's: it stands before suppression as there.
    fn rules(&self, options: &SegmentOptions) -> PostprocessBlueprint {
        let rules = self.blueprint.postprocess.clone();
        match rules.candidates {
            Candidates::EveryClass => rules,
            Candidates::SurestClass => PostprocessBlueprint {
                score_thresh: options.score_threshold,
                ..rules
            },
        }
    }

    /// The mask probabilities of boxes, `[N, side, side]`: only of those that will be reported.
    fn masks(&self, pooler: &Pooler, boxes: &[ScoredBox]) -> Result<HostTensor> {
        let rois: Vec<_> = boxes.iter().map(|b| b.bbox).collect();
        let slots: Vec<_> = boxes.iter().map(|b| b.slot).collect();
        let pooled = pooler
            .pool(&rois, self.mask_head.align)
            .and_then(|pooled| pooled.f_to_device(self.device))
            .map_err(during("pooling detections"))?; // [N, C, 14, 14]
        self.mask_head.forward(&pooled, &slots)
    }

    /// Boxes and masks in original pixels, with the names of their classes.
    fn assemble(&self, boxes: &[ScoredBox], masks: &HostTensor, space: Space) -> Vec<Detection> {
        let side = self.mask_head.side();
        let labels = &self.labels;
        let paste: fn(&[f32], usize, BBox, Size) -> Mask = match self.blueprint.mask_head.paste {
            Paste::Padded => paste_mask,
            Paste::PixelCentres => paste_mask_at_centres,
            Paste::WholeBox => paste_whole_mask,
        };
        let original = space.frame().original;
        let detection = |(found, probabilities): (&ScoredBox, &[f32])| {
            let bbox = space.to_original(found.bbox);
            let label = labels.of_slot(found.slot);
            let mask = paste(probabilities, side, bbox, original);
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

impl Prepare for MaskRcnn {
    fn prepare(&mut self, device: tch::Device) -> Result<()> {
        self.backbone.prepare(device)?;
        self.fpn.prepare(device)?;
        self.rpn.prepare(device)?;
        self.box_head.prepare(device)?;
        self.mask_head.prepare(device)
    }
}
