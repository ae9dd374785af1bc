//! What was read of a file, before it is a checkpoint.

use std::collections::BTreeMap;

use super::view::View;

/// What was read of a file.
pub(super) struct Contents {
    /// The `__metadata__` of a safetensors file, or what Keras says of itself.
    pub(super) metadata: BTreeMap<String, String>,
    /// Where the tensors are.
    pub(super) views: BTreeMap<String, View>,
    /// The keys that lead to them, joined by dots.
    pub(super) key: String,
    /// The class of the module that they are of, if it was saved whole.
    pub(super) class: Option<String>,
}

impl Contents {
    /// Tensors that are the file's whole.
    pub(super) fn new(views: BTreeMap<String, View>) -> Self {
        Self {
            metadata: BTreeMap::new(),
            views,
            key: String::new(),
            class: None,
        }
    }
}
