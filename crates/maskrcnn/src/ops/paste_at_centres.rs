//! From the mask head's square of probabilities to the pixels of the image, by sampling at their
//! centres.

use super::bilinear::Sample;
use detections::{BBox, Mask, Size};

/// A pixel belongs to the object from this probability on. detectron2
/// `modeling/postprocessing.py`, `detector_postprocess`.
const THRESHOLD: f32 = 0.5;

/// A probability for each pixel whose centre lies in the box or next to it, cut at one half.
///
/// `probabilities`: `[side, side]`, row-major, 0..=1; they stand at the centres of the box's
/// `side`² parts, and zeros beyond them. `bbox`: in original pixels; it may leave the image, what
/// lies outside is cut off. Values between are bilinear. A box that lies outside, is empty, or is
/// not finite, gives an empty mask.
///
/// detectron2 `layers/mask_ops.py`, `_do_paste_mask`; PyTorch `aten/src/ATen/native/GridSampler.h`
/// with `align_corners=False` and zeros for padding.
///
/// # Panics
///
/// When `probabilities` does not hold `side`² values: a bug of the caller.
pub fn paste_mask_at_centres(probabilities: &[f32], side: usize, bbox: BBox, image: Size) -> Mask {
    assert_eq!(
        probabilities.len(),
        side * side,
        "mask does not fill its square"
    );
    if bbox.is_empty() || !bbox.is_finite() {
        return Mask::empty(image);
    }
    let (left, columns) = samples(bbox.x1, bbox.x2, side, image.width);
    let (top, rows) = samples(bbox.y1, bbox.y2, side, image.height);
    if columns.is_empty() || rows.is_empty() {
        return Mask::empty(image);
    }

    // Between columns first, once a row of cells; then between rows, once a pixel.
    let mut between_columns = vec![0.0; (side + 2) * columns.len()]; // zeros above and below
    for (y, cells) in probabilities.chunks_exact(side).enumerate() {
        let cell = |x: usize| {
            x.checked_sub(1)
                .and_then(|x| cells.get(x))
                .copied()
                .unwrap_or(0.0)
        };
        let row = &mut between_columns[(y + 1) * columns.len()..][..columns.len()];
        for (value, column) in row.iter_mut().zip(&columns) {
            *value = cell(column.low) * column.low_weight + cell(column.high) * column.high_weight;
        }
    }
    let region = Size::new(rows.len(), columns.len());
    Mask::from_rows(image, left, top, region, |y, bits| {
        let row = rows[y];
        let cells = |y: usize| &between_columns[y * columns.len()..][..columns.len()];
        for ((bit, low), high) in bits.iter_mut().zip(cells(row.low)).zip(cells(row.high)) {
            *bit = low * row.low_weight + high * row.high_weight >= THRESHOLD;
        }
    })
}

/// One axis: the first pixel that a box from `start` to `end` may touch, and for each from there on
/// what it is made of, by the number of the cell plus one: 0 and `side + 1` are zeros.
fn samples(start: f32, end: f32, side: usize, image: usize) -> (usize, Vec<Sample>) {
    // `as` keeps to the range of usize.
    let first = ((start.floor() - 1.0).max(0.0) as usize).min(image);
    let last = ((end.ceil() + 1.0).max(0.0) as usize).clamp(first, image);
    let half = side as f32 / 2.0;
    let sample = |pixel: usize| {
        let place = (pixel as f32 + 0.5 - start) / (end - start) * 2.0 - 1.0; // −1..=1 in the box
        let at = (place + 1.0) * half - 0.5; // 0 at the middle of the first cell
        let low = at.floor();
        if !(-1.0..side as f32).contains(&low) {
            return Sample {
                low: 0,
                high: 0,
                low_weight: 0.0,
                high_weight: 0.0,
            };
        }
        let high_weight = at - low;
        let low = (low + 1.0) as usize;
        Sample {
            low,
            high: low + 1,
            low_weight: 1.0 - high_weight,
            high_weight,
        }
    };
    (first, (first..last).map(sample).collect())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::fixture::Fixture;

    #[test]
    fn sets_the_pixels_that_detectron2_sets() {
        let fixture = Fixture::open("ops/detectron2.safetensors");
        for case in fixture.cases("paste") {
            let image = fixture.size(&format!("{case}image_size"));
            let side = fixture.shape(&format!("{case}masks"))[1];
            let masks = fixture.floats(&format!("{case}masks"));
            let expected = fixture.floats(&format!("{case}expected")); // probabilities
            let boxes = fixture.boxes(&format!("{case}boxes"));
            for (i, (mask, bbox)) in masks.chunks_exact(side * side).zip(boxes).enumerate() {
                let pasted = paste_mask_at_centres(mask, side, bbox, image);
                let expected = &expected[i * image.area()..][..image.area()];
                for (pixel, value) in expected.iter().enumerate() {
                    let (x, y) = (pixel % image.width, pixel / image.width);
                    let decided = (value - THRESHOLD).abs() > 1e-6;
                    let agrees = pasted.contains(x, y) == (*value >= THRESHOLD);
                    assert!(agrees || !decided, "{case} mask {i} at ({x}, {y}): {value}");
                }
            }
        }
    }

    fn on(mask: &Mask, image: Size) -> Vec<(usize, usize)> {
        (0..image.height)
            .flat_map(|y| (0..image.width).map(move |x| (x, y)))
            .filter(|&(x, y)| mask.contains(x, y))
            .collect()
    }

    /// A 2×2 mask with one cell on, over a box 8 wide and 4 high from (2, 3): cells 4 wide and 2
    /// high, the first one's middle at (4, 4).
    #[test]
    fn one_cell_of_an_asymmetric_box_lands_on_its_pixels() {
        let (bbox, image) = (BBox::new(2.0, 3.0, 10.0, 7.0), Size::new(9, 14));
        let mask = paste_mask_at_centres(&[1.0, 0.0, 0.0, 0.0], 2, bbox, image);
        // Across: centres 3.5 and 4.5 lie 1/8 of a cell from the middle, 2.5 and 5.5 lie 3/8 from
        // it. Down: 3.5 and 4.5 lie 1/4 from it. Products: 7/8 · 3/4 > 1/2, 5/8 · 3/4 < 1/2.
        assert_eq!(on(&mask, image), [(3, 3), (4, 3), (3, 4), (4, 4)]);
    }

    #[test]
    fn exactly_one_half_belongs_to_the_object() {
        let (bbox, image) = (BBox::new(1.0, 1.0, 3.0, 2.0), Size::new(3, 4));
        let mask = paste_mask_at_centres(&[0.5], 1, bbox, image);
        // One cell, whose value falls off to zero over a box's side: at the two centres 1.5 and 2.5
        // it is 3/4 of one half.
        assert!(on(&mask, image).is_empty());
        let mask = paste_mask_at_centres(&[2.0 / 3.0], 1, bbox, image);
        assert_eq!(on(&mask, image), [(1, 1), (2, 1)]);
    }

    #[test]
    fn what_lies_outside_the_image_is_cut_off() {
        let image = Size::new(12, 40);
        let mask = paste_mask_at_centres(&[1.0; 4], 2, BBox::new(-10.0, 4.0, 10.0, 50.0), image);
        assert_eq!((mask.left(), mask.region().width), (0, 11));
        assert!(mask.contains(0, 11) && !mask.contains(30, 5));
        for bbox in [
            BBox::new(50.0, 2.0, 60.0, 9.0),
            BBox::new(2.0, -90.0, 9.0, -60.0),
            BBox::new(5.0, 2.0, 5.0, 9.0),
        ] {
            assert_eq!(paste_mask_at_centres(&[1.0; 4], 2, bbox, image).area(), 0);
        }
    }

    proptest! {
        #[test]
        fn any_box_is_safe(
            x1 in any::<f32>(), y1 in any::<f32>(), x2 in any::<f32>(), y2 in any::<f32>(),
        ) {
            let bbox = BBox::new(x1, y1, x2, y2);
            let mask = paste_mask_at_centres(&[1.0; 9], 3, bbox, Size::new(7, 11));
            prop_assert!(mask.area() <= 77);
        }
    }
}
