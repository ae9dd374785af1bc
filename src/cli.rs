//! The command line: words to [`Args`]. Nothing is touched here but text.

mod jobs;

use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;
use std::sync::LazyLock;

use clap::builder::ValueParser;
use clap::error::ErrorKind;
use clap::{ArgAction, Command, CommandFactory, FromArgMatches, Parser, Subcommand};
use intake::DEFAULT_MAX_PIXELS;
use maskrcnn::Device;
use url::Url;

use crate::verbosity::Verbosity;

static VERSION: LazyLock<String> = LazyLock::new(|| {
    format!(
        "{} (libtorch {})",
        env!("CARGO_PKG_VERSION"),
        maskrcnn::libtorch_version()
    )
});

/// Where results go when nobody says.
pub const DEFAULT_OUTPUT: &str = "out";

/// A megapixel.
pub const MEGA: u64 = 1_000_000;

const EXAMPLES: &str = "\
Examples:
  maskrcnn photo.jpg                        writes out/photo.png and out/photo.json
  maskrcnn -o results holiday/*.jpg         several images, one load of the model
  maskrcnn --classes person,dog photo.jpg   only people and dogs
  maskrcnn -t 0.8 photo.jpg                 only what the model is sure of
  maskrcnn https://example.org/a.jpg        from the web; also data: and ipfs://CID/path
  maskrcnn -w maskrcnn-v2 photo.jpg         torchvision's best weights, fetched once
  curl -s https://example.org/a.jpg | maskrcnn -

Exit status: 0 when every image was done, also when nothing was found; 1 when something failed; \
2 when the command line makes no sense.";

/// Public gateways that give raw blocks, so that the content can be checked: those that the IPFS
/// project keeps.
const IPFS_GATEWAYS: [&str; 3] = [
    "https://trustless-gateway.link",
    "https://ipfs.io",
    "https://dweb.link",
];

const ABOUT: &str = "Finds the objects in images, pixel by pixel: writes each image with masks drawn on \
                     it, and a list of the objects";

/// The whole command line: the main job, or another one by its name. An image that has the name of
/// a job is reached as `./weights`.
#[derive(Debug, Parser)]
#[command(name = "maskrcnn", version = VERSION.as_str(), about = ABOUT, long_about = None,
    after_help = EXAMPLES, max_term_width = 110,
    args_conflicts_with_subcommands = true, subcommand_negates_reqs = true,
    disable_help_subcommand = true)]
pub struct CommandLine {
    #[command(flatten)]
    args: Args,
    #[command(subcommand)]
    job: Option<Job>,
}

/// What the command line asks for.
#[derive(Debug)]
pub enum Request {
    /// The main job.
    Segment(Box<Args>),
    /// Another one.
    Job(Job),
}

/// A job beside the main one.
#[derive(Clone, Debug, Subcommand)]
pub enum Job {
    /// Lists the weights that have a name, fetches and removes them
    Weights {
        /// What to do; lists them when left out
        #[command(subcommand)]
        action: Option<WeightsAction>,
    },
    /// Says what a checkpoint is: family, backbone, classes, tensors, what stood around it, and its
    /// blueprint in the form that --blueprint takes
    Inspect(Inspect),
    /// Writes any checkpoint as safetensors that explain themselves, with blueprint and labels
    Convert(Convert),
}

/// Which weights to look at.
#[derive(Clone, Debug, clap::Args)]
pub struct Inspect {
    /// A checkpoint, or the name of weights that are kept
    pub file: OsString,

    /// Which network of a checkpoint, where it holds several
    #[arg(long, value_name = "KEY")]
    pub checkpoint_key: Option<String>,

    /// Names of the classes, as for the main job
    #[arg(long, value_name = "FILE")]
    pub labels: Option<PathBuf>,

    /// What the file does not say of its network, as for the main job
    #[arg(long, value_name = "FILE")]
    pub blueprint: Option<PathBuf>,
}

/// Which weights to write anew, and how.
#[derive(Clone, Debug, clap::Args)]
pub struct Convert {
    /// What to convert.
    #[command(flatten)]
    pub from: Inspect,

    /// The file to write; one that an earlier conversion wrote is replaced, and no other
    #[arg(value_name = "OUT.safetensors")]
    pub to: PathBuf,

    /// Store 16 bits a number instead of 32: half the size, scores move in the third decimal
    #[arg(long)]
    pub half: bool,
}

/// What to do with weights that have a name.
#[derive(Clone, Debug, Subcommand)]
pub enum WeightsAction {
    /// Lists names, families, sizes, mask AP on COCO as published, licences, and which are kept
    List,
    /// Fetches weights, checks them and keeps them in the user's cache
    Fetch(FetchWeights),
    /// Removes weights from the user's cache
    Remove {
        /// Their name
        name: String,
    },
}

/// Which weights to fetch, and how.
#[derive(Clone, Debug, clap::Args)]
pub struct FetchWeights {
    /// Their name
    pub name: String,

    /// Where they come from.
    #[command(flatten)]
    pub mirror: Mirror,

    /// How long it may take; the server may be silent for a quarter of it
    #[arg(long, value_name = "SECONDS", default_value = "3600", value_parser = clap::value_parser!(u64).range(1..=86400))]
    pub timeout: u64,

    /// PEM file with certificates to trust beside the system's
    #[arg(long, value_name = "FILE")]
    pub ca_file: Option<PathBuf>,

    /// Print nothing but errors
    #[arg(short, long)]
    pub quiet: bool,
}

/// Where weights that have a name come from.
#[derive(Clone, Debug, clap::Args)]
pub struct Mirror {
    /// Server to fetch weights from by their name, instead of their publishers'; the paths are
    /// theirs [default: $MASKRCNN_MIRROR]
    #[arg(long = "mirror", value_name = "URL", value_parser = mirror, help_heading = "Fetching")]
    pub url: Option<Url>,
}

impl CommandLine {
    /// From `words`, the first of which is the program's name.
    ///
    /// # Errors
    ///
    /// What there is to print: a mistake, help, the version.
    pub fn parse_words(words: impl IntoIterator<Item = OsString>) -> Result<Request, clap::Error> {
        let words: Vec<_> = words.into_iter().collect();
        let Self { args, job } = Self::try_parse_from(&words).map_err(|error| {
            let first = words.get(1).and_then(|word| word.to_str());
            match first.and_then(jobs::mistyped) {
                Some(message) if error.kind() == ErrorKind::UnknownArgument => usage_error(message),
                _ => jobs::explained(error),
            }
        })?;
        if let Some(job) = job {
            return Ok(Request::Job(job));
        }
        if args.callback {
            return Err(usage_error(
                "--callback works in an iExec task only: it adds to the task's computed.json",
            ));
        }
        Ok(Request::Segment(Box::new(args)))
    }
}

/// Finds the objects in photos, pixel by pixel, with Mask R-CNN. For each image it writes a picture
/// with the objects drawn on it (PNG) and a list of them (JSON).
#[derive(Clone, Debug, Parser)]
#[command(name = "maskrcnn", version = VERSION.as_str(), after_help = EXAMPLES, max_term_width = 110)]
pub struct Args {
    /// Images: PNG, JPEG, WebP, GIF, BMP or TIFF files, or their http, https, data or ipfs
    /// addresses; - reads one from standard input
    #[arg(value_name = "IMAGE", required = true)]
    pub images: Vec<OsString>,

    /// Directory for the results; made when it is missing
    #[arg(short, long, value_name = "DIR", default_value = DEFAULT_OUTPUT)]
    pub output: PathBuf,

    /// Weights to use: a checkpoint (safetensors, PyTorch's .pth, detectron2's .pkl, Keras's .h5), its
    /// address, or a name that `maskrcnn weights` lists [default: the file `weights` beside the
    /// program, else the ones built in]
    #[arg(short, long, value_name = "FILE")]
    pub weights: Option<OsString>,

    /// Names of the classes: a text with a name a line, a JSON list, or COCO annotations, which give
    /// their numbers, too; the weights' own when left out
    #[arg(long, value_name = "FILE")]
    pub labels: Option<OsString>,

    /// What the weights do not say of their network, such as sizes, anchors and thresholds: JSON
    /// with those fields of docs/blueprint.md that differ
    #[arg(long, value_name = "FILE")]
    pub blueprint: Option<OsString>,

    /// Which network of a checkpoint to use, where it holds several: keys that lead to it, joined by
    /// dots, such as model_ema
    #[arg(long, value_name = "KEY")]
    pub checkpoint_key: Option<String>,

    /// Lowest score to report, from 0 to 1; most networks keep nothing below 0.05 [default: 0.5, and
    /// 0.7 where Matterport's are asked, as by their own program]
    #[arg(short, long, value_name = "SCORE", value_parser = fraction, allow_negative_numbers = true)]
    pub threshold: Option<f32>,

    /// Classes to report, separated by commas, such as person,dog; all when left out
    #[arg(long, value_name = "NAMES", value_parser = class, value_delimiter = ',')]
    pub classes: Option<Vec<String>>,

    /// A class to report, beside those of --classes; its name may hold commas. Repeat it for several
    #[arg(long = "class", value_name = "NAME", value_parser = class)]
    pub class: Vec<String>,

    /// Most objects to report in an image, the surest first; networks find 100 at most
    #[arg(long, value_name = "N", value_parser = count, allow_negative_numbers = true)]
    pub max_detections: Option<usize>,

    /// Where to compute: cpu, cuda, cuda:N (the N-th GPU, from 0) or mps
    #[arg(long, default_value = "cpu", value_parser = device)]
    pub device: Device,

    /// Processor threads to use; as many as there are cores for it when left out
    #[arg(long, value_name = "N", value_parser = threads, allow_negative_numbers = true)]
    pub threads: Option<usize>,

    /// Compute the same bits on every x86-64 processor with AVX2 and FMA, for any number of threads
    #[arg(long, overrides_with = "no_deterministic")]
    pub deterministic: bool,

    /// Compute as fast as this processor can
    #[arg(long, overrides_with = "deterministic")]
    pub no_deterministic: bool,

    /// How much of the photo the masks hide, from 0 (nothing) to 1 (everything) [default: 0.4]
    #[arg(long, value_name = "FRACTION", value_parser = fraction, allow_negative_numbers = true, help_heading = "Drawing")]
    pub mask_opacity: Option<f32>,

    /// Draw no masks
    #[arg(long, help_heading = "Drawing")]
    pub no_masks: bool,

    /// Draw no boxes
    #[arg(long, help_heading = "Drawing")]
    pub no_boxes: bool,

    /// Draw no captions
    #[arg(long, help_heading = "Drawing")]
    pub no_captions: bool,

    /// Write the JSON only, no picture
    #[arg(long, help_heading = "Drawing", conflicts_with_all = ["mask_opacity", "no_masks", "no_boxes", "no_captions"])]
    pub json_only: bool,

    /// Largest image to read, in millions of pixels
    #[arg(long, value_name = "N", default_value_t = DEFAULT_MAX_PIXELS / MEGA,
        value_parser = clap::value_parser!(u64).range(1..=4294), allow_negative_numbers = true)]
    pub max_megapixels: u64,

    /// Largest image to fetch, in bytes or with K, M or G (1024 each); weights may be as large as
    /// there is room for
    #[arg(long, value_name = "SIZE", default_value = "64M", value_parser = bytes, help_heading = "Fetching")]
    pub max_bytes: u64,

    /// How long fetching an image may take; a server may be silent for a quarter of it, and weights
    /// may take thirty times as long
    #[arg(long, value_name = "SECONDS", default_value = "120", value_parser = clap::value_parser!(u64).range(1..=86400),
        help_heading = "Fetching")]
    pub timeout: u64,

    /// Connect to public addresses only, never to this machine, its network or a cloud's metadata;
    /// proxies are not used
    #[arg(long, help_heading = "Fetching")]
    pub public_only: bool,

    /// PEM file with certificates to trust beside the system's
    #[arg(long, value_name = "FILE", help_heading = "Fetching")]
    pub ca_file: Option<PathBuf>,

    /// Where weights that have a name come from.
    #[command(flatten)]
    pub mirror: Mirror,

    /// Gateway for ipfs:// addresses, instead of the built-in ones; several are tried in turn
    #[arg(long = "ipfs-gateway", value_name = "URL", default_values = IPFS_GATEWAYS, hide_default_value = true,
        value_parser = gateway, help_heading = "Fetching")]
    pub ipfs_gateways: Vec<Url>,

    /// Report to a smart contract, too: computed.json gets `callback-data`; see docs/iexec.md
    #[arg(long, help_heading = "In an iExec task")]
    pub callback: bool,

    /// Print nothing but errors
    #[arg(short, long, conflicts_with = "verbose")]
    pub quiet: bool,

    /// Print how long each stage took, and the codes of errors
    #[arg(short, long)]
    pub verbose: bool,
}

impl Args {
    /// From the words of an iExec task, whose main job is its only one. The worker may hand over the images, so none need be named.
    ///
    /// # Errors
    ///
    /// What there is to print.
    pub fn parse_in_task(words: impl IntoIterator<Item = OsString>) -> Result<Self, clap::Error> {
        Self::from_arg_matches(&Self::task_command().try_get_matches_from(words)?)
    }

    /// Whether `words` that [`parse_in_task`](Self::parse_in_task) may have refused ask for a
    /// callback all the same: as clap reads them when the values are not looked at and the options
    /// that it does not know are left out.
    pub fn ask_for_callback(words: Vec<OsString>) -> bool {
        let command = Self::task_command()
            .disable_help_flag(true)
            .disable_version_flag(true)
            .mut_args(|arg| match arg.get_action() {
                ArgAction::Set | ArgAction::Append => arg.value_parser(ValueParser::os_string()),
                _ => arg,
            });
        // clap stops at the first option that it does not know, so that one is the last word of
        // the shortest beginning that it refuses for it. What clap says of it is not searched for
        // among the words: it may be a part of several.
        let mut known = Vec::new();
        for word in words {
            known.push(word);
            let parsed = command.clone().try_get_matches_from(&known);
            if parsed.is_err_and(|error| error.kind() == ErrorKind::UnknownArgument) {
                known.pop();
            }
        }
        let matches = command.ignore_errors(true).try_get_matches_from(known);
        matches.is_ok_and(|matches| matches.get_flag("callback"))
    }

    /// Whether results must be the same on every processor: as the words say, or else `default`.
    pub fn deterministic_or(&self, default: bool) -> bool {
        self.deterministic || default && !self.no_deterministic
    }

    /// How much to say.
    pub fn verbosity(&self) -> Verbosity {
        match (self.quiet, self.verbose) {
            (true, _) => Verbosity::Quiet,
            (false, true) => Verbosity::Verbose,
            (false, false) => Verbosity::Normal,
        }
    }

    /// The first image and the words that start a job which it looks like, when it does.
    pub fn meant_job(&self) -> Option<(&str, &'static str)> {
        let first = self.images.first()?.to_str()?;
        Some((first, jobs::meant(first)?))
    }

    /// The classes to report; none for all.
    pub fn all_classes(&self) -> Option<Vec<String>> {
        let listed = self.classes.iter().flatten();
        let classes: Vec<_> = listed.chain(&self.class).cloned().collect();
        (!classes.is_empty()).then_some(classes)
    }

    fn task_command() -> Command {
        Self::command().mut_arg("images", |images| images.required(false))
    }
}

/// A command line that makes no sense, in these words.
pub fn usage_error(message: impl fmt::Display) -> clap::Error {
    Args::command().error(ErrorKind::ArgumentConflict, message)
}

/// A number from 0 to 1. NaN is none.
fn fraction(text: &str) -> Result<f32, String> {
    text.parse()
        .ok()
        .filter(|number| (0.0..=1.0).contains(number))
        .ok_or_else(|| "expected a number from 0 to 1".into())
}

/// A whole number, not 0.
fn count(text: &str) -> Result<usize, String> {
    let number = text.parse().ok().filter(|&number| number > 0);
    number.ok_or_else(|| "expected a whole number from 1".into())
}

/// The name of a device. The library's error names it too; clap has done that already.
fn device(text: &str) -> Result<Device, String> {
    text.parse()
        .map_err(|_| "expected cpu, cuda, cuda:N or mps".into())
}

/// A number of threads that a machine can start.
fn threads(text: &str) -> Result<usize, String> {
    let most = maskrcnn::MAX_THREADS;
    let number = text
        .parse()
        .ok()
        .filter(|number| (1..=most).contains(number));
    number.ok_or_else(|| format!("expected a whole number from 1 to {most}"))
}

/// The name of a class; a space after the comma is not part of it.
fn class(text: &str) -> Result<String, String> {
    let name = text.trim();
    if name.is_empty() {
        Err("expected names of classes, separated by commas".into())
    } else {
        Ok(name.to_owned())
    }
}

/// A number of bytes, such as 500, 64M or 1.5 GiB without its space.
fn bytes(text: &str) -> Result<u64, String> {
    let number = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match &*text[number.len()..].to_ascii_uppercase() {
        "" | "B" => Some(1.0),
        "K" | "KB" | "KIB" => Some(1024.0),
        "M" | "MB" | "MIB" => Some(f64::from(1 << 20)),
        "G" | "GB" | "GIB" => Some(f64::from(1 << 30)),
        _ => None,
    };
    let number: Option<f64> = number.parse().ok();
    match number.zip(unit).map(|(number, unit)| number * unit) {
        Some(bytes) if bytes >= 1.0 && bytes < 2f64.powi(53) => Ok(bytes as u64),
        _ => Err("expected a number of bytes, such as 500000 or 64M".into()),
    }
}

/// The address of a mirror.
pub fn mirror(text: &str) -> Result<Url, String> {
    match Url::parse(text) {
        Ok(url) if matches!(url.scheme(), "http" | "https") => Ok(url),
        _ => Err("expected an http or https address, such as https://mirror.example.org".into()),
    }
}

/// The address of an IPFS gateway.
fn gateway(text: &str) -> Result<Url, String> {
    match Url::parse(text) {
        Ok(url) if matches!(url.scheme(), "http" | "https") => Ok(url),
        _ => Err("expected an http or https address, such as https://ipfs.io".into()),
    }
}
