//! What the user wants reported: plain data, for the network that obeys it and the report that
//! states it.

/// What to report of what the network finds.
#[derive(Clone, Debug, PartialEq)]
pub struct SegmentOptions {
    /// Detections must score at least this, 0 to 1. Default: 0.5. Below the model's own floor
    /// (0.05) nothing more comes.
    pub score_threshold: f32,
    /// Report only classes of these names, whatever their case. Default: all.
    pub classes: Option<Vec<String>>,
    /// Report at most this many, the best ones. Default: as many as the model gives, 100.
    pub max_detections: Option<usize>,
}

impl Default for SegmentOptions {
    fn default() -> Self {
        Self {
            score_threshold: 0.5,
            classes: None,
            max_detections: None,
        }
    }
}
