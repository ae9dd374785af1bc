//! How addresses are fetched.

use std::path::PathBuf;
use std::time::Duration;

use url::Url;

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

#[cfg(test)]
impl FetchOptions {
    /// Limits as they are, a time-out for tests, nothing from the environment.
    pub(crate) fn for_tests() -> Self {
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
