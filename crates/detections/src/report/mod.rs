//! The JSON file beside each picture: its structs are the schema, `schema/detections-2.schema.json`
//! says the same for other programs. The same image, weights and options give the same bytes: no
//! clock, no host, no duration.

mod lines;
pub(crate) mod read;

use serde::{Deserialize, Serialize};
use serde_json::ser::Serializer;

use self::lines::LineFormatter;
use crate::detection::Detection;
use crate::geometry::{BBox, Size};
use crate::mask::Mask;
use crate::options::SegmentOptions;
use crate::rle::{Rle, RleError};

/// Name of the format, also the `$id` of its JSON Schema. Readers should accept fields that they do
/// not know: the number changes only when a field goes away or changes its meaning.
const SCHEMA: &str = "urn:maskrcnn:detections:2";

/// What was found in one image, by which model, with which options: the content of the JSON file.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    schema: &'static str,
    image: ImageInfo,
    model: ModelInfo,
    options: Options,
    detections: Vec<Entry>,
}

/// The image that a report is about.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct ImageInfo {
    id: u64,
    source: String,
    sha256: String,
    width: usize,
    height: usize,
}

impl ImageInfo {
    /// `id`: the number that joins results to images, see [`image_id`](crate::image_id); `source`:
    /// the image as the user named it (`-` for standard input); `sha256`: of the file's bytes, in
    /// hex; `size`: of the upright image.
    pub fn new(id: u64, source: &str, sha256: String, size: Size) -> Self {
        Self {
            id,
            source: source.to_owned(),
            sha256,
            width: size.width,
            height: size.height,
        }
    }

    /// The number that joins results to images.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// The image as the user named it.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// SHA-256 of the file's bytes, in hex.
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    /// The size of the upright image.
    pub fn size(&self) -> Size {
        Size::new(self.height, self.width)
    }
}

/// The model that made a report.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct ModelInfo {
    family: String,
    file: String,
    sha256: String,
    labels: Vec<String>,
}

impl ModelInfo {
    /// `family`: the name of the model's family; `file`: the name of the weights file, without its
    /// folder; `sha256`: of that file, in hex; `labels`: the classes that the model can find.
    pub fn new<'a>(
        family: &str,
        file: &str,
        sha256: String,
        labels: impl IntoIterator<Item = &'a str>,
    ) -> Self {
        let labels = labels.into_iter().map(str::to_owned).collect();
        Self {
            family: family.to_owned(),
            file: file.to_owned(),
            sha256,
            labels,
        }
    }

    /// SHA-256 of the weights, in hex.
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    /// The classes that the model can find.
    pub fn labels(&self) -> &[String] {
        &self.labels
    }
}

/// [`SegmentOptions`], as they stand in the file: null is "no limit".
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
struct Options {
    score_threshold: f32,
    classes: Option<Vec<String>>,
    max_detections: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    digest: Option<String>,
}

/// A detection as COCO's result format has it (`image_id`, `category_id`, `bbox`, `score`,
/// `segmentation`), and more.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Entry {
    /// Its place in the list, from 1.
    pub id: usize,
    /// The image's number.
    pub image_id: u64,
    /// The class's number in the data set that the model was trained on.
    pub category_id: u32,
    /// The class's name.
    pub label: String,
    /// Confidence, 0 to 1.
    pub score: f32,
    /// x, y, width, height, in pixels of the image, rounded to thousandths.
    pub bbox: [f64; 4],
    /// Pixels of the mask.
    pub area: usize,
    /// The mask.
    pub segmentation: Segmentation,
}

/// A mask as compressed run lengths.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Segmentation {
    /// Height, width.
    pub size: [usize; 2],
    /// [`Rle::compressed`].
    pub counts: String,
}

impl Report {
    /// Reports `detections`, in their order, as what `model` found in `image` with `options`.
    /// `digest`: of all options of the program that made it, by which it knows its own results; none
    /// where nobody asks.
    pub fn new(
        image: ImageInfo,
        model: ModelInfo,
        options: &SegmentOptions,
        digest: Option<&str>,
        detections: &[Detection],
    ) -> Self {
        let detections = detections
            .iter()
            .zip(1..)
            .map(|(detection, id)| Entry::new(detection, id, image.id))
            .collect();
        let SegmentOptions {
            score_threshold,
            classes,
            max_detections,
        } = options.clone();
        let options = Options {
            score_threshold,
            classes,
            max_detections,
            digest: digest.map(str::to_owned),
        };
        Self {
            schema: SCHEMA,
            image,
            model,
            options,
            detections,
        }
    }

    /// The report as JSON text, a detection a line, with a newline at the end.
    pub fn to_json(&self) -> String {
        let mut bytes = Vec::new();
        let mut serializer = Serializer::with_formatter(&mut bytes, LineFormatter::default());
        self.serialize(&mut serializer)
            .expect("plain data with string keys always serializes into memory");
        bytes.push(b'\n');
        String::from_utf8(bytes).expect("serde_json writes UTF-8")
    }

    /// The report as one line of JSON, without its end.
    pub fn to_json_line(&self) -> String {
        line(self)
    }

    /// The image.
    pub fn image(&self) -> &ImageInfo {
        &self.image
    }

    /// The model.
    pub fn model(&self) -> &ModelInfo {
        &self.model
    }

    /// What all options of the program add up to, when the report says so.
    pub fn digest(&self) -> Option<&str> {
        self.options.digest.as_deref()
    }

    /// The lowest score that was asked for, 0 to 1.
    pub fn score_threshold(&self) -> f32 {
        self.options.score_threshold
    }

    /// What was found, in the order in which it is listed.
    pub fn entries(&self) -> &[Entry] {
        &self.detections
    }

    /// What was found, as data to work with. Boxes are those of the file, whose corners are rounded
    /// to thousandths of a pixel.
    pub fn detections(&self) -> Vec<Detection> {
        self.detections.iter().map(Entry::detection).collect()
    }
}

/// Plain data as one line of JSON, without its end.
pub(crate) fn line(data: &impl Serialize) -> String {
    serde_json::to_string(data).expect("plain data with string keys always serializes into memory")
}

impl Entry {
    fn detection(&self) -> Detection {
        let [x, y, width, height] = self.bbox;
        Detection {
            category_id: self.category_id,
            label: self.label.as_str().into(),
            score: self.score,
            bbox: BBox::new(x as f32, y as f32, (x + width) as f32, (y + height) as f32),
            mask: self.checked_mask(),
        }
    }

    /// The mask.
    ///
    /// # Errors
    ///
    /// When the run lengths are none, which those of a [`Report`]'s entries are not.
    pub fn mask(&self) -> Result<Mask, RleError> {
        let [height, width] = self.segmentation.size;
        let rle = Rle::from_compressed(Size::new(height, width), &self.segmentation.counts)?;
        Ok(rle.to_mask())
    }

    /// The mask of an entry that stands in a report.
    pub(crate) fn checked_mask(&self) -> Mask {
        self.mask()
            .expect("a report's masks are made of masks, or were checked when it was read")
    }

    fn new(detection: &Detection, id: usize, image_id: u64) -> Self {
        let (bbox, rle) = (detection.bbox, Rle::of(&detection.mask));
        Self {
            id,
            image_id,
            category_id: detection.category_id,
            label: detection.label.to_string(),
            score: detection.score,
            bbox: [bbox.x1, bbox.y1, bbox.width(), bbox.height()].map(thousandths),
            area: detection.mask.area(),
            segmentation: Segmentation {
                size: [rle.size.height, rle.size.width],
                counts: rle.compressed(),
            },
        }
    }
}

/// Rounded to a thousandth of a pixel. What lies below is noise (an f32 subtraction at 4000 pixels
/// is good for a quarter of a thousandth), and it would be printed: 30.999998.
fn thousandths(pixels: f32) -> f64 {
    (f64::from(pixels) * 1000.0).round() / 1000.0
}

#[cfg(test)]
pub(crate) mod tests;
