//! The classes of a model: what each slot of its classifier means.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::error::{Error, Result};

/// One class.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Label {
    /// The number that the data set gives the class (COCO: 1 to 90).
    pub category_id: u32,
    /// Its name.
    pub name: Arc<str>,
}

/// The classes of a model, slot by slot; slot 0 is the background and has none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Labels(Vec<Label>);

/// What torchvision calls slot 0.
const BACKGROUND: &str = "__background__";

/// What torchvision calls a slot of the classifier that no class of the data set uses.
pub(crate) const UNUSED_SLOT: &str = "N/A";

impl Labels {
    /// The key of a file's metadata that has the names.
    pub const KEY: &str = "labels";

    /// From the classes of slots 1, 2, …
    pub fn new(labels: impl IntoIterator<Item = Label>) -> Self {
        Self(labels.into_iter().collect())
    }

    /// From a JSON list of names, the background first, as canonical checkpoints hold it; slots are
    /// numbered from 1.
    ///
    /// # Errors
    ///
    /// When the text is no list of names, or lists no class.
    pub fn from_json(json: &str) -> Result<Self> {
        let unusable = |reason: String| Error::Metadata {
            key: "labels",
            reason,
        };
        let names: Vec<String> = serde_json::from_str(json).map_err(|e| unusable(e.to_string()))?;
        names
            .iter()
            .try_for_each(|name| check_name(name))
            .map_err(unusable)?;
        if names.len() < 2 {
            return Err(unusable(
                "expected a name for the background and one for each class".to_owned(),
            ));
        }
        let classes = names.into_iter().enumerate().skip(1);
        Ok(Self(
            classes
                .map(|(slot, name)| Label {
                    category_id: slot as u32,
                    name: name.into(),
                })
                .collect(),
        ))
    }

    /// The same classes with the numbers of a JSON list, one for each slot, that of the background
    /// first and of no use.
    ///
    /// # Errors
    ///
    /// When the text is no list of as many numbers as there are slots.
    pub fn with_ids(mut self, json: &str) -> Result<Self> {
        let unusable = |reason: String| Error::Metadata {
            key: "category_ids",
            reason,
        };
        let ids: Vec<u32> = serde_json::from_str(json).map_err(|e| unusable(e.to_string()))?;
        if ids.len() != self.slots() {
            return Err(unusable(format!(
                "expected {} numbers, one for each slot of the classifier, found {}",
                self.slots(),
                ids.len()
            )));
        }
        for (label, id) in self.0.iter_mut().zip(ids.into_iter().skip(1)) {
            label.category_id = id;
        }
        Ok(self)
    }

    /// What [`with_ids`](Self::with_ids) reads.
    pub fn ids_to_json(&self) -> String {
        let ids: Vec<u32> = std::iter::once(0)
            .chain(self.0.iter().map(|label| label.category_id))
            .collect();
        serde_json::Value::from(ids).to_string()
    }

    /// What [`from_json`](Self::from_json) reads.
    pub fn to_json(&self) -> String {
        let names: Vec<&str> = std::iter::once(BACKGROUND)
            .chain(self.0.iter().map(|label| &*label.name))
            .collect();
        serde_json::Value::from(names).to_string()
    }

    /// Classes without names, `class 1` and so on, for a classifier with this many slots.
    pub fn unnamed(slots: i64) -> Self {
        let label = |slot: i64| Label {
            category_id: slot as u32,
            name: format!("class {slot}").into(),
        };
        Self::new((1..slots).map(label))
    }

    /// The classes that a file's metadata names under [`KEY`](Self::KEY), else those that are `known` of
    /// such a network, else classes without names, for a classifier with this many slots.
    ///
    /// # Errors
    ///
    /// When the names are no list of them in JSON, or of another number.
    pub fn of_metadata(
        metadata: &BTreeMap<String, String>,
        known: Option<Self>,
        slots: i64,
    ) -> Result<Self> {
        let labels = match metadata.get(Self::KEY) {
            Some(json) => Self::from_json(json)?,
            None => known.unwrap_or_else(|| Self::unnamed(slots)),
        };
        labels.check_slots(slots)?;
        Ok(labels)
    }

    /// The same classes with the numbers that a data set gives to their names; other names keep
    /// theirs.
    pub fn numbered(mut self, id: impl Fn(&str) -> Option<u32>) -> Self {
        for label in &mut self.0 {
            label.category_id = id(&label.name).unwrap_or(label.category_id);
        }
        self
    }

    /// Checks that a classifier with this many slots has these classes.
    ///
    /// # Errors
    ///
    /// When the numbers differ.
    pub fn check_slots(&self, slots: i64) -> Result<()> {
        if self.slots() as i64 == slots {
            return Ok(());
        }
        let reason = format!(
            "expected {slots} names, one for each slot of the classifier, found {}",
            self.slots()
        );
        Err(Error::Metadata {
            key: "labels",
            reason,
        })
    }

    /// Slots of the classifier that these classes need, background included.
    pub fn slots(&self) -> usize {
        self.0.len() + 1
    }

    /// The class of a slot from 1 on.
    pub fn of_slot(&self, slot: usize) -> &Label {
        &self.0[slot - 1]
    }

    /// All classes that have a name, in the order of their slots.
    pub fn named(&self) -> impl Iterator<Item = &Label> {
        self.0.iter().filter(|label| &*label.name != UNUSED_SLOT)
    }

    /// For each slot, whether its class is among `names`; names are compared without regard to
    /// case.
    ///
    /// # Errors
    ///
    /// When a name belongs to no class; the error suggests the closest one.
    pub fn select(&self, names: &[String]) -> Result<Vec<bool>> {
        let mut selected = vec![false; self.slots()];
        for name in names {
            let mut found = false;
            for (i, label) in self.0.iter().enumerate() {
                if label.name.eq_ignore_ascii_case(name.trim()) {
                    (selected[i + 1], found) = (true, true);
                }
            }
            if !found {
                return Err(self.unknown(name));
            }
        }
        Ok(selected)
    }

    fn unknown(&self, name: &str) -> Error {
        let wanted = name.trim().to_ascii_lowercase();
        let distance =
            |label: &&Label| strsim::osa_distance(&wanted, &label.name.to_ascii_lowercase());
        // Half the word wrong is no longer a typing mistake.
        let close = |label: &&Label| 2 * distance(label) <= wanted.chars().count();
        let suggestion = self
            .named()
            .min_by_key(distance)
            .filter(close)
            .map(|label| label.name.to_string());
        let known = self
            .named()
            .map(|label| &*label.name)
            .collect::<Vec<_>>()
            .join(", ");
        Error::UnknownClass {
            name: name.trim().to_owned(),
            suggestion,
            known,
        }
    }
}

/// Checks that a name can be shown: names go to terminals and into pictures.
///
/// # Errors
///
/// What was expected and found, in words.
pub(crate) fn check_name(name: &str) -> Result<(), String> {
    const LONGEST: usize = 100;
    if name.is_empty() || name.len() > LONGEST || name.contains(char::is_control) {
        let start: String = name.chars().take(20).flat_map(char::escape_debug).collect();
        return Err(format!(
            "expected printable names of 1 to {LONGEST} bytes, found `{start}`"
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels() -> Labels {
        let label = |(category_id, name): (u32, &str)| Label {
            category_id,
            name: name.into(),
        };
        Labels::new(
            [
                (1, "person"),
                (17, "cat"),
                (12, "N/A"),
                (64, "potted plant"),
            ]
            .map(label),
        )
    }

    #[test]
    fn selects_by_name_whatever_the_case() {
        let selected = labels()
            .select(&["Cat".into(), " potted plant".into()])
            .unwrap();
        assert_eq!(selected, [false, false, true, false, true]);
    }

    #[test]
    fn suggests_the_closest_name_and_lists_them_all() {
        let message = labels().select(&["persn".into()]).unwrap_err().to_string();
        assert_eq!(
            message,
            "unknown class `persn`, did you mean `person`?; this model knows person, cat, potted plant"
        );
        let message = labels().select(&["act".into()]).unwrap_err().to_string();
        assert!(message.contains("did you mean `cat`?"), "{message}");
        let message = labels().select(&["zebra".into()]).unwrap_err().to_string();
        assert_eq!(
            message,
            "unknown class `zebra`; this model knows person, cat, potted plant"
        );
    }
}
