//! What the options of a segmentation do, and images that are hard to segment, through the
//! library's public face.

use std::path::Path;

use image::{Rgb, RgbImage};
use maskrcnn::{Detection, Device, Error, MaskRcnn, SegmentOptions, Stage, Weights};

fn model() -> MaskRcnn {
    MaskRcnn::new(Weights::embedded().unwrap(), Device::Cpu).unwrap()
}

fn photo(file: &str) -> RgbImage {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("examples/photos")
        .join(file);
    image::open(path).unwrap().to_rgb8()
}

fn everything() -> SegmentOptions {
    SegmentOptions {
        score_threshold: 0.0,
        ..SegmentOptions::default()
    }
}

/// Asserts that `part` are those of `whole` that `chosen` names, unchanged. Masks are computed for
/// what is reported only, in batches of other sizes, so a pixel whose probability is next to one
/// half may differ.
fn assert_chosen(part: &[Detection], whole: &[Detection], chosen: impl Fn(&Detection) -> bool) {
    let expected: Vec<&Detection> = whole.iter().filter(|detection| chosen(detection)).collect();
    assert!(
        !expected.is_empty() && expected.len() < whole.len(),
        "{} of {}",
        expected.len(),
        whole.len()
    );
    assert_eq!(part.len(), expected.len());
    for (found, expected) in part.iter().zip(expected) {
        assert_eq!(
            (&found.label, found.score, found.bbox),
            (&expected.label, expected.score, expected.bbox)
        );
        assert!(found.mask.iou(&expected.mask) > 0.999, "{}", found.label);
    }
}

#[test]
fn options_choose_among_what_is_found_and_change_nothing_of_it() {
    let (model, photo) = (model(), photo("person1.jpg"));
    let whole = model.segment(&photo, &everything()).unwrap();
    assert!(whole.windows(2).all(|pair| pair[0].score >= pair[1].score));

    let sure = SegmentOptions {
        score_threshold: 0.3,
        ..everything()
    };
    assert_chosen(
        &model.segment(&photo, &sure).unwrap(),
        &whole,
        |detection| detection.score >= 0.3,
    );

    let people = SegmentOptions {
        classes: Some(vec!["Person".to_owned()]),
        ..everything()
    };
    assert_chosen(
        &model.segment(&photo, &people).unwrap(),
        &whole,
        |detection| &*detection.label == "person",
    );

    let three = SegmentOptions {
        max_detections: Some(3),
        ..everything()
    };
    assert_chosen(
        &model.segment(&photo, &three).unwrap(),
        &whole,
        |detection| detection.score >= whole[2].score,
    );
}

#[test]
fn the_same_image_gives_the_same_detections_to_the_bit() {
    let (model, photo) = (model(), photo("chelsea.png"));
    assert_eq!(
        model.segment(&photo, &everything()).unwrap(),
        model.segment(&photo, &everything()).unwrap()
    );
}

#[test]
fn every_stage_is_announced_once_in_the_order_of_the_pipeline() {
    let mut stages = Vec::new();
    model()
        .segment_observed(&photo("dog2.jpg"), &everything(), &mut |stage| {
            stages.push(stage)
        })
        .unwrap();
    use Stage::{Backbone, BoxHead, FeaturePyramid, MaskHead, PasteMasks, Proposals, Transform};
    assert_eq!(
        stages,
        [
            Transform,
            Backbone,
            FeaturePyramid,
            Proposals,
            BoxHead,
            MaskHead,
            PasteMasks
        ]
    );
}

#[test]
fn nothing_in_the_image_is_no_error() {
    let model = model();
    for (width, height) in [(1, 1), (1, 700), (700, 1), (3, 2), (64, 48), (2000, 31)] {
        for colour in [0, 127, 255] {
            let flat = RgbImage::from_pixel(width, height, Rgb([colour; 3]));
            let found = model.segment(&flat, &SegmentOptions::default()).unwrap();
            for detection in &found {
                let b = detection.bbox;
                assert!(
                    b.x1 >= 0.0
                        && b.y1 >= 0.0
                        && b.x2 <= width as f32 + 0.01
                        && b.y2 <= height as f32 + 0.01
                );
            }
        }
    }
}

#[test]
fn photos_squeezed_to_a_line_or_a_pixel_give_boxes_inside_them() {
    let model = model();
    let photo = photo("dog1.jpg");
    // The first four are thinner than torchvision can resize, the next three than its pooling scale
    // is right for.
    for (width, height) in [
        (20_000, 1),
        (1, 20_000),
        (3, 2_000),
        (9_000, 16),
        (1, 500),
        (900, 2),
        (20, 900),
        (1, 1),
    ] {
        let thin =
            image::imageops::resize(&photo, width, height, image::imageops::FilterType::Nearest);
        for detection in model.segment(&thin, &everything()).unwrap() {
            let b = detection.bbox;
            let inside = |low: f32, high: f32, side: u32| {
                low >= 0.0 && low <= high && high <= side as f32 * 1.000_001
            };
            assert!(
                inside(b.x1, b.x2, width) && inside(b.y1, b.y2, height),
                "{width}×{height}: {b:?}"
            );
            assert!(
                (0.0..=1.0).contains(&detection.score),
                "{width}×{height}: {}",
                detection.score
            );
            let size = detection.mask.image();
            assert_eq!((size.width, size.height), (width as usize, height as usize));
        }
    }
}

#[test]
fn an_image_without_pixels_and_an_unknown_class_are_errors() {
    let model = model();
    let error = model
        .segment(&RgbImage::new(5, 0), &everything())
        .unwrap_err();
    assert!(
        matches!(
            error,
            Error::Image {
                width: 5,
                height: 0,
                ..
            }
        ),
        "{error}"
    );
    let dogs = SegmentOptions {
        classes: Some(vec!["dgo".to_owned()]),
        ..everything()
    };
    for error in [
        model.check(&dogs).unwrap_err(),
        model.segment(&photo("dog1.jpg"), &dogs).unwrap_err(),
    ] {
        assert!(
            error
                .to_string()
                .starts_with("unknown class `dgo`, did you mean `dog`?"),
            "{error}"
        );
    }
}

#[test]
fn an_absent_device_is_an_error_that_says_what_there_is() {
    // No machine has this many.
    let error = MaskRcnn::new(Weights::embedded().unwrap(), Device::Cuda(4096)).unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("device `cuda:4096` cannot be used: "),
        "{error}"
    );
}
