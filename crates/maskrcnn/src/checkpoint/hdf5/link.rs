//! An entry of a group.

/// What a name in a group stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Link {
    /// The object with its header at this address.
    Hard(u64),
    /// A path in this file, which Keras does not write and nothing here follows.
    Soft,
    /// A path in another file.
    External,
}
