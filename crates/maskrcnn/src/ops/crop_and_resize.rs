//! Pooling by one bilinear sample a bin, as TensorFlow's `crop_and_resize` does.

use super::roi_align::FeatureMap;
use detections::BBox;

/// Pools one RoI into `out`, `[resolution, resolution, channels]`, from the samples on a grid whose
/// corners are the RoI's; two bins or more along each side.
///
/// `roi` is in shares of the map's sides less one cell: 0 is the middle of the first cell, 1 that
/// of the last. A sample outside of that gives zeros, also one that only rounding puts there: the
/// last of an RoI that ends at 1 may be either.
///
/// TensorFlow `core/kernels/image/crop_and_resize_op.cc`, `CropAndResizePerBox`, whose operations
/// are f32 and in this order.
///
/// # Panics
///
/// When `out` or the map's data has another length than its shape says: a bug of the caller.
pub fn crop_and_resize(map: FeatureMap, roi: BBox, resolution: usize, out: &mut [f32]) {
    let channels = map.channels;
    assert_eq!(
        map.data.len(),
        map.size.area() * channels,
        "feature map does not fill its shape"
    );
    assert_eq!(
        out.len(),
        resolution * resolution * channels,
        "output does not fit the bins"
    );
    let rows = samples(roi.y1, roi.y2, map.size.height, resolution);
    let columns = samples(roi.x1, roi.x2, map.size.width, resolution);
    let cell = |y: usize, x: usize| &map.data[(y * map.size.width + x) * channels..][..channels];
    let mut bins = out.chunks_exact_mut(channels);
    for row in &rows {
        for (column, bin) in columns.iter().zip(&mut bins) {
            let (Some(row), Some(column)) = (row, column) else {
                bin.fill(0.0);
                continue;
            };
            let top = cell(row.low, column.low)
                .iter()
                .zip(cell(row.low, column.high));
            let bottom = cell(row.high, column.low)
                .iter()
                .zip(cell(row.high, column.high));
            for ((out, (tl, tr)), (bl, br)) in bin.iter_mut().zip(top).zip(bottom) {
                let top = tl + (tr - tl) * column.share;
                let bottom = bl + (br - bl) * column.share;
                *out = top + (bottom - top) * row.share;
            }
        }
    }
}

/// Two neighbouring cells, and how far the sample is on the way from the first to the second.
struct Sample {
    low: usize,
    high: usize,
    share: f32,
}

/// The samples along one axis of `cells` cells; none outside of the map.
fn samples(start: f32, end: f32, cells: usize, resolution: usize) -> Vec<Option<Sample>> {
    let last = cells.saturating_sub(1) as f32;
    let step = if resolution > 1 {
        (end - start) * last / (resolution - 1) as f32
    } else {
        0.0
    };
    let sample = |index: usize| {
        let at = if resolution > 1 {
            start * last + index as f32 * step
        } else {
            0.5 * (start + end) * last
        };
        (0.0..=last).contains(&at).then(|| Sample {
            low: at.floor() as usize,
            high: at.ceil() as usize,
            share: at - at.floor(),
        })
    };
    (0..resolution).map(sample).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::Fixture;
    use detections::Size;

    #[test]
    fn pools_what_tensorflow_pools() {
        let ops = Fixture::open("ops/matterport.safetensors");
        for case in ops.cases("crop_and_resize") {
            let shape = ops.shape(&format!("{case}features")); // [H, W, C]
            let features = ops.floats(&format!("{case}features"));
            let map = FeatureMap {
                data: &features,
                size: Size::new(shape[0], shape[1]),
                channels: shape[2],
            };
            let resolution = ops.shape(&format!("{case}expected"))[1];
            let each = resolution * resolution * map.channels;
            let expected = ops.floats(&format!("{case}expected"));
            let boxes = ops.boxes(&format!("{case}boxes"));
            for (i, (bbox, expected)) in boxes.iter().zip(expected.chunks_exact(each)).enumerate() {
                let mut found = vec![f32::NAN; each];
                crop_and_resize(map, *bbox, resolution, &mut found);
                assert_eq!(found, expected, "{case} box {i}");
            }
        }
    }

    #[test]
    fn corners_are_sampled_and_what_lies_outside_is_zero() {
        let data: Vec<f32> = (0..12u8).map(f32::from).collect(); // 3 rows of 4
        let map = FeatureMap {
            data: &data,
            size: Size::new(3, 4),
            channels: 1,
        };
        let mut bins = [0.0; 9];
        crop_and_resize(map, BBox::new(0.0, 0.0, 1.0, 1.0), 3, &mut bins);
        assert_eq!(bins, [0.0, 1.5, 3.0, 4.0, 5.5, 7.0, 8.0, 9.5, 11.0]);
        crop_and_resize(map, BBox::new(0.5, 0.0, 1.5, 1.0), 3, &mut bins);
        assert_eq!(bins, [1.5, 3.0, 0.0, 5.5, 7.0, 0.0, 9.5, 11.0, 0.0]);
        crop_and_resize(
            map,
            BBox::new(f32::NAN, 0.0, 1.0, f32::INFINITY),
            3,
            &mut bins,
        );
        assert_eq!(bins, [0.0; 9]);
    }
}
