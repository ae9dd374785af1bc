//! What the `hdf5-reader` crate says, as errors of ours.

use hdf5_reader::error::Error as Failure;

use super::super::format::Format;
use super::super::printable::printable;
use crate::error::Error;

/// The error for a failure to read what `part` names: "group `conv1`". What the crate says may quote
/// the file, and is escaped and cut.
pub(super) fn error(part: &str, failure: &Failure) -> Error {
    match root(failure) {
        Failure::UnsupportedLayoutClass(VIRTUAL) => Error::Unsupported {
            what: format!("{part}, a virtual dataset over other files,"),
            remedy: "copy it into one file, as h5repack does",
        },
        Failure::UnsupportedSuperblockVersion(version) => Error::Unsupported {
            what: format!("HDF5 with a superblock of version {version}"),
            remedy: "versions 0 to 3 are read; write the file again with h5repack",
        },
        Failure::UnexpectedEof { .. } | Failure::OffsetOutOfBounds(_) => {
            Format::Hdf5.cut_short(format!("{part} leaves the file"))
        }
        Failure::ResourceLimit(why) | Failure::InvalidData(why) => {
            Format::Hdf5.malformed(format!("{part}: {}", printable(why)))
        }
        other => Format::Hdf5.malformed(format!("{part}: {}", printable(&other.to_string()))),
    }
}

/// The layout class of virtual datasets (specification, IV.A.2.i "Data Layout").
const VIRTUAL: u8 = 3;

fn root(failure: &Failure) -> &Failure {
    let mut failure = failure;
    while let Failure::Context { source, .. } = failure {
        failure = source;
    }
    failure
}
