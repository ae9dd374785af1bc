//! The translucent colour inside a mask.

use image::{Rgb, RgbImage};

use super::canvas::blend;
use crate::mask::Mask;

/// How far the photo comes back under a mask before it is tinted, of 255. Full would hide a larger
/// object that the mask lies on, nothing would mix the colours of all masks there. Empirical: at
/// 150 the pixels take the mask's own colour, and the outlines below remain visible as traces.
const RESTORED: u8 = 150;

/// Tints the pixels of `mask`, over the photo and what was drawn on it before.
///
/// `canvas` and `image` have the same size; `image` is the photo with nothing drawn on it. Mask
/// pixels outside are ignored. Any number of masks on top of each other leaves the photo visible.
pub(super) fn tint(
    canvas: &mut RgbImage,
    image: &RgbImage,
    mask: &Mask,
    color: Rgb<u8>,
    opacity: u8,
) {
    let (width, height) = (canvas.width() as usize, canvas.height() as usize);
    let left = mask.left().min(width);
    for y in mask.top()..(mask.top() + mask.region().height).min(height) {
        let columns = 3 * (y * width + left)..3 * (y + 1) * width;
        let photo = image.as_raw()[columns.clone()].as_chunks().0;
        let drawn = canvas.as_flat_samples_mut().samples[columns]
            .as_chunks_mut()
            .0;
        for ((drawn, photo), _) in drawn
            .iter_mut()
            .zip(photo)
            .zip(mask.row(y))
            .filter(|&(_, bit)| bit)
        {
            let mut pixel = Rgb(*drawn);
            blend(&mut pixel, Rgb(*photo), RESTORED);
            blend(&mut pixel, color, opacity);
            *drawn = pixel.0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::Size;

    const GREY: Rgb<u8> = Rgb([100, 100, 100]);
    /// 0.4 of 255.
    const OPACITY: u8 = 102;

    /// A 4×2 photo and a mask of its pixels (1, 1) and (3, 1).
    fn scene() -> (RgbImage, Mask) {
        (
            RgbImage::from_pixel(4, 2, GREY),
            Mask::new(
                Size::new(2, 4),
                1,
                1,
                Size::new(1, 3),
                vec![true, false, true],
            ),
        )
    }

    #[test]
    fn only_mask_pixels_move_towards_the_colour_by_the_opacity() {
        let (image, mask) = scene();
        let mut canvas = image.clone();
        tint(&mut canvas, &image, &mask, Rgb([200, 0, 50]), OPACITY);
        for (x, y, pixel) in canvas.enumerate_pixels() {
            // 100 · 0.6 + (200, 0, 50) · 0.4
            let expected = if mask.contains(x as usize, y as usize) {
                Rgb([140, 60, 80])
            } else {
                GREY
            };
            assert_eq!(*pixel, expected, "({x}, {y})");
        }
    }

    #[test]
    fn the_upper_of_two_masks_shows_the_photo_and_its_own_colour() {
        let (image, mask) = scene();
        let mut canvas = image.clone();
        tint(&mut canvas, &image, &mask, Rgb([250, 250, 250]), OPACITY);
        assert_eq!(canvas[(1, 1)], Rgb([160, 160, 160]));
        tint(&mut canvas, &image, &mask, Rgb([200, 0, 50]), OPACITY);
        // 160 · 105/255 + 100 · 150/255 = 125, then 125 · 0.6 + (200, 0, 50) · 0.4.
        assert_eq!(canvas[(1, 1)], Rgb([155, 75, 95]));
    }

    #[test]
    fn a_mask_of_a_larger_image_is_cut_off() {
        let (image, _) = scene();
        let mask = Mask::new(Size::new(9, 9), 3, 1, Size::new(5, 6), vec![true; 30]);
        let beyond = Mask::new(Size::new(9, 9), 6, 5, Size::new(2, 3), vec![true; 6]);
        let mut canvas = image.clone();
        tint(&mut canvas, &image, &mask, Rgb([200, 0, 50]), OPACITY);
        tint(&mut canvas, &image, &beyond, Rgb([200, 0, 50]), OPACITY);
        assert_eq!(canvas.pixels().filter(|&&pixel| pixel != GREY).count(), 1);
    }
}
