//! Orchestration only: load the model and the images side by side, segment, draw, write.

use std::collections::HashMap;
use std::env;
use std::io::{self, Cursor, Write};
use std::os::fd::AsRawFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use image::{ImageEncoder, RgbImage};
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use maskrcnn::{
    BBox, Detection, ImageInfo, MaskRcnn, ModelInfo, Report, SegmentOptions, Size, Weights,
};

use crate::cli::{Options, Verbosity};
use crate::code::{self, Code, OrCode};
use crate::memory;
use crate::output::{OutputDir, stems};
use crate::signals;
use crate::source::{Address, Fetcher, Photo, Source};

/// What the PNG encoder may ask for, for each byte of the picture, when that cannot be compressed:
/// two buffers that double until all is in (the `png` crate compresses, and stores where that
/// gained nothing), and the file.
const ENCODER_BYTES: u64 = 5;

const NO_MEMORY_TO_DRAW: &str =
    "for the picture; scale the image down first, or leave the picture out with --json-only";

/// What a run came to.
#[derive(Debug)]
pub struct Outcome {
    /// SHA-256 of the weights, in hex.
    pub weights: String,
    /// Of each image, in order.
    pub images: Vec<Result<Done>>,
}

/// An image whose results are written.
#[derive(Debug)]
pub struct Done {
    /// SHA-256 of the image's file, in hex.
    pub sha256: String,
    /// Of the upright image.
    pub size: Size,
    /// By falling score.
    pub found: Vec<Found>,
}

/// A [`Detection`] without its mask.
#[derive(Debug)]
pub struct Found {
    /// As in the detection.
    pub label: Arc<str>,
    /// As in the detection.
    pub category_id: u32,
    /// As in the detection.
    pub score: f32,
    /// As in the detection.
    pub bbox: BBox,
}

impl From<Detection> for Found {
    fn from(detection: Detection) -> Self {
        let Detection {
            label,
            category_id,
            score,
            bbox,
            ..
        } = detection;
        Self {
            label,
            category_id,
            score,
            bbox,
        }
    }
}

/// As [`run`], with every error printed: true when every image was done.
pub fn run_all(options: &Options) -> bool {
    match signals::handle().and_then(|()| run(options)) {
        Ok(outcome) => outcome.images.iter().all(Result::is_ok),
        Err(error) => {
            code::print(&error, options.verbosity == Verbosity::Verbose);
            false
        }
    }
}

/// Does what the options say. What went wrong with an image has been printed by then.
///
/// # Errors
///
/// What stands in the way of all images: the output directory, the weights, the device, the
/// classes.
pub fn run(options: &Options) -> Result<Outcome> {
    if options.deterministic {
        maskrcnn::check_determinism().context(
            "cannot compute as every other machine does; --no-deterministic goes without",
        )?;
    }
    let output = OutputDir::prepare(&options.output)?;
    let results = plan(options, &output);
    output.protect(&options.sources, &results.concat())?;
    if let Some(threads) = options.threads {
        maskrcnn::set_threads(threads);
    }

    let mut terminal = Terminal::new(options.verbosity, options.sources.len());
    let fetcher = Arc::new(Fetcher::new(options.fetch.clone(), terminal.bars.clone()));
    let photos = load_photos(
        options.sources.clone(),
        Arc::clone(&fetcher),
        options.max_pixels,
    )?;
    let model = Model::load(options, &fetcher, &terminal)?;
    let mut images = Vec::new();
    for (source, files) in options.sources.iter().zip(results) {
        terminal.begin(source);
        let photo = photos
            .recv()
            .context("the thread that reads images ended early")?;
        let written = paths(&files);
        let done = photo
            .and_then(|photo| model.process(photo, source, options, &output, files, &terminal))
            .with_context(|| source.to_string());
        match &done {
            Ok(done) => terminal.summary(&format!(
                "{source}: {} -> {written}",
                summary(done, &options.segment)
            ))?,
            Err(error) => terminal.error(error),
        }
        images.push(done);
    }
    let failed = images.iter().filter(|done| done.is_err()).count();
    if failed > 0 && images.len() > 1 && options.verbosity != Verbosity::Quiet {
        // The errors themselves may have scrolled away.
        terminal.talk(&format!(
            "error: {failed} of {} images failed",
            images.len()
        ));
    }
    Ok(Outcome {
        weights: model.sha256,
        images,
    })
}

/// The result files of each source: the picture first, unless there is none, and the JSON last.
pub fn plan(options: &Options, output: &OutputDir) -> Vec<Vec<PathBuf>> {
    let extensions: &[&str] = if options.style.is_some() {
        &["png", "json"]
    } else {
        &["json"]
    };
    let files = |stem: String| {
        extensions
            .iter()
            .map(|extension| output.path(&stem, extension))
            .collect()
    };
    let stems = match &options.numbers {
        Some(numbers) => numbers.iter().map(usize::to_string).collect(),
        None => stems(&options.sources, "json"),
    };
    stems.into_iter().map(files).collect()
}

/// Fetches, reads and decodes the images in a thread of its own, while the model loads and while
/// the image before is segmented.
///
/// At most one decoded image waits. The thread is not joined: when the model cannot be loaded,
/// nobody should have to close standard input first to be told.
fn load_photos(
    sources: Vec<Source>,
    fetcher: Arc<Fetcher>,
    max_pixels: u64,
) -> Result<Receiver<Result<Timed<Photo>>>> {
    let (sender, receiver) = sync_channel(0);
    let read = move || {
        for source in sources {
            // A decoder that panics fails its image and no other.
            let loaded = catch_unwind(AssertUnwindSafe(|| {
                Timed::of(|| source.load(&fetcher, max_pixels))
            }));
            let broken = |_| {
                let error = anyhow!(
                    "the decoder broke down over it; convert it to PNG, and please report it"
                );
                Err(error).or_code(Code::Internal)
            };
            if sender.send(loaded.unwrap_or_else(broken)).is_err() {
                break;
            }
        }
    };
    thread::Builder::new()
        .spawn(read)
        .context("cannot start the thread that reads images")
        .or_code(Code::System)?;
    Ok(receiver)
}

/// A value and how long it took.
struct Timed<T> {
    value: T,
    took: Duration,
}

impl<T> Timed<T> {
    fn of(make: impl FnOnce() -> Result<T>) -> Result<Self> {
        let start = Instant::now();
        let value = make()?;
        Ok(Self {
            value,
            took: start.elapsed(),
        })
    }
}

/// The network and what reports say about it.
struct Model {
    network: MaskRcnn,
    info: ModelInfo,
    /// Of the weights, in hex.
    sha256: String,
}

impl Model {
    fn load(options: &Options, fetcher: &Fetcher, terminal: &Terminal) -> Result<Self> {
        let loaded = Timed::of(|| {
            let baked = baked();
            let (weights, file) = match options.weights.as_ref().or(baked.as_ref()) {
                None => {
                    let weights =
                        Weights::embedded().context("cannot load the weights that are built in")?;
                    (weights, Weights::EMBEDDED_NAME.to_owned())
                }
                Some(source) => {
                    let weights = match source {
                        Source::Url(address) => fetch_weights(address, fetcher, terminal),
                        local => {
                            Weights::open(local.path().unwrap_or(Path::new(""))).map_err(Into::into)
                        }
                    };
                    let weights =
                        weights.with_context(|| format!("cannot load the weights `{source}`"))?;
                    (weights, source.file_name())
                }
            };
            let sha256 = weights.sha256();
            let info = ModelInfo::new(
                weights.family().name(),
                &file,
                sha256.clone(),
                weights.labels(),
            );
            let (family, format) = (weights.family(), weights.format());
            let (device, threads) = (options.device, maskrcnn::threads());
            terminal.detail(&format!(
                "model: {family} on {device} with {threads} threads; weights: {file}, read as {format}"
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
        terminal.stage("load the model", loaded.took);
        Ok(loaded.value)
    }

    /// Segments and draws one image, and writes its result `files`.
    fn process(
        &self,
        photo: Timed<Photo>,
        source: &Source,
        options: &Options,
        output: &OutputDir,
        files: Vec<PathBuf>,
        terminal: &Terminal,
    ) -> Result<Done> {
        let Timed {
            value:
                Photo {
                    sha256,
                    pixels,
                    notes,
                },
            took,
        } = photo;
        let size = Size::new(pixels.height() as usize, pixels.width() as usize);
        terminal.detail(&format!("{source}: {size} pixels"));
        notes
            .iter()
            .for_each(|note| terminal.detail(&format!("{source}: {note}")));
        terminal.stage("read and decode", took);

        let mut start = Instant::now();
        let mut lap = |stage: &dyn std::fmt::Display| {
            terminal.stage(&stage.to_string(), start.elapsed());
            start = Instant::now();
        };
        let detections =
            self.network
                .segment_observed(&pixels, &options.segment, &mut |stage| lap(&stage))?;

        let image = ImageInfo::new(&source.name(), sha256.clone(), size);
        let report = Report::new(image, self.info.clone(), &options.segment, &detections);
        let mut contents = Vec::new();
        if let Some(style) = &options.style {
            // A copy of the image, to draw on.
            memory::ensure(pixels.len() as u64, NO_MEMORY_TO_DRAW)?;
            let drawn = maskrcnn::render(&pixels, &detections, style);
            drop(pixels); // the encoder needs as much again
            lap(&"draw");
            contents.push(encode_png(&drawn).context("cannot encode the picture")?);
            lap(&"encode");
        }
        contents.push(report.to_json().into_bytes());
        output
            .stage(files.into_iter().zip(contents).collect())?
            .publish()?;
        lap(&"write");
        Ok(Done {
            sha256,
            size,
            found: detections.into_iter().map(Found::from).collect(),
        })
    }
}

/// The weights that whoever installed the program put beside it, instead of the embedded ones:
/// container images do.
fn baked() -> Option<Source> {
    let path = env::current_exe().ok()?.with_file_name("weights");
    path.is_file().then_some(Source::File(path))
}

/// The weights at `address`, mapped from a temporary file that has no name.
fn fetch_weights(address: &Address, fetcher: &Fetcher, terminal: &Terminal) -> Result<Weights> {
    let fetched = Timed::of(|| Ok(fetcher.weights(address)?))?;
    fetched
        .value
        .notes
        .iter()
        .for_each(|note| terminal.detail(&format!("{}: {note}", address.shown())));
    terminal.stage("fetch the weights", fetched.took);
    // The path under which a process finds its own open files.
    Ok(Weights::open(Path::new(&format!(
        "/dev/fd/{}",
        fetched.value.content.as_raw_fd()
    )))?)
}

/// Same pixels, same bytes: the encoder writes no time and no name.
fn encode_png(image: &RgbImage) -> Result<Vec<u8>> {
    memory::ensure(ENCODER_BYTES * image.len() as u64, NO_MEMORY_TO_DRAW)?;
    let mut bytes = Cursor::new(Vec::new());
    // Measured on four photos: the default level takes 10 to 50 times as long for files 2 % larger
    // to 21 % smaller.
    PngEncoder::new_with_quality(&mut bytes, CompressionType::Fast, FilterType::Adaptive)
        .write_image(
            image.as_raw(),
            image.width(),
            image.height(),
            image::ExtendedColorType::Rgb8,
        )?;
    Ok(bytes.into_inner())
}

/// How many of what, in the order of the surest of each: `2 × dog, 1 × person`. No plural is formed
/// of labels: English has people, sheep and buses, and a model may speak another language.
fn summary(done: &Done, options: &SegmentOptions) -> String {
    let mut counts: Vec<(&str, usize)> = Vec::new();
    let mut places = HashMap::new();
    for found in &done.found {
        let place = *places.entry(&*found.label).or_insert_with(|| {
            counts.push((&found.label, 0));
            counts.len() - 1
        });
        counts[place].1 += 1;
    }
    if counts.is_empty() {
        let wanted = options
            .classes
            .as_ref()
            .map(|classes| format!("no {}", classes.join(" or ")));
        let what = wanted.as_deref().unwrap_or("nothing");
        return format!(
            "{what} found with a score of {} or more",
            options.score_threshold
        );
    }
    counts
        .iter()
        .map(|(label, count)| format!("{count} × {label}"))
        .collect::<Vec<_>>()
        .join(", ")
}

fn paths(files: &[PathBuf]) -> String {
    files
        .iter()
        .map(|path| Path::display(path).to_string())
        .collect::<Vec<_>>()
        .join(", ")
}

/// What the user is told while the program runs: summaries on standard output, everything else on
/// standard error.
struct Terminal {
    verbosity: Verbosity,
    /// All progress bars; hidden unless standard error is a terminal.
    bars: MultiProgress,
    /// How many images are done, where there are several.
    progress: ProgressBar,
    reader_left: bool,
}

impl Terminal {
    fn new(verbosity: Verbosity, images: usize) -> Self {
        let bars = MultiProgress::with_draw_target(match verbosity {
            Verbosity::Quiet => ProgressDrawTarget::hidden(),
            Verbosity::Normal | Verbosity::Verbose => ProgressDrawTarget::stderr(),
        });
        let progress = if verbosity == Verbosity::Normal && images > 1 {
            bars.add(ProgressBar::new(images as u64))
        } else {
            ProgressBar::hidden()
        };
        let style = ProgressStyle::with_template("[{pos}/{len}] {wide_msg}")
            .expect("the template is constant");
        progress.set_style(style);
        Self {
            verbosity,
            bars,
            progress,
            reader_left: false,
        }
    }

    fn begin(&self, source: &Source) {
        self.progress.inc(1);
        self.progress.set_message(source.to_string());
    }

    fn summary(&mut self, line: &str) -> Result<()> {
        if self.verbosity == Verbosity::Quiet || self.reader_left {
            return Ok(());
        }
        match self.bars.suspend(|| writeln!(io::stdout(), "{line}")) {
            // `maskrcnn … | head -1`: the files are still wanted.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => self.reader_left = true,
            other => other
                .context("cannot write to standard output")
                .or_code(Code::StandardOutput)?,
        }
        Ok(())
    }

    fn error(&self, error: &anyhow::Error) {
        self.talk(&code::line(error, self.verbosity == Verbosity::Verbose));
    }

    fn detail(&self, line: &str) {
        if self.verbosity == Verbosity::Verbose {
            self.talk(line);
        }
    }

    fn stage(&self, stage: &str, took: Duration) {
        self.detail(&format!(
            "  {stage:<16}{:>9.1} ms",
            took.as_secs_f64() * 1e3
        ));
    }

    fn talk(&self, line: &str) {
        // Nobody is left to be told when standard error cannot be written.
        self.bars.suspend(|| writeln!(io::stderr(), "{line}")).ok();
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.progress.finish_and_clear();
    }
}
