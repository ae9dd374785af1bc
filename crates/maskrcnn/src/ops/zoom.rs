//! Resizing as scikit-image's `resize` does with `order=1` and no antialiasing: SciPy's
//! `ndimage.zoom` with `mode='grid-constant'` and `grid_mode=True`.
//!
//! Zeros lie around the picture and weigh in at its edges; what comes out is then brought back
//! into the range of the values that went in. Everything is computed in f64, in SciPy's order,
//! because bytes are cut and not rounded: 99.999… becomes 99.
//!
//! SciPy `ndimage/src/ni_interpolation.c`, `NI_ZoomShift`, and `ni_splines.c`,
//! `get_spline_interpolation_weights`; scikit-image `transform/_warps.py`, `resize` and
//! `_clip_warp_output`.

use rayon::prelude::*;

use detections::{BBox, Mask, Size};

/// A pixel belongs to the object from this probability on. Matterport `mrcnn/utils.py`,
/// `unmold_mask`.
const THRESHOLD: f32 = 0.5;

/// What a place of a resized axis is made of: two neighbouring places, none where zeros lie, and
/// their weights.
#[derive(Clone, Copy)]
struct Taps {
    places: [Option<usize>; 2],
    weights: [f64; 2],
}

/// The taps of each place of an axis of `from` places that is resized to `to`.
fn taps(from: usize, to: usize) -> Vec<Taps> {
    let zoom = from as f64 / to as f64;
    let at = |place: usize| (place as f64 + 0.5) * zoom - 0.5;
    let taps = |at: f64| {
        let low = at.floor();
        let inside = |place: f64| (place >= 0.0 && place < from as f64).then_some(place as usize);
        // The second is what the first leaves of one: rounded, not the same as `at - low`.
        let weight = 1.0 - (at - low);
        Taps {
            places: [inside(low), inside(low + 1.0)],
            weights: [weight, 1.0 - weight],
        }
    };
    (0..to).map(at).map(taps).collect()
}

/// The sum over the four neighbours, of which `value` gives that at (row, column).
fn sample(row: Taps, column: Taps, value: impl Fn(usize, usize) -> f64) -> f64 {
    let mut sum = 0.0;
    for (y, row_weight) in row.places.into_iter().zip(row.weights) {
        for (x, column_weight) in column.places.into_iter().zip(column.weights) {
            let value = match (y, x) {
                (Some(y), Some(x)) => value(y, x),
                _ => 0.0,
            };
            sum += value * row_weight * column_weight;
        }
    }
    sum
}

/// Resizes an image of bytes, `[height, width, 3]`, from one size to another; neither may be empty.
///
/// Matterport `mrcnn/utils.py`, `resize_image`: `resize` with `preserve_range=True`, whose float64
/// become bytes again by cutting.
pub(crate) fn zoom_bytes(bytes: &[u8], from: Size, to: Size) -> Vec<u8> {
    let (rows, columns) = (taps(from.height, to.height), taps(from.width, to.width));
    let least = f64::from(bytes.iter().copied().min().unwrap_or(0));
    let most = f64::from(bytes.iter().copied().max().unwrap_or(0));
    let mut resized = vec![0; to.area() * 3];
    resized
        .par_chunks_exact_mut(to.width * 3)
        .zip(&rows)
        .for_each(|(out, &row)| {
            for (out, &column) in out.chunks_exact_mut(3).zip(&columns) {
                for (channel, out) in out.iter_mut().enumerate() {
                    let value =
                        |y: usize, x: usize| f64::from(bytes[(y * from.width + x) * 3 + channel]);
                    *out = sample(row, column, value).clamp(least, most) as u8;
                }
            }
        });
    resized
}

/// Resizes a mask to its box and cuts it at one half.
///
/// `probabilities`: `[side, side]`, row-major, 0..=1. `bbox`: in original pixels, its edges whole
/// numbers; what lies outside of the image is cut off. A box that is empty or not finite gives an
/// empty mask.
///
/// Matterport `mrcnn/utils.py`, `unmold_mask`.
///
/// # Panics
///
/// When `probabilities` does not hold `side`² values: a bug of the caller.
pub fn paste_whole_mask(probabilities: &[f32], side: usize, bbox: BBox, image: Size) -> Mask {
    /// Larger boxes are made of a mistake, or for one.
    const LONGEST_SIDE: f32 = 1e6;
    assert_eq!(
        probabilities.len(),
        side * side,
        "mask does not fill its square"
    );
    let fits = |length: f32| (1.0..=LONGEST_SIDE).contains(&length);
    if !(bbox.is_finite() && fits(bbox.width()) && fits(bbox.height())) {
        return Mask::empty(image);
    }
    let columns = Axis::new(bbox.x1, bbox.x2, side, image.width);
    let rows = Axis::new(bbox.y1, bbox.y2, side, image.height);
    if columns.taps.is_empty() || rows.taps.is_empty() {
        return Mask::empty(image);
    }
    let least = probabilities.iter().copied().fold(f32::INFINITY, f32::min);
    let most = probabilities.iter().copied().fold(0.0, f32::max);
    let region = Size::new(rows.taps.len(), columns.taps.len());
    Mask::from_rows(image, columns.first, rows.first, region, |y, bits| {
        let row = rows.taps[y];
        for (bit, &column) in bits.iter_mut().zip(&columns.taps) {
            let value = |y: usize, x: usize| f64::from(probabilities[y * side + x]);
            let resized = sample(row, column, value) as f32;
            *bit = resized.max(least).min(most) >= THRESHOLD;
        }
    })
}

/// The part of a box's axis that lies in the image.
struct Axis {
    /// The first pixel.
    first: usize,
    taps: Vec<Taps>,
}

impl Axis {
    fn new(start: f32, end: f32, side: usize, image: usize) -> Self {
        let (start, end) = (start as i64, end as i64); // whole numbers
        let inside = |edge: i64| usize::try_from(edge).unwrap_or(0).min(image);
        let (first, last) = (inside(start), inside(end));
        let length = usize::try_from(end - start).unwrap_or(0);
        let outside = usize::try_from(-start).unwrap_or(0);
        let taps = taps(side, length);
        let taps = taps.into_iter().skip(outside).take(last - first.min(last));
        Self {
            first,
            taps: taps.collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::fixture::Fixture;

    #[test]
    fn bytes_are_those_that_scikit_image_gives() {
        let ops = Fixture::open("ops/matterport.safetensors");
        for case in ops.cases("zoom_bytes") {
            let size = |name: &str| {
                let shape = ops.shape(&format!("{case}{name}"));
                Size::new(shape[0], shape[1])
            };
            let image = ops.bytes(&format!("{case}image"));
            let found = zoom_bytes(&image, size("image"), size("expected"));
            let expected = ops.bytes(&format!("{case}expected"));
            let apart = found.iter().zip(&expected).filter(|(a, b)| a != b).count();
            assert_eq!(apart, 0, "{case} of {} bytes", expected.len());
        }
    }

    #[test]
    fn sets_the_pixels_that_matterport_sets() {
        let ops = Fixture::open("ops/matterport.safetensors");
        for case in ops.cases("paste") {
            let image = ops.size(&format!("{case}image_size"));
            let side = ops.shape(&format!("{case}masks"))[1];
            let masks = ops.floats(&format!("{case}masks"));
            let expected = ops.bytes(&format!("{case}expected"));
            let boxes = ops.boxes(&format!("{case}boxes"));
            for (i, (mask, bbox)) in masks.chunks_exact(side * side).zip(boxes).enumerate() {
                let pasted = paste_whole_mask(mask, side, bbox, image);
                let expected = &expected[i * image.area()..][..image.area()];
                for (pixel, value) in expected.iter().enumerate() {
                    let (x, y) = (pixel % image.width, pixel / image.width);
                    assert_eq!(
                        pasted.contains(x, y),
                        *value == 1,
                        "{case} mask {i} at ({x}, {y})"
                    );
                }
            }
        }
    }

    /// A 2×2 mask with one cell on, over a box 8 wide and 4 high.
    #[test]
    fn one_cell_of_an_asymmetric_box_lands_on_its_pixels() {
        let bbox = BBox::new(2.0, 3.0, 10.0, 7.0);
        let image = Size::new(9, 14);
        let mask = paste_whole_mask(&[1.0, 0.0, 0.0, 0.0], 2, bbox, image);
        // Across: cells are 4 wide, the middle of the first is at 4; centres 3.5 and 4.5 lie 1/8 of
        // a cell from it, 2.5 and 5.5 lie 3/8 from it. Down: cells are 2 high, the middle is at 4;
        // 3.5 and 4.5 lie 1/4 from it. Products: 7/8 · 3/4 > 1/2, 5/8 · 3/4 < 1/2.
        let on: Vec<(usize, usize)> = (0..9)
            .flat_map(|y| (0..14).map(move |x| (x, y)))
            .filter(|&(x, y)| mask.contains(x, y))
            .collect();
        assert_eq!(on, [(3, 3), (4, 3), (3, 4), (4, 4)]);
    }

    #[test]
    fn zeros_around_darken_edges_but_not_below_the_darkest() {
        // Doubled: the first place is 3/4 of the first value and 1/4 of zero.
        let image = [40, 40, 40, 80, 80, 80];
        let wide = zoom_bytes(&image, Size::new(1, 2), Size::new(1, 4));
        assert_eq!(wide[..3], [40; 3]); // 30, brought back to 40
        assert_eq!(wide[9..], [60; 3]); // 3/4 of 80
        assert_eq!(zoom_bytes(&image, Size::new(1, 2), Size::new(1, 2)), image);
    }

    proptest! {
        #[test]
        fn any_box_is_safe(
            x1 in any::<f32>(), y1 in any::<f32>(), x2 in any::<f32>(), y2 in any::<f32>(),
            x in -20i8..20, y in -20i8..20, w in 0u8..40, h in 0u8..40,
        ) {
            let bbox = BBox::new(x1, y1, x2, y2);
            prop_assert!(paste_whole_mask(&[1.0; 9], 3, bbox, Size::new(7, 11)).area() <= 77);
            let (x, y) = (f32::from(x), f32::from(y));
            let bbox = BBox::new(x, y, x + f32::from(w), y + f32::from(h));
            prop_assert!(paste_whole_mask(&[1.0; 9], 3, bbox, Size::new(7, 11)).area() <= 77);
        }
    }
}
