//! Errors as users and programs see them: one line, with a remedy, and a word for each kind.

use std::fmt;
use std::io::{self, Write};

use anyhow::Result;
use strum::{IntoStaticStr, VariantNames};

/// A kind of error of the program itself. [`maskrcnn::Error`] and [`intake::Code`] have the others.
#[derive(Clone, Copy, Debug, IntoStaticStr, VariantNames)]
#[strum(serialize_all = "kebab-case")]
pub enum Code {
    /// The arguments of a task make no sense.
    CommandLine,
    /// A callback was asked for, which reports one image, and there are several.
    ManyImages,
    /// No results can be written to the output directory.
    OutputDirectory,
    /// A result cannot be written.
    OutputFile,
    /// A result would replace an input.
    ReplacesInput,
    /// Standard output cannot be written.
    StandardOutput,
    /// A file that a task's worker was to bring is not there.
    InputFile,
    /// No weights have the name that was given.
    UnknownWeights,
    /// Weights are not those that their name stands for.
    WeightsChecksum,
    /// Weights cannot be kept in the user's cache.
    Cache,
    /// The system refuses threads or the like.
    System,
    /// A fault of the program.
    Internal,
}

impl Code {
    /// An error of this kind, in these words.
    pub fn error(self, message: impl Into<String>) -> anyhow::Error {
        Coded {
            code: self,
            error: anyhow::Error::msg(message.into()),
        }
        .into()
    }

    fn as_str(self) -> &'static str {
        self.into()
    }
}

/// Every code that an error can have, each once: those of the program, of what strangers send, and
/// of the network. docs/errors.md says what they mean, and a test that it lists them all.
pub fn codes() -> impl Iterator<Item = &'static str> {
    let own = Code::VARIANTS.iter().chain(intake::Code::ALL);
    // A lack of memory has one word, wherever it is met.
    let network = maskrcnn::Error::CODES
        .iter()
        .filter(|code| !intake::Code::ALL.contains(code));
    own.chain(network).copied()
}

/// An error that has a code, in its own words.
#[derive(Debug)]
struct Coded {
    code: Code,
    error: anyhow::Error,
}

impl fmt::Display for Coded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.error)
    }
}

impl std::error::Error for Coded {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.error.source()
    }
}

/// Gives errors their codes.
pub trait OrCode<T> {
    /// The same, where an error without a code has `code`.
    fn or_code(self, code: Code) -> Result<T>;
}

impl<T, E: Into<anyhow::Error>> OrCode<T> for Result<T, E> {
    fn or_code(self, code: Code) -> Result<T> {
        self.map_err(|error| {
            let error = error.into();
            if known(&error).is_some() {
                error
            } else {
                Coded { code, error }.into()
            }
        })
    }
}

/// The code of `error`.
pub fn of(error: &anyhow::Error) -> &'static str {
    known(error).unwrap_or(Code::Internal.as_str())
}

fn known(error: &anyhow::Error) -> Option<&'static str> {
    error.chain().find_map(|error| {
        let coded = error
            .downcast_ref::<Coded>()
            .map(|coded| coded.code.as_str());
        coded
            .or_else(|| error.downcast_ref().map(maskrcnn::Error::code))
            .or_else(|| intake::code(error).map(intake::Code::as_str))
    })
}

/// What the system said, when that is the cause of `error`.
pub fn system(error: &anyhow::Error) -> Option<&io::Error> {
    error.chain().find_map(|cause| {
        let coded = cause
            .downcast_ref::<Coded>()
            .and_then(|coded| coded.error.downcast_ref());
        coded.or_else(|| cause.downcast_ref())
    })
}

/// `error` in one line, with its code when `verbose`.
pub fn line(error: &anyhow::Error, verbose: bool) -> String {
    if verbose {
        format!("error[{}]: {error:#}", of(error))
    } else {
        format!("error: {error:#}")
    }
}

/// Prints `error` as [`line()`] has it.
pub fn print(error: &anyhow::Error, verbose: bool) {
    // Unlike `eprintln!`, no panic when standard error is closed.
    writeln!(io::stderr(), "{}", line(error, verbose)).ok();
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use anyhow::{Context, anyhow};
    use intake::allocation::OutOfMemory;

    use super::*;

    #[test]
    fn the_innermost_code_counts_and_the_words_stay() {
        let error = || Err::<(), _>(anyhow!("the cause").context("what was done"));
        let coded = error().or_code(Code::OutputFile).context("to what");
        let coded = coded.or_code(Code::System).unwrap_err();
        assert_eq!(
            line(&coded, true),
            "error[output-file]: to what: what was done: the cause"
        );
        assert_eq!(
            line(&coded, false),
            "error: to what: what was done: the cause"
        );
        assert_eq!(of(&error().unwrap_err()), "internal");
        let library = maskrcnn::Error::Malformed {
            format: "zip",
            reason: String::new(),
        };
        let library = Err::<(), _>(library).context("cannot load it");
        assert_eq!(
            of(&library.or_code(Code::System).unwrap_err()),
            "damaged-checkpoint"
        );
        let memory = Err::<(), _>(OutOfMemory("to decode it")).context("cannot decode it");
        assert_eq!(
            of(&memory.or_code(Code::OutputFile).unwrap_err()),
            "out-of-memory"
        );
    }

    #[test]
    fn every_code_is_documented_and_every_documented_code_exists() {
        let text = include_str!("../docs/errors.md");
        let rows = text
            .lines()
            .filter_map(|line| line.strip_prefix("| `")?.split_once("` |"));
        let documented: BTreeSet<_> = rows.map(|(code, _)| code).collect();
        let existing: Vec<_> = codes().collect();
        assert_eq!(BTreeSet::from_iter(existing.iter().copied()), documented);
        assert_eq!(existing.len(), documented.len(), "a code stands twice");
    }
}
