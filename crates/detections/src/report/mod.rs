//! The JSON file beside each picture: its structs are the schema, `schema/detections-2.schema.json`
//! says the same for other programs. The same image, weights and options give the same bytes: no
//! clock, no host, no duration.

use std::io;

use serde::Serialize;
use serde_json::ser::{Formatter, PrettyFormatter, Serializer};

use crate::detection::Detection;
use crate::geometry::Size;
use crate::options::SegmentOptions;
use crate::rle::Rle;

/// Name of the format, also the `$id` of its JSON Schema. Readers should accept fields that they do
/// not know: the number changes only when a field goes away or changes its meaning.
const SCHEMA: &str = "urn:maskrcnn:detections:2";

/// What was found in one image, by which model, with which options: the content of the JSON file.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    schema: &'static str,
    image: ImageInfo,
    model: ModelInfo,
    options: Options,
    detections: Vec<Entry>,
}

/// The image that a report is about.
#[derive(Clone, Debug, Serialize)]
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
}

/// The model that made a report.
#[derive(Clone, Debug, Serialize)]
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
}

/// [`SegmentOptions`], as they stand in the file: null is "no limit".
#[derive(Clone, Debug, Serialize)]
struct Options {
    score_threshold: f32,
    classes: Option<Vec<String>>,
    max_detections: Option<usize>,
}

/// A detection as COCO's result format has it (`image_id`, `category_id`, `bbox`, `score`,
/// `segmentation`), and more.
#[derive(Clone, Debug, Serialize)]
struct Entry {
    id: usize,
    image_id: u64,
    category_id: u32,
    label: String,
    score: f32,
    /// x, y, width, height.
    bbox: [f64; 4],
    area: usize,
    segmentation: Segmentation,
}

#[derive(Clone, Debug, Serialize)]
struct Segmentation {
    /// Height, width.
    size: [usize; 2],
    counts: String,
}

impl Report {
    /// Reports `detections`, in their order, as what `model` found in `image` with `options`.
    pub fn new(
        image: ImageInfo,
        model: ModelInfo,
        options: &SegmentOptions,
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
}

impl Entry {
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

/// JSON that people can read and `diff` shows well: the outermost object and an array directly in
/// it have a line for each member, everything deeper stays on its line.
#[derive(Default)]
struct LineFormatter {
    pretty: PrettyFormatter<'static>,
    depth: usize,
}

impl LineFormatter {
    const OBJECT_LINES: usize = 1;
    const ARRAY_LINES: usize = 2;
}

impl Formatter for LineFormatter {
    fn begin_object<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.depth += 1;
        if self.depth <= Self::OBJECT_LINES {
            self.pretty.begin_object(writer)
        } else {
            writer.write_all(b"{")
        }
    }

    fn begin_object_key<W: ?Sized + io::Write>(
        &mut self,
        writer: &mut W,
        first: bool,
    ) -> io::Result<()> {
        if self.depth <= Self::OBJECT_LINES {
            self.pretty.begin_object_key(writer, first)
        } else {
            writer.write_all(if first { b"" } else { b", " })
        }
    }

    fn begin_object_value<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        writer.write_all(b": ")
    }

    fn end_object_value<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.pretty.end_object_value(writer)
    }

    fn end_object<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.depth -= 1;
        if self.depth < Self::OBJECT_LINES {
            self.pretty.end_object(writer)
        } else {
            writer.write_all(b"}")
        }
    }

    fn begin_array<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.depth += 1;
        if self.depth <= Self::ARRAY_LINES {
            self.pretty.begin_array(writer)
        } else {
            writer.write_all(b"[")
        }
    }

    fn begin_array_value<W: ?Sized + io::Write>(
        &mut self,
        writer: &mut W,
        first: bool,
    ) -> io::Result<()> {
        if self.depth <= Self::ARRAY_LINES {
            self.pretty.begin_array_value(writer, first)
        } else {
            writer.write_all(if first { b"" } else { b", " })
        }
    }

    fn end_array_value<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.pretty.end_array_value(writer)
    }

    fn end_array<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.depth -= 1;
        if self.depth < Self::ARRAY_LINES {
            self.pretty.end_array(writer)
        } else {
            writer.write_all(b"]")
        }
    }
}

#[cfg(test)]
mod tests;
