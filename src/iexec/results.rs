//! The files that a task leaves beside its pictures: the one whose digest workers must agree on,
//! and `computed.json`.

use std::cmp::Reverse;

use anyhow::{Error, Result};
use serde::{Serialize, Serializer};

use super::blame::{self, Blame};
use super::callback;
use crate::app::{Done, Outcome};
use crate::cli::Options;
use crate::output::OutputDir;

/// Names of the formats: a number changes when a field goes away or changes its meaning.
const CONSENSUS_SCHEMA: &str = "urn:maskrcnn:consensus:1";
const ERROR_SCHEMA: &str = "urn:maskrcnn:error:1";

/// What the worker looks for.
pub const COMPUTED: &str = "computed.json";

/// The files that say how a task ended.
pub const NAMES: [&str; 3] = [COMPUTED, "consensus.json", "error.json"];

/// What workers must agree on about an object: nothing finer than a hundredth of a score and a
/// pixel.
#[derive(Debug, Serialize)]
pub struct AgreedDetection {
    pub label: String,
    #[serde(skip)]
    pub category_id: u32,
    /// The score in hundredths, written as a number from 0 to 1.
    #[serde(rename = "score", serialize_with = "as_fraction")]
    pub hundredths: u16,
    /// x1, y1, x2, y2 in whole pixels of the image.
    #[serde(rename = "box")]
    pub bbox: [i64; 4],
}

/// An image that was done.
#[derive(Debug, Serialize)]
pub struct ImageResult {
    /// The number that its files are named by.
    image: usize,
    pub sha256: String,
    width: usize,
    height: usize,
    pub detections: Vec<AgreedDetection>,
}

impl ImageResult {
    fn new(image: usize, done: Done) -> Self {
        let Done {
            sha256,
            size,
            found,
        } = done;
        let whole = |pixels: f32| pixels.round() as i64;
        let agreed = found.into_iter().map(|found| AgreedDetection {
            label: found.label.to_string(),
            category_id: found.category_id,
            hundredths: (f64::from(found.score) * 100.0).round() as u16,
            bbox: [found.bbox.x1, found.bbox.y1, found.bbox.x2, found.bbox.y2].map(whole),
        });
        Self::agreed(image, &sha256, [size.width, size.height], agreed.collect())
    }

    /// Image `image` of `[width, height]`, with its detections in their order.
    pub fn agreed(
        image: usize,
        sha256: &str,
        [width, height]: [usize; 2],
        mut detections: Vec<AgreedDetection>,
    ) -> Self {
        // By what is written, and only then by the class's number, which callback data have instead
        // of the label.
        detections.sort_by(|a, b| {
            let (first, second) = (
                (Reverse(a.hundredths), &a.label, a.bbox),
                (Reverse(b.hundredths), &b.label, b.bbox),
            );
            first.cmp(&second).then(a.category_id.cmp(&b.category_id))
        });
        Self {
            image,
            sha256: sha256.to_owned(),
            width,
            height,
            detections,
        }
    }
}

/// An image, or the whole task, that was not done through the requester's fault.
#[derive(Debug, Serialize)]
struct Failure {
    /// The image's number; none when it is all about the task.
    #[serde(skip_serializing_if = "Option::is_none")]
    image: Option<usize>,
    #[serde(flatten)]
    blame: Blame,
}

/// What a task came to.
#[derive(Debug)]
pub struct Results {
    /// SHA-256 of the weights, in hex, when they were read.
    weights: Option<String>,
    images: Vec<ImageResult>,
    failures: Vec<Failure>,
    /// The failures' full sentences.
    messages: Vec<String>,
    /// Whether a contract waits for the result.
    callback: bool,
}

impl Results {
    /// Of a run that came to its end. None when something failed that is not the requester's fault.
    pub fn new(outcome: Outcome, options: &Options) -> Option<Self> {
        let mut results = Self::empty(options.callback);
        results.weights = Some(outcome.weights);
        let numbers = options.numbers.iter().flatten().copied();
        for (image, done) in numbers.zip(outcome.images) {
            match done {
                Ok(done) => results.images.push(ImageResult::new(image, done)),
                Err(error) => results.fail(Some(image), &error)?,
            }
        }
        Some(results)
    }

    /// Of a task that failed as a whole. None when it is not the requester's fault.
    pub fn failed(error: &Error, callback: bool) -> Option<Self> {
        let mut results = Self::empty(callback);
        results.fail(None, error)?;
        Some(results)
    }

    fn empty(callback: bool) -> Self {
        Self {
            weights: None,
            images: Vec::new(),
            failures: Vec::new(),
            messages: Vec::new(),
            callback,
        }
    }

    fn fail(&mut self, image: Option<usize>, error: &Error) -> Option<()> {
        let blame = blame::of(error)?;
        self.failures.push(Failure { image, blame });
        self.messages.push(format!("{error:#}"));
        Some(())
    }

    /// Writes `consensus.json`, or `error.json` when something failed, and after it
    /// `computed.json`, which points to it. True when nothing failed.
    pub fn write(&self, output: &OutputDir) -> Result<bool> {
        let succeeded = self.failures.is_empty();
        let agreed = if succeeded {
            let document = Consensus {
                schema: CONSENSUS_SCHEMA,
                weights: self.weights.as_deref(),
                images: &self.images,
            };
            (output.path("consensus", "json"), json(&document))
        } else {
            let document = Errors {
                schema: ERROR_SCHEMA,
                errors: &self.failures,
                images: &self.images,
            };
            (output.path("error", "json"), json(&document))
        };
        let callback = self.callback.then(|| {
            let status = self
                .failures
                .first()
                .map_or(0, |failure| failure.blame.status);
            let data = callback::encode(status, self.weights.as_deref(), self.images.first());
            format!("0x{}", data_encoding::HEXLOWER.encode(&data))
        });
        let computed = Computed {
            deterministic_output_path: agreed.0.display().to_string(),
            callback_data: callback,
            error_message: (!succeeded).then(|| self.messages.join("; ")),
        };
        let computed = (output.path("computed", "json"), json(&computed));
        // In this order: a worker that finds the second finds the first.
        output.stage(vec![agreed, computed])?.publish()?;
        Ok(succeeded)
    }
}

#[derive(Serialize)]
struct Consensus<'a> {
    schema: &'static str,
    weights: Option<&'a str>,
    images: &'a [ImageResult],
}

#[derive(Serialize)]
struct Errors<'a> {
    schema: &'static str,
    errors: &'a [Failure],
    images: &'a [ImageResult],
}

/// iexec-common, `ComputedFile.java`: what the program writes of it.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Computed {
    deterministic_output_path: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    callback_data: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_message: Option<String>,
}

fn as_fraction<S: Serializer>(hundredths: &u16, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(f64::from(*hundredths) / 100.0)
}

/// One line of JSON, always the same for the same content.
fn json(document: &impl Serialize) -> Vec<u8> {
    let mut bytes = serde_json::to_vec(document)
        .expect("plain data with string keys always serializes into memory");
    bytes.push(b'\n');
    bytes
}

#[cfg(test)]
mod tests {
    use maskrcnn::{BBox, Size};

    use super::*;
    use crate::app::Found;

    fn found(label: &str, category_id: u32, score: f32, [x1, y1, x2, y2]: [f32; 4]) -> Found {
        Found {
            label: label.into(),
            category_id,
            score,
            bbox: BBox { x1, y1, x2, y2 },
        }
    }

    fn consensus(found: Vec<Found>) -> String {
        let done = Done {
            sha256: "5a".to_owned(),
            size: Size::new(48, 64),
            found,
        };
        let images = [ImageResult::new(2, done)];
        let document = Consensus {
            schema: CONSENSUS_SCHEMA,
            weights: Some("0b"),
            images: &images,
        };
        String::from_utf8(json(&document)).unwrap()
    }

    #[test]
    fn consensus_holds_hundredths_and_whole_pixels_and_one_line() {
        assert_eq!(
            consensus(vec![found("dog", 18, 0.98765, [1.49, 2.5, 30.6, 40.0])]),
            r#"{"schema":"urn:maskrcnn:consensus:1","weights":"0b","images":[{"image":2,"sha256":"5a","width":64,"height":48,"detections":[{"label":"dog","score":0.99,"box":[1,3,31,40]}]}]}"#
                .to_owned()
                + "\n"
        );
    }

    #[test]
    fn noise_below_what_is_written_changes_neither_numbers_nor_order() {
        let (low, high) = ([1.0, 2.0, 30.0, 40.0], [5.0, 2.0, 30.0, 40.0]);
        let one = consensus(vec![
            found("dog", 18, 0.5001, high),
            found("dog", 18, 0.5, low),
            found("cat", 17, 0.4996, high),
        ]);
        let other = consensus(vec![
            found("cat", 17, 0.5003, high),
            found("dog", 18, 0.5002, low),
            found("dog", 18, 0.5, high),
        ]);
        assert_eq!(one, other);
        assert!(one.find("cat") < one.find("dog"), "{one}");
    }
}
