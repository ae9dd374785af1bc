//! What strangers send: an [`Address`] becomes bytes ([`Fetcher`]), and bytes become upright RGB
//! pixels ([`decode`](decode())), within limits that hold before memory is spent.
//!
//! Nothing here knows a network of neurons, a terminal or a command line.

mod address;
pub mod allocation;
mod code;
mod decode;
mod fetch;
mod ipfs_path;
mod progress;

use std::error::Error;

pub use address::{Address, Remote, on_one_line};
pub use code::Code;
pub use decode::{DEFAULT_MAX_PIXELS, DecodeError, Decoded, decode, pixels};
pub use fetch::{
    FetchError, FetchOptions, Fetched, Fetcher, MAX_FILE_BYTES, Problem, Proxies, StorageError,
    WEIGHTS_TIME, unixfs,
};
pub use ipfs_path::IpfsPath;
pub use progress::{Observer, Silent, Transfer};

/// The code of `error`, when it is one of this crate's.
pub fn code(error: &(dyn Error + 'static)) -> Option<Code> {
    error
        .downcast_ref()
        .map(FetchError::code)
        .or_else(|| error.downcast_ref().map(DecodeError::code))
        .or_else(|| {
            error
                .downcast_ref()
                .map(|_: &allocation::OutOfMemory| Code::OutOfMemory)
        })
}
