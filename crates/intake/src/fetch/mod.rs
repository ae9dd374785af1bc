//! Images and weights from addresses: http, https, data and ipfs.

use std::fs::File;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::Duration;

use data_url::DataUrl;
use indicatif::{MultiProgress, ProgressBar};
use url::Url;

use super::address::Address;
use super::fetch_error::FetchError;
use super::guard;
use super::http::{Client, Limits};
use super::ipfs;
use super::sink::{Disk, Memory, Sink, progress_bar};

/// How many times longer weights may take than an image: they are some hundred megabytes.
const WEIGHTS_TIME: u32 = 30;

/// How addresses are fetched.
#[derive(Clone, Debug)]
pub struct FetchOptions {
    /// Largest image.
    pub max_image_bytes: u64,
    /// Largest weights; none for as large as there is room for.
    pub max_weights_bytes: Option<u64>,
    /// For an image, all in all; weights get thirty times that.
    pub timeout: Duration,
    /// Whether only public addresses are connected to. Proxies are not used then: what they connect
    /// to is their affair.
    pub public_only: bool,
    /// Where IPFS content comes from, tried in turn.
    pub ipfs_gateways: Vec<Url>,
    /// Certificates to trust beside the system's.
    pub ca_file: Option<PathBuf>,
    /// Through whom to connect.
    pub proxies: Proxies,
    /// Where weights are kept while they are used.
    pub temporary: PathBuf,
}

/// Proxies, as the environment names them.
#[derive(Clone, Debug, Default)]
pub struct Proxies {
    /// For http.
    pub http: Option<String>,
    /// For https.
    pub https: Option<String>,
    /// Hosts and domains to be fetched from directly, separated by commas; `*` for all.
    pub except: String,
}

/// Something fetched.
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
    progress: MultiProgress,
}

impl Fetcher {
    /// A fetcher that shows how far it is on `progress`.
    pub fn new(options: FetchOptions, progress: MultiProgress) -> Self {
        Self {
            options,
            client: OnceLock::new(),
            progress,
        }
    }

    /// The bytes of the image at `address`.
    pub fn image(&self, address: &Address) -> Result<Fetched<Vec<u8>>, FetchError> {
        let progress = self.bar(address);
        let mut memory = Memory::new(self.options.max_image_bytes, progress.0.clone());
        let notes = self.fetch(address, self.options.timeout, &mut memory)?;
        Ok(Fetched {
            content: memory.bytes,
            notes,
        })
    }

    /// A temporary file with the weights at `address`.
    pub fn weights(&self, address: &Address) -> Result<Fetched<File>, FetchError> {
        let progress = self.bar(address);
        let mut disk = Disk::new(
            &self.options.temporary,
            self.options.max_weights_bytes,
            progress.0.clone(),
        )?;
        let notes = self.fetch(address, self.options.timeout * WEIGHTS_TIME, &mut disk)?;
        Ok(Fetched {
            content: disk.into_file(),
            notes,
        })
    }

    fn fetch(
        &self,
        address: &Address,
        time: Duration,
        sink: &mut dyn Sink,
    ) -> Result<Vec<String>, FetchError> {
        match &*address.scheme() {
            "http" | "https" => {
                let url = parse(address.as_str())?;
                self.client()?
                    .get(&url, "*/*", &Limits::start(time), sink)?;
                Ok(Vec::new())
            }
            "ipfs" => {
                let path = ipfs::Path::parse(address.as_str())?;
                ipfs::fetch(
                    self.client()?,
                    &self.options.ipfs_gateways,
                    &path,
                    &Limits::start(time),
                    sink,
                )
            }
            "data" => {
                let bytes = decode_data(address.as_str())?;
                sink.begin(Some(bytes.len() as u64))?;
                sink.write(&bytes)?;
                Ok(Vec::new())
            }
            "file" => Err(FetchError::Address(
                "file addresses are not fetched; give the path itself".to_owned(),
            )),
            scheme => Err(FetchError::Address(format!(
                "`{scheme}` addresses are not fetched, only http, https, data and ipfs; fetch it with another program \
                 and give the file"
            ))),
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

    fn bar(&self, address: &Address) -> Bar {
        let name = match address.file_name() {
            name if name.is_empty() => address.shown(),
            name => name,
        };
        Bar(self.progress.add(progress_bar(&name)))
    }
}

/// A progress bar that goes when the work ends, also by an error.
struct Bar(ProgressBar);

impl Drop for Bar {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

/// An http or https address.
fn parse(text: &str) -> Result<Url, FetchError> {
    Url::parse(text)
        .map_err(|error| FetchError::Address(format!("it is no valid address: {error}")))
}

/// The content of a data URL (RFC 2397, as the Fetch Standard reads it).
fn decode_data(text: &str) -> Result<Vec<u8>, FetchError> {
    let url = DataUrl::process(text).map_err(|_| {
        FetchError::Address(
            "it is no data URL: expected `data:`, the type, a comma and the data".to_owned(),
        )
    })?;
    match url.decode_to_vec() {
        Ok((bytes, _)) => Ok(bytes),
        Err(_) => Err(FetchError::Address(
            "its data is no valid base64; was it cut short?".to_owned(),
        )),
    }
}

#[cfg(test)]
impl FetchOptions {
    /// Limits as they are, a time-out for tests, nothing from the environment.
    pub fn for_tests() -> Self {
        Self {
            max_image_bytes: 64 << 20,
            max_weights_bytes: None,
            timeout: Duration::from_secs(10),
            public_only: false,
            ipfs_gateways: Vec::new(),
            ca_file: None,
            proxies: Proxies::default(),
            temporary: PathBuf::from("."),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_urls_are_decoded_from_base64_and_from_escapes() {
        for (url, bytes) in [
            ("data:image/png;base64,iVBORw==", &b"\x89PNG"[..]),
            ("DATA:image/png;BASE64,iVBORw", b"\x89PNG"),
            ("data:;base64,iVB%4FRw%3D%3D", b"\x89PNG"),
            ("data:,%89PNG", b"\x89PNG"),
            ("data:text/plain,a b#fragment", b"a b"),
            ("data:,", b""),
        ] {
            assert_eq!(decode_data(url).unwrap(), bytes, "{url}");
        }
        for bad in [
            "data:image/png;base64",
            "data:;base64,iVBO!",
            "data:;base64,i",
            "data:;base64,iVBORw=",
        ] {
            assert!(decode_data(bad).is_err(), "{bad}");
        }
    }
}
