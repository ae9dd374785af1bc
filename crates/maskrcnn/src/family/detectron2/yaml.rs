//! YAML as detectron2 writes it, into the same values as JSON.
//!
//! The parser gives events and builds nothing, so what a small text can grow into is decided here:
//! an alias counts as all that it stands for, and nesting has an end.

use std::collections::HashMap;

use saphyr_parser::{Event, Parser, ScalarStyle};
use serde_json::{Map, Number, Value};

use crate::checkpoint::printable;

/// The most values that a document may have, those of aliases included. A whole configuration of
/// detectron2 has some 500.
const MOST_VALUES: usize = 20_000;

/// How deep values may nest. A configuration's do 5 deep.
const DEEPEST: usize = 32;

/// A list or a map that is not closed yet, and the number of its anchor, or 0.
struct Open {
    anchor: usize,
    kind: Kind,
}

enum Kind {
    List(Vec<Value>),
    /// With the key whose value comes next.
    Map(Map<String, Value>, Option<String>),
}

/// The first document of `text`. Tags are left alone: `!!python/tuple`, which old versions wrote, is
/// a list.
///
/// # Errors
///
/// In words, when it is no YAML or there is too much of it.
pub(super) fn read(text: &str) -> Result<Value, String> {
    let mut open: Vec<Open> = Vec::new();
    let mut anchors: HashMap<usize, (Value, usize)> = HashMap::new();
    let mut left = MOST_VALUES;
    for event in Parser::new_from_str(text) {
        let (event, _) = event.map_err(|error| printable(&error.to_string()))?;
        let (value, anchor, count) = match event {
            Event::Scalar(text, style, anchor, _) => (scalar(&text, style), anchor, 1),
            Event::Alias(anchor) => {
                let known = anchors.get(&anchor).ok_or("an alias of nothing")?;
                // Paid for before it is copied.
                if known.1 > left {
                    return Err(too_many());
                }
                (known.0.clone(), 0, known.1)
            }
            Event::SequenceStart(anchor, _) => {
                let kind = Kind::List(Vec::new());
                begin(&mut open, Open { anchor, kind })?;
                continue;
            }
            Event::MappingStart(anchor, _) => {
                let kind = Kind::Map(Map::new(), None);
                begin(&mut open, Open { anchor, kind })?;
                continue;
            }
            Event::SequenceEnd | Event::MappingEnd => {
                let Open { anchor, kind } = open.pop().ok_or("an end without a beginning")?;
                let value = match kind {
                    Kind::List(items) => Value::Array(items),
                    Kind::Map(entries, _) => Value::Object(entries),
                };
                (value, anchor, 1)
            }
            Event::DocumentEnd => break,
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentStart(_) => {
                continue;
            }
        };
        left = left.checked_sub(count).ok_or_else(too_many)?;
        if anchor != 0 {
            let size = size(&value);
            // The anchor's copy takes room, too.
            left = left.checked_sub(size).ok_or_else(too_many)?;
            anchors.insert(anchor, (value.clone(), size));
        }
        match open.last_mut().map(|open| &mut open.kind) {
            None => return Ok(value),
            Some(Kind::List(items)) => items.push(value),
            Some(Kind::Map(entries, key)) => match key.take() {
                None => {
                    *key = Some(match value {
                        Value::String(text) => text,
                        other => other.to_string(),
                    });
                }
                Some(key) => drop(entries.insert(key, value)),
            },
        }
    }
    Ok(Value::Null)
}

fn too_many() -> String {
    format!("more than {MOST_VALUES} values")
}

fn begin(stack: &mut Vec<Open>, open: Open) -> Result<(), String> {
    if stack.len() == DEEPEST {
        return Err(format!("values more than {DEEPEST} deep in each other"));
    }
    stack.push(open);
    Ok(())
}

/// How many values a value is; it is no deeper than [`DEEPEST`] for each alias that it is made by,
/// and aliases are of what was closed before.
fn size(value: &Value) -> usize {
    let mut open = vec![value];
    let mut size = 0;
    while let Some(value) = open.pop() {
        size += 1;
        match value {
            Value::Array(items) => open.extend(items),
            Value::Object(entries) => open.extend(entries.values()),
            _ => {}
        }
    }
    size
}

/// A text without quotes may be a number, true, false or nothing, as PyYAML has it.
fn scalar(text: &str, style: ScalarStyle) -> Value {
    if style != ScalarStyle::Plain {
        return Value::String(text.to_owned());
    }
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
        "true" | "True" | "TRUE" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" => {
            return Value::Bool(true);
        }
        "false" | "False" | "FALSE" | "no" | "No" | "NO" | "off" | "Off" | "OFF" => {
            return Value::Bool(false);
        }
        _ => {}
    }
    if let Ok(number) = text.parse::<i64>() {
        return Value::Number(number.into());
    }
    let number = text.parse::<f64>().ok().and_then(Number::from_f64);
    number.map_or_else(|| Value::String(text.to_owned()), Value::Number)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_are_those_of_json() {
        let text =
            "a: &w [1.0, 2, -3]\nb: *w\nc: !!python/tuple\n- x\n- 'true'\n- no\n-\nd: {e: ''}\n";
        let expected = json!({
            "a": [1.0, 2, -3], "b": [1.0, 2, -3], "c": ["x", "true", false, null], "d": {"e": ""},
        });
        assert_eq!(read(text), Ok(expected));
        assert_eq!(read(""), Ok(Value::Null));
        assert_eq!(read("1e-05"), Ok(json!(1e-5)));
    }

    #[test]
    fn what_would_grow_or_nest_without_end_is_refused() {
        let mut bomb = "a0: &a0 [x, x]\n".to_owned();
        for level in 1..60 {
            let below = level - 1;
            bomb += &format!("a{level}: &a{level} [*a{below}, *a{below}]\n");
        }
        assert_eq!(read(&bomb), Err("more than 20000 values".to_owned()));
        let chain = (1..40_000).map(|_| "- x\n").collect::<String>();
        assert_eq!(read(&chain), Err("more than 20000 values".to_owned()));
        for deep in ["[".repeat(40), "- ".repeat(40)] {
            assert!(read(&deep).unwrap_err().contains("deep in each other"));
        }
        for deep in [
            "[".repeat(100_000),
            "- ".repeat(100_000),
            "{a: ".repeat(100_000),
        ] {
            assert!(read(&deep).is_err());
        }
        let mut nested = "a0: &a0 x\n".to_owned();
        for level in 1..2000 {
            nested += &format!("a{level}: &a{level} [*a{}]\n", level - 1);
        }
        assert_eq!(read(&nested), Err("more than 20000 values".to_owned()));
        for wrong in ["a: *b", "a: [1", "\t- a: {", "a: b: c", "key: \"\u{1b}"] {
            let error = read(wrong).unwrap_err();
            assert!(!error.contains(char::is_control), "{error}");
            assert!(!error.contains(r"\'"), "{error}");
        }
    }
}
