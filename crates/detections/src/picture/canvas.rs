//! Rectangles of pixels, and the blending that every part draws with.

use image::{Rgb, RgbImage};

use crate::geometry::{BBox, Size};

/// A rectangle of whole pixels; `right` and `bottom` are exclusive. May lie outside the image, and
/// is empty when its right edge is not right of its left one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PixelRect {
    pub(super) left: i64,
    pub(super) top: i64,
    pub(super) right: i64,
    pub(super) bottom: i64,
}

impl PixelRect {
    /// The rectangle with this corner, width and height.
    pub(super) fn at(left: i64, top: i64, width: i64, height: i64) -> Self {
        Self {
            left,
            top,
            right: left + width,
            bottom: top + height,
        }
    }

    /// All pixels of an image.
    pub(super) fn of_image(image: &RgbImage) -> Self {
        Self::at(0, 0, i64::from(image.width()), i64::from(image.height()))
    }

    /// The pixels that stand for the part of `bbox` inside the image: edges rounded, at least one
    /// pixel each way. `None` when no part is inside, and for empty, inverted and NaN boxes.
    pub(super) fn visible(bbox: BBox, image: Size) -> Option<Self> {
        let clipped = bbox.clip(image);
        // Written so that NaN fails.
        if !(clipped.x1 < clipped.x2 && clipped.y1 < clipped.y2) {
            return None;
        }
        let span = |low: f32, high: f32, length: usize| {
            let first = (low.round() as i64).min(length as i64 - 1);
            (first, (high.round() as i64).max(first + 1))
        };
        let (left, right) = span(clipped.x1, clipped.x2, image.width);
        let (top, bottom) = span(clipped.y1, clipped.y2, image.height);
        Some(Self {
            left,
            top,
            right,
            bottom,
        })
    }

    pub(super) fn width(self) -> i64 {
        self.right - self.left
    }

    pub(super) fn height(self) -> i64 {
        self.bottom - self.top
    }

    /// Number of pixels; 0 when empty.
    pub(super) fn area(self) -> i64 {
        self.width().max(0) * self.height().max(0)
    }

    /// The common part, possibly empty.
    pub(super) fn intersect(self, other: Self) -> Self {
        Self {
            left: self.left.max(other.left),
            top: self.top.max(other.top),
            right: self.right.min(other.right),
            bottom: self.bottom.min(other.bottom),
        }
    }

    /// The smallest rectangle around both.
    pub(super) fn hull(self, other: Self) -> Self {
        Self {
            left: self.left.min(other.left),
            top: self.top.min(other.top),
            right: self.right.max(other.right),
            bottom: self.bottom.max(other.bottom),
        }
    }

    /// Every edge moved outward by `by` pixels, inward when negative.
    pub(super) fn grow(self, by: i64) -> Self {
        Self {
            left: self.left - by,
            top: self.top - by,
            right: self.right + by,
            bottom: self.bottom + by,
        }
    }
}

/// Moves `pixel` towards `color`: 0 leaves it alone, 255 replaces it. Rounded to nearest, in
/// integers.
pub(super) fn blend(pixel: &mut Rgb<u8>, color: Rgb<u8>, alpha: u8) {
    let alpha = u32::from(alpha);
    for (channel, target) in pixel.0.iter_mut().zip(color.0) {
        *channel =
            ((u32::from(*channel) * (255 - alpha) + u32::from(target) * alpha + 127) / 255) as u8;
    }
}

/// Blends `color` into the part of `rect` inside the image.
pub(super) fn fill(canvas: &mut RgbImage, rect: PixelRect, color: Rgb<u8>, alpha: u8) {
    let inside = rect.intersect(PixelRect::of_image(canvas));
    for y in inside.top..inside.bottom {
        for x in inside.left..inside.right {
            blend(canvas.get_pixel_mut(x as u32, y as u32), color, alpha);
        }
    }
}

/// Blends `color` into a frame that lies `width` pixels deep inside `rect`, each pixel once. A
/// rectangle too small for a hole is filled.
pub(super) fn frame(canvas: &mut RgbImage, rect: PixelRect, width: i64, color: Rgb<u8>, alpha: u8) {
    let hole = rect.grow(-width);
    if hole.area() == 0 {
        return fill(canvas, rect, color, alpha);
    }
    let PixelRect {
        left,
        top,
        right,
        bottom,
    } = rect;
    fill(
        canvas,
        PixelRect {
            left,
            top,
            right,
            bottom: hole.top,
        },
        color,
        alpha,
    );
    fill(
        canvas,
        PixelRect {
            left,
            top: hole.bottom,
            right,
            bottom,
        },
        color,
        alpha,
    );
    fill(
        canvas,
        PixelRect {
            left,
            top: hole.top,
            right: hole.left,
            bottom: hole.bottom,
        },
        color,
        alpha,
    );
    fill(
        canvas,
        PixelRect {
            left: hole.right,
            top: hole.top,
            right,
            bottom: hole.bottom,
        },
        color,
        alpha,
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: Size = Size::new(20, 30);

    #[test]
    fn a_visible_box_has_rounded_edges() {
        let rect = PixelRect::visible(BBox::new(2.4, 3.6, 10.5, 7.4), SIZE);
        assert_eq!(
            rect,
            Some(PixelRect {
                left: 2,
                top: 4,
                right: 11,
                bottom: 7
            })
        );
    }

    #[test]
    fn a_visible_box_ends_at_the_image() {
        let rect = PixelRect::visible(BBox::new(-5.0, -f32::INFINITY, 1e30, 7.0), SIZE);
        assert_eq!(
            rect,
            Some(PixelRect {
                left: 0,
                top: 0,
                right: 30,
                bottom: 7
            })
        );
    }

    #[test]
    fn the_thinnest_box_is_one_pixel_wide_and_inside() {
        let rect = PixelRect::visible(BBox::new(29.8, 19.6, 29.9, 19.7), SIZE);
        assert_eq!(
            rect,
            Some(PixelRect {
                left: 29,
                top: 19,
                right: 30,
                bottom: 20
            })
        );
    }

    #[test]
    fn empty_inverted_outside_and_nan_boxes_are_not_visible() {
        let nan = f32::NAN;
        for (x1, y1, x2, y2) in [
            (3.0, 4.0, 3.0, 9.0),
            (8.0, 4.0, 3.0, 9.0),
            (30.0, 4.0, 40.0, 9.0),
            (3.0, -9.0, 8.0, 0.0),
            (nan, 4.0, 8.0, 9.0),
            (3.0, 4.0, 8.0, nan),
        ] {
            let bbox = BBox::new(x1, y1, x2, y2);
            assert_eq!(PixelRect::visible(bbox, SIZE), None, "{bbox:?}");
        }
    }

    #[test]
    fn blending_rounds_to_nearest_and_its_ends_are_exact() {
        let blended = |alpha| {
            let mut pixel = Rgb([10, 200, 255]);
            blend(&mut pixel, Rgb([20, 100, 255]), alpha);
            pixel.0
        };
        assert_eq!(blended(0), [10, 200, 255]);
        assert_eq!(blended(255), [20, 100, 255]);
        // 10 + 10 · 128/255 = 15.02, 200 − 100 · 128/255 = 149.80.
        assert_eq!(blended(128), [15, 150, 255]);
    }

    #[test]
    fn a_frame_blends_each_of_its_pixels_once() {
        let mut canvas = RgbImage::from_pixel(9, 7, Rgb([200, 200, 200]));
        frame(
            &mut canvas,
            PixelRect {
                left: 1,
                top: 2,
                right: 7,
                bottom: 9,
            },
            2,
            Rgb([0, 0, 0]),
            51,
        );
        for (x, y, pixel) in canvas.enumerate_pixels() {
            let outer = (1..7).contains(&x) && y >= 2;
            let hole = (3..5).contains(&x) && y >= 4;
            let expected = if outer && !hole { 160 } else { 200 };
            assert_eq!(pixel.0, [expected; 3], "({x}, {y})");
        }
    }

    #[test]
    fn a_frame_without_room_for_a_hole_is_filled() {
        let mut canvas = RgbImage::new(9, 7);
        frame(
            &mut canvas,
            PixelRect::at(2, 1, 6, 4),
            2,
            Rgb([255, 0, 0]),
            255,
        );
        assert_eq!(canvas.pixels().filter(|pixel| pixel[0] == 255).count(), 24);
    }
}
