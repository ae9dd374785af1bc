//! The library's one error type, its variants by what the user can mend.

use std::path::PathBuf;

/// What can go wrong in the library.
///
/// Messages are lowercase, without a full stop, and name what was expected and what was found. A
/// cause that another error carries is its [`source`](std::error::Error::source), not repeated in
/// the message.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file could not be opened or read.
    #[error("cannot read `{path}`")]
    ReadFile {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },

    /// A file could not be written.
    #[error("cannot write `{path}`")]
    WriteFile {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },

    /// The bytes begin like none of the checkpoint formats.
    #[error("not a checkpoint: expected safetensors or a PyTorch .pth file, found {found}")]
    UnknownFormat {
        /// What the bytes look like.
        found: String,
    },

    /// The bytes begin like a checkpoint but break the rules of the format.
    #[error("damaged {format} file: {reason}")]
    Malformed {
        /// The format that was being read.
        format: &'static str,
        /// What was wrong, where.
        reason: String,
    },

    /// A pickle names something that is neither a tensor nor plain data. Nothing was called.
    #[error(
        "refused: the pickle asks for `{global}`, and only tensors and plain data are read from checkpoints; \
         save the parameters alone with torch.save(model.state_dict(), \"weights.pth\")"
    )]
    ForbiddenGlobal {
        /// `module.name`, as the pickle gives it.
        global: String,
    },

    /// The file uses a feature that this program does not read.
    #[error("{what} is not supported; {remedy}")]
    Unsupported {
        /// The feature.
        what: String,
        /// What can be done instead.
        remedy: &'static str,
    },

    /// Two tensors of one checkpoint have the same name.
    #[error("tensor `{name}` stands twice in the checkpoint")]
    DuplicateTensor {
        /// The name.
        name: String,
    },

    /// The network needs a tensor that the checkpoint lacks.
    #[error("tensor `{name}` of shape {expected:?} is missing in the checkpoint")]
    MissingTensor {
        /// The canonical name.
        name: String,
        /// The shape that the network needs.
        expected: Vec<i64>,
    },

    /// The checkpoint holds tensors that the network has no place for.
    #[error("the checkpoint holds {} that this network has no place for: {}", tensors(names.len()), some(names))]
    UnexpectedTensors {
        /// All of their names, sorted.
        names: Vec<String>,
    },

    /// A tensor has another shape than the network needs.
    #[error("tensor `{name}` has shape {found:?}, expected {expected:?}")]
    TensorShape {
        /// The canonical name.
        name: String,
        /// The shape that the network needs.
        expected: Vec<i64>,
        /// The shape in the checkpoint.
        found: Vec<i64>,
    },

    /// No model family recognises the checkpoint's tensors.
    #[error("the checkpoint belongs to no known model family: {reason}; known are {known}")]
    UnknownFamily {
        /// What was looked for and not found.
        reason: String,
        /// The names of the families.
        known: String,
    },

    /// The checkpoint's own description of its network does not make sense.
    #[error("the checkpoint's `{key}` metadata is unusable: {reason}")]
    Metadata {
        /// The key in the file's metadata.
        key: &'static str,
        /// What is wrong with it.
        reason: String,
    },

    /// The device cannot be used.
    #[error("device `{device}` cannot be used: {reason}")]
    Device {
        /// The device as the user named it.
        device: String,
        /// Why, and what there is.
        reason: String,
    },

    /// This processor cannot compute the bits that all others compute.
    #[error(
        "reproducible bits need an x86-64 processor with AVX2 and FMA, and this one has not both"
    )]
    Processor,

    /// The image cannot be given to the network.
    #[error("cannot segment an image of {width}×{height} pixels: {reason}")]
    Image {
        /// Columns.
        width: usize,
        /// Rows.
        height: usize,
        /// Why not.
        reason: String,
    },

    /// A class was asked for that the model does not know.
    #[error("unknown class `{name}`{}; this model knows {known}", suggestion.as_ref().map(|s| format!(", did you mean `{s}`?")).unwrap_or_default())]
    UnknownClass {
        /// The name that was asked for.
        name: String,
        /// The closest name that the model knows.
        suggestion: Option<String>,
        /// All names, comma-separated.
        known: String,
    },

    /// libtorch had not enough memory.
    #[error("not enough memory while {doing}; scale the image down, or allow the program more")]
    OutOfMemory {
        /// What was being done.
        doing: &'static str,
        /// libtorch's own words.
        source: Box<dyn std::error::Error + Send + Sync>,
    },

    /// libtorch reported an error.
    #[error("libtorch failed while {doing}")]
    Torch {
        /// What was being done.
        doing: &'static str,
        /// libtorch's own words.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// The library's result.
pub type Result<T, E = Error> = std::result::Result<T, E>;

fn tensors(count: usize) -> String {
    if count == 1 {
        "a tensor".to_owned()
    } else {
        format!("{count} tensors")
    }
}

/// The first few names: enough to see the pattern, short enough for one line.
fn some(names: &[String]) -> String {
    const SHOWN: usize = 3;
    let mut text = names
        .iter()
        .take(SHOWN)
        .map(|name| format!("`{name}`"))
        .collect::<Vec<_>>()
        .join(", ");
    if names.len() > SHOWN {
        text += &format!(" and {} more", names.len() - SHOWN);
    }
    text
}

impl Error {
    /// The word for this kind of error, for programs that read errors. It stays the same in later
    /// versions.
    pub fn code(&self) -> &'static str {
        match self {
            Self::ReadFile { .. } => "read-file",
            Self::WriteFile { .. } => "write-file",
            Self::UnknownFormat { .. } => "not-a-checkpoint",
            Self::Malformed { .. } => "damaged-checkpoint",
            Self::ForbiddenGlobal { .. } => "forbidden-pickle",
            Self::Unsupported { .. } => "unsupported-checkpoint",
            Self::DuplicateTensor { .. } => "duplicate-tensor",
            Self::MissingTensor { .. } => "missing-tensor",
            Self::UnexpectedTensors { .. } => "unexpected-tensors",
            Self::TensorShape { .. } => "tensor-shape",
            Self::UnknownFamily { .. } => "unknown-family",
            Self::Metadata { .. } => "checkpoint-metadata",
            Self::Device { .. } => "device",
            Self::Processor => "processor",
            Self::Image { .. } => "image-size",
            Self::UnknownClass { .. } => "unknown-class",
            Self::OutOfMemory { .. } => "out-of-memory",
            Self::Torch { .. } => "libtorch",
        }
    }

    /// Wraps what libtorch said: its first line, without the C++ stack that follows.
    pub(crate) fn torch(doing: &'static str, error: tch::TchError) -> Self {
        // PyTorch's allocators on the processor and on GPUs, the C++ library, and oneDNN, which
        // says no more than this where it lacks memory; for the layers of these networks it always
        // has an implementation.
        const NO_MEMORY: [&str; 4] = [
            "can't allocate memory",
            "out of memory",
            "std::bad_alloc",
            "could not create a primitive",
        ];
        let text = error.to_string();
        let line = text.lines().next().unwrap_or_default().trim().to_owned();
        if NO_MEMORY.iter().any(|words| line.contains(words)) {
            Self::OutOfMemory {
                doing,
                source: line.into(),
            }
        } else {
            Self::Torch {
                doing,
                source: line.into(),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_what_libtorch_says_only_the_first_line_is_shown_and_a_lack_of_memory_has_its_own_error() {
        // As libtorch 2.13 says it under `ulimit -v`.
        let text = "[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory: you \
                    tried to allocate 884736 bytes. Error code 12 (Cannot allocate memory)\nframe #0: c10::Throw";
        let error = Error::torch(
            "computing the backbone",
            tch::TchError::Torch(text.to_owned()),
        );
        assert_eq!(error.code(), "out-of-memory");
        let source = std::error::Error::source(&error).unwrap().to_string();
        assert!(
            !source.contains("frame") && !source.contains('\n'),
            "{source}"
        );
        let other = Error::torch(
            "computing the backbone",
            tch::TchError::Torch("sizes differ\nframe #0".to_owned()),
        );
        assert_eq!(other.code(), "libtorch");
    }
}
