//! Which pixels of an image an object covers.

use crate::geometry::Size;

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
    pub fn from_rows(
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
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A mask from a drawing of the rectangle that it is stored for, `#` for each pixel that is
    /// set.
    pub(crate) fn drawn(image: Size, left: usize, top: usize, rows: &[&str]) -> Mask {
        let region = Size::new(rows.len(), rows.first().map_or(0, |row| row.len()));
        let bits = rows.concat().bytes().map(|byte| byte == b'#').collect();
        Mask::new(image, left, top, region, bits)
    }

    /// Masks of all densities, stored for any rectangle of an image, the empty one included.
    pub(crate) fn any_mask() -> impl Strategy<Value = Mask> {
        let margin = || 0_usize..3;
        let sizes = (0_usize..14, 0_usize..14, 0.05..0.95);
        (sizes, [margin(), margin(), margin(), margin()]).prop_flat_map(
            |((height, width, density), [left, top, right, bottom])| {
                let region = Size::new(height, width);
                let image = Size::new(top + height + bottom, left + width + right);
                prop::collection::vec(prop::bool::weighted(density), region.area())
                    .prop_map(move |bits| Mask::new(image, left, top, region, bits))
            },
        )
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
}
