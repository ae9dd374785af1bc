//! The command line: what the user typed (`Args`) -> what the program does ([`Options`]). No file
//! is touched here.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::time::Duration;

use clap::error::ErrorKind;
use clap::{CommandFactory, FromArgMatches, Parser};
use maskrcnn::{Device, SegmentOptions, Style};
use url::Url;

use crate::source::{DEFAULT_MAX_PIXELS, FetchOptions, Proxies, Source};

static VERSION: LazyLock<String> = LazyLock::new(|| {
    format!(
        "{} (libtorch {})",
        env!("CARGO_PKG_VERSION"),
        maskrcnn::libtorch_version()
    )
});

const DEFAULT_OUTPUT: &str = "out";

/// A megapixel.
const MEGA: u64 = 1_000_000;

const EXAMPLES: &str = "\
Examples:
  maskrcnn photo.jpg                        writes out/photo.png and out/photo.json
  maskrcnn -o results holiday/*.jpg         several images, one load of the model
  maskrcnn --classes person,dog photo.jpg   only people and dogs
  maskrcnn -t 0.8 photo.jpg                 only what the model is sure of
  maskrcnn https://example.org/a.jpg        from the web; also data: and ipfs://CID/path
  curl -s https://example.org/a.jpg | maskrcnn -

Exit status: 0 when every image was done, also when nothing was found; 1 when something failed; 2 when the \
command line makes no sense.";

/// Public gateways that give raw blocks, so that the content can be checked: those that the IPFS
/// project keeps.
const IPFS_GATEWAYS: [&str; 3] = [
    "https://trustless-gateway.link",
    "https://ipfs.io",
    "https://dweb.link",
];

/// Finds the objects in photos, pixel by pixel, with Mask R-CNN. For each image it writes a picture
/// with the objects drawn on it (PNG) and a list of them (JSON).
#[derive(Debug, Parser)]
#[command(name = "maskrcnn", version = VERSION.as_str(), after_help = EXAMPLES, max_term_width = 110)]
struct Args {
    /// Images: PNG, JPEG, WebP, GIF, BMP or TIFF files, or their http, https, data or ipfs
    /// addresses; - reads one from standard input
    #[arg(value_name = "IMAGE", required = true)]
    images: Vec<OsString>,

    /// Directory for the results; made when it is missing
    #[arg(short, long, value_name = "DIR", default_value = DEFAULT_OUTPUT)]
    output: PathBuf,

    /// Weights to use: a safetensors or PyTorch .pth file, or its address [default: the file
    /// `weights` beside the program, else the ones built in]
    #[arg(short, long, value_name = "FILE")]
    weights: Option<OsString>,

    /// Lowest score to report, from 0 to 1; networks keep nothing below 0.05
    #[arg(short, long, value_name = "SCORE", default_value = "0.5", value_parser = fraction, allow_negative_numbers = true)]
    threshold: f32,

    /// Classes to report, separated by commas, such as person,dog; all when left out
    #[arg(long, value_name = "NAMES", value_parser = class, value_delimiter = ',')]
    classes: Option<Vec<String>>,

    /// Most objects to report in an image, the surest first; networks find 100 at most
    #[arg(long, value_name = "N", value_parser = count, allow_negative_numbers = true)]
    max_detections: Option<usize>,

    /// Where to compute: cpu, cuda, cuda:N (the N-th GPU, from 0) or mps
    #[arg(long, default_value = "cpu", value_parser = device)]
    device: Device,

    /// Processor threads to use; all cores when left out
    #[arg(long, value_name = "N", value_parser = threads, allow_negative_numbers = true)]
    threads: Option<usize>,

    /// Compute the same bits on every x86-64 processor with AVX2 and FMA, for any number of threads
    #[arg(long, overrides_with = "no_deterministic")]
    deterministic: bool,

    /// Compute as fast as this processor can
    #[arg(long, overrides_with = "deterministic")]
    no_deterministic: bool,

    /// How much of the photo the masks hide, from 0 (nothing) to 1 (everything) [default: 0.4]
    #[arg(long, value_name = "FRACTION", value_parser = fraction, allow_negative_numbers = true, help_heading = "Drawing")]
    mask_opacity: Option<f32>,

    /// Draw no masks
    #[arg(long, help_heading = "Drawing")]
    no_masks: bool,

    /// Draw no boxes
    #[arg(long, help_heading = "Drawing")]
    no_boxes: bool,

    /// Draw no captions
    #[arg(long, help_heading = "Drawing")]
    no_captions: bool,

    /// Write the JSON only, no picture
    #[arg(long, help_heading = "Drawing", conflicts_with_all = ["mask_opacity", "no_masks", "no_boxes", "no_captions"])]
    json_only: bool,

    /// Largest image to read, in millions of pixels
    #[arg(long, value_name = "N", default_value_t = DEFAULT_MAX_PIXELS / MEGA,
        value_parser = clap::value_parser!(u64).range(1..=4294), allow_negative_numbers = true)]
    max_megapixels: u64,

    /// Largest image to fetch, in bytes or with K, M or G (1024 each); weights may be as large as
    /// there is room for
    #[arg(long, value_name = "SIZE", default_value = "64M", value_parser = bytes, help_heading = "Fetching")]
    max_bytes: u64,

    /// How long fetching an image may take; a server may be silent for a quarter of it, and weights
    /// may take thirty times as long
    #[arg(long, value_name = "SECONDS", default_value = "120", value_parser = clap::value_parser!(u64).range(1..=86400),
        help_heading = "Fetching")]
    timeout: u64,

    /// Connect to public addresses only, never to this machine, its network or a cloud's metadata;
    /// proxies are not used
    #[arg(long, help_heading = "Fetching")]
    public_only: bool,

    /// PEM file with certificates to trust beside the system's
    #[arg(long, value_name = "FILE", help_heading = "Fetching")]
    ca_file: Option<PathBuf>,

    /// Gateway for ipfs:// addresses, instead of the built-in ones; several are tried in turn
    #[arg(long = "ipfs-gateway", value_name = "URL", default_values = IPFS_GATEWAYS, hide_default_value = true,
        value_parser = gateway, help_heading = "Fetching")]
    ipfs_gateways: Vec<Url>,

    /// Report to a smart contract, too: computed.json gets `callback-data`; see docs/iexec.md
    #[arg(long, help_heading = "In an iExec task")]
    callback: bool,

    /// Print nothing but errors
    #[arg(short, long, conflicts_with = "verbose")]
    quiet: bool,

    /// Print how long each stage took, and the codes of errors
    #[arg(short, long)]
    verbose: bool,
}

/// What the program is to do.
#[derive(Debug)]
pub struct Options {
    /// The images, in the order in which they were named. Never empty but for what a task adds.
    pub sources: Vec<Source>,
    /// The numbers that the results are named by; none when images give them their names.
    pub numbers: Option<Vec<usize>>,
    /// Where the results go.
    pub output: PathBuf,
    /// The weights; none for the embedded ones, and never standard input.
    pub weights: Option<Source>,
    /// Largest image to read, in pixels.
    pub max_pixels: u64,
    /// How addresses are fetched.
    pub fetch: FetchOptions,
    /// Where to compute.
    pub device: Device,
    /// Threads to use; none for libtorch's own choice.
    pub threads: Option<usize>,
    /// Whether results must be the same on every processor.
    pub deterministic: bool,
    /// What to report.
    pub segment: SegmentOptions,
    /// How to draw; none for no picture.
    pub style: Option<Style>,
    /// Whether a smart contract waits for the result of the task.
    pub callback: bool,
    /// How much to say.
    pub verbosity: Verbosity,
}

/// How much to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verbosity {
    /// Errors only.
    Quiet,
    /// A line for each image.
    Normal,
    /// How long each stage took, too.
    Verbose,
}

impl Options {
    /// From the command line of this process; prints help, version or a usage error and exits when
    /// that is all there is to do.
    pub fn from_command_line() -> Self {
        Self::parse(env::args_os()).unwrap_or_else(|error| error.exit())
    }

    /// From the command line of this process in an iExec task. The worker may hand over the images,
    /// so none need be named; only public addresses are fetched from, and no proxy of the
    /// environment is used.
    ///
    /// # Errors
    ///
    /// What there is to print.
    pub fn in_task() -> Result<Self, clap::Error> {
        Self::parse_in_task(env::args_os())
    }

    /// Where results go when the command line does not say.
    pub fn default_output() -> &'static Path {
        Path::new(DEFAULT_OUTPUT)
    }

    fn parse(words: impl IntoIterator<Item: Into<OsString> + Clone>) -> Result<Self, clap::Error> {
        let args = Args::try_parse_from(words)?;
        if args.callback {
            let message =
                "--callback works in an iExec task only: it adds to the task's computed.json";
            return Err(Args::command().error(ErrorKind::ArgumentConflict, message));
        }
        Self::resolve(args, false)
    }

    /// The same from `words`, the first of which is the program's name.
    pub fn parse_in_task(
        words: impl IntoIterator<Item: Into<OsString> + Clone>,
    ) -> Result<Self, clap::Error> {
        let command = Args::command().mut_arg("images", |images| images.required(false));
        let args = Args::from_arg_matches(&command.try_get_matches_from(words)?)?;
        Self::resolve(
            Args {
                public_only: true,
                ..args
            },
            true,
        )
    }

    /// `reproducible`: whether results must be the same on every processor when the command line
    /// says nothing of it.
    fn resolve(args: Args, reproducible: bool) -> Result<Self, clap::Error> {
        let sources: Vec<_> = args.images.iter().map(|name| Source::new(name)).collect();
        if sources
            .iter()
            .filter(|source| **source == Source::Stdin)
            .count()
            > 1
        {
            let message = "`-` stands twice among the images; standard input can be read only once";
            return Err(Args::command().error(ErrorKind::ArgumentConflict, message));
        }
        let deterministic = deterministic(&args, reproducible);
        if deterministic && args.device != Device::Cpu {
            let message = format!(
                "--deterministic, which is the default in an iExec task, is for the processor; `{}` computes in its own \
                 way: --no-deterministic goes with it",
                args.device
            );
            return Err(Args::command().error(ErrorKind::ArgumentConflict, message));
        }
        let default = Style::default();
        let style = Style {
            mask_opacity: args.mask_opacity.unwrap_or(default.mask_opacity),
            masks: !args.no_masks,
            boxes: !args.no_boxes,
            captions: !args.no_captions,
        };
        Ok(Self {
            sources,
            numbers: None,
            output: args.output,
            weights: args.weights.map(|name| Source::not_stdin(&name)),
            max_pixels: args.max_megapixels * MEGA,
            fetch: FetchOptions {
                max_image_bytes: args.max_bytes,
                max_weights_bytes: None,
                timeout: Duration::from_secs(args.timeout),
                public_only: args.public_only,
                ipfs_gateways: args.ipfs_gateways,
                ca_file: args.ca_file,
                proxies: if args.public_only {
                    Proxies::default()
                } else {
                    proxies()
                },
                temporary: env::temp_dir(),
            },
            device: args.device,
            threads: args.threads,
            deterministic,
            segment: SegmentOptions {
                score_threshold: args.threshold,
                classes: args.classes,
                max_detections: args.max_detections,
            },
            style: (!args.json_only).then_some(style),
            callback: args.callback,
            verbosity: match (args.quiet, args.verbose) {
                (true, _) => Verbosity::Quiet,
                (false, true) => Verbosity::Verbose,
                (false, false) => Verbosity::Normal,
            },
        })
    }
}

/// Whether results must be the same on every processor: as the command line says, or else
/// `default`.
fn deterministic(args: &Args, default: bool) -> bool {
    args.deterministic || default && !args.no_deterministic
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

/// The address of an IPFS gateway.
fn gateway(text: &str) -> Result<Url, String> {
    match Url::parse(text) {
        Ok(url) if matches!(url.scheme(), "http" | "https") => Ok(url),
        _ => Err("expected an http or https address, such as https://ipfs.io".into()),
    }
}

/// The proxies that the environment names, by the variables that curl knows, too.
fn proxies() -> Proxies {
    let value = |name: &str| {
        let values = [name.to_owned(), name.to_uppercase()].map(|name| env::var(name).ok());
        values.into_iter().flatten().find(|value| !value.is_empty())
    };
    let proxy = |name| value(name).or_else(|| value("all_proxy"));
    Proxies {
        http: proxy("http_proxy"),
        https: proxy("https_proxy"),
        except: value("no_proxy").unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(args: &[&str]) -> Result<Options, ErrorKind> {
        let args = std::iter::once("maskrcnn").chain(args.iter().copied());
        Options::parse(args).map_err(|error| error.kind())
    }

    #[test]
    fn the_definition_of_the_command_line_is_consistent() {
        Args::command().debug_assert();
    }

    #[test]
    fn an_image_alone_has_the_documented_defaults() {
        let options = options(&["photo.jpg"]).unwrap();
        assert_eq!(options.sources, [Source::File("photo.jpg".into())]);
        assert_eq!(options.output, PathBuf::from("out"));
        assert_eq!(options.segment, SegmentOptions::default());
        assert_eq!(options.segment.score_threshold, 0.5);
        assert_eq!(options.style, Some(Style::default()));
        assert_eq!(
            (options.weights, options.threads, options.device),
            (None, None, Device::Cpu)
        );
        assert_eq!(options.max_pixels, 100_000_000);
        let fetch = options.fetch;
        assert_eq!(
            (fetch.max_image_bytes, fetch.timeout, fetch.public_only),
            (64 << 20, Duration::from_secs(120), false)
        );
        let gateways: Vec<_> = fetch
            .ipfs_gateways
            .iter()
            .filter_map(Url::host_str)
            .collect();
        assert_eq!(gateways, ["trustless-gateway.link", "ipfs.io", "dweb.link"]);
        assert_eq!(options.verbosity, Verbosity::Normal);
    }

    #[test]
    fn classes_are_split_at_commas_and_trimmed_and_keep_their_inner_spaces() {
        let classes =
            |text| options(&["--classes", text, "a.png"]).map(|options| options.segment.classes);
        assert_eq!(
            classes("person, potted plant"),
            Ok(Some(vec!["person".into(), "potted plant".into()]))
        );
        for bad in ["", "person,", ",", " "] {
            assert_eq!(classes(bad), Err(ErrorKind::ValueValidation), "{bad:?}");
        }
    }

    #[test]
    fn numbers_out_of_range_are_refused() {
        for option in ["--threshold", "--mask-opacity"] {
            for bad in ["1.01", "-0.1", "NaN", "inf", "half", "", "50%"] {
                assert_eq!(
                    options(&[option, bad, "a.png"]).unwrap_err(),
                    ErrorKind::ValueValidation,
                    "{option} {bad}"
                );
            }
            for good in ["0", "1", "0.25", "1e-3"] {
                assert!(options(&[option, good, "a.png"]).is_ok(), "{option} {good}");
            }
        }
        for bad in ["257", "1000000", "99999999999999999999", "1.5", "two"] {
            assert_eq!(
                options(&["--threads", bad, "a.png"]).unwrap_err(),
                ErrorKind::ValueValidation,
                "{bad}"
            );
        }
        assert_eq!(
            options(&["--threads", "256", "a.png"]).unwrap().threads,
            Some(256)
        );
        for option in ["--threads", "--max-detections"] {
            assert_eq!(
                options(&[option, "0", "a.png"]).unwrap_err(),
                ErrorKind::ValueValidation,
                "{option}"
            );
        }
    }

    #[test]
    fn sizes_have_units_of_1024() {
        let size = |text| {
            options(&["--max-bytes", text, "a.png"]).map(|options| options.fetch.max_image_bytes)
        };
        for (text, bytes) in [
            ("1", 1),
            ("500000", 500_000),
            ("8k", 8192),
            ("1.5M", 3 << 19),
            ("2GiB", 2 << 30),
        ] {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        for bad in ["", "0", "M", "1T", "1 M", "NaN", "inf", "1e300", "0.5"] {
            assert_eq!(size(bad), Err(ErrorKind::ValueValidation), "{bad}");
        }
    }

    #[test]
    fn the_largest_image_is_given_in_megapixels() {
        let pixels =
            |text| options(&["--max-megapixels", text, "a.png"]).map(|options| options.max_pixels);
        assert_eq!(pixels("12"), Ok(12_000_000));
        for bad in ["0", "-1", "1.5", "4295", ""] {
            assert_eq!(pixels(bad), Err(ErrorKind::ValueValidation), "{bad}");
        }
    }

    #[test]
    fn gateways_that_are_named_replace_the_built_in_ones() {
        let args = [
            "--ipfs-gateway",
            "http://127.0.0.1:8080",
            "--ipfs-gateway",
            "https://b.example/x",
            "a.png",
        ];
        let gateways = options(&args).unwrap().fetch.ipfs_gateways;
        assert_eq!(
            gateways.iter().map(Url::as_str).collect::<Vec<_>>(),
            ["http://127.0.0.1:8080/", "https://b.example/x"]
        );
        for bad in ["", "ipfs.io", "ftp://ipfs.io", "https://"] {
            assert_eq!(
                options(&["--ipfs-gateway", bad, "a"]).unwrap_err(),
                ErrorKind::ValueValidation,
                "{bad}"
            );
        }
    }

    #[test]
    fn weights_are_a_file_or_an_address_and_never_standard_input() {
        let weights = |name| options(&["-w", name, "a.png"]).unwrap().weights.unwrap();
        assert_eq!(weights("-"), Source::File("-".into()));
        assert!(matches!(
            weights("https://example.org/w.pth"),
            Source::Url(_)
        ));
    }

    #[test]
    fn each_drawing_option_changes_its_part_of_the_style_and_no_other() {
        let style = |args: &[&str]| {
            options(&[args, &["a.png"]].concat())
                .unwrap()
                .style
                .unwrap()
        };
        assert_eq!(
            style(&["--no-masks"]),
            Style {
                masks: false,
                ..Style::default()
            }
        );
        assert_eq!(
            style(&["--no-boxes"]),
            Style {
                boxes: false,
                ..Style::default()
            }
        );
        assert_eq!(
            style(&["--no-captions"]),
            Style {
                captions: false,
                ..Style::default()
            }
        );
        assert_eq!(
            style(&["--mask-opacity", "0.125"]),
            Style {
                mask_opacity: 0.125,
                ..Style::default()
            }
        );
    }

    #[test]
    fn of_deterministic_and_its_opposite_the_last_counts() {
        let of = |args: &[&str], default| {
            let args = ["maskrcnn", "a.png"].iter().chain(args).copied();
            deterministic(&Args::try_parse_from(args).unwrap(), default)
        };
        assert_eq!((of(&[], false), of(&[], true)), (false, true));
        for default in [false, true] {
            assert!(of(&["--deterministic"], default));
            assert!(!of(&["--no-deterministic"], default));
            assert!(of(&["--no-deterministic", "--deterministic"], default));
            assert!(!of(&["--deterministic", "--no-deterministic"], default));
        }
        assert!(!options(&["a.png"]).unwrap().deterministic);
        let gpu = options(&["--deterministic", "--device", "cuda", "a.png"]);
        assert_eq!(gpu.unwrap_err(), ErrorKind::ArgumentConflict);
    }

    #[test]
    fn options_that_contradict_each_other_are_refused() {
        assert_eq!(
            options(&["-q", "-v", "a.png"]).unwrap_err(),
            ErrorKind::ArgumentConflict
        );
        assert_eq!(
            options(&["-", "a.png", "-"]).unwrap_err(),
            ErrorKind::ArgumentConflict
        );
        assert_eq!(
            options(&["--json-only", "--no-boxes", "a.png"]).unwrap_err(),
            ErrorKind::ArgumentConflict
        );
        assert_eq!(options(&["--json-only", "a.png"]).unwrap().style, None);
    }
}
