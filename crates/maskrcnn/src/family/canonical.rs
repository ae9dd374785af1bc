//! Checkpoints that this program wrote: canonical names, and beside the tensors a description of the
//! network and of its classes, so that no family has to recognise them.

use std::collections::BTreeMap;

use super::meaning::Meaning;
use crate::blueprint::Blueprint;
use crate::checkpoint::{Checkpoint, printable};
use crate::error::{Error, Result};
use crate::labels::Labels;

// Keys of the metadata.
const FORMAT: &str = "format";
const FAMILY: &str = "family";
const BLUEPRINT: &str = "blueprint";
const CATEGORY_IDS: &str = "category_ids";

/// The family of a file that does not name one.
const NO_FAMILY: &str = "canonical";

/// What a canonical checkpoint says of itself; none when it has no blueprint.
///
/// # Errors
///
/// When the description cannot be read, or cannot be a network.
pub(super) fn read(checkpoint: &Checkpoint) -> Result<Option<Meaning>> {
    let metadata = &checkpoint.metadata;
    let Some(json) = metadata.get(BLUEPRINT) else {
        return Ok(None);
    };
    let unusable = |reason: String| Error::Metadata {
        key: BLUEPRINT,
        reason,
    };
    let blueprint: Blueprint =
        serde_json::from_str(json).map_err(|e| unusable(printable(&e.to_string())))?;
    blueprint.check().map_err(|e| unusable(e.to_string()))?;
    let mut labels = Labels::of_metadata(metadata, None, blueprint.num_classes)?;
    if let Some(json) = metadata.get(CATEGORY_IDS) {
        labels = labels.with_ids(json)?;
    }
    let family = metadata
        .get(FAMILY)
        .map_or(NO_FAMILY.into(), |name| printable(name));
    Ok(Some(Meaning {
        family,
        blueprint,
        labels,
    }))
}

/// The metadata of a canonical checkpoint.
pub(crate) fn describe(meaning: &Meaning) -> BTreeMap<String, String> {
    let blueprint = serde_json::to_string(&meaning.blueprint);
    let entries = [
        // By which other programs know what wrote it: the tensors are PyTorch's.
        (FORMAT, "pt".to_owned()),
        (FAMILY, meaning.family.clone()),
        (
            BLUEPRINT,
            blueprint.expect("plain data with string keys always serializes"),
        ),
        (Labels::KEY, meaning.labels.to_json()),
        (CATEGORY_IDS, meaning.labels.ids_to_json()),
    ];
    entries.map(|(key, value)| (key.to_owned(), value)).into()
}
