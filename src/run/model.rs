//! The network that a run asks, and what reports say about it.

use std::env;
use std::os::fd::AsRawFd;
use std::path::Path;

use anyhow::{Context, Result};
use intake::{Address, Fetcher};
use maskrcnn::{MaskRcnn, ModelInfo, Weights};

use super::timed::Timed;
use crate::options::Options;
use crate::terminal::Terminal;

/// A network and what reports say about it.
pub(super) struct Model {
    /// The network.
    pub network: MaskRcnn,
    /// What reports say.
    pub info: ModelInfo,
    /// SHA-256 of the weights, in hex.
    pub sha256: String,
}

impl Model {
    /// The model that the options name, ready to segment what they ask for.
    ///
    /// # Errors
    ///
    /// When the weights cannot be had or are no network, the device is absent, or a class unknown.
    pub fn load(options: &Options, fetcher: &Fetcher, terminal: &Terminal) -> Result<Self> {
        let loaded = Timed::of(|| {
            let baked = baked();
            let (weights, file) = match options.weights.as_ref().or(baked.as_ref()) {
                None => {
                    let weights =
                        Weights::embedded().context("cannot load the weights that are built in")?;
                    (weights, Weights::EMBEDDED_NAME.to_owned())
                }
                Some(address) => {
                    let weights = match address.path() {
                        Some(path) => Weights::open(path).map_err(Into::into),
                        None => fetch(address, fetcher, terminal),
                    };
                    let weights =
                        weights.with_context(|| format!("cannot load the weights `{address}`"))?;
                    (weights, address.file_name())
                }
            };
            let (sha256, family) = (weights.sha256(), weights.family());
            let info = ModelInfo::new(family, &file, sha256.clone(), weights.labels());
            terminal.detail(&format!(
                "model: {family} on {} with {} threads; weights: {file}, read as {}",
                options.device,
                maskrcnn::threads(),
                weights.format()
            ));
            let network =
                MaskRcnn::new(weights, options.device).context("cannot set up the model")?;
            network.check(&options.segment)?;
            Ok(Self {
                network,
                info,
                sha256,
            })
        })?;
        terminal.stage(&"load the model", loaded.took);
        Ok(loaded.value)
    }
}

/// The weights that whoever installed the program put beside it, instead of the embedded ones:
/// container images do.
fn baked() -> Option<Address> {
    let path = env::current_exe().ok()?.with_file_name("weights");
    path.is_file().then_some(Address::File(path))
}

/// The weights at `address`, mapped from a temporary file that has no name.
fn fetch(address: &Address, fetcher: &Fetcher, terminal: &Terminal) -> Result<Weights> {
    let fetched = Timed::of(|| Ok(fetcher.weights(address)?))?;
    let notes = fetched.value.notes.iter();
    notes.for_each(|note| terminal.detail(&format!("{address}: {note}")));
    terminal.stage(&"fetch the weights", fetched.took);
    // The path under which a process finds its own open files.
    let path = format!("/dev/fd/{}", fetched.value.content.as_raw_fd());
    Ok(Weights::open(Path::new(&path))?)
}
