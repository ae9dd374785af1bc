//! A run: load model and images side by side, segment, draw, write.

mod artefacts;
mod model;
mod reader;
mod timed;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::Instant;

use anyhow::{Context, Result};
use detections::{ImageInfo, Report, image_id};
use intake::{Address, Fetcher};
use maskrcnn::{Detection, SegmentOptions, Size};

use self::model::Model;
use self::reader::Photo;
use self::timed::Timed;
use crate::options::{Naming, Options};
use crate::output::names::{Name, Names, Owner};
use crate::output::{Artefact, Kind, OutputDir};
use crate::terminal::Terminal;

/// What a run came to.
#[derive(Debug)]
pub struct Outcome<T> {
    /// SHA-256 of the weights, in hex.
    pub weights: String,
    /// Of each image, in order, what the caller kept.
    pub images: Vec<Result<T>>,
}

/// An image whose results are written.
#[derive(Debug)]
pub struct Done<'a> {
    /// Its place in the run, from 0.
    pub place: usize,
    /// SHA-256 of the image's file, in hex.
    pub sha256: &'a str,
    /// Of the upright image.
    pub size: Size,
    /// By falling score.
    pub detections: &'a [Detection],
}

/// Does what the options say, with the results in `output`, and keeps of each image what `keep`
/// makes of it. What went wrong with an image has been printed by then.
///
/// # Errors
///
/// What stands in the way of all images: a result that would replace an input, the weights, the
/// device, the classes.
pub fn run<T>(
    options: &Options,
    output: &OutputDir,
    mut keep: impl FnMut(Done) -> T,
) -> Result<Outcome<T>> {
    if options.deterministic {
        maskrcnn::check_determinism().context(
            "cannot compute as every other machine does; --no-deterministic goes without",
        )?;
    }
    let kinds = artefacts::kinds(options);
    let mut names = Names::new(output.path(), kinds, &options.images);
    let planned = plan(options, &mut names);
    output.protect(&options.images, &paths(options, output, &planned))?;
    maskrcnn::set_threads(options.threads.unwrap_or_else(maskrcnn::available_threads));

    let mut terminal = Terminal::new(options.verbosity, options.images.len());
    let transfers = Arc::new(terminal.transfers());
    let fetcher = Arc::new(Fetcher::new(options.fetch.clone(), transfers));
    let images = options.images.clone();
    let (model_is_loading, model_is_loaded) = channel();
    let reading = Arc::clone(&fetcher);
    let photos = reader::read_all(images, reading, options.max_pixels, model_is_loaded)?;
    let model = Model::load(options, &fetcher, &terminal)?;
    drop(model_is_loading);

    let ids = ids(&options.images);
    let mut run = Run {
        options,
        output,
        names,
        model,
    };
    let mut kept = Vec::new();
    for (place, (name, id)) in planned.into_iter().zip(ids).enumerate() {
        let image = &options.images[place];
        terminal.begin(image);
        let photo = photos
            .recv()
            .context("the thread that reads images ended early")?;
        let done =
            photo.and_then(|photo| run.process(photo, place, id, name, &terminal, &mut keep));
        match done.with_context(|| image.to_string()) {
            Ok((value, line)) => {
                terminal.summary(&line)?;
                kept.push(Ok(value));
            }
            Err(error) => {
                terminal.error(&error);
                kept.push(Err(error));
            }
        }
    }
    let failed = kept.iter().filter(|done| done.is_err()).count();
    terminal.failures(failed, kept.len());
    Ok(Outcome {
        weights: run.model.sha256,
        images: kept,
    })
}

/// The files that a run would write, in the order of its images, as far as that can be known before
/// the images are read.
pub fn planned_files(options: &Options, output: &OutputDir) -> Vec<PathBuf> {
    let mut names = Names::new(output.path(), artefacts::kinds(options), &options.images);
    let planned = plan(options, &mut names);
    paths(options, output, &planned)
}

/// The names of the results of each image.
fn plan(options: &Options, names: &mut Names) -> Vec<Name> {
    match &options.naming {
        Naming::ByImage => {
            let owners = options.images.iter().map(|image| Owner::new(image, None));
            owners.map(|owner| names.take(owner)).collect()
        }
        Naming::ByNumber(numbers) => {
            let name = |number: &usize| Name {
                stem: number.to_string(),
                reason: None,
                namesakes: Vec::new(),
            };
            numbers.iter().map(name).collect()
        }
    }
}

fn paths(options: &Options, output: &OutputDir, names: &[Name]) -> Vec<PathBuf> {
    let kinds = artefacts::kinds(options);
    let files = names.iter().flat_map(|name| {
        let path = |&kind| output.artefact(kind, &name.stem, Vec::new()).path;
        kinds.iter().map(path)
    });
    files.collect()
}

/// The numbers of images by their names; none for those without one.
fn ids(images: &[Address]) -> Vec<Option<u64>> {
    let named: Vec<_> = images
        .iter()
        .map(|image| (image.file_name(), image.name()))
        .collect();
    image_id::of_images(named.iter().map(|(name, path)| (&**name, &**path)))
}

/// What all images of a run share.
struct Run<'a> {
    options: &'a Options,
    output: &'a OutputDir,
    names: Names<'a>,
    model: Model,
}

impl Run<'_> {
    /// Segments and draws one image and writes its results: what is kept of it, and its line.
    fn process<T>(
        &mut self,
        photo: Timed<Photo>,
        place: usize,
        id: Option<u64>,
        planned: Name,
        terminal: &Terminal,
        keep: &mut impl FnMut(Done) -> T,
    ) -> Result<(T, String)> {
        let Timed { value: photo, took } = photo;
        let image = &self.options.images[place];
        let size = Size::new(
            photo.pixels.height() as usize,
            photo.pixels.width() as usize,
        );
        terminal.detail(&format!("{image}: {size} pixels"));
        for note in &photo.notes {
            terminal.detail(&format!("{image}: {note}"));
        }
        terminal.stage(&"read and decode", took);

        let mut start = Instant::now();
        let Model {
            network, segment, ..
        } = &self.model;
        let options = self.options;
        let mut on_stage = |stage| {
            terminal.stage(&stage, start.elapsed());
            start = Instant::now();
        };
        let found = network.segment_observed(&photo.pixels, segment, &mut on_stage)?;
        let Photo {
            sha256,
            pixels,
            icc_profile,
            ..
        } = photo;
        let icc_profile = icc_profile.as_deref();
        let picture = artefacts::picture(pixels, icc_profile, &found, options, terminal)?;

        let start = Instant::now();
        let lock = self.output.lock();
        let name = match options.naming {
            Naming::ByImage => self.names.settle(planned, Owner::new(image, Some(&sha256))),
            Naming::ByNumber(_) => planned,
        };
        let id = artefacts::id(image, id, &name.namesakes, &sha256);
        let info = ImageInfo::new(id, &image.name(), sha256.clone(), size);
        let model = self.model.info.clone();
        let report = Report::new(info, model, segment, None, &found);
        let report = report.to_json().into_bytes();
        let contents = picture.map(|picture| (Kind::Picture, picture));
        let contents = contents.into_iter().chain([(Kind::Report, report)]);
        let named = |(kind, bytes)| self.output.artefact(kind, &name.stem, bytes);
        let artefacts: Vec<Artefact> = contents.map(named).collect();
        let written: Vec<_> = artefacts
            .iter()
            .map(|artefact| artefact.path.display().to_string())
            .collect();
        self.output.publish(artefacts, &lock)?;
        terminal.stage(&"write", start.elapsed());

        let mut line = format!(
            "{image}: {} -> {}",
            summary(&found, segment),
            written.join(", ")
        );
        if let Some(reason) = &name.reason {
            line += &format!(" ({reason})");
        }
        let done = Done {
            place,
            sha256: &sha256,
            size,
            detections: &found,
        };
        Ok((keep(done), line))
    }
}

/// How many of what, in the order of the surest of each: `2 × dog, 1 × person`. No plural is formed
/// of labels: English has people, sheep and buses, and a model may speak another language.
fn summary(detections: &[Detection], options: &SegmentOptions) -> String {
    let mut counts: Vec<(&str, usize)> = Vec::new();
    let mut places = HashMap::new();
    for found in detections {
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
