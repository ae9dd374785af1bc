//! Drawing detections on the image that they were found in. Plain pixels: nothing here knows a
//! tensor or a file.
//!
//! The same input gives the same bytes on every machine: colours are blended in integers, and the
//! few floating-point steps (outlines, glyphs) use only operations that IEEE 754 defines exactly.

mod canvas;
mod caption;
mod mask;
mod outline;
mod script;
mod text;
mod weights;

use std::cmp::Reverse;

use image::{Rgb, RgbImage};

use crate::detection::Detection;
use crate::geometry::Size;
use crate::palette;
use canvas::PixelRect;
use weights::LineWeights;

/// What [`render`] draws.
///
/// ```
/// use detections::Style;
///
/// let style = Style { boxes: false, mask_opacity: 0.6, ..Style::default() };
/// # assert!(style.masks && style.captions);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Style {
    /// Whether to draw masks: their tint and their outlines. Default: true.
    pub masks: bool,
    /// How much of a mask's tint covers the photo: 0 leaves only the outline, 1 hides the object.
    /// Values outside are brought to the nearer end, NaN to 0. Default: 0.4.
    pub mask_opacity: f32,
    /// Whether to draw boxes. Default: true.
    pub boxes: bool,
    /// Whether to draw captions, such as `dog 0.98`. Default: true.
    pub captions: bool,
}

impl Default for Style {
    fn default() -> Self {
        Self {
            masks: true,
            mask_opacity: 0.4,
            boxes: true,
            captions: true,
        }
    }
}

/// The image with the detections drawn on it: masks as a translucent tint with an outline, boxes,
/// and captions.
///
/// The result has the size of `image`, and its pixels wherever nothing is drawn. The n-th detection
/// always has the n-th colour. Objects are drawn from the largest to the smallest, so that small
/// ones lie over large ones, and captions over everything. Lines and type grow with the image; type
/// shrinks when there are many captions.
///
/// Captions never leave the image and never cover each other, and together cover a quarter of the
/// image at most: one that finds no room is left out, those of later detections first. In a narrow
/// image labels are shortened.
///
/// Labels in Latin, Greek, Cyrillic, Chinese, Japanese and Korean letters, and a few others, are
/// drawn as they are. One with anything else (emoji, and scripts whose letters join, stack or run
/// from right to left) is replaced with the number of its class: `class 3`.
///
/// Any detection is safe to draw: what lies outside the image is cut off, and a box that is empty
/// or NaN gets neither frame nor caption.
pub fn render(image: &RgbImage, detections: &[Detection], style: &Style) -> RgbImage {
    let mut canvas = image.clone();
    let size = Size::new(image.height() as usize, image.width() as usize);
    let boxes: Vec<_> = detections
        .iter()
        .map(|detection| PixelRect::visible(detection.bbox, size))
        .collect();
    let order = largest_first(detections, &boxes);
    let weights = LineWeights::of(size);
    for index in order {
        let (color, mask) = (palette::color(index), &detections[index].mask);
        if style.masks {
            // The cast takes NaN to 0 and clamps the rest.
            mask::tint(
                &mut canvas,
                image,
                mask,
                color,
                (style.mask_opacity * 255.0).round() as u8,
            );
            outline::draw(&mut canvas, mask, color, weights);
        }
        if let Some(rect) = boxes[index].filter(|_| style.boxes) {
            draw_box(&mut canvas, rect, color, weights);
        }
    }
    if style.captions {
        caption::draw(&mut canvas, detections, &boxes, weights);
    }
    canvas
}

/// Indices of the detections from the largest object to the smallest, so that small ones are drawn
/// over large ones; of equal ones the more confident, which comes first in `detections`, ends on
/// top.
///
/// An object's size is its mask's area, or its box's where the mask is empty.
fn largest_first(detections: &[Detection], boxes: &[Option<PixelRect>]) -> Vec<usize> {
    let extent = |index: usize| match detections[index].mask.area() {
        0 => boxes[index].map_or(0, PixelRect::area) as usize,
        area => area,
    };
    let mut order: Vec<usize> = (0..detections.len()).collect();
    order.sort_by_cached_key(|&index| Reverse((extent(index), index)));
    order
}

/// Draws a box: a frame inside the box's edge, with a dark casing on both sides.
fn draw_box(
    canvas: &mut RgbImage,
    rect: PixelRect,
    color: Rgb<u8>,
    LineWeights { frame, casing, .. }: LineWeights,
) {
    canvas::frame(
        canvas,
        rect.grow(casing),
        casing,
        LineWeights::CASING,
        LineWeights::CASING_ALPHA,
    );
    canvas::frame(canvas, rect, frame, color, u8::MAX);
    let inner = rect.grow(-frame);
    if inner.area() > 0 {
        canvas::frame(
            canvas,
            inner,
            casing,
            LineWeights::CASING,
            LineWeights::CASING_ALPHA,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::BBox;
    use crate::mask::Mask;
    use proptest::prelude::*;

    /// A detection with a mask that fills the visible part of its box.
    fn detection(image: Size, label: &str, x1: f32, y1: f32, x2: f32, y2: f32) -> Detection {
        let bbox = BBox::new(x1, y1, x2, y2);
        let mask = PixelRect::visible(bbox, image).map_or(Mask::empty(image), |rect| {
            let region = Size::new(rect.height() as usize, rect.width() as usize);
            Mask::new(
                image,
                rect.left as usize,
                rect.top as usize,
                region,
                vec![true; region.area()],
            )
        });
        Detection {
            category_id: 1,
            label: label.into(),
            score: 0.984,
            bbox,
            mask,
        }
    }

    fn photo(size: Size) -> RgbImage {
        RgbImage::from_fn(size.width as u32, size.height as u32, |x, y| {
            Rgb([(3 * x) as u8, (5 * y) as u8, 90])
        })
    }

    #[test]
    fn pixels_away_from_every_detection_are_those_of_the_input() {
        let size = Size::new(120, 200);
        let (image, detections) = (
            photo(size),
            [detection(size, "dog", 40.0, 50.0, 110.0, 90.0)],
        );
        let drawn = render(&image, &detections, &Style::default());
        assert_eq!(drawn.dimensions(), image.dimensions());
        // The caption is above the box, and no wider; the casing is one pixel.
        let touched = PixelRect {
            left: 39,
            top: 30,
            right: 111,
            bottom: 91,
        };
        for (x, y, pixel) in image.enumerate_pixels() {
            if touched
                .intersect(PixelRect::at(i64::from(x), i64::from(y), 1, 1))
                .area()
                == 0
            {
                assert_eq!(drawn[(x, y)], *pixel, "({x}, {y})");
            }
        }
        assert_ne!(drawn[(75, 70)], image[(75, 70)]);
    }

    #[test]
    fn with_nothing_to_draw_the_picture_is_the_input() {
        let size = Size::new(12, 20);
        let image = photo(size);
        assert_eq!(render(&image, &[], &Style::default()), image);
        let nothing = Style {
            masks: false,
            boxes: false,
            captions: false,
            ..Style::default()
        };
        assert_eq!(
            render(
                &image,
                &[detection(size, "dog", 2.0, 3.0, 15.0, 9.0)],
                &nothing
            ),
            image
        );
    }

    #[test]
    fn each_part_can_be_left_out() {
        let size = Size::new(120, 200);
        let mut dog = detection(size, "dog", 40.0, 50.0, 110.0, 90.0);
        dog.mask = detection(size, "", 60.0, 60.0, 100.0, 80.0).mask;
        let (image, dog) = (photo(size), [dog]);
        let changed =
            |style: &Style, x: u32, y: u32| render(&image, &dog, style)[(x, y)] != image[(x, y)];
        let (inside_mask, on_frame, on_plate) = ((80, 70), (75, 89), (42, 45));
        let all = Style::default();
        for (style, expected) in [
            (all.clone(), [true, true, true]),
            (
                Style {
                    masks: false,
                    ..all.clone()
                },
                [false, true, true],
            ),
            (
                Style {
                    boxes: false,
                    ..all.clone()
                },
                [true, false, true],
            ),
            (
                Style {
                    captions: false,
                    ..all.clone()
                },
                [true, true, false],
            ),
            (
                Style {
                    mask_opacity: 0.0,
                    ..all
                },
                [false, true, true],
            ),
        ] {
            let parts = [inside_mask, on_frame, on_plate].map(|(x, y)| changed(&style, x, y));
            assert_eq!(parts, expected, "{style:?}");
        }
    }

    #[test]
    fn the_nth_detection_has_the_nth_colour_whatever_its_size() {
        let size = Size::new(60, 160);
        let boxes = [(5.0, 30.0), (60.0, 100.0), (120.0, 130.0)];
        let detections = boxes.map(|(x1, x2)| detection(size, "", x1, 20.0, x2, 50.0));
        let drawn = render(
            &photo(size),
            &detections,
            &Style {
                mask_opacity: 1.0,
                ..Style::default()
            },
        );
        for (index, (x1, x2)) in boxes.into_iter().enumerate() {
            assert_eq!(drawn[(((x1 + x2) / 2.0) as u32, 35)], palette::color(index));
        }
    }

    #[test]
    fn a_small_object_is_drawn_over_a_large_one_in_either_order() {
        let size = Size::new(60, 90);
        let (large, small) = (
            detection(size, "", 0.0, 0.0, 90.0, 60.0),
            detection(size, "", 30.0, 20.0, 60.0, 45.0),
        );
        let style = Style {
            mask_opacity: 1.0,
            captions: false,
            ..Style::default()
        };
        let image = photo(size);
        assert_eq!(
            render(&image, &[large.clone(), small.clone()], &style)[(45, 30)],
            palette::color(1)
        );
        assert_eq!(
            render(&image, &[small, large], &style)[(45, 30)],
            palette::color(0)
        );
    }

    #[test]
    fn lines_and_type_grow_with_the_image() {
        let of = |height, width| LineWeights::of(Size::new(height, width));
        assert_eq!(
            of(64, 64),
            LineWeights {
                line: 1,
                frame: 1,
                casing: 1,
                type_size: 10.0
            }
        );
        assert_eq!(
            of(480, 640),
            LineWeights {
                line: 2,
                frame: 1,
                casing: 1,
                type_size: 17.0
            }
        );
        assert_eq!(
            of(1080, 1920),
            LineWeights {
                line: 3,
                frame: 2,
                casing: 1,
                type_size: 30.0
            }
        );
        assert_eq!(
            of(3000, 4000),
            LineWeights {
                line: 7,
                frame: 4,
                casing: 2,
                type_size: 58.0
            }
        );
    }

    #[test]
    fn an_opacity_out_of_range_is_brought_into_it() {
        let size = Size::new(30, 40);
        let (image, dog) = (photo(size), [detection(size, "dog", 4.0, 6.0, 35.0, 27.0)]);
        let drawn = |mask_opacity| {
            render(
                &image,
                &dog,
                &Style {
                    mask_opacity,
                    ..Style::default()
                },
            )
        };
        assert_eq!(drawn(7.0), drawn(1.0));
        assert_eq!(drawn(-7.0), drawn(0.0));
        assert_eq!(drawn(f32::NAN), drawn(0.0));
    }

    #[test]
    fn boxes_without_a_place_are_left_out_and_the_rest_is_drawn() {
        let size = Size::new(40, 70);
        let nan = f32::NAN;
        let mut lost = detection(size, "lost", 5.0, 6.0, 20.0, 15.0);
        lost.bbox = BBox::new(nan, nan, nan, nan);
        let image = photo(size);
        let drawn = render(&image, std::slice::from_ref(&lost), &Style::default());
        assert_ne!(drawn[(10, 10)], image[(10, 10)], "its mask is drawn");
        assert_eq!(
            drawn,
            render(
                &image,
                &[lost],
                &Style {
                    boxes: false,
                    captions: false,
                    ..Style::default()
                }
            )
        );
    }

    prop_compose! {
        /// Any coordinate, often one that no box should have.
        fn any_edge()(kind in 0..12, near in -50f32..600.0) -> f32 {
            match kind {
                0 => f32::NAN,
                1 => f32::INFINITY,
                2 => f32::NEG_INFINITY,
                3 => f32::MAX,
                4 => 0.0,
                _ => near,
            }
        }
    }

    prop_compose! {
        fn any_detection(size: Size)(
            edges in prop::array::uniform4(any_edge()),
            corner in (0..=size.width, 0..=size.height),
            extent in (0usize..60, 0usize..60),
            pattern in prop::collection::vec(any::<bool>(), 1..40),
            label in "\\PC{0,12}|[a-z ]{0,200}|\\s*",
            score in prop_oneof![Just(0.0f32), Just(1.0), Just(f32::NAN), 0f32..1.0],
        ) -> Detection {
            let height = extent.1.min(size.height - corner.1);
            let region = Size::new(height, extent.0.min(size.width - corner.0));
            let bits = (0..region.area()).map(|i| pattern[i % pattern.len()]).collect();
            let [x1, y1, x2, y2] = edges;
            Detection {
                category_id: 1,
                label: label.into(),
                score,
                bbox: BBox::new(x1, y1, x2, y2),
                mask: Mask::new(size, corner.0, corner.1, region, bits),
            }
        }
    }

    prop_compose! {
        fn any_size()(kind in 0..6, height in 1usize..120, width in 1usize..120) -> Size {
            match kind {
                0 => Size::new(1, 1),
                1 => Size::new(1, 500),
                2 => Size::new(500, 1),
                _ => Size::new(height, width),
            }
        }
    }

    prop_compose! {
        fn any_scene()(size in any_size())(
            detections in prop::collection::vec(any_detection(size), 0..12),
            size in Just(size),
        ) -> (Size, Vec<Detection>) {
            (size, detections)
        }
    }

    proptest! {
        #[test]
        fn any_detections_are_drawn_in_the_size_of_the_image(
            (size, detections) in any_scene(),
        ) {
            let image = photo(size);
            let drawn = render(&image, &detections, &Style::default());
            prop_assert_eq!(drawn.dimensions(), image.dimensions());
            prop_assert_eq!(&drawn, &render(&image, &detections, &Style::default()));
            // Masks of a larger image.
            let [width, height] = [size.width, size.height].map(|side| side as u32);
            let crop = RgbImage::new(width.div_ceil(2), height.div_ceil(3));
            let drawn = render(&crop, &detections, &Style::default());
            prop_assert_eq!(drawn.dimensions(), crop.dimensions());
        }
    }

    #[test]
    fn an_image_without_pixels_can_be_drawn_on() {
        let size = Size::new(10, 10);
        let image = RgbImage::new(0, 0);
        assert_eq!(
            render(
                &image,
                &[detection(size, "dog", 1.0, 1.0, 8.0, 9.0)],
                &Style::default()
            ),
            image
        );
    }
}
