//! How much the program says.

/// How much to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verbosity {
    /// Errors only.
    Quiet,
    /// A line for each image.
    Normal,
    /// How long each stage took, too.
    Verbose,
}
