//! What the user is told while the program runs: summaries on standard output, everything else on
//! standard error.

use std::fmt::Display;
use std::io::{self, Write};
use std::time::Duration;

use anyhow::{Context, Result};
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use intake::{Address, Observer, Transfer};

use crate::errors::{self, Code, OrCode};
use crate::verbosity::Verbosity;

/// Everything that a run prints goes through here, so that progress bars are not torn.
pub struct Terminal {
    verbosity: Verbosity,
    /// All progress bars; hidden unless standard error is a terminal.
    bars: MultiProgress,
    /// How many images are done, where there are several.
    progress: ProgressBar,
    reader_left: bool,
}

impl Terminal {
    /// For a run over so many images.
    pub fn new(verbosity: Verbosity, images: usize) -> Self {
        let bars = MultiProgress::with_draw_target(match verbosity {
            Verbosity::Quiet => ProgressDrawTarget::hidden(),
            Verbosity::Normal | Verbosity::Verbose => ProgressDrawTarget::stderr(),
        });
        let progress = if verbosity == Verbosity::Normal && images > 1 {
            bars.add(ProgressBar::new(images as u64))
        } else {
            ProgressBar::hidden()
        };
        progress.set_style(style("[{pos}/{len}] {wide_msg}"));
        Self {
            verbosity,
            bars,
            progress,
            reader_left: false,
        }
    }

    /// Who draws how far transfers are.
    pub fn transfers(&self) -> Transfers {
        Transfers(self.bars.clone())
    }

    /// The next image is at work.
    pub fn begin(&self, image: &Address) {
        self.progress.inc(1);
        self.progress.set_message(image.to_string());
    }

    /// The line of an image that is done.
    ///
    /// # Errors
    ///
    /// When standard output cannot be written; a reader that left is no error.
    pub fn summary(&mut self, line: &str) -> Result<()> {
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

    /// An error.
    pub fn error(&self, error: &anyhow::Error) {
        self.talk(&errors::line(error, self.verbosity == Verbosity::Verbose));
    }

    /// How many of several images failed: the errors themselves may have scrolled away.
    pub fn failures(&self, failed: usize, images: usize) {
        if failed > 0 && images > 1 && self.verbosity != Verbosity::Quiet {
            self.talk(&format!("error: {failed} of {images} images failed"));
        }
    }

    /// Something worth knowing that is no error.
    pub fn note(&self, text: &str) {
        self.bars.suspend(|| note(self.verbosity, text));
    }

    /// What only some want to know.
    pub fn detail(&self, line: &str) {
        if self.verbosity == Verbosity::Verbose {
            self.talk(line);
        }
    }

    /// How long a stage of the work took.
    pub fn stage(&self, stage: &dyn Display, took: Duration) {
        let (stage, took) = (stage.to_string(), took.as_secs_f64() * 1e3);
        self.detail(&format!("  {stage:<16}{took:>9.1} ms"));
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

/// Something worth knowing that is no error, unless nothing is to be said.
pub fn note(verbosity: Verbosity, text: &str) {
    if verbosity != Verbosity::Quiet {
        // Nobody is left to be told when standard error cannot be written.
        writeln!(io::stderr(), "note: {text}").ok();
    }
}

/// Draws a bar for each transfer.
pub struct Transfers(MultiProgress);

impl Observer for Transfers {
    fn transfer(&self, name: &str) -> Box<dyn Transfer> {
        // The name may hold anything, and a terminal obeys control characters.
        let message: String = name.chars().filter(|c| !c.is_control()).take(40).collect();
        let bar = ProgressBar::no_length().with_message(message);
        Box::new(Bar(self.0.add(bar.with_style(style(UNKNOWN_LENGTH)))))
    }
}

/// How far it is of how much, where that is known.
const KNOWN_LENGTH: &str =
    "{msg} {wide_bar} {binary_bytes} of {binary_total_bytes}, {binary_bytes_per_sec}, {eta} left";

/// How far it is.
const UNKNOWN_LENGTH: &str = "{msg} {binary_bytes}, {binary_bytes_per_sec}";

/// A progress bar that goes when the transfer ends, also by an error.
struct Bar(ProgressBar);

impl Transfer for Bar {
    fn restart(&self, length: Option<u64>) {
        match length {
            Some(length) => {
                self.0.set_style(style(KNOWN_LENGTH));
                self.0.set_length(length);
            }
            None => {
                self.0.set_style(style(UNKNOWN_LENGTH));
                self.0.unset_length();
            }
        }
        self.0.reset();
    }

    fn advance(&self, bytes: u64) {
        self.0.inc(bytes);
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

fn style(template: &'static str) -> ProgressStyle {
    ProgressStyle::with_template(template).expect("the templates are constant")
}
