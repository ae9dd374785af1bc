//! Pictures compared with those in `tests/golden/`. To write them anew: `REGENERATE=1 cargo test
//! --release --test program golden`.

use std::path::Path;

use crate::picture::{Tolerance, compare, compare_to_golden};
use image::{Rgb, RgbImage};
use maskrcnn::{
    BBox, Detection, Device, Mask, MaskRcnn, SegmentOptions, Size, Style, Weights, render,
};

/// Channels of drawings may differ by this much. They are the same on all machines that were tried;
/// one step is left for a mathematical library that rounds a square root or a glyph's curve
/// otherwise.
const DRAWING: Tolerance = Tolerance {
    channel: 1,
    pixels: 0.0,
};

/// Whole photos: another processor may compute a mask that is on instead of off where its
/// probability is next to one half, and its outline bends by a pixel there.
const PHOTO: Tolerance = Tolerance {
    channel: 2,
    pixels: 0.001,
};

fn size(image: &RgbImage) -> Size {
    Size::new(image.height() as usize, image.width() as usize)
}

/// A detection whose mask is the ellipse with three bays that fits into its box.
fn detection(
    image: Size,
    label: &str,
    score: f32,
    x1: f32,
    y1: f32,
    x2: f32,
    y2: f32,
) -> Detection {
    let inside = |x: usize, y: usize| {
        let (u, v) = (
            (2.0 * x as f32 + 1.0 - x1 - x2) / (x2 - x1),
            (2.0 * y as f32 + 1.0 - y1 - y2) / (y2 - y1),
        );
        // u³ − 3uv² is the cosine of three times the angle, times the cubed distance from the
        // middle.
        u * u + v * v + 0.2 * (u * u * u - 3.0 * u * v * v) < 0.8
    };
    let (left, top) = (x1.max(0.0) as usize, y1.max(0.0) as usize);
    let region = Size::new(
        (y2 as usize).min(image.height).saturating_sub(top),
        (x2 as usize).min(image.width).saturating_sub(left),
    );
    let bits = (0..region.area())
        .map(|i| inside(left + i % region.width, top + i / region.width))
        .collect();
    let mask = Mask::new(image, left, top, region, bits);
    Detection {
        category_id: 1,
        label: label.into(),
        score,
        bbox: BBox::new(x1, y1, x2, y2),
        mask,
    }
}

/// A photo's stand-in: light at the top left, dark at the bottom right, with a pattern as fine as
/// fabric.
fn backdrop(width: u32, height: u32) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| {
        let light = 235 - 200 * (x * height + y * width) / (2 * width * height);
        let weave = if (x / 4 + y / 4) % 2 == 0 { 8 } else { 0 };
        Rgb([light + weave, light, (light + 20).saturating_sub(weave)].map(|channel| channel as u8))
    })
}

/// Large, nested, overlapping and small objects.
fn street(image: Size) -> Vec<Detection> {
    vec![
        detection(image, "bus", 0.998, 20.0, 30.0, 250.0, 190.0),
        detection(image, "person", 0.984, 180.0, 60.0, 240.0, 220.0),
        detection(image, "dog", 0.951, 225.0, 150.0, 305.0, 225.0),
        detection(image, "person", 0.87, 60.0, 70.0, 95.0, 110.0),
        detection(image, "traffic light", 0.63, 284.0, 8.0, 304.0, 52.0),
    ]
}

#[test]
fn drawing_of_a_street() {
    let image = backdrop(320, 240);
    compare_to_golden(
        "street",
        &render(&image, &street(size(&image)), &Style::default()),
        DRAWING,
    );
}

#[test]
fn drawing_of_a_street_without_boxes_and_with_strong_masks() {
    let image = backdrop(320, 240);
    let style = Style {
        boxes: false,
        mask_opacity: 0.8,
        ..Style::default()
    };
    compare_to_golden(
        "street-no-boxes",
        &render(&image, &street(size(&image)), &style),
        DRAWING,
    );
}

#[test]
fn drawing_of_a_street_without_masks() {
    let image = backdrop(320, 240);
    let style = Style {
        masks: false,
        ..Style::default()
    };
    compare_to_golden(
        "street-no-masks",
        &render(&image, &street(size(&image)), &style),
        DRAWING,
    );
}

#[test]
fn drawing_of_a_street_without_captions() {
    let image = backdrop(320, 240);
    let style = Style {
        captions: false,
        ..Style::default()
    };
    compare_to_golden(
        "street-no-captions",
        &render(&image, &street(size(&image)), &style),
        DRAWING,
    );
}

#[test]
fn drawing_of_a_crowd() {
    let image = backdrop(380, 250);
    let size = size(&image);
    let crowd: Vec<_> = (0..40)
        .map(|i| {
            let (x, y) = ((i * 137 % 350) as f32, (i * 89 % 200) as f32);
            let (width, height) = ((18 + i * 53 % 70) as f32, (24 + i * 31 % 60) as f32);
            let label = ["person", "umbrella", "bicycle", "dog", "backpack"][i % 5];
            detection(
                size,
                label,
                0.99 - 0.012 * i as f32,
                x,
                y,
                x + width,
                y + height,
            )
        })
        .collect();
    compare_to_golden("crowd", &render(&image, &crowd, &Style::default()), DRAWING);
}

#[test]
fn drawing_of_one_object_found_many_times() {
    let image = backdrop(300, 200);
    let size = size(&image);
    let pile: Vec<_> = (0..9)
        .map(|i| {
            let shift = 2.0 * i as f32;
            detection(
                size,
                "bird",
                0.9 - 0.05 * i as f32,
                110.0 + shift,
                60.0 + shift,
                190.0 + shift,
                130.0 + shift,
            )
        })
        .collect();
    compare_to_golden("pile", &render(&image, &pile, &Style::default()), DRAWING);
}

#[test]
fn drawing_in_every_colour_on_white_grey_and_black() {
    let image = RgbImage::from_fn(600, 352, |x, _| Rgb([[255, 128, 0][x as usize / 200]; 3]));
    let size = size(&image);
    let swatches: Vec<_> = (0..32)
        .map(|i| {
            let (x, y) = (75.0 * (i % 8) as f32, 88.0 * (i / 8) as f32);
            detection(
                size,
                &format!("{i}"),
                0.5,
                x + 6.0,
                y + 24.0,
                x + 69.0,
                y + 82.0,
            )
        })
        .collect();
    compare_to_golden(
        "colours",
        &render(&image, &swatches, &Style::default()),
        DRAWING,
    );
}

#[test]
fn drawing_at_the_edges_of_the_image() {
    let image = backdrop(300, 180);
    let size = size(&image);
    let edges = [
        detection(size, "cat", 0.99, -30.0, -20.0, 60.0, 50.0),
        detection(size, "dining table", 0.98, 250.0, -10.0, 340.0, 60.0),
        detection(size, "chair", 0.97, -10.0, 120.0, 40.0, 200.0),
        detection(size, "potted plant", 0.96, 280.0, 130.0, 300.0, 180.0),
        detection(size, "skis", 0.95, 90.0, 174.0, 210.0, 180.0),
        detection(size, "kite", 0.94, 120.0, 0.0, 190.0, 12.0),
    ];
    compare_to_golden("edges", &render(&image, &edges, &Style::default()), DRAWING);
}

#[test]
fn drawing_of_unusual_labels() {
    let image = backdrop(420, 200);
    let size = size(&image);
    let labels = [
        detection(size, "Straßenbahn", 1.0, 20.0, 30.0, 130.0, 90.0),
        detection(size, "ко́шка", 0.0, 160.0, 30.0, 270.0, 90.0),
        detection(size, "猫", 0.5, 300.0, 30.0, 400.0, 90.0),
        detection(
            size,
            "a label that is longer than half of the image",
            0.75,
            20.0,
            130.0,
            130.0,
            190.0,
        ),
        detection(size, "", 0.25, 300.0, 130.0, 400.0, 190.0),
    ];
    compare_to_golden(
        "labels",
        &render(&image, &labels, &Style::default()),
        DRAWING,
    );
}

#[test]
fn drawing_on_a_tiny_image() {
    let image = backdrop(64, 48);
    let size = size(&image);
    let tiny = [
        detection(size, "dog", 0.98, 8.0, 14.0, 40.0, 46.0),
        detection(size, "cat", 0.91, 30.0, 20.0, 62.0, 44.0),
        detection(size, "bird", 0.88, 2.0, 2.0, 12.0, 9.0),
    ];
    compare_to_golden("tiny", &render(&image, &tiny, &Style::default()), DRAWING);
}

#[test]
fn drawing_on_a_narrow_image() {
    let image = backdrop(40, 300);
    let size = size(&image);
    let narrow = [
        detection(size, "giraffe", 0.98, 4.0, 40.0, 36.0, 190.0),
        detection(size, "tie", 0.91, 10.0, 220.0, 30.0, 290.0),
    ];
    compare_to_golden(
        "narrow",
        &render(&image, &narrow, &Style::default()),
        DRAWING,
    );
}

/// The example photos as the program draws them without any option.
#[test]
fn photos_look_as_they_did() {
    let model = MaskRcnn::new(Weights::embedded().unwrap(), Device::Cpu).unwrap();
    for file in [
        "astronaut.png",
        "chelsea.png",
        "dog1.jpg",
        "dog2.jpg",
        "grace_hopper_517x606.jpg",
        "person1.jpg",
    ] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("examples/photos")
            .join(file);
        let photo = image::open(&path).unwrap().to_rgb8();
        let detections = model.segment(&photo, &SegmentOptions::default()).unwrap();
        let name = format!("photo-{}", path.file_stem().unwrap().display());
        compare_to_golden(
            &name,
            &render(&photo, &detections, &Style::default()),
            PHOTO,
        );
    }
}

/// What [`compare`] says of `actual` where the golden is a grey picture of 5×3 pixels, and the
/// folder of failures.
fn compare_with_grey(
    actual: &RgbImage,
    channel: u8,
    pixels: f64,
) -> (Result<(), String>, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let golden = folder.path().join("grey.png");
    RgbImage::from_pixel(5, 3, Rgb([100; 3]))
        .save(&golden)
        .unwrap();
    let tolerance = Tolerance { channel, pixels };
    (
        compare(&golden, actual, tolerance, &folder.path().join("failures")),
        folder,
    )
}

#[test]
fn a_difference_within_the_tolerance_passes() {
    let (outcome, folder) =
        compare_with_grey(&RgbImage::from_pixel(5, 3, Rgb([101, 99, 100])), 1, 0.0);
    assert_eq!(outcome, Ok(()));
    assert!(!folder.path().join("failures").exists());
}

#[test]
fn one_differing_pixel_fails_and_leaves_a_strip_of_pictures() {
    let mut actual = RgbImage::from_pixel(5, 3, Rgb([100; 3]));
    actual[(4, 2)] = Rgb([100, 102, 97]);
    let (outcome, folder) = compare_with_grey(&actual, 1, 0.0);
    let message = outcome.unwrap_err();
    let strip = folder.path().join("failures/grey.png");
    assert!(
        message.contains("1 pixels (allowed: 0) differ by more than 1, one of them by 3"),
        "{message}"
    );
    assert!(message.contains(strip.to_str().unwrap()), "{message}");
    assert!(
        message.contains("REGENERATE=1 cargo test --release --test program golden"),
        "{message}"
    );
    let strip = image::open(strip).unwrap().to_rgb8();
    assert_eq!(strip.dimensions(), (3 * 5 + 2 * 4, 3));
    assert_eq!(strip[(4, 2)], Rgb([100; 3]));
    assert_eq!(
        (strip[(9, 0)], strip[(13, 2)]),
        (Rgb([0; 3]), Rgb([0, 16, 24]))
    );
    assert_eq!(strip[(22, 2)], Rgb([100, 102, 97]));
}

#[test]
fn as_many_pixels_as_are_allowed_may_differ_and_no_more() {
    let mut actual = RgbImage::from_pixel(5, 3, Rgb([100; 3]));
    actual[(1, 0)] = Rgb([0; 3]);
    assert_eq!(compare_with_grey(&actual, 1, 0.07).0, Ok(())); // 0.07 of 15 is one pixel
    actual[(3, 2)] = Rgb([0; 3]);
    assert!(compare_with_grey(&actual, 1, 0.07).0.is_err());
}

#[test]
fn a_picture_of_another_size_fails() {
    let (outcome, folder) = compare_with_grey(&RgbImage::from_pixel(6, 2, Rgb([100; 3])), 255, 1.0);
    let message = outcome.unwrap_err();
    assert!(
        message.contains("it is (6, 2) pixels large instead of (5, 3)"),
        "{message}"
    );
    assert!(folder.path().join("failures/grey.png").exists());
}

#[test]
fn a_missing_golden_fails_and_says_how_to_write_it() {
    let folder = tempfile::tempdir().unwrap();
    let outcome = compare(
        &folder.path().join("new.png"),
        &RgbImage::new(5, 3),
        DRAWING,
        folder.path(),
    );
    let message = outcome.unwrap_err();
    assert!(
        message.contains("new.png") && message.contains("to write it: REGENERATE=1"),
        "{message}"
    );
}
