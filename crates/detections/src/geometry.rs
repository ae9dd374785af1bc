//! Sizes and boxes, with no tensor and no image in sight.

/// A height and a width, in pixels or feature cells. Never a bare pair, so that the two cannot be
/// swapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Size {
    /// Number of rows.
    pub height: usize,
    /// Number of columns.
    pub width: usize,
}

impl Size {
    /// A size from rows and columns.
    pub const fn new(height: usize, width: usize) -> Self {
        Self { height, width }
    }

    /// Rows times columns.
    pub const fn area(self) -> usize {
        self.height * self.width
    }
}

impl std::fmt::Display for Size {
    /// Width first, as people write image sizes: `640×480`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}×{}", self.width, self.height)
    }
}

/// An axis-aligned box by its corners, in pixels with the origin at the top left; `x2` and `y2` are
/// exclusive edges, so a box of one pixel is one unit wide (no "+1" as in the Caffe-era detectors).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BBox {
    /// Left edge.
    pub x1: f32,
    /// Top edge.
    pub y1: f32,
    /// Right edge.
    pub x2: f32,
    /// Bottom edge.
    pub y2: f32,
}

impl BBox {
    /// A box from its left, top, right and bottom edges.
    pub const fn new(x1: f32, y1: f32, x2: f32, y2: f32) -> Self {
        Self { x1, y1, x2, y2 }
    }

    /// Right edge minus left edge; negative for an inverted box.
    pub fn width(self) -> f32 {
        self.x2 - self.x1
    }

    /// Bottom edge minus top edge; negative for an inverted box.
    pub fn height(self) -> f32 {
        self.y2 - self.y1
    }

    /// Width times height, in square pixels.
    pub fn area(self) -> f32 {
        self.width() * self.height()
    }

    /// The box with every edge moved inside an image of this size; may become empty.
    ///
    /// torchvision `ops/boxes.py`, `clip_boxes_to_image`.
    pub fn clip(self, image: Size) -> Self {
        let (width, height) = (image.width as f32, image.height as f32);
        // max before min, as torch's clamp does: NaN stays NaN and is dropped by the size test that
        // follows.
        let clamp = |v: f32, most: f32| if v.is_nan() { v } else { v.max(0.0).min(most) };
        Self::new(
            clamp(self.x1, width),
            clamp(self.y1, height),
            clamp(self.x2, width),
            clamp(self.y2, height),
        )
    }

    /// Whether both sides have at least this length; never for NaN.
    ///
    /// torchvision `ops/boxes.py`, `remove_small_boxes`.
    pub fn has_sides_of(self, least: f32) -> bool {
        self.width() >= least && self.height() >= least
    }

    /// Whether either side has no length; for NaN, too.
    ///
    /// detectron2 `structures/boxes.py`, `Boxes.nonempty`.
    pub fn is_empty(self) -> bool {
        !(self.width() > 0.0 && self.height() > 0.0)
    }

    /// Whether no edge is infinite or NaN.
    pub fn is_finite(self) -> bool {
        [self.x1, self.y1, self.x2, self.y2]
            .iter()
            .all(|edge| edge.is_finite())
    }

    /// The box in another image frame: x edges times `x`, y edges times `y`.
    pub fn scale(self, x: f32, y: f32) -> Self {
        Self::new(self.x1 * x, self.y1 * y, self.x2 * x, self.y2 * y)
    }

    /// Intersection over union, in 0..=1; 0 when both boxes are empty.
    ///
    /// The order of the operations is that of torchvision's `nms_kernel.cpp`, so that a comparison
    /// against a threshold falls the same way.
    pub fn iou(self, other: Self) -> f32 {
        let width = (self.x2.min(other.x2) - self.x1.max(other.x1)).max(0.0);
        let height = (self.y2.min(other.y2) - self.y1.max(other.y1)).max(0.0);
        let intersection = width * height;
        let union = self.area() + other.area() - intersection;
        if union > 0.0 {
            intersection / union
        } else {
            0.0
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn iou_of_asymmetric_boxes_is_over_the_union_not_the_hull() {
        // 4×4 of overlap, 10×10 + 10×20 − 16 of union.
        let iou = BBox::new(0.0, 0.0, 10.0, 10.0).iou(BBox::new(6.0, 6.0, 16.0, 26.0));
        assert!((iou - 16.0 / 284.0).abs() < 1e-7, "{iou}");
    }

    #[test]
    fn iou_of_empty_boxes_is_zero_not_nan() {
        let empty = BBox::new(3.0, 3.0, 3.0, 9.0);
        assert_eq!(empty.iou(empty), 0.0);
    }

    #[test]
    fn clip_keeps_rows_and_columns_apart() {
        let clipped = BBox::new(-5.0, -7.0, 500.0, 600.0).clip(Size::new(20, 30));
        assert_eq!(clipped, BBox::new(0.0, 0.0, 30.0, 20.0));
    }

    prop_compose! {
        fn any_box()(
            x in -50f32..50.0, y in -50f32..50.0, w in 0f32..80.0, h in 0f32..40.0,
        ) -> BBox {
            BBox::new(x, y, x + w, y + h)
        }
    }

    proptest! {
        #[test]
        fn iou_is_symmetric_and_bounded(a in any_box(), b in any_box()) {
            prop_assert_eq!(a.iou(b), b.iou(a));
            prop_assert!((0.0..=1.0 + 1e-5).contains(&a.iou(b)));
        }

        #[test]
        fn a_clipped_box_lies_inside_and_clipping_twice_changes_nothing(a in any_box()) {
            let image = Size::new(17, 31);
            let clipped = a.clip(image);
            prop_assert!(clipped.x1 >= 0.0 && clipped.y1 >= 0.0);
            prop_assert!(clipped.x2 <= 31.0 && clipped.y2 <= 17.0);
            prop_assert_eq!(clipped.clip(image), clipped);
        }
    }
}
