//! What the workers of a task must agree on about an image, and what a contract is told of it.

use std::cmp::Reverse;

use maskrcnn::{Detection, Size};
use serde::{Serialize, Serializer};

/// A [`Detection`] as workers agree on it: nothing finer than a hundredth of a score and a pixel.
#[derive(Debug, Serialize)]
pub struct AgreedDetection {
    /// As in the detection.
    pub label: String,
    /// As in the detection.
    #[serde(skip)]
    pub category_id: u32,
    /// The score in hundredths, written as a number from 0 to 1.
    #[serde(rename = "score", serialize_with = "as_fraction")]
    pub hundredths: u16,
    /// x1, y1, x2, y2 in whole pixels of the image.
    #[serde(rename = "box")]
    pub bbox: [i64; 4],
}

impl From<&Detection> for AgreedDetection {
    fn from(detection: &Detection) -> Self {
        let Detection {
            category_id,
            label,
            score,
            bbox,
            ..
        } = detection;
        let edges = [bbox.x1, bbox.y1, bbox.x2, bbox.y2];
        Self {
            label: label.to_string(),
            category_id: *category_id,
            hundredths: (f64::from(*score) * 100.0).round() as u16,
            bbox: edges.map(|pixels| pixels.round() as i64),
        }
    }
}

/// An image that was done.
#[derive(Debug, Serialize)]
pub struct AgreedImage {
    /// The number that its files are named by.
    image: usize,
    /// Of its file, in hex.
    pub sha256: String,
    width: usize,
    height: usize,
    /// The surest first.
    pub detections: Vec<AgreedDetection>,
}

impl AgreedImage {
    /// Image `image`, with its detections in the order of what is written of them.
    pub fn new(
        image: usize,
        sha256: &str,
        size: Size,
        detections: impl IntoIterator<Item = AgreedDetection>,
    ) -> Self {
        let mut detections: Vec<_> = detections.into_iter().collect();
        // By what is written, and only then by the class's number, which callback data have instead
        // of the label.
        detections.sort_by(|a, b| {
            let written = |d: &AgreedDetection| (Reverse(d.hundredths), d.bbox);
            let (first, second) = (written(a), written(b));
            (first.0, &a.label, first.1)
                .cmp(&(second.0, &b.label, second.1))
                .then(a.category_id.cmp(&b.category_id))
        });
        Self {
            image,
            sha256: sha256.to_owned(),
            width: size.width,
            height: size.height,
            detections,
        }
    }
}

fn as_fraction<S: Serializer>(hundredths: &u16, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(f64::from(*hundredths) / 100.0)
}
