//! What the model found: plain data, no tensors.

use std::sync::Arc;

use crate::geometry::{BBox, Size};

/// One object that the model found, in pixels of the original image.
#[derive(Clone, Debug, PartialEq)]
pub struct Detection {
    /// The class's number in the data set that the model was trained on (COCO: 1 to 90), whatever its slot in the network.
    pub category_id: u32,
    /// The class's name, such as `dog`.
    pub label: Arc<str>,
    /// Confidence, 0 to 1.
    pub score: f32,
    /// The box, in original pixels.
    pub bbox: BBox,
    /// The pixels of the object, in original pixels; it may leave the box by the width of a mask cell.
    pub mask: Mask,
}

/// A binary mask of an image, stored for the rectangle that it covers: everything outside is off.
///
/// Storing the rectangle and not the image keeps a hundred small objects in a large photo small.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mask {
    image: Size,
    left: usize,
    top: usize,
    region: Size,
    /// Row-major over the region.
    bits: Vec<bool>,
}

impl Mask {
    /// A mask of an image of size `image`: `bits`, row by row, fill the rectangle of size `region` whose first pixel
    /// is (`left`, `top`). An empty rectangle is an empty mask.
    ///
    /// # Panics
    ///
    /// When the rectangle leaves the image or `bits` does not fill it: a bug of the caller, never of the input.
    pub fn new(image: Size, left: usize, top: usize, region: Size, bits: Vec<bool>) -> Self {
        assert!(left + region.width <= image.width && top + region.height <= image.height, "mask leaves its image");
        assert_eq!(bits.len(), region.area(), "mask bits do not fill their region");
        Self { image, left, top, region, bits }
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

    /// Whether the pixel in column `x` and row `y` is set; false outside the stored rectangle and outside the image.
    pub fn contains(&self, x: usize, y: usize) -> bool {
        match (x.checked_sub(self.left), y.checked_sub(self.top)) {
            (Some(x), Some(y)) if x < self.region.width && y < self.region.height => {
                self.bits[y * self.region.width + x]
            }
            _ => false,
        }
    }

    /// The bits of row `y` of the image, from column [`left`](Self::left) on; empty outside the stored rectangle.
    pub fn row(&self, y: usize) -> &[bool] {
        match y.checked_sub(self.top) {
            Some(y) if y < self.region.height => &self.bits[y * self.region.width..][..self.region.width],
            _ => &[],
        }
    }

    /// The number of pixels that are set.
    pub fn area(&self) -> usize {
        self.bits.iter().filter(|&&bit| bit).count()
    }

    /// Intersection over union of two masks of the same image, 0 to 1; 1 when both are empty.
    pub fn iou(&self, other: &Self) -> f64 {
        let mut intersection = 0;
        for y in self.top..self.top + self.region.height {
            for (x, _) in self.row(y).iter().enumerate().filter(|&(_, &bit)| bit) {
                intersection += usize::from(other.contains(self.left + x, y));
            }
        }
        let union = self.area() + other.area() - intersection;
        if union == 0 { 1.0 } else { intersection as f64 / union as f64 }
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
                push(self.bits[y * self.region.width + x], 1, &mut run);
            }
            push(false, height - self.top - self.region.height, &mut run);
        }
        push(false, (self.image.width - self.left - self.region.width) * height, &mut run);
        counts.push(run);
        Rle { size: self.image, counts }
    }
}

/// COCO's run-length encoding of a mask: lengths of runs of off, on, off, … pixels, column by column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rle {
    /// The size of the image.
    pub size: Size,
    /// Run lengths, the first of off pixels (it may be 0); they add up to the image's area.
    pub counts: Vec<u32>,
}

impl Rle {
    /// The counts as pycocotools writes them: from the fourth on as the difference to the count two before, five bits a
    /// character from the lowest up, bit 5 saying that more follow, offset by 48.
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
                // The sign is bit 4 of the last character, so that bit must agree with what is left.
                let more = if bits & 0x10 != 0 { rest != -1 } else { rest != 0 };
                text.push(char::from((bits | u8::from(more) << 5) + 48));
                if !more {
                    break;
                }
            }
        }
        text
    }
}
