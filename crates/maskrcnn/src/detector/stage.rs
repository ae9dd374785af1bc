//! The parts of the pipeline.

use std::fmt;

/// A part of the pipeline, for those who watch it at work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Stage {
    /// Resizing, normalising and padding the image.
    Transform,
    /// C2 to C5.
    Backbone,
    /// P2 to P6.
    FeaturePyramid,
    /// Boxes that may hold something.
    Proposals,
    /// What they hold, and where exactly.
    BoxHead,
    /// The masks of what will be reported, small.
    MaskHead,
    /// The masks in the image's pixels.
    PasteMasks,
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Transform => "transform",
            Self::Backbone => "backbone",
            Self::FeaturePyramid => "feature pyramid",
            Self::Proposals => "proposals",
            Self::BoxHead => "box head",
            Self::MaskHead => "mask head",
            Self::PasteMasks => "paste masks",
        })
    }
}
