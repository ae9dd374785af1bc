//! Resizing as Matterport does: bytes, into the middle of a square.

use image::RgbImage;
use rayon::prelude::*;

use crate::blueprint::TransformBlueprint;
use crate::ops::zoom_bytes;
use detections::Size;

/// The size after the resize: enlarged until the shorter side has `min_size` pixels, never made
/// smaller for that; then, when the longer one exceeds `max_size`, resized so that it has that. Each
/// side is rounded, a half to even.
///
/// A side that would be rounded to nothing, for which scikit-image fails, gets one pixel. Matterport
/// `mrcnn/utils.py`, `resize_image`, mode `square`, in its order of operations.
pub(super) fn resized_size(original: Size, blueprint: &TransformBlueprint) -> Size {
    let (height, width) = (original.height as f64, original.width as f64);
    let (longer, most) = (height.max(width), blueprint.max_size as f64);
    let mut scale = (blueprint.min_size as f64 / height.min(width)).max(1.0);
    if (longer * scale).round_ties_even() > most {
        scale = most / longer;
    }
    let side = |side: f64| ((side * scale).round_ties_even() as usize).clamp(1, blueprint.max_size);
    Size::new(side(height), side(width))
}

/// Writes the resized image, less the mean, into the square `[side, side, 3]` with its first pixel
/// at (`top`, `left`), and black, less the mean, around it.
///
/// Matterport `mrcnn/model.py`, `mold_image`, which computes in float64 and rounds at the end.
pub(super) fn resize(
    image: &RgbImage,
    size: Size,
    [top, left]: [usize; 2],
    blueprint: &TransformBlueprint,
    pixels: &mut [f32],
) {
    let normalised: [[f32; 256]; 3] = std::array::from_fn(|channel| {
        let (mean, std) = (blueprint.mean[channel], blueprint.std[channel]);
        std::array::from_fn(|byte| {
            ((byte as f64 / 255.0 - f64::from(mean)) / f64::from(std)) as f32
        })
    });
    let original = Size::new(image.height() as usize, image.width() as usize);
    let resized = zoom_bytes(image.as_raw(), original, size);
    let side = blueprint.max_size;
    pixels
        .par_chunks_exact_mut(side * 3)
        .enumerate()
        .for_each(|(y, out)| {
            let row = y.checked_sub(top).filter(|&row| row < size.height);
            for (x, out) in out.chunks_exact_mut(3).enumerate() {
                let column = x.checked_sub(left).filter(|&column| column < size.width);
                for (channel, out) in out.iter_mut().enumerate() {
                    let byte = match (row, column) {
                        (Some(row), Some(column)) => {
                            resized[(row * size.width + column) * 3 + channel]
                        }
                        _ => 0,
                    };
                    *out = normalised[channel][usize::from(byte)];
                }
            }
        });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::blueprint::Resize;
    use crate::fixture::Fixture;

    fn blueprint(min_size: usize, max_size: usize) -> TransformBlueprint {
        TransformBlueprint {
            min_size,
            max_size,
            mean: [0.5, 0.25, 0.0],
            std: [1.0 / 255.0; 3],
            size_divisible: 32,
            resize: Resize::Square,
        }
    }

    #[test]
    fn sides_are_those_that_matterport_computes() {
        let fixture = Fixture::open("ops/matterport.safetensors");
        fixture.compare_sizes("square", |size, min_size, max_size| {
            resized_size(size, &blueprint(min_size, max_size))
        });
    }

    #[test]
    fn the_image_lies_in_the_middle_of_black() {
        let image = RgbImage::from_pixel(2, 1, image::Rgb([255, 255, 255]));
        let blueprint = blueprint(1, 4);
        let mut pixels = [0.0; 4 * 4 * 3];
        let size = resized_size(Size::new(1, 2), &blueprint);
        assert_eq!(size, Size::new(1, 2));
        resize(&image, size, [1, 1], &blueprint, &mut pixels);
        for (place, pixel) in pixels.chunks_exact(3).enumerate() {
            let byte = if [5, 6].contains(&place) { 255.0 } else { 0.0 };
            let expected = [byte - 127.5, byte - 63.75, byte];
            for (found, expected) in pixel.iter().zip(expected) {
                assert!((found - expected).abs() < 1e-4, "{place}: {pixel:?}");
            }
        }
    }

    #[test]
    fn no_side_vanishes_however_thin_the_image() {
        let resized = resized_size(Size::new(1, 20_000), &blueprint(800, 1024));
        assert_eq!(resized, Size::new(1, 1024));
    }
}
