//! Resizing as detectron2 does: bytes, to rounded sides.

use image::RgbImage;
use rayon::prelude::*;

use crate::blueprint::TransformBlueprint;
use crate::ops::resize_bytes;
use detections::Size;

/// The size after the resize: the shorter side at `min_size`, then both scaled down when the longer
/// one exceeds `max_size`; each rounded, a half up.
///
/// A side that would be rounded to nothing, for which Pillow fails, is stretched to
/// `size_divisible` instead. detectron2 `data/transforms/augmentation_impl.py`,
/// `ResizeShortestEdge.get_output_shape`, whose order of operations this is.
pub(super) fn resized_size(original: Size, blueprint: &TransformBlueprint) -> Size {
    let (height, width) = (original.height as f64, original.width as f64);
    let (shorter, most) = (blueprint.min_size as f64, blueprint.max_size as f64);
    let scale = shorter / height.min(width);
    let (mut new_height, mut new_width) = if height < width {
        (shorter, scale * width)
    } else {
        (scale * height, shorter)
    };
    let longer = new_height.max(new_width);
    if longer > most {
        let scale = most / longer;
        new_height *= scale;
        new_width *= scale;
    }
    let side = |side: f64| match (side + 0.5) as usize {
        0 => blueprint.size_divisible,
        side => side,
    };
    Size::new(side(new_height), side(new_width))
}

/// Writes the resized and then normalised image into the top left of `[rows, stride, 3]` and leaves
/// the rest as it is. `normalised` has a value for each byte of each channel.
pub(super) fn resize(
    image: &RgbImage,
    size: Size,
    normalised: &[[f32; 256]; 3],
    pixels: &mut [f32],
    stride: usize,
) {
    let original = Size::new(image.height() as usize, image.width() as usize);
    let resized = resize_bytes(image.as_raw(), original, size);
    pixels
        .par_chunks_mut(stride * 3)
        .zip(resized.par_chunks_exact(size.width * 3))
        .for_each(|(out, bytes)| {
            for (out, bytes) in out.chunks_exact_mut(3).zip(bytes.chunks_exact(3)) {
                for channel in 0..3 {
                    out[channel] = normalised[channel][usize::from(bytes[channel])];
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
            mean: [0.0; 3],
            std: [1.0; 3],
            size_divisible: 32,
            resize: Resize::Bytes,
        }
    }

    #[test]
    fn sides_are_those_that_detectron2_computes() {
        let fixture = Fixture::open("ops/detectron2.safetensors");
        fixture.compare_sizes("shortest_edge", |size, min_size, max_size| {
            resized_size(size, &blueprint(min_size, max_size))
        });
    }

    #[test]
    fn no_side_vanishes_however_thin_the_image() {
        let resized = resized_size(Size::new(1, 20_000), &blueprint(800, 1333));
        assert_eq!(resized, Size::new(32, 1333));
    }
}
