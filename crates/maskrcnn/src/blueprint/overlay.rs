//! A blueprint that a user lays over the one of a family or of a file: JSON with those fields that
//! differ.

use std::io::Read;

use serde::Deserialize;
use serde_json::Value;

use super::Blueprint;
use crate::error::{Error, Result};

/// Most bytes of a document. A whole blueprint has some two thousand.
const LARGEST: u64 = 1 << 20;

impl Blueprint {
    /// This blueprint with the fields of `json`, an object of the same form that may leave out any
    /// field. Objects are merged; numbers, words and lists replace what is there.
    ///
    /// # Errors
    ///
    /// [`Error::Blueprint`], with the path of the field, when there is no such field, it cannot have
    /// this value, or the whole is refused by [`check`](Self::check).
    pub(crate) fn overlaid(&self, json: impl Read) -> Result<Self> {
        let mut text = Vec::new();
        json.take(LARGEST + 1)
            .read_to_end(&mut text)
            .map_err(|error| unusable(&format!("it cannot be read: {error}")))?;
        if text.len() as u64 > LARGEST {
            return Err(unusable(&format!(
                "it is larger than {} MiB",
                LARGEST >> 20
            )));
        }
        if text.trim_ascii().is_empty() {
            return Err(unusable(
                "it is empty; expected JSON such as {\"rpn\": {\"nms_thresh\": 0.6}}, or {} for no \
                 change",
            ));
        }
        let overlay: Value =
            serde_json::from_slice(&text).map_err(|error| unusable(&error.to_string()))?;
        let mut document =
            serde_json::to_value(self).expect("plain data with string keys always serializes");
        let mut blueprint = self.clone();
        for (path, value) in leaves(&document, overlay)? {
            let place = document.pointer_mut(&format!("/{}", path.join("/")));
            *place.expect("`leaves` gives paths of the document") = value;
            // One after the other, so that an error is that of this field.
            blueprint = Self::deserialize(&document).map_err(|error| {
                unusable(&format!(
                    "{}: {}",
                    path.join("."),
                    plain(&error.to_string())
                ))
            })?;
        }
        blueprint
            .check()
            .map_err(|error| unusable(&error.to_string()))?;
        Ok(blueprint)
    }
}

fn unusable(reason: &str) -> Error {
    Error::Blueprint {
        reason: reason.chars().flat_map(shown).collect(),
    }
}

/// What serde says of a value, in words for people who do not write Rust.
fn plain(message: &str) -> String {
    /// serde's words and ours. The last of them are whole messages' ends.
    const WORDS: [(&str, &str); 9] = [
        ("expected usize", "expected a whole number from 0"),
        ("expected u32", "expected a whole number from 0"),
        ("expected i64", "expected a whole number"),
        ("expected f32", "expected a number"),
        ("expected f64", "expected a number"),
        ("expected an array of length", "expected a list of"),
        ("invalid type: ", "found "),
        ("invalid value: ", "found "),
        ("invalid length ", "found a list of "),
    ];
    // What was found is quoted from the document: words in there stay.
    let Some((found, expected)) = message.rsplit_once(", expected ") else {
        return message.to_owned();
    };
    let kind = |(kind, words): &(&str, &str)| Some(format!("{words}{}", found.strip_prefix(kind)?));
    let found = WORDS.iter().find_map(kind);
    let expected = format!("expected {expected}");
    let plainer = |(word, words): &(&str, &str)| {
        let rest = expected.strip_prefix(word)?;
        Some(format!("{words}{rest}"))
    };
    let expected = WORDS.iter().find_map(plainer).unwrap_or(expected);
    match found {
        Some(found) => format!("{expected}, {found}"),
        None => message.to_owned(),
    }
}

/// A character for a terminal: the words of errors quote the document.
fn shown(character: char) -> impl Iterator<Item = char> {
    let escaped = character.is_control().then(|| character.escape_debug());
    let plain = escaped.is_none().then_some(character);
    escaped.into_iter().flatten().chain(plain)
}

/// What in `overlay` is no object, with its path; each path is one of `document`, and its names
/// need no escape in a JSON pointer.
fn leaves(document: &Value, overlay: Value) -> Result<Vec<(Vec<String>, Value)>> {
    let mut leaves = Vec::new();
    let mut open = vec![(Vec::new(), document, overlay)];
    while let Some((path, document, overlay)) = open.pop() {
        let Some(known) = document.as_object() else {
            leaves.push((path, overlay));
            continue;
        };
        let Value::Object(fields) = overlay else {
            let place = if path.is_empty() {
                "the whole".to_owned()
            } else {
                path.join(".")
            };
            return Err(unusable(&format!("{place}: expected an object")));
        };
        for (name, value) in fields {
            let Some(inside) = known.get(&name) else {
                let names: Vec<_> = known.keys().map(String::as_str).collect();
                let start: String = name.chars().take(40).collect();
                let path = [&path[..], &[start]].concat().join(".");
                return Err(unusable(&format!(
                    "{path}: there is no such field; there are {}",
                    names.join(", ")
                )));
            };
            open.push(([&path[..], &[name]].concat(), inside, value));
        }
    }
    Ok(leaves)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn overlaid(json: &str) -> Result<Blueprint> {
        base().overlaid(json.as_bytes())
    }

    fn base() -> Blueprint {
        let json = r#"{
            "transform": {"min_size": 352, "max_size": 544, "mean": [0.5, 0.5, 0.5], "std": [0.2, 0.2, 0.2],
                "size_divisible": 32},
            "backbone": {"network": "resnet", "blocks": [3, 4, 6, 3], "norm_epsilon": 0.0},
            "fpn": {"channels": 256},
            "rpn": {"anchor_sizes": [16, 32, 64, 128, 256], "aspect_ratios": [0.5, 1, 2], "pre_nms_top_n": 600,
                "post_nms_top_n": 300, "nms_thresh": 0.7, "min_size": 1e-3},
            "box_head": {"resolution": 7, "sampling_ratio": 2, "hidden": 384, "delta_weights": [10, 10, 5, 5]},
            "mask_head": {"resolution": 14, "sampling_ratio": 2, "convolutions": 4, "channels": 96},
            "postprocess": {"score_thresh": 0.05, "nms_thresh": 0.5, "detections_per_image": 100, "min_size": 1e-2},
            "num_classes": 21
        }"#;
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn fields_that_are_given_replace_and_the_others_stay() {
        let mut expected = base();
        expected.transform.min_size = 100;
        expected.rpn.anchor_sizes = vec![8.0, 16.0, 32.0, 64.0, 128.0];
        expected.postprocess.score_thresh = 0.25;
        expected.mask_head.norm_epsilon = Some(1e-3);
        let found = overlaid(
            r#"{"transform": {"min_size": 100}, "rpn": {"anchor_sizes": [8, 16, 32, 64, 128]},
                    "postprocess": {"score_thresh": 0.25}, "mask_head": {"norm_epsilon": 1e-3}}"#,
        )
        .unwrap();
        assert_eq!(found, expected);
        assert_eq!(overlaid("{}").unwrap(), base());
        let whole = serde_json::to_string(&base()).unwrap();
        assert_eq!(expected.overlaid(whole.as_bytes()).unwrap(), base());
    }

    #[test]
    fn what_cannot_be_is_refused_with_the_path_of_the_field() {
        for (json, hint) in [
            (
                r#"{"rpn": {"nms_tresh": 0.5}}"#,
                "rpn.nms_tresh: there is no such field; there are anchor_sizes, ",
            ),
            (
                r#"{"IMAGE_MAX_DIM": 512}"#,
                "IMAGE_MAX_DIM: there is no such field; ",
            ),
            (
                r#"{"rpn": {"nms_thresh": "half"}}"#,
                "rpn.nms_thresh: expected a number, found string \"half\"",
            ),
            (
                r#"{"rpn": {"nms_thresh": 1.5}}"#,
                "rpn.nms_thresh: expected 0 to 1",
            ),
            (
                r#"{"rpn": {"pre_nms_top_n": -1}}"#,
                "rpn.pre_nms_top_n: expected a whole number from 0, found integer `-1`",
            ),
            (
                r#"{"transform": {"mean": [1, 2]}}"#,
                "transform.mean: expected a list of 3, found a list of 2",
            ),
            (
                r#"{"transform": {"resize": "cubic"}}"#,
                "transform.resize: unknown variant `cubic`, expected one of `float`",
            ),
            (r#"{"transform": 800}"#, "transform: expected an object"),
            (
                r#"{"postprocess": null}"#,
                "postprocess: expected an object",
            ),
            ("[]", "the whole: expected an object"),
            (
                r#"{"a\u001b[31m": 1}"#,
                r"a\u{1b}[31m: there is no such field",
            ),
            (
                r#"{"fpn": {"channels": "many, expected usize"}}"#,
                "fpn.channels: expected a whole number, found string \"many, expected usize\"",
            ),
            (
                r#"{"rpn": {"pre_nms_top_n": 1.5}}"#,
                "rpn.pre_nms_top_n: expected a whole number from 0, found floating point `1.5`",
            ),
            ("", "it is empty; expected JSON such as {"),
            (" \n", "it is empty; expected JSON such as {"),
            (r#"{"rpn": {"#, "EOF while parsing"),
        ] {
            let message = overlaid(json).unwrap_err().to_string();
            assert!(
                message.starts_with("the blueprint is unusable: ")
                    && message.contains(hint)
                    && !message.contains('\u{1b}'),
                "{json}: {message}"
            );
        }
        let endless = base().overlaid(std::io::repeat(b' ')).unwrap_err();
        assert!(
            endless.to_string().contains("larger than 1 MiB"),
            "{endless}"
        );
        let latin = base().overlaid(&b"{\"\xe9\": 1}"[..]).unwrap_err();
        assert_eq!(latin.code(), "blueprint");
    }

    /// The paths of all fields of a document that are no objects.
    fn paths(document: &Value, path: &str) -> BTreeSet<String> {
        let Some(fields) = document.as_object() else {
            return BTreeSet::from([path.to_owned()]);
        };
        let inside = |(name, value): (&String, &Value)| {
            let path = if path.is_empty() {
                name.clone()
            } else {
                format!("{path}.{name}")
            };
            paths(value, &path)
        };
        fields.iter().flat_map(inside).collect()
    }

    #[test]
    fn the_documentation_lists_every_field_and_no_other() {
        let text = include_str!("../../../../docs/blueprint.md");
        let table = text.split("\n## ").find(|part| part.starts_with("Fields"));
        let rows = table.unwrap().lines().filter_map(|line| {
            let (field, _) = line.strip_prefix("| `")?.split_once("` |")?;
            Some(field.to_owned())
        });
        let fields = paths(&serde_json::to_value(base()).unwrap(), "");
        assert_eq!(rows.collect::<BTreeSet<_>>(), fields);
    }
}
