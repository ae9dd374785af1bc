//! The files that a task leaves beside its pictures: the one whose digest workers must agree on,
//! and `computed.json`.

use anyhow::{Error, Result};
use serde::Serialize;

use super::agreed::AgreedImage;
use super::blame::{self, Blame};
use super::callback;
use crate::output::{Kind, OutputDir};
use crate::run::Outcome;

/// Names of the formats: a number changes when a field goes away or changes its meaning.
const CONSENSUS_SCHEMA: &str = "urn:maskrcnn:consensus:1";
const ERROR_SCHEMA: &str = "urn:maskrcnn:error:1";

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
    images: Vec<AgreedImage>,
    failures: Vec<Failure>,
    /// The failures' full sentences.
    messages: Vec<String>,
    /// Whether a contract waits for the result.
    callback: bool,
}

impl Results {
    /// Of a run that came to its end; `numbers` are those that its images' files are named by. None
    /// when something failed that is not the requester's fault.
    pub fn new(outcome: Outcome<AgreedImage>, numbers: &[usize], callback: bool) -> Option<Self> {
        let mut results = Self::empty(callback);
        results.weights = Some(outcome.weights);
        for (&image, done) in numbers.iter().zip(outcome.images) {
            match done {
                Ok(done) => results.images.push(done),
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
            output.artefact(Kind::Consensus, "", json(&document))
        } else {
            let document = Errors {
                schema: ERROR_SCHEMA,
                errors: &self.failures,
                images: &self.images,
            };
            output.artefact(Kind::Failures, "", json(&document))
        };
        let callback = self.callback.then(|| {
            let failure = self.failures.first();
            let status = failure.map_or(0, |failure| failure.blame.status);
            let data = callback::encode(status, self.weights.as_deref(), self.images.first());
            format!("0x{}", data_encoding::HEXLOWER.encode(&data))
        });
        let computed = Computed {
            deterministic_output_path: agreed.path.display().to_string(),
            callback_data: callback,
            error_message: (!succeeded).then(|| self.messages.join("; ")),
        };
        let computed = output.artefact(Kind::Computed, "", json(&computed));
        // In this order: a worker that finds the second finds the first.
        output.publish(vec![agreed, computed], &output.lock())?;
        Ok(succeeded)
    }
}

#[derive(Serialize)]
struct Consensus<'a> {
    schema: &'static str,
    weights: Option<&'a str>,
    images: &'a [AgreedImage],
}

#[derive(Serialize)]
struct Errors<'a> {
    schema: &'static str,
    errors: &'a [Failure],
    images: &'a [AgreedImage],
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

/// One line of JSON, always the same for the same content.
fn json(document: &impl Serialize) -> Vec<u8> {
    let mut bytes = serde_json::to_vec(document)
        .expect("plain data with string keys always serializes into memory");
    bytes.push(b'\n');
    bytes
}

#[cfg(test)]
mod tests {
    use maskrcnn::{BBox, Detection, Mask, Size};

    use super::*;

    const SIZE: Size = Size::new(48, 64);

    fn found(label: &str, category_id: u32, score: f32, [x1, y1, x2, y2]: [f32; 4]) -> Detection {
        Detection {
            category_id,
            label: label.into(),
            score,
            bbox: BBox::new(x1, y1, x2, y2),
            mask: Mask::empty(SIZE),
        }
    }

    fn consensus(found: Vec<Detection>) -> String {
        let images = [AgreedImage::new(
            2,
            "5a",
            SIZE,
            found.iter().map(Into::into),
        )];
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
    fn noise_below_what_is_written_changes_no_number_and_no_order() {
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
