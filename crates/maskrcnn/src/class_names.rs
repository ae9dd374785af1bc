//! The names of classes as people have them beside a checkpoint: a text with a name a line, a JSON
//! list, or the annotations of COCO's form that the network was trained on.

use std::io::{BufRead, BufReader, Read};

use serde::Deserialize;

use crate::error::{Error, Result};
use crate::labels::{Label, Labels, UNUSED_SLOT, check_name};

/// Most bytes of a list of names: each class of the largest classifier may have the longest name.
const LARGEST_LIST: u64 = 16 << 20;

/// Most bytes of annotations, of which all but the categories is skipped unread; COCO's
/// `instances_train2017.json` has 469 million.
const LARGEST_ANNOTATIONS: u64 = 1 << 30;

/// Whether a name is one that people give slot 0: torchvision, Matterport and others list it.
fn is_background(name: &str) -> bool {
    ["__background__", "background", "bg"]
        .iter()
        .any(|background| name.eq_ignore_ascii_case(background))
}

/// A category of COCO's annotations; they have more fields.
#[derive(Debug, Deserialize)]
struct Category {
    id: u32,
    name: String,
}

/// COCO's annotations, as far as they tell classes.
#[derive(Debug, Deserialize)]
struct Annotations {
    categories: Vec<Category>,
}

/// An element of a JSON list.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Element {
    Name(String),
    Category(Category),
}

/// Reads the names of the classes of a classifier with this many slots, the background among them.
///
/// - A text in UTF-8 with a name a line (empty lines do not count) or a JSON list of names: the
///   classes in the order of their slots, with the background in front or without it. A class's
///   number is its slot.
/// - COCO annotations, or the list of `categories` in them: numbers and names. They are in the order of
///   their numbers where there are as many as classes; else, where the largest number is the last
///   slot, each stands in the slot of its number, as torchvision's reference script trains.
///
/// # Errors
///
/// When the text cannot be read, is none of these, holds a name that cannot be shown, or another
/// number of names than there are classes.
pub(crate) fn read(reader: impl Read, slots: i64) -> Result<Labels> {
    let mut reader = BufReader::new(reader.take(LARGEST_ANNOTATIONS));
    let slots = slots as usize;
    let names = match first_byte(&mut reader)? {
        Some(b'{') => {
            let annotations: Annotations = serde_json::from_reader(&mut reader)
                .map_err(|error| json_error(&error, reader.get_ref().limit() == 0))?;
            return of_categories(annotations.categories, slots);
        }
        Some(b'[') => {
            let text = text(reader)?;
            let elements: Vec<Element> =
                serde_json::from_str(&text).map_err(|_| unusable(NO_LIST.to_owned()))?;
            let all = elements.len();
            let (mut names, mut categories) = (Vec::new(), Vec::new());
            for element in elements {
                match element {
                    Element::Name(name) => names.push(name),
                    Element::Category(category) => categories.push(category),
                }
            }
            if categories.len() == all && all > 0 {
                return of_categories(categories, slots);
            }
            if names.len() != all {
                return Err(unusable(NO_LIST.to_owned()));
            }
            names
        }
        _ => {
            let text = text(reader)?;
            let names = text.lines().map(str::trim).filter(|line| !line.is_empty());
            names.map(str::to_owned).collect()
        }
    };
    of_names(names, slots)
}

const NO_LIST: &str = "expected a JSON list of names, such as [\"person\", \"dog\"] with double quotes, \
                       or of objects with `id` and `name`; a text with a name a line is read, too";

fn unusable(reason: String) -> Error {
    Error::Labels { reason }
}

/// The first byte that is neither white space nor of a byte order mark, unread; none at the end.
fn first_byte(reader: &mut impl BufRead) -> Result<Option<u8>> {
    const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();
    loop {
        let buffer = reader.fill_buf().map_err(|error| unreadable(&error))?;
        if buffer.starts_with(BYTE_ORDER_MARK) {
            reader.consume(BYTE_ORDER_MARK.len());
            continue;
        }
        let Some(&first) = buffer.first() else {
            return Ok(None);
        };
        if !first.is_ascii_whitespace() {
            return Ok(Some(first));
        }
        reader.consume(1);
    }
}

fn unreadable(error: &std::io::Error) -> Error {
    unusable(format!("they cannot be read: {error}"))
}

fn json_error(error: &serde_json::Error, at_limit: bool) -> Error {
    if at_limit {
        let limit = LARGEST_ANNOTATIONS >> 20;
        return unusable(format!(
            "the annotations are larger than {limit} MiB; a file with `categories` alone is enough"
        ));
    }
    let reason = crate::checkpoint::printable(&error.to_string());
    let what = "expected COCO annotations with `categories`, each with `id` and `name`";
    // What is no such thing at all: `{0: 'person'}`, `{"0": "person"}`.
    let remedy = if error.is_syntax() || reason.starts_with("missing field `categories`") {
        "; of a Python dict or a JSON object of names make a JSON list such as [\"person\", \"dog\"], or \
         a text with a name a line"
    } else {
        ""
    };
    unusable(format!("{what}: {reason}{remedy}"))
}

/// All of a short text.
fn text(reader: impl Read) -> Result<String> {
    let mut bytes = Vec::new();
    let read = reader.take(LARGEST_LIST + 1).read_to_end(&mut bytes);
    read.map_err(|error| unreadable(&error))?;
    if bytes.len() as u64 > LARGEST_LIST {
        let limit = LARGEST_LIST >> 20;
        return Err(unusable(format!("the list is larger than {limit} MiB")));
    }
    String::from_utf8(bytes).map_err(|_| unusable("expected text in UTF-8".to_owned()))
}

/// Classes by the order of their names.
fn of_names(mut names: Vec<String>, slots: usize) -> Result<Labels> {
    if names.first().is_some_and(|name| is_background(name)) {
        names.remove(0);
    }
    check_count(names.len(), slots)?;
    names.iter().try_for_each(|name| checked(name))?;
    let label = |(slot, name): (u32, String)| Label {
        category_id: slot,
        name: name.into(),
    };
    Ok(Labels::new((1..).zip(names).map(label)))
}

/// Classes by the numbers of their categories.
fn of_categories(mut categories: Vec<Category>, slots: usize) -> Result<Labels> {
    categories.sort_by_key(|category| category.id);
    if let Some(pair) = categories.windows(2).find(|pair| pair[0].id == pair[1].id) {
        let id = pair[0].id;
        return Err(unusable(format!("two categories have the number {id}")));
    }
    for category in &categories {
        checked(&category.name)?;
    }
    if categories
        .first()
        .is_some_and(|first| is_background(&first.name))
    {
        categories.remove(0);
    }
    let last = categories.last().map_or(0, |last| last.id as usize);
    if categories.len() + 1 == slots || last + 1 != slots {
        check_count(categories.len(), slots)?;
        return Ok(Labels::new(categories.into_iter().map(|category| Label {
            category_id: category.id,
            name: category.name.into(),
        })));
    }
    // By slot, the unused ones without a name.
    let mut labels: Vec<Label> = (1..slots as u32)
        .map(|slot| Label {
            category_id: slot,
            name: UNUSED_SLOT.into(),
        })
        .collect();
    for category in categories {
        // Slot 0 is the background's, whatever the annotations call it.
        if let Some(place) = category.id.checked_sub(1) {
            labels[place as usize].name = category.name.into();
        }
    }
    Ok(Labels::new(labels))
}

fn checked(name: &str) -> Result<()> {
    check_name(name).map_err(unusable)
}

fn check_count(found: usize, slots: usize) -> Result<()> {
    let expected = slots - 1;
    if found == expected {
        return Ok(());
    }
    Err(unusable(format!(
        "expected {expected}, one for each class of the network beside the background, found {found}"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn classes(text: &str, slots: i64) -> Vec<(u32, String)> {
        let labels = read(text.as_bytes(), slots).unwrap();
        let label = |slot: usize| {
            let label = labels.of_slot(slot);
            (label.category_id, label.name.to_string())
        };
        (1..labels.slots()).map(label).collect()
    }

    fn complaint(text: &str, slots: i64) -> String {
        read(text.as_bytes(), slots).unwrap_err().to_string()
    }

    fn listed(classes: &[(u32, &str)]) -> Vec<(u32, String)> {
        classes
            .iter()
            .map(|&(id, name)| (id, name.to_owned()))
            .collect()
    }

    #[test]
    fn a_list_may_have_the_background_in_front_or_not() {
        let expected = listed(&[(1, "crack"), (2, "rust, deep")]);
        for text in [
            "crack\nrust, deep\n",
            "\u{feff}__background__\r\ncrack\r\n\r\n  rust, deep",
            "\u{feff}[\"crack\", \"rust, deep\"]",
            r#" ["Background", "crack", "rust, deep"]"#,
            "BG\ncrack\nrust, deep",
        ] {
            assert_eq!(classes(text, 3), expected, "{text:?}");
        }
    }

    #[test]
    fn a_name_too_many_or_too_few_is_told_with_both_numbers() {
        for (text, found) in [
            ("a\nb\nc", 3),
            ("a", 1),
            ("", 0),
            (r#"["background", "a"]"#, 1),
            ("[]", 0),
            (r#"{"categories": [{"id": 7, "name": "a"}]}"#, 1),
        ] {
            assert_eq!(
                complaint(text, 3),
                format!(
                    "the names of the classes are unusable: expected 2, one for each class of the network beside the \
                     background, found {found}"
                ),
                "{text:?}"
            );
        }
    }

    #[test]
    fn annotations_give_numbers_by_order_or_by_slot() {
        // As many as classes: in the order of their numbers, whatever these are.
        let three = r#"{"images": [{"id": 1, "tags": [[]]}], "categories": [
            {"id": 30, "name": "c", "supercategory": "x"}, {"id": 10, "name": "a"}, {"id": 20, "name": "b"}]}"#;
        let expected = listed(&[(10, "a"), (20, "b"), (30, "c")]);
        assert_eq!(classes(three, 4), expected);
        // The list of categories alone.
        let list = r#"[{"id": 2, "name": "b"}, {"id": 1, "name": "a"}]"#;
        assert_eq!(classes(list, 3), listed(&[(1, "a"), (2, "b")]));
        // Slots by number, one unused; and the first number for all objects, as Roboflow writes it.
        let by_slot = r#"[{"id": 3, "name": "c"}, {"id": 1, "name": "a"}]"#;
        let expected = listed(&[(1, "a"), (2, "N/A"), (3, "c")]);
        assert_eq!(classes(by_slot, 4), expected);
        let all =
            r#"[{"id": 0, "name": "things"}, {"id": 1, "name": "a"}, {"id": 2, "name": "b"}]"#;
        assert_eq!(classes(all, 3), listed(&[(1, "a"), (2, "b")]));
        // From 0 on, without a background.
        assert_eq!(
            classes(all, 4),
            listed(&[(0, "things"), (1, "a"), (2, "b")])
        );
    }

    #[test]
    fn what_is_no_list_of_names_is_refused() {
        for (text, hint) in [
            (r#"{"categories": [{"id": 1}]}"#, "missing field `name`"),
            (
                r#"{"names": ["a", "b"]}"#,
                "missing field `categories` at line 1 column 21; of a Python dict or a JSON object of names make a \
                 JSON list such as [\"person\", \"dog\"], or a text with a name a line",
            ),
            ("{0: 'a', 1: 'b'}", "of a Python dict or a JSON object"),
            (
                "['a', 'b']",
                "such as [\"person\", \"dog\"] with double quotes",
            ),
            (r#"["a", 1]"#, "expected a JSON list of names"),
            (r#"["a", {"id": 1, "name": "b"}]"#, "expected a JSON list"),
            ("[\"a\"", "expected a JSON list of names"),
            (
                r#"[{"id": 1, "name": "a"}, {"id": 1, "name": "b"}]"#,
                "two categories",
            ),
            (r#"[{"id": -1, "name": "a"}]"#, "expected a JSON list"),
            ("a\nb\u{1b}[31m", "expected printable names"),
        ] {
            let message = complaint(text, 3);
            assert!(
                message.contains(hint) && !message.contains('\u{1b}'),
                "{text}: {message}"
            );
        }
        let latin = read(&b"caf\xe9\nb"[..], 3).unwrap_err().to_string();
        assert!(latin.contains("expected text in UTF-8"), "{latin}");
        let endless = read(std::io::repeat(b'a'), 3).unwrap_err().to_string();
        assert!(endless.contains("larger than 16 MiB"), "{endless}");
    }
}
