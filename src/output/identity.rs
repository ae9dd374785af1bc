//! Which files are the same, however they are named.

use std::collections::HashSet;
use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use intake::Address;

/// A file by device and number, not by path: a folder may be seen at two places, as in `docker run
/// -v .:/in -v .:/out`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Identity {
    device: u64,
    number: u64,
}

impl Identity {
    /// Of the file that has this metadata.
    pub fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            number: metadata.ino(),
        }
    }

    /// Of the file at `path`, behind links; none when there is none.
    pub fn at(path: &Path) -> Option<Self> {
        fs::metadata(path).ok().as_ref().map(Self::of)
    }
}

/// The files among `addresses` that exist.
pub(super) fn identities<'a>(
    addresses: impl IntoIterator<Item = &'a Address>,
) -> HashSet<Identity> {
    let paths = addresses.into_iter().filter_map(Address::path);
    paths.filter_map(Identity::at).collect()
}
