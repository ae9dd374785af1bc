//! The connected parts of masks.

use image::{GrayImage, Luma};
use imageproc::region_labelling::{Connectivity, connected_components};

use crate::geometry::Size;
use crate::mask::Mask;

/// The rectangle of one part within the rectangle that the whole mask is stored for; the last
/// column and the last row are included.
struct Extent {
    left: usize,
    right: usize,
    top: usize,
    bottom: usize,
}

impl Mask {
    /// The connected parts of a mask, in the order of their first pixels, row by row; none for an
    /// empty mask. Each is stored for the smallest rectangle that holds it.
    ///
    /// Pixels that touch only by a corner are in different parts, as they are in different
    /// [contours](crate::Contour): each part has one contour around it, and one around each of its
    /// holes.
    ///
    /// Takes about 30 bytes of memory for each pixel of the stored rectangle while it works.
    pub fn parts(&self) -> Vec<Self> {
        let Size { height, width } = self.region();
        // One more row, of zeros: imageproc panics at an image of a single pixel.
        let mut pixels = GrayImage::new(width as u32, height as u32 + 1);
        for y in 0..height {
            for (x, bit) in self.row(self.top() + y).enumerate() {
                pixels.put_pixel(x as u32, y as u32, Luma([u8::from(bit)]));
            }
        }
        // Labels count from 1 in the order of first pixels, 0 is off.
        let labels = connected_components(&pixels, Connectivity::Four, Luma([0]));
        drop(pixels);
        let mut extents: Vec<Extent> = Vec::new();
        for (x, y, &Luma([label])) in labels.enumerate_pixels() {
            let (x, y) = (x as usize, y as usize);
            let Some(part) = (label as usize).checked_sub(1) else {
                continue;
            };
            if part == extents.len() {
                extents.push(Extent {
                    left: x,
                    right: x,
                    top: y,
                    bottom: y,
                });
            }
            let extent = &mut extents[part];
            extent.left = extent.left.min(x);
            extent.right = extent.right.max(x);
            extent.bottom = y;
        }
        let part = |(label, extent): (u32, &Extent)| {
            let &Extent {
                left,
                right,
                top,
                bottom,
            } = extent;
            Self::from_rows(
                self.image(),
                self.left() + left,
                self.top() + top,
                Size::new(bottom + 1 - top, right + 1 - left),
                |y, row| {
                    for (x, bit) in row.iter_mut().enumerate() {
                        let pixel = labels.get_pixel((left + x) as u32, (top + y) as u32);
                        *bit = pixel[0] == label;
                    }
                },
            )
        };
        (1..).zip(&extents).map(part).collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::contour::Contour;
    use crate::mask::tests::{any_mask, drawn};

    #[test]
    fn parts_come_by_first_pixel_in_smallest_rectangles() {
        let image = Size::new(8, 13);
        let rows = [
            ".........",
            "......#..",
            ".##...#..",
            "..#.###.#",
            ".........",
        ];
        let expected = [
            drawn(image, 6, 3, &["..#", "..#", "###"]),
            drawn(image, 3, 4, &["##", ".#"]),
            drawn(image, 10, 5, &["#"]),
        ];
        assert_eq!(drawn(image, 2, 2, &rows).parts(), expected);
    }

    #[test]
    fn pixels_that_touch_by_a_corner_are_different_parts() {
        let image = Size::new(5, 9);
        let expected = [
            drawn(image, 4, 1, &["##"]),
            drawn(image, 3, 2, &["#"]),
            drawn(image, 6, 2, &["#"]),
        ];
        assert_eq!(drawn(image, 3, 1, &[".##.", "#..#"]).parts(), expected);
    }

    #[test]
    fn a_part_within_a_hole_is_a_part_of_its_own() {
        let image = Size::new(6, 8);
        let rows = ["######", "#....#", "#.##.#", "#....#", "######"];
        let parts = drawn(image, 1, 0, &rows).parts();
        let ring = ["######", "#....#", "#....#", "#....#", "######"];
        let expected = [drawn(image, 1, 0, &ring), drawn(image, 3, 2, &["##"])];
        assert_eq!(parts, expected);
    }

    #[test]
    fn arms_that_meet_below_are_one_part() {
        let mask = drawn(Size::new(5, 9), 2, 1, &["#.#.#", "#.###", "###.."]);
        assert_eq!(mask.parts(), [mask]);
    }

    #[test]
    fn a_single_pixel_is_one_part() {
        let mask = drawn(Size::new(1, 1), 0, 0, &["#"]);
        assert_eq!(mask.parts(), [mask]);
    }

    #[test]
    fn an_empty_mask_has_no_parts() {
        let image = Size::new(4, 7);
        assert_eq!(Mask::empty(image).parts(), []);
        assert_eq!(drawn(image, 2, 1, &["...", "..."]).parts(), []);
        assert_eq!(Mask::new(image, 1, 1, Size::new(2, 0), vec![]).parts(), []);
        assert_eq!(Mask::new(image, 1, 1, Size::new(0, 2), vec![]).parts(), []);
    }

    proptest! {
        #[test]
        fn parts_are_disjoint_connected_and_make_the_mask(mask in any_mask()) {
            let (image, parts) = (mask.image(), mask.parts());
            for i in 0..image.area() {
                let (x, y) = (i % image.width, i / image.width);
                let covering = parts.iter().filter(|part| part.contains(x, y)).count();
                prop_assert_eq!(covering, usize::from(mask.contains(x, y)));
            }
            for part in &parts {
                prop_assert_eq!(part.image(), image);
                let contours = Contour::of(part);
                let outside = contours.iter().filter(|contour| !contour.is_hole);
                let outside: Vec<_> = outside.collect();
                prop_assert_eq!(outside.len(), 1);
                let (columns, rows): (Vec<_>, Vec<_>) =
                    outside[0].corners.iter().copied().unzip();
                let bounds = |of: &[u32]| (of.iter().min().copied(), of.iter().max().copied());
                let ends = |start: usize, length: usize| {
                    (Some(start as u32), Some((start + length) as u32))
                };
                prop_assert_eq!(bounds(&columns), ends(part.left(), part.region().width));
                prop_assert_eq!(bounds(&rows), ends(part.top(), part.region().height));
            }
        }
    }
}
