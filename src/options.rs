//! What the program does: what the words say ([`Args`]), where it runs ([`Place`]) -> [`Options`].

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use intake::{Address, FetchOptions, Proxies, WEIGHTS_TIME};
use maskrcnn::{Device, SegmentOptions, Style};
use url::Url;

use crate::cli::{self, Args, DEFAULT_OUTPUT, FetchWeights, MEGA, Mirror, usage_error};
use crate::verbosity::Verbosity;
use crate::weights::{Cache, Source};

/// What the program is to do.
#[derive(Debug)]
pub struct Options {
    /// The images, in the order in which they were named.
    pub images: Vec<Address>,
    /// What their results are called.
    pub naming: Naming,
    /// Where the results go.
    pub output: PathBuf,
    /// The weights; none for those that the program brings itself.
    pub weights: Option<Source>,
    /// Names of the classes; none for the weights' own.
    pub labels: Option<Address>,
    /// What is laid over the blueprint of the weights.
    pub blueprint: Option<Address>,
    /// Which network of the weights' file, where it holds several.
    pub checkpoint_key: Option<String>,
    /// Largest image to read, in pixels.
    pub max_pixels: u64,
    /// How addresses are fetched.
    pub fetch: FetchOptions,
    /// Where to compute.
    pub device: Device,
    /// Threads to use; none for as many as there are cores for this process.
    pub threads: Option<usize>,
    /// Whether results must be the same on every processor.
    pub deterministic: bool,
    /// What to report.
    pub segment: SegmentOptions,
    /// Whether the user says from which score on; if not, the network does.
    pub is_threshold_given: bool,
    /// How to draw; none for no picture.
    pub style: Option<Style>,
    /// How much to say.
    pub verbosity: Verbosity,
}

/// What the results of images are called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Naming {
    /// Like the images. The directory may hold results of other images, which stay.
    ByImage,
    /// By these numbers, one for each image. Whatever is called so is replaced.
    ByNumber(Vec<usize>),
}

/// Where the program runs, as far as that settles what the words leave open or may not ask for.
#[derive(Debug)]
pub struct Place {
    /// The images to work on.
    pub images: Vec<Address>,
    /// What their results are called.
    pub naming: Naming,
    /// Where the results go.
    pub output: PathBuf,
    /// The weights; none for those that the program brings itself.
    pub weights: Option<Source>,
    /// Where weights are kept while they are used.
    pub temporary: PathBuf,
    /// Through whom to connect.
    pub proxies: Proxies,
    /// Whether only public addresses are fetched from.
    pub public_only: bool,
    /// Whether results must be the same on every processor when the words say nothing of it.
    pub deterministic: bool,
    /// What the words may not ask for more than.
    pub limits: Limits,
}

/// The most that may be asked for.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Largest image to fetch, in bytes.
    pub image_bytes: u64,
    /// Largest weights to fetch, in bytes; none for as large as there is room for.
    pub weights_bytes: Option<u64>,
    /// Largest image to read, in pixels.
    pub pixels: u64,
}

impl Limits {
    /// What is typed at a terminal counts.
    pub const NONE: Self = Self {
        image_bytes: u64::MAX,
        weights_bytes: None,
        pixels: u64::MAX,
    };
}

impl Place {
    /// A command line, which says everything itself.
    ///
    /// # Errors
    ///
    /// When standard input is to be read twice.
    pub fn command_line(args: &Args) -> Result<Self, clap::Error> {
        let images: Vec<_> = args.images.iter().map(|name| Address::new(name)).collect();
        check_standard_input(&images).map_err(usage_error)?;
        let public_only = args.public_only;
        let mirror = mirror(&args.mirror)?;
        let source = |word: &OsString| Source::new(word, mirror.as_ref(), Cache::of_user());
        Ok(Self {
            images,
            naming: Naming::ByImage,
            output: args.output.clone(),
            weights: args.weights.as_ref().map(source),
            temporary: env::temp_dir(),
            proxies: if public_only {
                Proxies::default()
            } else {
                proxies()
            },
            public_only,
            deterministic: false,
            limits: Limits::NONE,
        })
    }
}

impl Options {
    /// From the words and the place.
    ///
    /// # Errors
    ///
    /// When two wishes contradict each other.
    pub fn new(args: Args, place: Place) -> Result<Self, clap::Error> {
        let deterministic = args.deterministic_or(place.deterministic);
        if deterministic && args.device != Device::Cpu {
            return Err(usage_error(format!(
                "--deterministic, which is the default in an iExec task, is for the processor; \
                 `{}` computes in its own way: --no-deterministic goes with it",
                args.device
            )));
        }
        let default = Style::default();
        let style = Style {
            mask_opacity: args.mask_opacity.unwrap_or(default.mask_opacity),
            masks: !args.no_masks,
            boxes: !args.no_boxes,
            captions: !args.no_captions,
        };
        Ok(Self {
            images: place.images,
            naming: place.naming,
            output: place.output,
            weights: place.weights,
            labels: args.labels.as_deref().map(Address::not_standard_input),
            blueprint: args.blueprint.as_deref().map(Address::not_standard_input),
            checkpoint_key: args.checkpoint_key.clone(),
            max_pixels: (args.max_megapixels * MEGA).min(place.limits.pixels),
            fetch: FetchOptions {
                max_image_bytes: args.max_bytes.min(place.limits.image_bytes),
                max_weights_bytes: place.limits.weights_bytes,
                timeout: Duration::from_secs(args.timeout),
                public_only: place.public_only,
                ipfs_gateways: args.ipfs_gateways.clone(),
                ca_file: args.ca_file.clone(),
                proxies: place.proxies,
                temporary: place.temporary,
            },
            device: args.device,
            threads: args.threads,
            deterministic,
            segment: SegmentOptions {
                score_threshold: args
                    .threshold
                    .unwrap_or(SegmentOptions::default().score_threshold),
                classes: args.all_classes(),
                max_detections: args.max_detections,
            },
            is_threshold_given: args.threshold.is_some(),
            style: (!args.json_only).then_some(style),
            verbosity: args.verbosity(),
        })
    }

    /// Where results go when the command line does not say.
    pub fn default_output() -> &'static Path {
        Path::new(DEFAULT_OUTPUT)
    }
}

/// How weights are fetched by themselves.
///
/// # Errors
///
/// When the environment names a mirror that is none.
pub fn weights_fetch(args: &FetchWeights) -> Result<(FetchOptions, Option<Url>), clap::Error> {
    let options = FetchOptions {
        max_image_bytes: 0,
        max_weights_bytes: None,
        // Of which weights get so many.
        timeout: Duration::from_secs(args.timeout) / WEIGHTS_TIME,
        public_only: false,
        ipfs_gateways: Vec::new(),
        ca_file: args.ca_file.clone(),
        proxies: proxies(),
        temporary: env::temp_dir(),
    };
    Ok((options, mirror(&args.mirror)?))
}

/// The mirror that the words name, else the one that the environment names.
#[expect(clippy::disallowed_methods, reason = "a mirror may be named there")]
fn mirror(words: &Mirror) -> Result<Option<Url>, clap::Error> {
    const VARIABLE: &str = "MASKRCNN_MIRROR";
    if words.url.is_some() {
        return Ok(words.url.clone());
    }
    match env::var(VARIABLE) {
        Ok(text) if !text.is_empty() => cli::mirror(&text)
            .map(Some)
            .map_err(|expected| usage_error(format!("{VARIABLE} is `{text}`; {expected}"))),
        _ => Ok(None),
    }
}

/// Refuses standard input where it stands twice among the images, in words.
///
/// # Errors
///
/// Then: it can be read only once.
pub fn check_standard_input(images: &[Address]) -> Result<(), &'static str> {
    let is_standard_input = |image: &&Address| **image == Address::StandardInput;
    match images.iter().filter(is_standard_input).count() {
        0 | 1 => Ok(()),
        _ => Err("`-` stands twice among the images; standard input can be read only once"),
    }
}

/// The proxies that the environment names, by the variables that curl knows, too.
#[expect(clippy::disallowed_methods, reason = "proxies are named there")]
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
    use clap::CommandFactory;
    use clap::error::ErrorKind;
    use url::Url;

    use super::*;
    use crate::cli::{CommandLine, Request};

    fn options(args: &[&str]) -> Result<Options, ErrorKind> {
        let words = std::iter::once("maskrcnn").chain(args.iter().copied());
        let parsed = CommandLine::parse_words(words.map(Into::into)).and_then(|request| {
            let Request::Segment(args) = request else {
                panic!("it is the main job")
            };
            let place = Place::command_line(&args)?;
            Options::new(*args, place)
        });
        parsed.map_err(|error| error.kind())
    }

    #[test]
    fn the_definition_of_the_command_line_is_consistent() {
        Args::command().debug_assert();
        CommandLine::command().debug_assert();
    }

    #[test]
    fn an_image_alone_has_the_documented_defaults() {
        let options = options(&["photo.jpg"]).unwrap();
        assert_eq!(options.images, [Address::File("photo.jpg".into())]);
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
    fn classes_are_split_at_commas_trimmed_and_keep_inner_spaces() {
        let classes =
            |text| options(&["--classes", text, "a.png"]).map(|options| options.segment.classes);
        assert_eq!(
            classes("person, potted plant"),
            Ok(Some(vec!["person".into(), "potted plant".into()]))
        );
        for bad in ["", "person,", ",", " "] {
            assert_eq!(classes(bad), Err(ErrorKind::ValueValidation), "{bad:?}");
        }
        let listed_and_named = ["--classes", "cup,dog", "--class", "shirt, blouse", "a.png"];
        let both = options(&listed_and_named).unwrap().segment.classes;
        let expected = ["cup", "dog", "shirt, blouse"].map(str::to_owned);
        assert_eq!(both, Some(expected.to_vec()));
    }

    #[test]
    fn a_callback_is_seen_in_words_that_make_no_sense() {
        let asks = |words: &[&str]| {
            Args::ask_for_callback(["maskrcnn"].iter().chain(words).map(Into::into).collect())
        };
        for words in [
            &["--callback", "--treshold", "0.5", "a.jpg"][..],
            &["-t", "9", "a.jpg", "--callback"],
            &["a.jpg", "--nonsense", "--callback"],
            &["-Z", "--max-bytes", "many", "--callback", "a.jpg"],
            &["-q", "-v", "--nonsense=5", "--callback"],
            &["--callback", "--help"],
            // What is unknown is the beginning of it, or one of several letters.
            &["--callback", "--call"],
            &["--callback", "--c=5", "a.jpg"],
            &["-qZ", "--callback"],
        ] {
            assert!(asks(words), "{words:?}");
        }
        for words in [
            &["-t", "9", "a.jpg"][..],
            // An image, the value of an option, and another word.
            &["-t", "9", "--", "--callback"],
            &["--nonsense", "callback"],
            &["--call", "a.jpg"],
        ] {
            assert!(!asks(words), "{words:?}");
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
        assert_eq!(weights("-"), Source::At(Address::File("-".into())));
        assert!(matches!(
            weights("https://example.org/w.pth"),
            Source::At(Address::Http(_))
        ));
    }

    #[test]
    fn a_key_of_the_checkpoint_is_taken_as_it_is() {
        let key = |args: &[&str]| options(args).unwrap().checkpoint_key;
        assert_eq!(key(&["a.png"]), None);
        assert_eq!(
            key(&["--checkpoint-key", "state_dict.ema model", "a.png"]),
            Some("state_dict.ema model".to_owned())
        );
    }

    #[test]
    fn each_drawing_option_changes_its_part_of_the_style_only() {
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
            let words = ["maskrcnn", "a.png"].iter().chain(args).map(Into::into);
            Args::parse_in_task(words)
                .unwrap()
                .deterministic_or(default)
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
