//! What the model found: plain data, no tensors.

use std::sync::Arc;

use crate::geometry::{BBox, Size};

/// One object that the model found, in pixels of the original image.
#[derive(Clone, Debug, PartialEq)]
pub struct Detection {
    /// The class's number in the data set that the model was trained on (COCO: 1 to 90), whatever
    /// its slot in the network.
    pub category_id: u32,
    /// The class's name, such as `dog`.
    pub label: Arc<str>,
    /// Confidence, 0 to 1.
    pub score: f32,
    /// The box, in original pixels.
    pub bbox: BBox,
    /// The pixels of the object, in original pixels; it may leave the box by the width of a mask
    /// cell.
    pub mask: Mask,
}

/// A binary mask of an image, stored for the rectangle that it covers: everything outside is off.
///
/// Storing the rectangle and not the image keeps a hundred small objects in a large photo small;
/// storing eight pixels a byte keeps a hundred large ones, in the largest photo that the program
/// reads, at 1.25 GB.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mask {
    image: Size,
    left: usize,
    top: usize,
    region: Size,
    /// Row-major over the region, eight pixels a byte from the lowest bit up; each row begins with
    /// a byte.
    bits: Vec<u8>,
}

impl Mask {
    /// A mask of an image of size `image`: `bits`, row by row, fill the rectangle of size `region`
    /// whose first pixel is (`left`, `top`). An empty rectangle is an empty mask.
    ///
    /// # Panics
    ///
    /// When the rectangle leaves the image or `bits` does not fill it: a bug of the caller, never
    /// of the input.
    pub fn new(image: Size, left: usize, top: usize, region: Size, bits: Vec<bool>) -> Self {
        assert_eq!(
            bits.len(),
            region.area(),
            "mask bits do not fill their region"
        );
        Self::from_rows(image, left, top, region, |y, row| {
            row.copy_from_slice(&bits[y * region.width..][..region.width])
        })
    }

    /// [`new`](Self::new), asking `fill` for one row of the rectangle after the other: its number,
    /// and where its bits go.
    pub(crate) fn from_rows(
        image: Size,
        left: usize,
        top: usize,
        region: Size,
        mut fill: impl FnMut(usize, &mut [bool]),
    ) -> Self {
        let inside = |start: usize, length: usize, side: usize| {
            start.checked_add(length).is_some_and(|end| end <= side)
        };
        let fits =
            inside(left, region.width, image.width) && inside(top, region.height, image.height);
        assert!(fits, "mask leaves its image");
        let mut bits = Vec::with_capacity(region.height * region.width.div_ceil(8));
        let mut row = vec![false; region.width];
        for y in 0..region.height {
            fill(y, &mut row);
            bits.extend(row.chunks(8).map(|bits| {
                bits.iter()
                    .rev()
                    .fold(0, |byte, &bit| byte << 1 | u8::from(bit))
            }));
        }
        Self {
            image,
            left,
            top,
            region,
            bits,
        }
    }

    /// A mask with no pixel set.
    pub fn empty(image: Size) -> Self {
        Self::new(image, 0, 0, Size::new(0, 0), Vec::new())
    }

    /// The size of the image that the mask belongs to.
    pub fn image(&self) -> Size {
        self.image
    }

    /// First column of the stored rectangle.
    pub fn left(&self) -> usize {
        self.left
    }

    /// First row of the stored rectangle.
    pub fn top(&self) -> usize {
        self.top
    }

    /// Size of the stored rectangle; it may be larger than the pixels that are set.
    pub fn region(&self) -> Size {
        self.region
    }

    /// Whether the pixel in column `x` and row `y` is set; false outside the stored rectangle and
    /// outside the image.
    pub fn contains(&self, x: usize, y: usize) -> bool {
        match (x.checked_sub(self.left), y.checked_sub(self.top)) {
            (Some(x), Some(y)) if x < self.region.width && y < self.region.height => {
                self.bits[y * self.region.width.div_ceil(8) + x / 8] >> (x % 8) & 1 == 1
            }
            _ => false,
        }
    }

    /// The bits of row `y` of the image, from column [`left`](Self::left) on; empty outside the
    /// stored rectangle.
    pub fn row(&self, y: usize) -> impl Iterator<Item = bool> {
        let stride = self.region.width.div_ceil(8);
        let bytes = match y.checked_sub(self.top) {
            Some(y) if y < self.region.height => &self.bits[y * stride..][..stride],
            _ => &[],
        };
        bytes
            .iter()
            .flat_map(|byte| (0..8).map(move |bit| byte >> bit & 1 == 1))
            .take(self.region.width)
    }

    /// The number of pixels that are set.
    pub fn area(&self) -> usize {
        self.bits
            .iter()
            .map(|byte| byte.count_ones() as usize)
            .sum()
    }

    /// Intersection over union of two masks of the same image, 0 to 1; 1 when both are empty.
    pub fn iou(&self, other: &Self) -> f64 {
        let mut intersection = 0;
        for y in self.top..self.top + self.region.height {
            for (x, _) in self.row(y).enumerate().filter(|&(_, bit)| bit) {
                intersection += usize::from(other.contains(self.left + x, y));
            }
        }
        let union = self.area() + other.area() - intersection;
        if union == 0 {
            1.0
        } else {
            intersection as f64 / union as f64
        }
    }

    /// The mask as COCO's run-length encoding.
    pub fn rle(&self) -> Rle {
        let (height, mut counts) = (self.image.height, Vec::new());
        // Runs alternate off, on, off, …, column by column over the whole image, starting with off.
        let (mut value, mut run) = (false, (self.left * height) as u32);
        let mut push = |bit: bool, length: usize, run: &mut u32| {
            if bit != value && length > 0 {
                counts.push(*run);
                (value, *run) = (bit, 0);
            }
            *run += length as u32;
        };
        for x in 0..self.region.width {
            push(false, self.top, &mut run);
            for y in 0..self.region.height {
                push(self.contains(self.left + x, self.top + y), 1, &mut run);
            }
            push(false, height - self.top - self.region.height, &mut run);
        }
        push(
            false,
            (self.image.width - self.left - self.region.width) * height,
            &mut run,
        );
        counts.push(run);
        Rle {
            size: self.image,
            counts,
        }
    }
}

/// COCO's run-length encoding of a mask: lengths of runs of off, on, off, … pixels, column by
/// column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rle {
    /// The size of the image.
    pub size: Size,
    /// Run lengths, the first of off pixels (it may be 0); they add up to the image's area.
    pub counts: Vec<u32>,
}

impl Rle {
    /// The counts as pycocotools writes them: from the fourth on as the difference to the count two
    /// before, five bits a character from the lowest up, bit 5 saying that more follow, offset by
    /// 48.
    ///
    /// pycocotools `common/maskApi.c`, `rleToString`.
    pub fn compressed(&self) -> String {
        let mut text = String::new();
        for (i, &count) in self.counts.iter().enumerate() {
            let mut rest = i64::from(count);
            if i > 2 {
                rest -= i64::from(self.counts[i - 2]);
            }
            loop {
                let bits = (rest & 0x1f) as u8;
                rest >>= 5;
                // The sign is bit 4 of the last character, so that bit must agree with what is
                // left.
                let more = if bits & 0x10 != 0 {
                    rest != -1
                } else {
                    rest != 0
                };
                text.push(char::from((bits | u8::from(more) << 5) + 48));
                if !more {
                    break;
                }
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::Value;

    /// The masks of `tests/reference/make_rle.py`, as (name, mask filling its image, pycocotools'
    /// counts and area).
    fn reference() -> Vec<(String, Mask, String, usize)> {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/rle.json");
        let cases: Vec<Value> =
            serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        let number = |value: &Value| value.as_u64().unwrap() as usize;
        let case = |case: &Value| {
            let size = Size::new(number(&case["height"]), number(&case["width"]));
            let runs = case["runs"].as_array().unwrap().iter().enumerate();
            let bits = runs
                .flat_map(|(i, run)| std::iter::repeat_n(i % 2 == 1, number(run)))
                .collect();
            let text = |key: &str| case[key].as_str().unwrap().to_owned();
            (
                text("name"),
                Mask::new(size, 0, 0, size, bits),
                text("counts"),
                number(&case["area"]),
            )
        };
        cases.iter().map(case).collect()
    }

    /// The same mask, stored for the smallest rectangle that holds it.
    fn cropped(mask: &Mask) -> Mask {
        let Size { height, width } = mask.image();
        let columns: Vec<_> = (0..width)
            .filter(|&x| (0..height).any(|y| mask.contains(x, y)))
            .collect();
        let rows: Vec<_> = (0..height)
            .filter(|&y| (0..width).any(|x| mask.contains(x, y)))
            .collect();
        let (Some((&left, &right)), Some((&top, &bottom))) = (
            columns.first().zip(columns.last()),
            rows.first().zip(rows.last()),
        ) else {
            return Mask::empty(mask.image());
        };
        let bits = (top..=bottom)
            .flat_map(|y| (left..=right).map(move |x| mask.contains(x, y)))
            .collect();
        Mask::new(
            mask.image(),
            left,
            top,
            Size::new(bottom - top + 1, right - left + 1),
            bits,
        )
    }

    /// pycocotools `rleFrString`.
    fn decompress(text: &str) -> Vec<u32> {
        let (mut counts, mut bytes) = (Vec::<i64>::new(), text.bytes());
        while let Some(mut byte) = bytes.next() {
            let (mut value, mut shift) = (0, 0);
            loop {
                let bits = i64::from(byte) - 48;
                value |= (bits & 0x1f) << shift;
                shift += 5;
                if bits & 0x20 == 0 {
                    if bits & 0x10 != 0 {
                        value |= -1 << shift;
                    }
                    break;
                }
                byte = bytes.next().unwrap();
            }
            if counts.len() > 2 {
                value += counts[counts.len() - 2];
            }
            counts.push(value);
        }
        counts
            .into_iter()
            .map(|count| u32::try_from(count).unwrap())
            .collect()
    }

    #[test]
    fn compressed_counts_and_areas_are_those_of_pycocotools() {
        let cases = reference();
        assert!(cases.len() >= 60, "{}", cases.len());
        for (name, mask, counts, area) in cases {
            assert_eq!(mask.rle().compressed(), counts, "{name}");
            assert_eq!(mask.area(), area, "{name}");
        }
    }

    #[test]
    fn the_stored_rectangle_does_not_show_in_the_encoding() {
        for (name, mask, counts, _) in reference() {
            assert_eq!(cropped(&mask).rle().compressed(), counts, "{name}");
        }
    }

    #[test]
    fn iou_compares_masks_stored_for_different_rectangles() {
        let size = Size::new(4, 9);
        let left = Mask::new(size, 1, 1, Size::new(2, 4), vec![true; 8]);
        let right = Mask::new(size, 3, 0, Size::new(3, 4), vec![true; 12]);
        assert_eq!(left.iou(&right), 4.0 / 16.0);
        assert_eq!(left.iou(&left), 1.0);
        assert_eq!(left.iou(&Mask::empty(size)), 0.0);
    }

    /// A mask stored for a rectangle anywhere in its image, by its margins on the four sides.
    fn any_mask() -> impl Strategy<Value = Mask> {
        let margins = (0usize..9, 0usize..9, 0usize..9, 0usize..9);
        (margins, 0usize..30, 0usize..30).prop_flat_map(
            |((left, top, right, bottom), height, width)| {
                let image = Size::new(top + height + bottom, left + width + right);
                let bits = prop::collection::vec(any::<bool>(), height * width);
                bits.prop_map(move |bits| {
                    Mask::new(image, left, top, Size::new(height, width), bits)
                })
            },
        )
    }

    proptest! {
        #[test]
        fn decompressing_gives_the_pixels_back(mask in any_mask()) {
            let counts = decompress(&mask.rle().compressed());
            prop_assert_eq!(&counts, &mask.rle().counts);
            let runs = counts.iter().enumerate();
            let bits: Vec<bool> = runs.flat_map(|(i, &run)| std::iter::repeat_n(i % 2 == 1, run as usize)).collect();
            prop_assert_eq!(bits.len(), mask.image().area());
            for (i, &bit) in bits.iter().enumerate() {
                prop_assert_eq!(mask.contains(i / mask.image().height, i % mask.image().height), bit);
            }
        }
    }
}
