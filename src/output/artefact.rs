//! The files that a run leaves.

use std::path::PathBuf;

/// A file that is to appear in the output directory.
#[derive(Debug)]
pub struct Artefact {
    /// What it is.
    pub kind: Kind,
    /// Where it goes.
    pub path: PathBuf,
    /// Its content.
    pub bytes: Vec<u8>,
}

/// What a file of the results is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// An image with detections drawn on it.
    Picture,
    /// The list of an image's detections. Of the files of an image it appears last.
    Report,
    /// In a task, what its workers must agree on.
    Consensus,
    /// In a task, why it failed.
    Failures,
    /// In a task, what its worker looks for.
    Computed,
}

impl Kind {
    /// The files that say how a task ended.
    pub const OF_TASKS: [Self; 3] = [Self::Consensus, Self::Failures, Self::Computed];

    /// The name of such a file, of an image whose results are called `stem`; those of a task have
    /// names of their own.
    pub fn file_name(self, stem: &str) -> String {
        match self {
            Self::Picture => format!("{stem}.png"),
            Self::Report => format!("{stem}.json"),
            Self::Consensus => "consensus.json".to_owned(),
            Self::Failures => "error.json".to_owned(),
            Self::Computed => "computed.json".to_owned(),
        }
    }
}
