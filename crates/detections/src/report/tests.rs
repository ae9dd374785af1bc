//! The JSON file: its bytes, its schema, and the copy that
//! pycocotools has read.

use std::{fs, sync::Arc};

use super::{ImageInfo, ModelInfo, Report};
use crate::detection::Detection;
use crate::geometry::{BBox, Size};
use crate::image_id;
use crate::mask::Mask;
use crate::options::SegmentOptions;
use serde_json::{Value, json};

const IMAGE: Size = Size::new(30, 50);

/// An ellipse, stored for its rectangle, in an image of 50×30.
fn detection(
    label: &str,
    category_id: u32,
    score: f32,
    (left, top): (usize, usize),
    region: Size,
) -> Detection {
    let inside = |x: usize, y: usize| {
        let (u, v) = (
            (x as f32 + 0.5) / region.width as f32 - 0.5,
            (y as f32 + 0.5) / region.height as f32 - 0.5,
        );
        u * u + v * v <= 0.25
    };
    let bits = (0..region.area())
        .map(|i| inside(i % region.width, i / region.width))
        .collect();
    let (x, y) = (left as f32 + 0.1, top as f32 + 0.7);
    Detection {
        category_id,
        label: Arc::from(label),
        score,
        bbox: BBox::new(
            x,
            y,
            x + region.width as f32,
            y + region.height as f32 - 1.5,
        ),
        mask: Mask::new(IMAGE, left, top, region, bits),
    }
}

/// A report of three objects, the last of which has no pixels.
pub(crate) fn sample() -> Report {
    made(&SegmentOptions::default(), &detections())
}

fn report(options: &SegmentOptions, detections: &[Detection]) -> String {
    made(options, detections).to_json()
}

fn made(options: &SegmentOptions, detections: &[Detection]) -> Report {
    let sha256 = "89abcdef".repeat(8);
    let labels = ["person", "dog", "potted plant"];
    let model = ModelInfo::new("compact", "compact.safetensors", sha256, labels);
    let source = "photos/000000000139.jpg";
    let id = image_id::of_name("000000000139.jpg").unwrap();
    let image = ImageInfo::new(id, source, "0123456789abcdef".repeat(4), IMAGE);
    Report::new(image, model, options, None, detections)
}

fn detections() -> Vec<Detection> {
    vec![
        detection("dog", 18, 0.98, (3, 5), Size::new(20, 31)),
        detection("potted plant", 64, 0.50000006, (38, 0), Size::new(30, 12)),
        Detection {
            mask: Mask::empty(IMAGE),
            ..detection("person", 1, 0.5, (40, 2), Size::new(9, 4))
        },
    ]
}

fn schema() -> Value {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../schema/detections-2.schema.json"
    );
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

/// Makes every object of the schema refuse fields that it does not describe: readers must accept
/// them, we must not write any.
fn close(schema: &mut Value) {
    match schema {
        Value::Object(members) => {
            if members.contains_key("properties") {
                members.insert("additionalProperties".to_owned(), json!(false));
            }
            members.values_mut().for_each(close);
        }
        Value::Array(items) => items.iter_mut().for_each(close),
        _ => {}
    }
}

fn assert_valid(text: &str) {
    let mut schema = schema();
    close(&mut schema);
    let validator = jsonschema::draft202012::new(&schema).unwrap();
    let errors: Vec<_> = validator
        .iter_errors(&serde_json::from_str(text).unwrap())
        .map(|error| error.to_string())
        .collect();
    assert!(errors.is_empty(), "{errors:#?}\n{text}");
}

#[test]
fn the_schema_is_a_valid_schema() {
    assert!(jsonschema::meta::is_valid(&schema()));
}

#[test]
fn reports_validate_and_hold_only_what_the_schema_describes() {
    assert_valid(&report(&SegmentOptions::default(), &detections()));
    assert_valid(&report(&SegmentOptions::default(), &[]));
    let classes = Some(vec!["dog".to_owned(), "potted plant".to_owned()]);
    let narrowed = SegmentOptions {
        score_threshold: 0.25,
        classes,
        max_detections: Some(3),
    };
    assert_valid(&report(&narrowed, &detections()));
}

#[test]
fn the_schema_refuses_a_report_with_any_field_left_out() {
    fn paths(value: &Value, path: &str, found: &mut Vec<(String, String)>) {
        match value {
            Value::Object(members) => {
                for (key, member) in members {
                    found.push((path.to_owned(), key.clone()));
                    paths(member, &format!("{path}/{key}"), found);
                }
            }
            Value::Array(items) => {
                items
                    .iter()
                    .enumerate()
                    .for_each(|(i, item)| paths(item, &format!("{path}/{i}"), found));
            }
            _ => {}
        }
    }
    let validator = jsonschema::draft202012::new(&schema()).unwrap();
    let report: Value =
        serde_json::from_str(&report(&SegmentOptions::default(), &detections())).unwrap();
    let mut found = Vec::new();
    paths(&report, "", &mut found);
    assert_eq!(found.len(), 5 + 5 + 4 + 3 + 3 * (8 + 2));
    for (path, key) in found {
        let mut without = report.clone();
        without
            .pointer_mut(&path)
            .unwrap()
            .as_object_mut()
            .unwrap()
            .remove(&key);
        assert!(!validator.is_valid(&without), "{path}/{key}");
    }
}

/// `tests/reference/check_report.py` has pycocotools load, decode and measure the same file. After
/// a change that is meant: `REGENERATE=1 cargo test --release -p detections`, then run that script.
#[expect(clippy::disallowed_methods, reason = "asked to write the file anew")]
#[test]
fn the_file_is_byte_for_byte_the_one_that_pycocotools_has_read() {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../tests/fixtures/report.json"
    );
    let text = report(&SegmentOptions::default(), &detections());
    // Without the model's line, which changes with the embedded weights.
    let found: String = text
        .split_inclusive('\n')
        .filter(|line| !line.starts_with("  \"model\": "))
        .collect();
    if std::env::var_os("REGENERATE").is_some() {
        fs::write(path, &found).unwrap();
    }
    assert_eq!(found, fs::read_to_string(path).unwrap());
}

#[test]
fn numbers_are_short_and_nothing_found_is_an_empty_array() {
    let text = report(
        &SegmentOptions {
            score_threshold: 0.3,
            ..Default::default()
        },
        &detections(),
    );
    assert!(text.contains(r#""score_threshold": 0.3,"#), "{text}");
    assert!(
        text.contains(r#""score": 0.98, "bbox": [3.1, 5.7, "#),
        "{text}"
    );
    assert!(text.contains(r#""score": 0.50000006, "#), "{text}");
    assert!(report(&SegmentOptions::default(), &[]).ends_with("\"detections\": []\n}\n"));
}

#[test]
fn each_detection_has_a_line_of_its_own() {
    let text = report(&SegmentOptions::default(), &detections());
    for (i, detection) in detections().iter().enumerate() {
        let line = text
            .lines()
            .find(|line| line.starts_with(&format!("    {{\"id\": {}, ", i + 1)))
            .unwrap();
        let entry: Value = serde_json::from_str(line.trim_end_matches(',')).unwrap();
        assert_eq!(entry["label"], *detection.label);
        assert_eq!(entry["area"], detection.mask.area());
        assert_eq!(entry["image_id"], 139);
    }
}
