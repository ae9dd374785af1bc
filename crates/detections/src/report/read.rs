//! Reports read back: strict in what they need, and tolerant of fields that they do not know.

use serde::Deserialize;

use super::{Entry, ImageInfo, ModelInfo, Options, Report, SCHEMA};
use crate::geometry::Size;
use crate::rle::{Rle, RleError};

/// Why a text is no report.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// It is no JSON, or lacks what a report has.
    #[error("it is no report of this program")]
    Json(#[from] serde_json::Error),
    /// It is a report of another version, or of another program.
    #[error("expected a report of the schema `{SCHEMA}`, found `{0}`")]
    Schema(String),
    /// Its image is larger than any that is read.
    #[error("its image of {0} pixels is larger than any that is read")]
    Size(Size),
    /// An object's mask is not of its image.
    #[error("the mask of object {object} is of {found} pixels, and its image of {expected}")]
    OtherSize {
        /// Its number.
        object: usize,
        /// The image's.
        expected: Size,
        /// The mask's.
        found: Size,
    },
    /// An object's mask is none.
    #[error("the mask of object {object} cannot be read")]
    Mask {
        /// Its number.
        object: usize,
        /// What is wrong with it.
        source: RleError,
    },
    /// Something else about an object makes no sense.
    #[error("{what} of object {object} makes no sense")]
    Object {
        /// Its number.
        object: usize,
        /// What does not.
        what: &'static str,
    },
}

/// The largest image of which a report is read, in pixels: what `--max-megapixels` allows.
const MAX_PIXELS: u64 = 4_294_000_000;

/// A [`Report`] of which nothing is checked yet.
#[derive(Deserialize)]
struct Document {
    schema: String,
    image: ImageInfo,
    model: ModelInfo,
    options: Options,
    detections: Vec<Entry>,
}

impl Report {
    /// The report that [`to_json`](Self::to_json) or [`to_json_line`](Self::to_json_line) wrote.
    ///
    /// # Errors
    ///
    /// When it is none, or says something that cannot be.
    pub fn from_json(text: &[u8]) -> Result<Self, ReportError> {
        let Document {
            schema,
            image,
            model,
            options,
            detections,
        } = serde_json::from_slice(text)?;
        if schema != SCHEMA {
            let found = schema.chars().take(100).collect::<String>();
            return Err(ReportError::Schema(found.escape_debug().to_string()));
        }
        let report = Self {
            schema: SCHEMA,
            image,
            model,
            options,
            detections,
        };
        report.check()?;
        Ok(report)
    }

    fn check(&self) -> Result<(), ReportError> {
        let size = self.image.size();
        let pixels = (size.width as u64).checked_mul(size.height as u64);
        if pixels.is_none_or(|pixels| pixels > MAX_PIXELS) {
            return Err(ReportError::Size(size));
        }
        for entry in &self.detections {
            let object = entry.id;
            let nonsense = |what| ReportError::Object { object, what };
            let [height, width] = entry.segmentation.size;
            let found = Size::new(height, width);
            if found != size {
                let expected = size;
                return Err(ReportError::OtherSize {
                    object,
                    expected,
                    found,
                });
            }
            let rle = Rle::from_compressed(size, &entry.segmentation.counts)
                .map_err(|source| ReportError::Mask { object, source })?;
            if rle.area() != entry.area as u64 {
                return Err(nonsense("the area"));
            }
            if !(0.0..=1.0).contains(&entry.score) {
                return Err(nonsense("the score"));
            }
            if !entry.bbox.iter().all(|side| side.is_finite()) {
                return Err(nonsense("the box"));
            }
            if entry.image_id != self.image.id {
                return Err(nonsense("the number of the image"));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use crate::report::tests::sample;

    #[test]
    fn a_report_is_read_as_it_was_written() {
        let (sample, text) = (sample(), sample().to_json());
        let report = Report::from_json(text.as_bytes()).unwrap();
        assert_eq!((&report, report.to_json()), (&sample, text));
        let line = report.to_json_line();
        assert!(!line.contains('\n'));
        assert_eq!(Report::from_json(line.as_bytes()).unwrap(), report);
        let areas = report.entries().iter().map(|entry| entry.area);
        let masks = report
            .detections()
            .into_iter()
            .map(|found| found.mask.area());
        assert!(areas.eq(masks));
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let sample = sample().to_json();
        let refused = |from: &str, to: &str| {
            let text = sample.replacen(from, to, 1);
            assert_ne!(text, sample, "{from}");
            Report::from_json(text.as_bytes()).unwrap_err().to_string()
        };
        for (from, to, expected) in [
            (
                "detections:2",
                "detections:9",
                "found `urn:maskrcnn:detections:9`",
            ),
            ("\"width\": ", "\"width\": 1", "the mask of object 1 is of"),
            ("\"width\": ", "\"width\": 1000000000000", "larger than any"),
            ("\"score\": 0", "\"score\": 7", "the score of object 1"),
            ("\"area\": ", "\"area\": 1", "the area of object 1"),
            (
                "\"counts\": \"",
                "\"counts\": \"!",
                "the mask of object 1 cannot",
            ),
            (
                "\"image_id\": ",
                "\"image_id\": 1",
                "the number of the image of object 1",
            ),
            (
                "\"detections\"",
                "\"findings\"",
                "no report of this program",
            ),
        ] {
            let error = refused(from, to);
            assert!(error.contains(expected), "{from}: {error}");
        }
    }
}
