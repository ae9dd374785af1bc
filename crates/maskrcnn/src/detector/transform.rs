//! The image as the network sees it, and the way back. The only place that crosses from original
//! pixels to resized ones.

use image::RgbImage;
use rayon::prelude::*;
use tch::Tensor;

use super::{shortest_edge, square};
use crate::blueprint::{self, TransformBlueprint};
use crate::error::{Error, Result};
use crate::nn::{during, host};
use crate::ops::bilinear::{Resize, Sample};
use detections::{BBox, Size};

/// The network's input and what is needed to undo the resize.
#[derive(Debug)]
pub(super) struct Transformed {
    /// `[1, 3, H, W]`, channels-last, resized, normalised and padded.
    pub input: Tensor,
    /// The sizes that the image went through.
    pub frame: Frame,
}

/// The sizes of an image before the network, and with them the way between original and resized
/// pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Frame {
    /// As the user gave it.
    pub original: Size,
    /// After the resize, before the padding.
    pub resized: Size,
    /// Of the network's input.
    pub padded: Size,
    /// By which rule.
    pub resize: blueprint::Resize,
}

impl Frame {
    /// The sizes that an image of size `original` goes through. torchvision
    /// `GeneralizedRCNNTransform.batch_images`.
    fn new(original: Size, blueprint: &TransformBlueprint) -> Self {
        let resized = match blueprint.resize {
            blueprint::Resize::Float => resized_size(original, blueprint),
            blueprint::Resize::Bytes => shortest_edge::resized_size(original, blueprint),
            blueprint::Resize::Square => square::resized_size(original, blueprint),
        };
        let padded = match blueprint.resize {
            blueprint::Resize::Float | blueprint::Resize::Bytes => Size::new(
                resized.height.next_multiple_of(blueprint.size_divisible),
                resized.width.next_multiple_of(blueprint.size_divisible),
            ),
            blueprint::Resize::Square => Size::new(blueprint.max_size, blueprint.max_size),
        };
        Self {
            original,
            resized,
            padded,
            resize: blueprint.resize,
        }
    }

    /// Where the resized image begins in the padded one: row and column.
    pub fn offset(self) -> [usize; 2] {
        match self.resize {
            blueprint::Resize::Float | blueprint::Resize::Bytes => [0, 0],
            blueprint::Resize::Square => [
                (self.padded.height - self.resized.height) / 2,
                (self.padded.width - self.resized.width) / 2,
            ],
        }
    }

    /// A box of the resized image in original pixels; may become empty.
    pub fn to_original(self, bbox: BBox) -> BBox {
        match self.resize {
            blueprint::Resize::Float | blueprint::Resize::Square => self.scaled(bbox),
            // detectron2 `modeling/postprocessing.py`, `detector_postprocess`.
            blueprint::Resize::Bytes => self.scaled(bbox).clip(self.original),
        }
    }

    /// A box of the resized image, scaled to original pixels. torchvision
    /// `models/detection/transform.py`, `resize_boxes`.
    fn scaled(self, bbox: BBox) -> BBox {
        let ratio = |original: usize, resized: usize| original as f32 / resized as f32;
        bbox.scale(
            ratio(self.original.width, self.resized.width),
            ratio(self.original.height, self.resized.height),
        )
    }
}

/// Normalises, resizes (bilinear, without antialiasing where the blueprint asks for nothing else)
/// and pads.
///
/// In Rust and not in libtorch: one pass from bytes to the padded channels-last input, and the same
/// bits for any number of threads. torchvision `models/detection/transform.py`,
/// `GeneralizedRCNNTransform`.
///
/// # Errors
///
/// When the image has no pixels.
pub(super) fn transform(image: &RgbImage, blueprint: &TransformBlueprint) -> Result<Transformed> {
    let original = Size::new(image.height() as usize, image.width() as usize);
    if original.area() == 0 {
        let reason = "it has no pixels".to_owned();
        return Err(Error::Image {
            width: original.width,
            height: original.height,
            reason,
        });
    }
    let frame = Frame::new(original, blueprint);
    let Frame {
        resized, padded, ..
    } = frame;
    let shape = [1, padded.height as i64, padded.width as i64, 3];
    let input = host::filled(&shape, |pixels| {
        match blueprint.resize {
            blueprint::Resize::Float => resize(image, resized, blueprint, pixels, padded.width),
            blueprint::Resize::Bytes => {
                let normalised = normalised(blueprint);
                shortest_edge::resize(image, resized, &normalised, pixels, padded.width)
            }
            blueprint::Resize::Square => {
                square::resize(image, resized, frame.offset(), blueprint, pixels)
            }
        }
        Ok(())
    })
    .and_then(|pixels| pixels.f_permute([0, 3, 1, 2]))
    .map_err(during("preparing the image"))?;
    Ok(Transformed { input, frame })
}

/// The size after the resize: the shorter side at `min_size`, unless the longer one would exceed
/// `max_size`.
///
/// The factor is an f64 and the sides are cut, not rounded: 0.8 · 1000 may become 799. A side that
/// would be cut to nothing, for which torchvision fails, is stretched to `size_divisible` instead:
/// so the padding adds nothing, and the scale that the pooler reads off padded features and
/// unpadded pixels is right. At one pixel it would be off by a factor of 32. torchvision
/// `_resize_image_and_masks`; PyTorch `nn/functional.py`, `interpolate` with
/// `recompute_scale_factor`.
fn resized_size(original: Size, blueprint: &TransformBlueprint) -> Size {
    let shorter = original.height.min(original.width) as f64;
    let longer = original.height.max(original.width) as f64;
    let scale = (blueprint.min_size as f64 / shorter).min(blueprint.max_size as f64 / longer);
    let side = |side: usize| match (side as f64 * scale).floor() as usize {
        0 => blueprint.size_divisible,
        side => side,
    };
    Size::new(side(original.height), side(original.width))
}

/// The 256 values of each channel's bytes, normalised once.
fn normalised(blueprint: &TransformBlueprint) -> [[f32; 256]; 3] {
    std::array::from_fn(|channel| {
        std::array::from_fn(|byte| {
            (byte as f32 / 255.0 - blueprint.mean[channel]) / blueprint.std[channel]
        })
    })
}

/// Writes the resized and normalised image into the top left of `[rows, stride, 3]` and leaves the
/// rest as it is.
fn resize(
    image: &RgbImage,
    resized: Size,
    blueprint: &TransformBlueprint,
    pixels: &mut [f32],
    stride: usize,
) {
    let normalised = normalised(blueprint);
    let bytes = image.as_raw();
    let width = image.width() as usize;
    let samples = |from: usize, to: usize| -> Vec<Sample> {
        let resize = Resize::new(from, to as f32);
        (0..to)
            .map(|position| resize.sample(position as f32))
            .collect()
    };
    let columns = samples(width, resized.width);
    let rows = samples(image.height() as usize, resized.height);
    pixels
        .par_chunks_mut(stride * 3)
        .zip(&rows)
        .for_each(|(out, row)| {
            let value = |y: usize, x: usize, channel: usize| {
                normalised[channel][usize::from(bytes[(y * width + x) * 3 + channel])]
            };
            for (out, column) in out.chunks_exact_mut(3).zip(&columns) {
                for (channel, out) in out.iter_mut().enumerate() {
                    let along = |y: usize| {
                        value(y, column.low, channel) * column.low_weight
                            + value(y, column.high, channel) * column.high_weight
                    };
                    *out = along(row.low) * row.low_weight + along(row.high) * row.high_weight;
                }
            }
        });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::blueprint::Resize;
    use crate::fixture::{Fixture, difference, edges};

    fn blueprint(min_size: usize, max_size: usize) -> TransformBlueprint {
        let (mean, std) = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]);
        TransformBlueprint {
            min_size,
            max_size,
            mean,
            std,
            size_divisible: 32,
            resize: Resize::Float,
        }
    }

    #[test]
    fn resizes_normalises_and_pads_as_torchvision_does() {
        let ops = Fixture::ops();
        for case in ops.cases("transform") {
            let bound = |name: &str| ops.indices(&format!("{case}{name}"))[0];
            let blueprint = blueprint(bound("min_size"), bound("max_size"));
            let Transformed { input, frame } =
                transform(&ops.image(&format!("{case}image")), &blueprint).unwrap();
            assert_eq!(
                frame.resized,
                ops.size(&format!("{case}expected_size")),
                "{case}"
            );
            let shape: Vec<usize> = input.size().iter().map(|&side| side as usize).collect();
            assert_eq!(shape, ops.shape(&format!("{case}expected")), "{case}");
            let input = Vec::<f32>::try_from(input.contiguous().view([-1])).unwrap();
            let apart = difference(&input, &ops.floats(&format!("{case}expected")));
            assert!(apart <= 1e-6, "{case} {apart:e}"); // values of up to 2.6: four units in the last place
        }
    }

    #[test]
    fn boxes_return_to_original_pixels_as_torchvision_returns_them() {
        let ops = Fixture::ops();
        for case in ops.cases("resize_boxes") {
            let resized = ops.size(&format!("{case}from_size"));
            let frame = Frame {
                original: ops.size(&format!("{case}to_size")),
                resized,
                padded: resized,
                resize: Resize::Float,
            };
            let found: Vec<BBox> = ops
                .boxes(&format!("{case}boxes"))
                .iter()
                .map(|&b| frame.to_original(b))
                .collect();
            assert_eq!(
                edges(&found),
                ops.floats(&format!("{case}expected")),
                "{case}"
            );
        }
    }

    #[test]
    fn boxes_of_resized_bytes_return_clipped() {
        let frame = Frame {
            original: Size::new(100, 301),
            resized: Size::new(443, 1333),
            padded: Size::new(448, 1344),
            resize: Resize::Bytes,
        };
        let bbox = frame.to_original(BBox::new(133.3, 44.3, 1333.1, 443.0));
        assert!((bbox.x1 - 30.1).abs() < 1e-4 && (bbox.y1 - 10.0).abs() < 1e-4);
        assert_eq!((bbox.x2, bbox.y2), (301.0, 100.0));
    }

    #[test]
    fn no_side_vanishes_however_thin_the_image() {
        let frame = Frame::new(Size::new(1, 20_000), &blueprint(352, 544));
        assert_eq!(
            (frame.resized, frame.padded),
            (Size::new(32, 544), Size::new(32, 544))
        );
        let whole = frame.to_original(BBox::new(0.0, 0.0, 544.0, 32.0));
        assert_eq!(whole, BBox::new(0.0, 0.0, 20_000.0, 1.0));
        // Torchvision resizes this one, to one row.
        assert_eq!(
            Frame::new(Size::new(1, 500), &blueprint(352, 544)).resized,
            Size::new(1, 544)
        );
    }

    #[test]
    fn an_image_without_pixels_is_refused() {
        let error = transform(&RgbImage::new(0, 7), &blueprint(352, 544)).unwrap_err();
        assert_eq!(
            error.to_string(),
            "cannot segment an image of 0×7 pixels: it has no pixels"
        );
    }
}
