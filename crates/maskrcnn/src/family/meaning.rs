//! What an adapter hands over.

use crate::blueprint::Blueprint;
use crate::labels::Labels;

/// What the tensors of a checkpoint are, once they have canonical names.
#[derive(Debug, PartialEq)]
pub(crate) struct Meaning {
    /// The family's name, or what a canonical checkpoint says it was.
    pub family: String,
    /// The network that the tensors are of.
    pub blueprint: Blueprint,
    /// Its classes.
    pub labels: Labels,
}
