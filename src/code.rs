//! A word for each kind of error, for programs that read them. docs/errors.md lists all.

use std::fmt;
use std::io::{self, Write};

use anyhow::Result;

use crate::memory::OutOfMemory;
use crate::source::FetchError;

/// A kind of error of the program itself; [`maskrcnn::Error`] and [`FetchError`] have their own,
/// and [`OutOfMemory`] is always [`Code::OutOfMemory`].
#[derive(Clone, Copy, Debug)]
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
    /// An image cannot be read.
    ImageFile,
    /// It is no image, or of a format that is not read.
    NotAnImage,
    /// It is an image that cannot be decoded.
    BadImage,
    /// There is not enough memory.
    OutOfMemory,
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
        match self {
            Self::CommandLine => "command-line",
            Self::ManyImages => "many-images",
            Self::OutputDirectory => "output-directory",
            Self::OutputFile => "output-file",
            Self::ReplacesInput => "replaces-input",
            Self::StandardOutput => "standard-output",
            Self::InputFile => "input-file",
            Self::ImageFile => "image-file",
            Self::NotAnImage => "not-an-image",
            Self::BadImage => "bad-image",
            Self::OutOfMemory => "out-of-memory",
            Self::System => "system",
            Self::Internal => "internal",
        }
    }
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
            .or_else(|| error.downcast_ref().map(FetchError::code))
            .or_else(|| {
                error
                    .downcast_ref()
                    .map(|_: &OutOfMemory| Code::OutOfMemory.as_str())
            })
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

/// Prints `error` as [`line`] has it.
pub fn print(error: &anyhow::Error, verbose: bool) {
    // Unlike `eprintln!`, no panic when standard error is closed.
    writeln!(io::stderr(), "{}", line(error, verbose)).ok();
}

#[cfg(test)]
mod tests {
    use anyhow::{Context, anyhow};

    use super::*;

    #[test]
    fn the_innermost_code_counts_and_the_words_stay() {
        let error = || Err::<(), _>(anyhow!("the cause").context("what was done"));
        let coded = error()
            .or_code(Code::NotAnImage)
            .context("to what")
            .or_code(Code::OutputFile)
            .unwrap_err();
        assert_eq!(
            line(&coded, true),
            "error[not-an-image]: to what: what was done: the cause"
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
        let library = Err::<(), _>(library)
            .context("cannot load it")
            .or_code(Code::System)
            .unwrap_err();
        assert_eq!(of(&library), "damaged-checkpoint");
        let memory = Err::<(), _>(OutOfMemory("to decode it"))
            .context("cannot decode it")
            .or_code(Code::BadImage);
        assert_eq!(of(&memory.unwrap_err()), "out-of-memory");
    }
}
