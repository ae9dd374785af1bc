//! RoIAlign. "Mask R-CNN" section 3, <https://arxiv.org/abs/1703.06870>.

use detections::{BBox, Size};

/// A feature map in channels-last memory: `data` is `[height, width, channels]`, in feature cells.
#[derive(Clone, Copy, Debug)]
pub struct FeatureMap<'a> {
    /// `size.area() * channels` values.
    pub data: &'a [f32],
    /// Cells of the map, one at least.
    pub size: Size,
    /// Values of a cell, one at least.
    pub channels: usize,
}

/// Pools RoIs into `resolution` × `resolution` bins by averaging bilinear samples.
///
/// torchvision's `roi_align`: [`pool`](Self::pool) with `aligned=False`,
/// [`pool_aligned`](Self::pool_aligned) with `aligned=True`.
#[derive(Clone, Copy, Debug)]
pub struct RoiAlign {
    /// Bins along each side.
    pub resolution: usize,
    /// Samples along each side of a bin; 0, in [`pool_aligned`](Self::pool_aligned) alone: as many
    /// as the bin has cells, the last one counted whole.
    pub sampling_ratio: usize,
}

/// Channels that are summed in registers at a time: four AVX-512 or eight AVX vectors.
const LANES: usize = 64;

/// What one axis of one bin reads: cells and their weights, the samples' average included.
type Taps = Vec<(usize, f32)>;

impl RoiAlign {
    /// Pools one RoI: `roi` in resized-image pixels, `scale` cells a pixel, into `out`,
    /// `[resolution, resolution, channels]`. Samples more than one cell outside the feature map
    /// count as zero. Coordinates are multiplied by the scale and not shifted by half a cell, and an
    /// RoI is at least one cell wide and high.
    ///
    /// Bilinear weights are a product of a weight along x and one along y, and so is "outside"; the
    /// average over the samples of a bin is then a sum over a few rows times a few columns,
    /// neighbouring samples sharing cells. This adds the same terms as torchvision's
    /// `csrc/ops/cpu/roi_align_kernel.cpp`, fewer times.
    ///
    /// # Panics
    ///
    /// When `out` or the map's data has another length than its shape says, or the map is empty: a
    /// bug of the caller.
    pub fn pool(&self, map: FeatureMap, roi: BBox, scale: f32, out: &mut [f32]) {
        let axis = |start: f32, end: f32, cells| {
            let (start, end) = (start * scale, end * scale);
            self.axis(start, (end - start).max(1.0), self.sampling_ratio, cells)
        };
        let columns = axis(roi.x1, roi.x2, map.size.width);
        let rows = axis(roi.y1, roi.y2, map.size.height);
        self.pool_taps(map, &columns, &rows, out);
    }

    /// [`pool`](Self::pool) with coordinates shifted by half a cell, so that a cell's value is that
    /// of its middle. An RoI may be smaller than a cell; one without an area gives zeros.
    ///
    /// # Panics
    ///
    /// As [`pool`](Self::pool).
    pub fn pool_aligned(&self, map: FeatureMap, roi: BBox, scale: f32, out: &mut [f32]) {
        /// Far more than a bin of an RoI inside a feature map has cells.
        const MOST_SAMPLES: f32 = 4096.0;
        let axis = |start: f32, end: f32, cells| {
            let (start, end) = (start * scale - 0.5, end * scale - 0.5);
            let length = end - start;
            let samples = match self.sampling_ratio {
                0 => (length / self.resolution as f32).ceil().min(MOST_SAMPLES) as usize,
                samples => samples,
            };
            self.axis(start, length, samples, cells)
        };
        let columns = axis(roi.x1, roi.x2, map.size.width);
        let rows = axis(roi.y1, roi.y2, map.size.height);
        self.pool_taps(map, &columns, &rows, out);
    }

    /// Writes the sums over the cells of each bin.
    fn pool_taps(&self, map: FeatureMap, columns: &[Taps], rows: &[Taps], out: &mut [f32]) {
        assert_eq!(
            map.data.len(),
            map.size.area() * map.channels,
            "feature map does not fill its shape"
        );
        assert_eq!(
            out.len(),
            self.resolution * self.resolution * map.channels,
            "output does not fit the bins"
        );
        let mut cells = Taps::new();
        let mut bins = out.chunks_exact_mut(map.channels);
        for row in rows {
            for (column, bin) in columns.iter().zip(&mut bins) {
                cells.clear();
                for &(y, row_weight) in row {
                    let start = y * map.size.width;
                    cells.extend(
                        column
                            .iter()
                            .map(|&(x, w)| ((start + x) * map.channels, row_weight * w)),
                    );
                }
                weighted_sum(map.data, &cells, bin);
            }
        }
    }

    /// The cells that each bin reads along one axis of `cells` cells, for an RoI that is `length`
    /// cells long from `start` on.
    fn axis(&self, start: f32, length: f32, samples: usize, cells: usize) -> Vec<Taps> {
        let bin = length / self.resolution as f32;
        let average = 1.0 / samples as f32;
        let mut axis = Vec::with_capacity(self.resolution);
        for index in 0..self.resolution {
            let mut taps = Taps::with_capacity((2 * samples).min(cells));
            for sample in 0..samples {
                let at = start + index as f32 * bin + (sample as f32 + 0.5) * bin / samples as f32;
                for (cell, weight) in bilinear(at, cells).into_iter().flatten() {
                    // Neighbouring samples share cells: the last ones, mostly.
                    match taps.iter_mut().rev().find(|tap| tap.0 == cell) {
                        Some(tap) => tap.1 += weight * average,
                        None => taps.push((cell, weight * average)),
                    }
                }
            }
            axis.push(taps);
        }
        axis
    }
}

/// The two cells that a sample at `at` lies between, with their weights: none more than a cell
/// outside, or for NaN.
///
/// torchvision `csrc/ops/cpu/roi_align_common.h`, `pre_calc_for_bilinear_interpolate`.
fn bilinear(at: f32, cells: usize) -> Option<[(usize, f32); 2]> {
    if !(at >= -1.0 && at <= cells as f32) {
        return None;
    }
    let at = at.max(0.0);
    let low = at as usize;
    if low + 1 >= cells {
        return Some([(cells - 1, 1.0), (cells - 1, 0.0)]);
    }
    let high_weight = at - low as f32;
    Some([(low, 1.0 - high_weight), (low + 1, high_weight)])
}

/// `out[c] = Σ weight · data[offset + c]` over the cells; zero for none.
fn weighted_sum(data: &[f32], cells: &[(usize, f32)], out: &mut [f32]) {
    for (block, out) in out.chunks_mut(LANES).enumerate() {
        let first = block * LANES;
        if let Ok(out) = <&mut [f32; LANES]>::try_from(&mut *out) {
            // A fixed length lets the compiler keep the sums in vector registers across the cells.
            let mut sums = [0.0; LANES];
            for &(offset, weight) in cells {
                for (sum, value) in sums.iter_mut().zip(&data[offset + first..][..LANES]) {
                    *sum += weight * value;
                }
            }
            *out = sums;
        } else {
            out.fill(0.0);
            for &(offset, weight) in cells {
                for (sum, value) in out.iter_mut().zip(&data[offset + first..]) {
                    *sum += weight * value;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::fixture::{Fixture, difference};

    /// One of the two ways of pooling.
    type Pool = fn(&RoiAlign, FeatureMap, BBox, f32, &mut [f32]);

    #[test]
    fn pools_as_torchvision_does() {
        assert_pools(&Fixture::ops(), RoiAlign::pool, 2);
    }

    #[test]
    fn pools_aligned_as_detectron2_does() {
        let fixture = Fixture::open("ops/detectron2.safetensors");
        assert_pools(&fixture, RoiAlign::pool_aligned, 0);
    }

    fn assert_pools(ops: &Fixture, pool: Pool, sampling_ratio: usize) {
        for case in ops.cases("roi_align") {
            let shape = ops.shape(&format!("{case}features"));
            let (channels, size) = (shape[1], Size::new(shape[2], shape[3]));
            let nchw = ops.floats(&format!("{case}features"));
            let data: Vec<f32> = (0..nchw.len())
                .map(|i| nchw[i % channels * size.area() + i / channels]) // [C, H, W] to [H, W, C]
                .collect();
            let map = FeatureMap {
                data: &data,
                size,
                channels,
            };
            let resolution = ops.indices(&format!("{case}output_size"))[0];
            let align = RoiAlign {
                resolution,
                sampling_ratio,
            };
            let scale = ops.doubles(&format!("{case}spatial_scale"))[0] as f32;
            let bins = resolution * resolution;
            let mut pooled = Vec::new(); // [R, C, bins]
            for roi in ops.boxes(&format!("{case}rois")) {
                let mut out = vec![f32::NAN; bins * channels];
                pool(&align, map, roi, scale, &mut out);
                pooled.extend((0..out.len()).map(|i| out[i % bins * channels + i / bins]));
            }
            // Features of order one; the terms are added in another order.
            let apart = difference(&pooled, &ops.floats(&format!("{case}expected")));
            assert!(apart <= 2e-6, "{case} {apart:e}");
        }
    }

    const ALIGN: RoiAlign = RoiAlign {
        resolution: 2,
        sampling_ratio: 2,
    };

    /// A map of 5 rows and 7 columns whose two channels are the row and the column.
    fn ramp() -> Vec<f32> {
        (0..5)
            .flat_map(|y| (0..7).flat_map(move |x| [y as f32, x as f32]))
            .collect()
    }

    fn pool(roi: BBox, scale: f32) -> Vec<f32> {
        pooled(RoiAlign::pool, ALIGN, roi, scale)
    }

    fn pooled(pool: Pool, align: RoiAlign, roi: BBox, scale: f32) -> Vec<f32> {
        let data = ramp();
        let mut out = vec![f32::NAN; 2 * 2 * 2];
        let map = FeatureMap {
            data: &data,
            size: Size::new(5, 7),
            channels: 2,
        };
        pool(&align, map, roi, scale, &mut out);
        out
    }

    #[test]
    fn aligned_samples_of_a_ramp_lie_half_a_cell_further_in() {
        // From (x 1, y 1/2) to (x 5, y 5/2) as below, and half a cell less. However many samples:
        // bins are 2 cells wide and 1 high.
        let roi = BBox::new(4.0, 2.0, 20.0, 10.0);
        for sampling_ratio in [0, 1, 2] {
            let align = RoiAlign {
                sampling_ratio,
                ..ALIGN
            };
            let found = pooled(RoiAlign::pool_aligned, align, roi, 0.25);
            assert_eq!(found, [0.5, 1.5, 0.5, 3.5, 1.5, 1.5, 1.5, 3.5]);
        }
        // Smaller than a cell, and not enlarged: all samples between x 1.5 and 2, y 1.5 and 2.
        let small = BBox::new(2.0, 2.0, 2.5, 2.5);
        let found = pooled(RoiAlign::pool_aligned, ALIGN, small, 1.0);
        assert_eq!(
            found,
            [1.625, 1.625, 1.625, 1.875, 1.875, 1.625, 1.875, 1.875]
        );
    }

    #[test]
    fn an_aligned_roi_without_an_area_gives_zeros() {
        let align = RoiAlign {
            sampling_ratio: 0,
            ..ALIGN
        };
        for roi in [BBox::new(2.0, 1.0, 2.0, 3.0), BBox::new(3.0, 1.0, 2.0, 3.0)] {
            assert_eq!(pooled(RoiAlign::pool_aligned, align, roi, 1.0), [0.0; 8]);
        }
    }

    #[test]
    fn samples_of_a_ramp_average_to_the_bin_centres() {
        // 8×16 pixels at a quarter: from (x 1, y 1/2) to (x 5, y 5/2); bins are 2 wide and 1 high,
        // centred at x 2, 4 and y 1, 2.
        let found = pool(BBox::new(4.0, 2.0, 20.0, 10.0), 0.25);
        assert_eq!(found, [1.0, 2.0, 1.0, 4.0, 2.0, 2.0, 2.0, 4.0]);
    }

    #[test]
    fn a_roi_smaller_than_a_cell_counts_as_one_cell() {
        assert_eq!(
            pool(BBox::new(2.0, 1.0, 2.0, 1.0), 1.0),
            pool(BBox::new(2.0, 1.0, 3.0, 2.0), 1.0)
        );
    }

    #[test]
    fn a_roi_outside_gives_zeros() {
        assert_eq!(pool(BBox::new(40.0, 1.0, 44.0, 3.0), 1.0), [0.0; 8]);
        assert_eq!(pool(BBox::new(1.0, -9.0, 3.0, -5.0), 1.0), [0.0; 8]);
    }

    #[test]
    fn samples_beyond_the_last_cell_repeat_it_once_and_then_vanish() {
        let data: Vec<f32> = vec![8.0; 5 * 7];
        let map = FeatureMap {
            data: &data,
            size: Size::new(5, 7),
            channels: 1,
        };
        let mut out = vec![0.0; 4];
        // x from 6 to 9: samples at 6.375, 7.125 | 7.875, 8.625; up to x = 7 the last cell repeats,
        // beyond it is zero.
        ALIGN.pool(map, BBox::new(6.0, 0.0, 9.0, 4.0), 1.0, &mut out);
        assert_eq!(out, [4.0, 0.0, 4.0, 0.0]);
    }

    proptest! {
        #[test]
        fn a_constant_map_pools_to_the_constant_and_never_beyond_it(
            x in -20f32..60.0, y in -20f32..60.0, w in 0f32..60.0, h in 0f32..60.0,
            channels in 1usize..70,
        ) {
            let data = vec![3.0; 9 * 13 * channels];
            let map = FeatureMap { data: &data, size: Size::new(9, 13), channels };
            let mut out = vec![f32::NAN; 4 * channels];
            ALIGN.pool(map, BBox::new(x, y, x + w, y + h), 0.25, &mut out);
            prop_assert!(out.iter().all(|v| (-1e-5..=3.0 + 1e-5).contains(v)));
            if x >= 0.0 && y >= 0.0 && x + w.max(4.0) <= 48.0 && y + h.max(4.0) <= 32.0 {
                prop_assert!(out.iter().all(|v| (v - 3.0).abs() < 1e-5));
            }
        }

        #[test]
        fn any_roi_is_safe(
            x1 in any::<f32>(), y1 in any::<f32>(), x2 in any::<f32>(), y2 in any::<f32>(),
        ) {
            let mut out = vec![0.0; 8];
            let data = ramp();
            let map = FeatureMap { data: &data, size: Size::new(5, 7), channels: 2 };
            ALIGN.pool(map, BBox::new(x1, y1, x2, y2), 0.25, &mut out);
        }
    }
}
