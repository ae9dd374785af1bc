//! From the mask head's square of probabilities to the pixels of the image.

use crate::ops::bilinear::{Resize, Sample};
use detections::Mask;
use detections::{BBox, Size};

/// Cells of zeros around a mask before it is enlarged, so that it can end inside its box.
/// torchvision `models/detection/roi_heads.py`, `paste_masks_in_image`, `padding=1`.
const PADDING: usize = 1;

/// A pixel belongs to the object above this probability: the usual cut of torchvision's soft masks.
const THRESHOLD: f32 = 0.5;

/// Enlarges a mask to its box and cuts it at one half.
///
/// `probabilities`: `[side, side]`, row-major, 0..=1. `bbox`: in original pixels; it may leave the
/// image, what lies outside is cut off. The mask is padded by a cell, the box grows accordingly and
/// is cut to whole pixels, and the values between cells are bilinear. A box that lies outside, or
/// is not finite, gives an empty mask.
///
/// torchvision `roi_heads.py`: `expand_masks`, `expand_boxes`, `paste_mask_in_image`.
///
/// # Panics
///
/// When `probabilities` does not hold `side`² values: a bug of the caller.
pub fn paste_mask(probabilities: &[f32], side: usize, bbox: BBox, image: Size) -> Mask {
    assert_eq!(
        probabilities.len(),
        side * side,
        "mask does not fill its square"
    );
    let padded = side + 2 * PADDING;
    let [x1, y1, x2, y2] = expand(bbox, padded as f32 / side as f32);
    let horizontal = Axis::new(x1, x2, padded, image.width);
    let vertical = Axis::new(y1, y2, padded, image.height);
    let (columns, rows) = (horizontal.samples(), vertical.samples());
    if columns.is_empty() || rows.is_empty() {
        return Mask::empty(image);
    }

    // Between columns first, once a row of cells; then between rows, once a pixel. The order is
    // PyTorch's, and with it the rounding of values at the threshold.
    // [padded, columns], zeros in the padding
    let mut between_columns = vec![0.0; padded * columns.len()];
    for (y, cells) in probabilities.chunks_exact(side).enumerate() {
        let cell = |x: usize| {
            x.checked_sub(PADDING)
                .and_then(|x| cells.get(x))
                .copied()
                .unwrap_or(0.0)
        };
        let row = &mut between_columns[(y + PADDING) * columns.len()..][..columns.len()];
        for (value, column) in row.iter_mut().zip(&columns) {
            *value = cell(column.low) * column.low_weight + cell(column.high) * column.high_weight;
        }
    }
    let region = Size::new(rows.len(), columns.len());
    Mask::from_rows(
        image,
        horizontal.first,
        vertical.first,
        region,
        |y, bits| {
            let row = rows[y];
            let cells = |y: usize| &between_columns[y * columns.len()..][..columns.len()];
            for ((bit, low), high) in bits.iter_mut().zip(cells(row.low)).zip(cells(row.high)) {
                *bit = low * row.low_weight + high * row.high_weight > THRESHOLD;
            }
        },
    )
}

/// The box grown around its centre and cut to whole pixels, towards zero: left, top, right, bottom.
fn expand(bbox: BBox, scale: f32) -> [i64; 4] {
    let (half_width, half_height) = (bbox.width() * 0.5 * scale, bbox.height() * 0.5 * scale);
    let (centre_x, centre_y) = ((bbox.x2 + bbox.x1) * 0.5, (bbox.y2 + bbox.y1) * 0.5);
    // `as` cuts towards zero as torch's conversion does, and keeps to the range of i64.
    [
        centre_x - half_width,
        centre_y - half_height,
        centre_x + half_width,
        centre_y + half_height,
    ]
    .map(|v| v as i64)
}

/// The pixels of one axis of the image that a mask covers.
struct Axis {
    /// First pixel of the enlarged mask; may be negative.
    start: i64,
    /// Pixels of the enlarged mask.
    length: i64,
    /// Cells of the padded mask.
    cells: usize,
    /// First pixel inside the image.
    first: usize,
    /// One after the last pixel inside the image.
    end: usize,
}

impl Axis {
    /// The mask covers the pixels from `start` to `last`, both included: at least one.
    fn new(start: i64, last: i64, cells: usize, image: usize) -> Self {
        let length = last.saturating_sub(start).saturating_add(1).max(1);
        let inside = |pixel: i64| usize::try_from(pixel).unwrap_or(0).min(image);
        let end = inside(last.saturating_add(1));
        Self {
            start,
            length,
            cells,
            first: inside(start).min(end),
            end,
        }
    }

    /// One sample for each pixel inside the image.
    fn samples(&self) -> Vec<Sample> {
        let resize = Resize::new(self.cells, self.length as f32);
        (self.first..self.end)
            .map(|pixel| resize.sample((pixel as i64 - self.start) as f32))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::Fixture;
    use proptest::prelude::*;

    #[test]
    fn sets_the_pixels_that_torchvision_sets() {
        let ops = Fixture::ops();
        for case in ops.cases("paste") {
            let image = ops.size(&format!("{case}image_size"));
            let side = ops.shape(&format!("{case}masks"))[2];
            let masks = ops.floats(&format!("{case}masks"));
            let expected = ops.floats(&format!("{case}expected"));
            let boxes = ops.boxes(&format!("{case}boxes"));
            for (i, (mask, bbox)) in masks.chunks_exact(side * side).zip(boxes).enumerate() {
                let pasted = paste_mask(mask, side, bbox, image);
                for (pixel, value) in expected[i * image.area()..][..image.area()]
                    .iter()
                    .enumerate()
                {
                    let (x, y) = (pixel % image.width, pixel / image.width);
                    // At the threshold itself the rounding of fused multiplications decides.
                    let decided = (value - THRESHOLD).abs() > 1e-6;
                    let agrees = pasted.contains(x, y) == (*value > THRESHOLD);
                    assert!(agrees || !decided, "{case} mask {i} at ({x}, {y}): {value}");
                }
            }
        }
    }

    /// A 2×2 mask with one cell on, padded to 4×4 and enlarged to 8 wide and 4 high.
    #[test]
    fn one_cell_of_an_asymmetric_box_lands_on_its_pixels() {
        // A box 4 wide and 2 high around (6, 5) grows twofold: x from 2 to 10, y from 3 to 7; whole
        // pixels: 9 by 5.
        let mask = paste_mask(
            &[1.0, 0.0, 0.0, 0.0],
            2,
            BBox::new(4.0, 4.0, 8.0, 6.0),
            Size::new(20, 30),
        );
        assert_eq!(
            (mask.left(), mask.top(), mask.region()),
            (2, 3, Size::new(5, 9))
        );
        let on: Vec<(usize, usize)> = (0..20)
            .flat_map(|y| (0..30).map(move |x| (x, y)))
            .filter(|&(x, y)| mask.contains(x, y))
            .collect();
        // Across: cells are 9/4 pixels wide and the cell's centre is at 2 + 1.5 · 9/4 = 5.375.
        // Pixel centres 4.5 and 5.5 lie 7/18 and 1/18 of a cell from it, 3.5 and 6.5 more than
        // half. Down: cells are 5/4 high, the centre is at 3 + 1.5 · 5/4 = 4.875, and pixel centre
        // 4.5 lies 3/10 from it, 5.5 a half. Products: (1 - 7/18)(1 - 3/10) < 1/2, (1 - 1/18)(1 -
        // 3/10) > 1/2.
        assert_eq!(on, [(5, 4)]);
    }

    #[test]
    fn a_full_mask_fills_its_box_and_no_more_than_a_cell_around_it() {
        let bbox = BBox::new(10.0, 5.0, 66.0, 33.0);
        let mask = paste_mask(&[1.0; 28 * 28], 28, bbox, Size::new(60, 90));
        for y in 0..60 {
            for x in 0..90 {
                let (x_centre, y_centre) = (x as f32 + 0.5, y as f32 + 0.5);
                let inside = (11.0..65.0).contains(&x_centre) && (6.0..32.0).contains(&y_centre);
                let outside = !(8.0..68.0).contains(&x_centre) || !(4.0..34.0).contains(&y_centre);
                assert!(!inside || mask.contains(x, y), "({x}, {y}) inside is off");
                assert!(!outside || !mask.contains(x, y), "({x}, {y}) outside is on");
            }
        }
    }

    #[test]
    fn what_lies_outside_the_image_is_cut_off() {
        let mask = paste_mask(
            &[1.0; 4],
            2,
            BBox::new(-10.0, 4.0, 10.0, 50.0),
            Size::new(12, 40),
        );
        assert_eq!((mask.left(), mask.top()), (0, 0));
        assert_eq!(mask.region().height, 12);
        assert!(mask.contains(0, 11) && !mask.contains(30, 5));
    }

    #[test]
    fn a_box_beside_the_image_gives_an_empty_mask() {
        for bbox in [
            BBox::new(50.0, 2.0, 60.0, 9.0),
            BBox::new(2.0, -90.0, 9.0, -60.0),
        ] {
            assert_eq!(paste_mask(&[1.0; 4], 2, bbox, Size::new(12, 40)).area(), 0);
        }
    }

    proptest! {
        #[test]
        fn any_box_is_safe(
            x1 in any::<f32>(), y1 in any::<f32>(), x2 in any::<f32>(), y2 in any::<f32>(),
        ) {
            let mask = paste_mask(&[1.0; 9], 3, BBox::new(x1, y1, x2, y2), Size::new(7, 11));
            prop_assert!(mask.area() <= 77);
        }
    }
}
