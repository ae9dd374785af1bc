//! From addresses to bytes: files, standard input, http, https, data and ipfs.

mod error;
mod guard;
mod http;
mod ipfs;
mod limits;
mod local;
mod lookup;
mod options;
mod sink;
pub mod unixfs;

use std::fs::File;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use self::http::Client;
use self::limits::Limits;
use self::sink::{Buffer, Disk, Sink};
use crate::address::Address;
use crate::progress::{Observer, Transfer};

pub use self::error::{FetchError, Problem, StorageError};
pub use self::local::MAX_FILE_BYTES;
pub use self::options::{FetchOptions, Proxies};

/// How many times longer weights may take than an image: they are some hundred megabytes.
pub const WEIGHTS_TIME: u32 = 30;

/// Something fetched.
#[derive(Debug)]
pub struct Fetched<T> {
    /// The content.
    pub content: T,
    /// What a user who wants to know more should know: what could not be checked, for one.
    pub notes: Vec<String>,
}

/// Fetches what addresses stand for.
pub struct Fetcher {
    options: FetchOptions,
    /// Made when it is needed: reading the system's certificates takes some milliseconds.
    client: OnceLock<Client>,
    observer: Arc<dyn Observer>,
}

impl Fetcher {
    /// A fetcher whose transfers over a network are watched by `observer`.
    pub fn new(options: FetchOptions, observer: Arc<dyn Observer>) -> Self {
        Self {
            options,
            client: OnceLock::new(),
            observer,
        }
    }

    /// The bytes of the image at `address`.
    ///
    /// # Errors
    ///
    /// When they cannot be had, or are more than the limit: that of the options for what is
    /// fetched, [`MAX_FILE_BYTES`] for what is on this machine.
    pub fn image(&self, address: &Address) -> Result<Fetched<Vec<u8>>, FetchError> {
        let content = match address {
            Address::StandardInput => local::read_standard_input()?,
            Address::File(path) => local::read_file(path)?,
            remote => {
                let mut buffer = Buffer::new(self.options.max_image_bytes, self.transfer(remote));
                let notes = self.fetch(remote, self.options.timeout, &mut buffer)?;
                let content = buffer.bytes;
                return Ok(Fetched { content, notes });
            }
        };
        let notes = Vec::new();
        Ok(Fetched { content, notes })
    }

    /// A temporary file without a name, with the weights at `address`, which is no path.
    ///
    /// # Errors
    ///
    /// When they cannot be had, are more than the limit, or find no room.
    pub fn weights(&self, address: &Address) -> Result<Fetched<File>, FetchError> {
        let (directory, limit) = (&self.options.temporary, self.options.max_weights_bytes);
        let mut disk = Disk::new(directory, limit, self.transfer(address))?;
        let notes = self.fetch(address, self.options.timeout * WEIGHTS_TIME, &mut disk)?;
        let content = disk.into_file();
        Ok(Fetched { content, notes })
    }

    /// Fetches what is at `address`, which is no path, into `file` of `directory`. The file may hold
    /// the beginning of it, of an earlier try, and holds what has come when this one fails. That it
    /// is the beginning of the same thing is for the caller to check, by the sum of the whole.
    ///
    /// # Errors
    ///
    /// When it cannot be had, or finds no room.
    pub fn download(
        &self,
        address: &Address,
        file: File,
        directory: &Path,
    ) -> Result<Vec<String>, FetchError> {
        let mut disk = Disk::keep(file, directory, self.transfer(address))?;
        self.fetch(address, self.options.timeout * WEIGHTS_TIME, &mut disk)
    }

    fn fetch(
        &self,
        address: &Address,
        time: Duration,
        sink: &mut dyn Sink,
    ) -> Result<Vec<String>, FetchError> {
        match address {
            Address::Http(url) => {
                self.client()?
                    .get(&url.target, "*/*", &Limits::start(time), sink)?;
                Ok(Vec::new())
            }
            Address::Ipfs(path) => {
                let (client, gateways) = (self.client()?, &self.options.ipfs_gateways);
                ipfs::fetch(client, gateways, &path.target, &Limits::start(time), sink)
            }
            Address::Data(bytes) => {
                sink.begin(Some(bytes.target.len() as u64))?;
                sink.write(&bytes.target)?;
                Ok(Vec::new())
            }
            Address::Unusable(reason) => Err(FetchError::Address(reason.target.clone())),
            Address::StandardInput | Address::File(_) => {
                let reason = "a file of this machine is opened, not fetched";
                Err(FetchError::Address(reason.to_owned()))
            }
        }
    }

    fn client(&self) -> Result<&Client, FetchError> {
        if let Some(client) = self.client.get() {
            return Ok(client);
        }
        let guard = if self.options.public_only {
            guard::public_only
        } else {
            guard::anything
        };
        let client = Client::new(&self.options, guard)?;
        Ok(self.client.get_or_init(|| client))
    }

    fn transfer(&self, address: &Address) -> Box<dyn Transfer> {
        let name = address.file_name();
        self.observer.transfer(&if name.is_empty() {
            address.name()
        } else {
            name
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::progress::Silent;

    #[test]
    fn data_urls_are_decoded_from_base64_and_from_escapes() {
        let fetcher = Fetcher::new(FetchOptions::for_tests(), Arc::new(Silent));
        let fetch = |url: &str| fetcher.image(&Address::new(url.as_ref()));
        for (url, bytes) in [
            ("data:image/png;base64,iVBORw==", &b"\x89PNG"[..]),
            ("DATA:image/png;BASE64,iVBORw", b"\x89PNG"),
            ("data:;base64,iVB%4FRw%3D%3D", b"\x89PNG"),
            ("data:,%89PNG", b"\x89PNG"),
            ("data:text/plain,a b#fragment", b"a b"),
            ("data:,", b""),
        ] {
            assert_eq!(fetch(url).unwrap().content, bytes, "{url}");
        }
        for bad in [
            "data:image/png;base64",
            "data:;base64,iVBO!",
            "data:;base64,i",
            "data:;base64,iVBORw=",
        ] {
            assert!(matches!(fetch(bad), Err(FetchError::Address(_))), "{bad}");
        }
    }
}
