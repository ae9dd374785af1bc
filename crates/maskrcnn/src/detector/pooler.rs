//! RoIAlign over the pyramid. The only place, beside the anchors, that crosses from resized pixels
//! to feature cells.

use rayon::prelude::*;
use tch::Tensor;

use super::transform::Frame;
use crate::blueprint::{LevelRule, PoolerBlueprint, Sampling};
use crate::nn::TchResult;
use crate::nn::host::{self, HostTensor};
use crate::ops::elementary::{ln, log2};
use crate::ops::{FeatureMap, RoiAlign, crop_and_resize};
use detections::{BBox, Size};

/// Side of an RoI, in pixels, that is pooled from P4: ImageNet's usual training size. FPN paper,
/// eq. 1.
const CANONICAL_SCALE: f32 = 224.0;

/// The level, as the logarithm of its stride, that an RoI of that side is pooled from. FPN paper,
/// eq. 1.
const CANONICAL_LEVEL: f32 = 4.0;

/// P2..P5 in host memory, ready to be pooled from.
pub(super) struct Pooler {
    levels: Vec<Level>,
    /// The logarithms of the first and the last level's strides.
    finest: f32,
    coarsest: f32,
    /// The network's input.
    padded: Size,
    blueprint: PoolerBlueprint,
}

struct Level {
    data: HostTensor,
    size: Size,
    channels: usize,
    /// Feature cells a pixel.
    scale: f32,
}

impl Level {
    fn map(&self) -> (FeatureMap<'_>, f32) {
        (
            FeatureMap {
                data: self.data.as_slice(),
                size: self.size,
                channels: self.channels,
            },
            self.scale,
        )
    }
}

impl Pooler {
    /// Takes P2..P5, `[1, C, H, W]` each, of an image that went through these sizes.
    ///
    /// torchvision reads the levels' strides off the unpadded size, detectron2 is told them.
    /// torchvision `ops/poolers.py`, `_setup_scales`; detectron2 `modeling/poolers.py`, `ROIPooler`.
    pub fn new(pyramid: &[Tensor], frame: &Frame, blueprint: &PoolerBlueprint) -> TchResult<Self> {
        let size = match blueprint.sampling {
            Sampling::Aligned | Sampling::Corners => frame.padded,
            Sampling::Unaligned => frame.resized,
        };
        let level = |feature: &Tensor| {
            let shape = feature.size();
            let cells = Size::new(shape[2] as usize, shape[3] as usize);
            let data = HostTensor::channels_last(feature)?;
            Ok(Level {
                data,
                size: cells,
                channels: shape[1] as usize,
                scale: infer_scale(cells, size),
            })
        };
        let levels = pyramid.iter().map(level).collect::<TchResult<Vec<_>>>()?;
        let stride = |level: Option<&Level>| level.map_or(0.0, |level| -log2(level.scale));
        Ok(Self {
            finest: stride(levels.first()),
            coarsest: stride(levels.last()),
            levels,
            padded: frame.padded,
            blueprint: blueprint.clone(),
        })
    }

    /// Pools each RoI from the level that fits its size: `[R, C, bins, bins]`, channels-last. `R`
    /// may be 0.
    ///
    /// torchvision `ops/poolers.py`, `_multiscale_roi_align`.
    pub fn pool(&self, rois: &[BBox], align: RoiAlign) -> TchResult<Tensor> {
        let channels = self.levels.first().map_or(0, |level| level.channels);
        let bins = align.resolution;
        let shape = [rois.len() as i64, bins as i64, bins as i64, channels as i64];
        let maps: Vec<(FeatureMap, f32)> = self.levels.iter().map(Level::map).collect();
        let assigned: Vec<usize> = rois.iter().map(|&roi| self.level_of(roi)).collect();
        // Tensors stay on their thread; what the bins need of `self` does not.
        let sampling = self.blueprint.sampling;
        let pool = |map, roi, scale, out: &mut [f32]| match sampling {
            Sampling::Unaligned => align.pool(map, roi, scale, out),
            Sampling::Aligned => align.pool_aligned(map, roi, scale, out),
            Sampling::Corners => crop_and_resize(map, roi, bins, out),
        };
        let pooled = host::filled::<tch::TchError>(&shape, |out| {
            let bins = out.par_chunks_exact_mut(bins * bins * channels);
            bins.zip(rois)
                .zip(&assigned)
                .for_each(|((out, &roi), &level)| {
                    let (map, scale) = maps[level];
                    pool(map, roi, scale, out);
                });
            Ok(())
        })?;
        pooled.f_permute([0, 3, 1, 2])
    }

    /// The index of the level that an RoI is pooled from.
    fn level_of(&self, roi: BBox) -> usize {
        match self.blueprint.level {
            LevelRule::Round => rounded_level(roi, self.padded, self.finest, self.coarsest),
            rule => level_of(roi, self.finest, self.coarsest, rule),
        }
    }
}

/// The index of the level that a normalised RoI is pooled from, of levels whose strides have these
/// logarithms, in an input of this size. One without an area is pooled from the first.
///
/// FPN paper, eq. 1; Matterport `mrcnn/model.py`, `PyramidROIAlign` and `log2_graph`, in f32 and in
/// that order.
fn rounded_level(roi: BBox, input: Size, finest: f32, coarsest: f32) -> usize {
    let area = input.area() as f32;
    let ratio = (roi.height() * roi.width()).sqrt() / (CANONICAL_SCALE / area.sqrt());
    let level = CANONICAL_LEVEL + (ln(ratio) / std::f32::consts::LN_2).round_ties_even();
    (level.max(finest).min(coarsest) - finest) as usize
}

/// The index of the level that an RoI is pooled from, of levels whose strides have these
/// logarithms.
///
/// FPN paper, eq. 1; torchvision `ops/poolers.py`, `LevelMapper`; detectron2 `modeling/poolers.py`,
/// `assign_boxes_to_levels`.
fn level_of(roi: BBox, finest: f32, coarsest: f32, rule: LevelRule) -> usize {
    // What is added so that an RoI of exactly the canonical side does not fall below its level.
    const TO_LOGARITHM: f32 = 1e-6;
    const TO_RATIO: f32 = 1e-8;
    let ratio = roi.area().sqrt() / CANONICAL_SCALE;
    let level = match rule {
        LevelRule::Floor | LevelRule::Round => CANONICAL_LEVEL + log2(ratio) + TO_LOGARITHM,
        LevelRule::FloorOfRatio => CANONICAL_LEVEL + log2(ratio + TO_RATIO),
    }
    .floor();
    (level.min(coarsest).max(finest) - finest) as usize
}

/// Feature cells a pixel: the ratio of the heights, rounded to a power of two. torchvision
/// `ops/poolers.py`, `_infer_scale`.
fn infer_scale(feature: Size, image: Size) -> f32 {
    let exponent = log2(feature.height as f32 / image.height as f32).round_ties_even();
    2f32.powi(exponent as i32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::Fixture;

    #[test]
    fn regions_go_to_the_levels_that_the_peers_send_them_to() {
        assert_levels(&Fixture::ops(), LevelRule::Floor);
        let detectron2 = Fixture::open("ops/detectron2.safetensors");
        assert_levels(&detectron2, LevelRule::FloorOfRatio);
    }

    #[test]
    fn regions_go_to_the_levels_that_matterport_sends_them_to() {
        let ops = Fixture::open("ops/matterport.safetensors");
        for case in ops.cases("level_mapper") {
            let input = ops.size(&format!("{case}input_size"));
            let rois = ops.boxes(&format!("{case}boxes"));
            let found: Vec<usize> = rois
                .iter()
                .map(|&roi| rounded_level(roi, input, 2.0, 5.0))
                .collect();
            assert_eq!(found, ops.indices(&format!("{case}expected")), "{case}");
        }
    }

    fn assert_levels(ops: &Fixture, rule: LevelRule) {
        for case in ops.cases("level_mapper") {
            let levels = ops.integers(&format!("{case}levels"));
            let (finest, coarsest) = (levels[0] as f32, levels[1] as f32);
            let rois = ops.boxes(&format!("{case}boxes"));
            let found: Vec<usize> = rois
                .iter()
                .map(|&roi| level_of(roi, finest, coarsest, rule))
                .collect();
            assert_eq!(found, ops.indices(&format!("{case}expected")), "{case}");
        }
    }

    #[test]
    fn the_scale_is_the_power_of_two_nearest_to_the_height_ratio() {
        assert_eq!(infer_scale(Size::new(200, 999), Size::new(799, 1)), 0.25);
        assert_eq!(
            infer_scale(Size::new(25, 1), Size::new(800, 1333)),
            1.0 / 32.0
        );
    }
}
