//! The library's one error type, its variants by what the user can mend.

use std::path::PathBuf;

use strum::{IntoStaticStr, VariantNames};

/// What can go wrong in the library.
///
/// Messages are lowercase, without a full stop, and name what was expected and what was found. A
/// cause that another error carries is its [`source`](std::error::Error::source), not repeated in
/// the message.
#[derive(Debug, thiserror::Error, IntoStaticStr, VariantNames)]
#[non_exhaustive]
pub enum Error {
    /// A file could not be opened or read.
    #[strum(serialize = "read-file")]
    #[error("cannot read `{path}`")]
    ReadFile {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },

    /// A file could not be written.
    #[strum(serialize = "write-file")]
    #[error("cannot write `{path}`")]
    WriteFile {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },

    /// The bytes begin like none of the checkpoint formats.
    #[strum(serialize = "not-a-checkpoint")]
    #[error(
        "not a checkpoint: expected safetensors, a PyTorch .pth file, a pickle of NumPy arrays or HDF5 of Keras, found {found}"
    )]
    UnknownFormat {
        /// What the bytes look like.
        found: String,
    },

    /// The bytes begin like a checkpoint but break the rules of the format.
    #[strum(serialize = "damaged-checkpoint")]
    #[error("damaged {format} file: {reason}")]
    Malformed {
        /// The format that was being read.
        format: &'static str,
        /// What was wrong, where.
        reason: String,
    },

    /// A pickle names something that only one has that is made to run code. Nothing was called.
    #[strum(serialize = "forbidden-pickle")]
    #[error(
        "refused: the pickle asks for `{global}`, which no checkpoint needs; nothing was run; \
         save the parameters alone with torch.save(model.state_dict(), \"weights.pth\")"
    )]
    ForbiddenGlobal {
        /// `module.name`, as the pickle gives it.
        global: String,
    },

    /// The file uses a feature that this program does not read.
    #[strum(serialize = "unsupported-checkpoint")]
    #[error("{what} is not supported; {remedy}")]
    Unsupported {
        /// The feature.
        what: String,
        /// What can be done instead.
        remedy: &'static str,
    },

    /// The checkpoint has no network under a key that was asked for.
    #[strum(serialize = "checkpoint-key")]
    #[error("the checkpoint has no network under the key `{key}`; {}", if known.is_empty() { "it has no keys".to_owned() } else { format!("it has {known}") })]
    UnknownKey {
        /// The key.
        key: String,
        /// Those that there are.
        known: String,
    },

    /// Two tensors of one checkpoint have the same name.
    #[strum(serialize = "duplicate-tensor")]
    #[error("tensor `{name}` stands twice in the checkpoint")]
    DuplicateTensor {
        /// The name.
        name: String,
    },

    /// The network needs a tensor that the checkpoint lacks.
    #[strum(serialize = "missing-tensor")]
    #[error("tensor `{name}` of shape {expected:?} is missing in the checkpoint")]
    MissingTensor {
        /// The canonical name.
        name: String,
        /// The shape that the network needs.
        expected: Vec<i64>,
    },

    /// The checkpoint holds tensors that the network has no place for.
    #[strum(serialize = "unexpected-tensors")]
    #[error("the checkpoint holds {} that this network has no place for: {}", tensors(names.len()), some(names))]
    UnexpectedTensors {
        /// All of their names, sorted.
        names: Vec<String>,
    },

    /// A tensor has another shape than the network needs.
    #[strum(serialize = "tensor-shape")]
    #[error("tensor `{name}` has shape {found:?}, expected {expected:?}")]
    TensorShape {
        /// The canonical name.
        name: String,
        /// The shape that the network needs.
        expected: Vec<i64>,
        /// The shape in the checkpoint.
        found: Vec<i64>,
    },

    /// A tensor holds NaN or infinity, or would once a norm is folded into it.
    #[strum(serialize = "not-finite")]
    #[error("tensor `{name}` cannot be computed with: {reason}")]
    NotFinite {
        /// The canonical name.
        name: String,
        /// What is not finite in it, and why.
        reason: String,
    },

    /// The network computed NaN or infinity.
    #[strum(serialize = "not-finite-output")]
    #[error(
        "{doing} gave numbers that are not finite; was the network trained to the end, and are the sizes, the mean \
         and the norms' epsilon of its blueprint those that it was trained with?"
    )]
    NotFiniteOutput {
        /// What was being computed.
        doing: &'static str,
    },

    /// No model family recognises the checkpoint's tensors.
    #[strum(serialize = "unknown-family")]
    #[error("the checkpoint belongs to no known model family: {reason}; known are {known}")]
    UnknownFamily {
        /// What was looked for and not found.
        reason: String,
        /// The names of the families.
        known: String,
    },

    /// The checkpoint's own description of its network does not make sense.
    #[strum(serialize = "checkpoint-metadata")]
    #[error("the checkpoint's `{key}` metadata is unusable: {reason}")]
    Metadata {
        /// The key in the file's metadata.
        key: &'static str,
        /// What is wrong with it.
        reason: String,
    },

    /// A blueprint makes no sense, or is not that of the tensors.
    #[strum(serialize = "blueprint")]
    #[error("the blueprint is unusable: {reason}")]
    Blueprint {
        /// The path of the field, such as `rpn.nms_thresh`, and what was expected of it.
        reason: String,
    },

    /// A file of names for the classes cannot be read, or names another number of them.
    #[strum(serialize = "labels")]
    #[error("the names of the classes are unusable: {reason}")]
    Labels {
        /// What was expected, and what was found.
        reason: String,
    },

    /// The device cannot be used.
    #[strum(serialize = "device")]
    #[error("device `{device}` cannot be used: {reason}")]
    Device {
        /// The device as the user named it.
        device: String,
        /// Why, and what there is.
        reason: String,
    },

    /// This processor cannot compute the bits that all others compute.
    #[strum(serialize = "processor")]
    #[error(
        "reproducible bits need an x86-64 processor with AVX2 and FMA, and this one has not both"
    )]
    Processor,

    /// The image cannot be given to the network.
    #[strum(serialize = "image-size")]
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
    #[strum(serialize = "unknown-class")]
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
    #[strum(serialize = "out-of-memory")]
    #[error("not enough memory while {doing}; scale the image down, or allow the program more")]
    OutOfMemory {
        /// What was being done.
        doing: &'static str,
        /// libtorch's own words.
        source: Box<dyn std::error::Error + Send + Sync>,
    },

    /// libtorch reported an error.
    #[strum(serialize = "libtorch")]
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
    /// Every word that [`code`](Self::code) returns, in the order of the variants.
    pub const CODES: &[&str] = Self::VARIANTS;

    /// The word for this kind of error, for programs that read errors. It stays the same in later
    /// versions.
    pub fn code(&self) -> &'static str {
        self.into()
    }
}
