//! The embedded network on the example photos against torchvision's own run of it, through the
//! library's public face.
//!
//! Stage by stage, on decoded pixels, the comparison stands in `crates/maskrcnn/src/detector/parity.rs`. Here the
//! photos are decoded too: losslessly for PNG; for JPEG by another decoder than torchvision's was
//! fed by (Pillow's libjpeg-turbo), whose pixels differ by a level or two.

use maskrcnn::{Device, MaskRcnn, SegmentOptions, Weights};
use serde_json::Value;

use crate::repository::repository;

/// How far a photo's detections may be from torchvision's.
struct Tolerance {
    /// Original pixels.
    bbox: f64,
    score: f64,
    /// Of the mask's area.
    area: f64,
}

const LOSSLESS: Tolerance = Tolerance {
    bbox: 0.05,
    score: 1e-4,
    area: 0.001,
};
const JPEG: Tolerance = Tolerance {
    bbox: 2.0,
    score: 0.01,
    area: 0.01,
};

/// Detections that a level of brightness does not make or break: those that are reported when nobody
/// says otherwise.
const CERTAIN: f32 = 0.5;

#[test]
fn the_example_photos_show_what_torchvision_finds_in_them() {
    let expected = std::fs::read(repository("tests/fixtures/parity/compact-photos.json")).unwrap();
    let expected: Value = serde_json::from_slice(&expected).unwrap();
    let model = MaskRcnn::new(Weights::embedded().unwrap(), Device::Cpu).unwrap();
    let options = SegmentOptions {
        score_threshold: CERTAIN,
        ..SegmentOptions::default()
    };
    let photos = expected.as_object().unwrap();
    assert_eq!(photos.len(), 6);
    for (name, expected) in photos {
        let photo = image::open(repository("examples/photos").join(name))
            .unwrap()
            .to_rgb8();
        let found = model.segment(&photo, &options).unwrap();
        let score = |detection: &Value| detection["score"].as_f64().unwrap();
        let expected: Vec<&Value> = expected
            .as_array()
            .unwrap()
            .iter()
            .filter(|d| score(d) >= f64::from(CERTAIN))
            .collect();
        assert!(!expected.is_empty(), "{name} shows nothing");
        assert_eq!(found.len(), expected.len(), "{name}: number of detections");
        let most = if name.ends_with(".png") {
            LOSSLESS
        } else {
            JPEG
        };
        for (found, expected) in found.iter().zip(expected) {
            assert_eq!(*found.label, *expected["label"].as_str().unwrap(), "{name}");
            let score = (f64::from(found.score) - score(expected)).abs();
            assert!(
                score <= most.score,
                "{name}: score of {} is off by {score}",
                found.label
            );
            let edges = [found.bbox.x1, found.bbox.y1, found.bbox.x2, found.bbox.y2];
            for (found, expected) in edges.iter().zip(expected["box_xyxy"].as_array().unwrap()) {
                let apart = (f64::from(*found) - expected.as_f64().unwrap()).abs();
                assert!(
                    apart <= most.bbox,
                    "{name}: an edge is off by {apart} pixels"
                );
            }
            let area = expected["area"].as_f64().unwrap();
            let apart = (found.mask.area() as f64 - area).abs() / area;
            assert!(
                apart <= most.area,
                "{name}: the mask of {} is off by {apart} of its area",
                found.label
            );
        }
    }
}
