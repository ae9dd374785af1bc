//! COCO's two formats over many images: a list of results, and a whole data set. Each is written
//! piece by piece, so that ten thousand images need no more memory than one.

use serde::Serialize;

use super::polygons::{Polygon, polygons};
use crate::report::{Entry, Report, line};

/// What stands before the first entry of a list, between two, and behind the last.
pub const BEFORE: &str = "[\n";
/// Between two entries.
pub const BETWEEN: &str = ",\n";
/// Behind the last entry.
pub const BEHIND: &str = "\n]\n";

/// Ids of annotations of one image begin at its place times this: more than any network finds in an
/// image, and small enough that a million images have numbers that every reader of JSON keeps.
const IDS_OF_AN_IMAGE: u64 = 10_000;

/// x, y, x, y, … of each polygon.
type Polygons = Vec<Vec<Number>>;

/// A coordinate, without a fraction where it has none.
#[derive(Serialize)]
#[serde(untagged)]
enum Number {
    Whole(i64),
    Any(f64),
}

#[derive(Serialize)]
struct Result<'a> {
    id: usize,
    image_id: u64,
    category_id: u32,
    label: &'a str,
    score: f32,
    bbox: [f64; 4],
    area: usize,
    segmentation: Polygons,
}

/// The entries of a results list that an image has, each in one line, as pycocotools'
/// `COCO.loadRes` reads them: masks as run lengths.
pub fn results(report: &Report) -> Vec<String> {
    report.entries().iter().map(line).collect()
}

/// The same with masks as polygons, whose corners leave them by at most `tolerance` pixels, in a
/// list of its own: the text of a file. An object without pixels is left out, as COCO has no polygon
/// for it.
pub fn polygon_results(report: &Report, tolerance: f64) -> String {
    let entries = report.entries().iter().filter(|entry| entry.area > 0);
    let lines = entries.map(|entry| {
        line(&Result {
            id: entry.id,
            image_id: entry.image_id,
            category_id: entry.category_id,
            label: &entry.label,
            score: entry.score,
            bbox: entry.bbox,
            area: entry.area,
            segmentation: coordinates(entry, tolerance),
        })
    });
    list(lines.collect())
}

/// Entries as the text of a list.
pub fn list(lines: Vec<String>) -> String {
    if lines.is_empty() {
        return "[]\n".to_owned();
    }
    format!("{BEFORE}{}{BEHIND}", lines.join(BETWEEN))
}

fn coordinates(entry: &Entry, tolerance: f64) -> Polygons {
    let flat = |polygon: Polygon| {
        let numbers = polygon.into_iter().flat_map(|(x, y)| [x, y]);
        numbers.map(number).collect()
    };
    let polygons = polygons(&entry.checked_mask(), tolerance);
    polygons.into_iter().map(flat).collect()
}

fn number(value: f64) -> Number {
    if value.fract() == 0.0 && value.abs() < 1e15 {
        Number::Whole(value as i64)
    } else {
        Number::Any(value)
    }
}

#[derive(Serialize)]
struct Image<'a> {
    id: u64,
    file_name: &'a str,
    width: usize,
    height: usize,
}

#[derive(Serialize)]
struct Annotation {
    id: u64,
    image_id: u64,
    category_id: u32,
    bbox: [f64; 4],
    area: usize,
    iscrowd: u8,
    segmentation: Polygons,
    score: f32,
}

#[derive(Serialize)]
struct Category<'a> {
    id: u32,
    name: &'a str,
    supercategory: &'static str,
}

/// The entry of an image in a data set, in one line. `file_name`: its path from the folder of the
/// images on.
pub fn image(report: &Report, file_name: &str) -> String {
    let image = report.image();
    line(&Image {
        id: image.id(),
        file_name,
        width: image.size().width,
        height: image.size().height,
    })
}

/// The entries of its objects, each in one line, with masks as polygons, whose corners leave them by
/// at most `tolerance` pixels; an object without pixels is left out. `place`: of the image among all
/// images of the data set, from 0, by which its objects have their ids.
pub fn annotations(report: &Report, place: usize, tolerance: f64) -> Vec<String> {
    let entries = report.entries().iter().filter(|entry| entry.area > 0);
    let lines = entries.map(|entry| {
        line(&Annotation {
            id: place as u64 * IDS_OF_AN_IMAGE + entry.id as u64,
            image_id: entry.image_id,
            category_id: entry.category_id,
            bbox: entry.bbox,
            area: entry.area,
            iscrowd: 0,
            segmentation: coordinates(entry, tolerance),
            score: entry.score,
        })
    });
    lines.collect()
}

/// What stands in a data set before its first image, between images and annotations, and behind the
/// last annotation. `classes`: the numbers and names of all classes that the network can find.
pub struct DataSet {
    /// Up to the list of images.
    pub head: String,
    /// Between that list and the list of annotations.
    pub middle: &'static str,
    /// Behind the annotations.
    pub end: &'static str,
}

impl DataSet {
    /// The frame of a data set.
    pub fn new<'a>(classes: impl IntoIterator<Item = (u32, &'a str)>) -> Self {
        let categories = classes.into_iter().map(|(id, name)| {
            line(&Category {
                id,
                name,
                supercategory: "",
            })
        });
        let categories = list(categories.collect());
        let head = format!(
            "{{\"info\": {{\"description\": \"{DESCRIPTION}\", \"version\": \"1\"}},\n\
             \"licenses\": [],\n\"categories\": {},\n\"images\": ",
            categories.trim_end()
        );
        Self {
            head,
            middle: ",\n\"annotations\": ",
            end: "}\n",
        }
    }
}

/// By which a data set of this program is known.
pub const DESCRIPTION: &str = "Found by maskrcnn";

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn report() -> Report {
        crate::report::tests::sample()
    }

    #[test]
    fn results_are_the_entries_of_the_report() {
        let read: Value = serde_json::from_str(&list(results(&report()))).unwrap();
        let expected: Value = serde_json::from_str(&report().to_json()).unwrap();
        assert_eq!(read, expected["detections"]);
        assert_eq!(list(Vec::new()), "[]\n");
    }

    #[test]
    fn a_data_set_has_images_categories_and_annotations() {
        let report = report();
        let frame = DataSet::new([(1, "person"), (18, "a \"dog\"")]);
        let images = list(vec![image(&report, "a/b \u{1}.jpg")]);
        let annotations = list(annotations(&report, 3, 0.0));
        let text = format!(
            "{}{}{}{}{}",
            frame.head,
            images.trim_end(),
            frame.middle,
            annotations.trim_end(),
            frame.end
        );
        let read: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(
            read["categories"][1],
            json!({"id": 18, "name": "a \"dog\"", "supercategory": ""})
        );
        assert_eq!(read["images"][0]["file_name"], "a/b \u{1}.jpg");
        assert_eq!(read["images"][0]["id"], report.image().id());
        let annotations = read["annotations"].as_array().unwrap();
        let with_pixels = report.entries().iter().filter(|entry| entry.area > 0);
        assert_eq!(annotations.len(), with_pixels.count());
        assert_eq!(annotations[0]["id"], 30_001);
        assert_eq!(annotations[0]["iscrowd"], 0);
        assert!(annotations[0]["segmentation"][0].as_array().unwrap().len() >= 6);
        // COCO's own polygons have whole numbers as such.
        assert!(annotations[0]["segmentation"][0][0].is_u64());
    }

    #[test]
    fn polygons_stand_in_place_of_run_lengths() {
        let read: Value = serde_json::from_str(&polygon_results(&report(), 1.0)).unwrap();
        let first = &read[0];
        assert!(first["segmentation"].is_array());
        assert_eq!(first["score"], json!(0.98));
        let empty = report()
            .entries()
            .iter()
            .filter(|entry| entry.area == 0)
            .count();
        assert_eq!(
            read.as_array().unwrap().len() + empty,
            report().entries().len()
        );
    }
}
