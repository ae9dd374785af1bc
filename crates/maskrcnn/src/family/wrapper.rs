//! What stood around a network in its file.

use std::fmt;

use crate::checkpoint::{listed, printable};

/// Where in its file a network was, and what was left alone there.
///
/// Keys, names and the class are text of the file's author; [`Display`](fmt::Display) escapes them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Wrapper {
    /// The keys that lead to the dict of its tensors, joined by dots; empty for the file's whole.
    pub key: String,
    /// What stands before the name of each of its tensors, its last dot included.
    pub prefix: String,
    /// Parts between those of its tensors' names, such as `_orig_mod`.
    pub inserted: Vec<String>,
    /// The class of a module that was saved whole.
    pub class: Option<String>,
    /// Keys and prefixes, joined by dots, of networks in the same file that would have done as well.
    pub also: Vec<String>,
    /// Names of tensors in the same dict that are outside of the network and were ignored, sorted.
    pub ignored: Vec<String>,
}

impl Wrapper {
    /// Which network was taken of several that would have done, as a sentence for the user; none where
    /// there was one.
    pub fn taken(&self) -> Option<String> {
        if self.also.is_empty() {
            return None;
        }
        let place = [&*self.key, self.prefix.trim_end_matches('.')];
        let place: Vec<&str> = place.into_iter().filter(|part| !part.is_empty()).collect();
        let taken = if place.is_empty() {
            "the outermost".to_owned()
        } else {
            format!("`{}`", printable(&place.join(".")))
        };
        let others = list(&self.also);
        Some(format!(
            "the weights hold several networks: took {taken}, not {others}; --checkpoint-key chooses"
        ))
    }

    /// Whether there is nothing but the network, under its own names.
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }
}

impl fmt::Display for Wrapper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_none() {
            return f.write_str("the whole file");
        }
        match &*self.key {
            "" => f.write_str("the whole file")?,
            key => write!(f, "`{}`", printable(key))?,
        }
        if let Some(class) = &self.class {
            write!(f, ", a pickled `{}`", printable(class))?;
        }
        if !self.prefix.is_empty() {
            write!(f, ", behind `{}`", printable(&self.prefix))?;
        }
        if !self.inserted.is_empty() {
            write!(f, ", without {}", list(&self.inserted))?;
        }
        if !self.also.is_empty() {
            write!(f, "; not {}", list(&self.also))?;
        }
        match self.ignored.len() {
            0 => Ok(()),
            1 => write!(f, "; a tensor beside it ignored: {}", list(&self.ignored)),
            n => write!(
                f,
                "; {n} tensors beside it ignored: {}",
                list(&self.ignored)
            ),
        }
    }
}

fn list(names: &[String]) -> String {
    listed(names.iter().map(String::as_str))
}
