//! The network that a run asks, and what reports say about it.

use std::env;
use std::fs::File;
use std::io::Seek;
use std::os::fd::AsRawFd;
use std::path::Path;

use anyhow::{Context, Result};
use intake::{Address, Fetcher};
use maskrcnn::{MaskRcnn, ModelInfo, ReadOptions, SegmentOptions, Weights};

use super::timed::Timed;
use crate::errors::Code;
use crate::options::Options;
use crate::terminal::Terminal;
use crate::weights::{Named, Source, cannot_load};

const CANNOT_REWIND: &str = "cannot go back to the beginning of a temporary file";

/// A network and what reports say about it.
pub(super) struct Model {
    /// The network.
    pub network: MaskRcnn,
    /// What it is asked for.
    pub segment: SegmentOptions,
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
            let source = options.weights.as_ref().or(baked.as_ref());
            let mut read = ReadOptions::default();
            read.key.clone_from(&options.checkpoint_key);
            let (weights, file) = match source.unwrap_or(&Source::Embedded) {
                Source::Embedded if read.key.is_some() => {
                    let message = "--checkpoint-key is for a checkpoint that -w names; \
                                   there is one network built in";
                    return Err(Code::CommandLine.error(message));
                }
                Source::Embedded => {
                    let weights =
                        Weights::embedded().context("cannot load the weights that are built in")?;
                    (weights, Weights::EMBEDDED_NAME.to_owned())
                }
                Source::At(address) => {
                    let weights = match address.path() {
                        Some(path) => Weights::open_with(path, &read).map_err(Into::into),
                        None => fetch(address, read, fetcher, terminal),
                    };
                    (
                        weights.with_context(|| cannot_load(address))?,
                        address.file_name(),
                    )
                }
                Source::Named(named) => {
                    let weights = by_name(named, read, fetcher, terminal);
                    let name = named.entry.name;
                    let weights =
                        weights.with_context(|| format!("cannot load the weights {name}"))?;
                    (weights, named.entry.file().to_owned())
                }
            };
            let weights = adapted(weights, options, fetcher, terminal)?;
            let (sha256, family) = (weights.sha256(), weights.family());
            if let Some(Source::Named(named)) = source {
                named.check(&sha256)?;
            }
            let info = ModelInfo::new(family, &file, sha256.clone(), weights.labels());
            terminal.detail(&format!(
                "model: {family} on {} with {} threads; weights: {file}, read as {}",
                options.device,
                maskrcnn::threads(),
                weights.format()
            ));
            if let Some(taken) = weights.wrapper().taken() {
                terminal.note(&taken);
            }
            if !weights.wrapper().is_none() {
                terminal.detail(&format!("weights of {}", weights.wrapper()));
            }
            weights.notes().for_each(|note| terminal.detail(note));
            let network =
                MaskRcnn::new(weights, options.device).context("cannot set up the model")?;
            let mut segment = options.segment.clone();
            if !options.is_threshold_given {
                segment.score_threshold = network.default_options().score_threshold;
            }
            network.check(&segment)?;
            Ok(Self {
                network,
                segment,
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
fn baked() -> Option<Source> {
    let path = env::current_exe().ok()?.with_file_name("weights");
    path.is_file().then_some(Source::At(Address::File(path)))
}

/// Weights of the catalogue: out of the cache, where there is one, fetched into it when they are not
/// there.
fn by_name(
    named: &Named,
    read: ReadOptions,
    fetcher: &Fetcher,
    terminal: &Terminal,
) -> Result<Weights> {
    let Named {
        entry,
        address,
        cache,
    } = named;
    match cache {
        None => {
            let mut file = download(address, fetcher, terminal)?;
            file.rewind().context(CANNOT_REWIND)?;
            named.check_fetched(&file)?;
            mapped(&file, read)
        }
        Some(cache) => {
            let path = Timed::of(|| cache.fetch(entry, address, fetcher, terminal))?;
            terminal.stage(&"fetch the weights", path.took);
            named.open_kept(cache, &read)
        }
    }
}

/// The weights with the blueprint and the names of classes that the options name.
fn adapted(
    mut weights: Weights,
    options: &Options,
    fetcher: &Fetcher,
    terminal: &Terminal,
) -> Result<Weights> {
    if let Some(address) = &options.blueprint {
        let json = open(address, fetcher, terminal);
        let with_blueprint = json.and_then(|json| Ok(weights.with_blueprint(json)?));
        weights =
            with_blueprint.with_context(|| format!("cannot use the blueprint `{address}`"))?;
    }
    if let Some(address) = &options.labels {
        let labels = open(address, fetcher, terminal);
        let with_labels = labels.and_then(|labels| Ok(weights.with_labels(labels)?));
        weights = with_labels.with_context(|| format!("cannot use the labels `{address}`"))?;
    }
    Ok(weights)
}

/// The document at `address`, opened.
fn open(address: &Address, fetcher: &Fetcher, terminal: &Terminal) -> Result<File> {
    match address.path() {
        Some(path) => File::open(path).map_err(|source| {
            let path = path.to_owned();
            maskrcnn::Error::ReadFile { path, source }.into()
        }),
        None => {
            let mut file = download(address, fetcher, terminal)?;
            file.rewind().context(CANNOT_REWIND)?;
            Ok(file)
        }
    }
}

/// The weights at `address`.
fn fetch(
    address: &Address,
    read: ReadOptions,
    fetcher: &Fetcher,
    terminal: &Terminal,
) -> Result<Weights> {
    mapped(&download(address, fetcher, terminal)?, read)
}

/// Weights, mapped from a temporary file that has no name.
fn mapped(file: &File, mut read: ReadOptions) -> Result<Weights> {
    // The path under which a process finds its own open files.
    let path = format!("/dev/fd/{}", file.as_raw_fd());
    // What stands beside it there is this process's own.
    read.shards = false;
    Ok(Weights::open_with(Path::new(&path), &read)?)
}

/// What is at `address`, in a temporary file that has no name, at its end.
fn download(address: &Address, fetcher: &Fetcher, terminal: &Terminal) -> Result<File> {
    let fetched = Timed::of(|| Ok(fetcher.weights(address)?))?;
    let notes = fetched.value.notes.iter();
    notes.for_each(|note| terminal.detail(&format!("{address}: {note}")));
    terminal.stage(&"fetch the weights", fetched.took);
    Ok(fetched.value.content)
}
