//! A task of iExec: what the worker says in the environment -> [`Options`], and what the run gave
//! -> the files that the worker looks for. docs/iexec.md is its description for requesters.
//!
//! The worker's side is iexec-common, `IexecEnvUtils.java`; the files are those of its
//! `ComputedFile.java`.

mod blame;
mod callback;
mod results;

use std::env;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{self, Write};
use std::path::{Component, Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::app;
use crate::cli::{Options, Verbosity};
use crate::code::{self, Code, OrCode};
use crate::environment;
use crate::output::OutputDir;
use crate::signals;
use crate::source::{DEFAULT_MAX_PIXELS, MAX_FILE_BYTES, Source};
use results::Results;

/// What the environment names when the task has no dataset.
const NO_DATASET: &str = "0x0000000000000000000000000000000000000000";

/// Largest weights that a task fetches, in bytes: the addresses are the requester's, the disk is
/// the worker's. The largest checkpoint of the known families has 0.2 GB.
const MAX_WEIGHTS_BYTES: u64 = 2 << 30;

/// What a worker says about the task that it runs this program for. The program reads nothing else
/// of the environment in a task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Task {
    /// Where the results go: `IEXEC_OUT`.
    output: PathBuf,
    /// The input files that the worker has fetched, in the requester's order.
    inputs: Vec<PathBuf>,
    /// The dataset's file, when the task has one. It may not be there.
    dataset: Option<PathBuf>,
    /// The task's number in its bag, from 0.
    index: usize,
    /// Tasks in the bag; 1 for a task alone.
    bag: usize,
}

/// Asks the environment for a variable.
type Variable<'a> = &'a dyn Fn(&str) -> Option<OsString>;

impl Task {
    /// The task that this process runs for; none outside of iExec, where `IEXEC_OUT` is not set.
    ///
    /// # Errors
    ///
    /// When the environment contradicts itself: the worker's fault, not the requester's.
    pub fn from_environment() -> Result<Option<Self>> {
        Self::from_variables(&|name| env::var_os(name).filter(|value| !value.is_empty()))
    }

    fn from_variables(variable: Variable) -> Result<Option<Self>> {
        let Some(output) = variable("IEXEC_OUT") else {
            return Ok(None);
        };
        let output = PathBuf::from(output);
        if !output.is_absolute() {
            bail!(
                "expected an absolute path in IEXEC_OUT, found `{}`",
                output.display()
            );
        }
        let folder = variable("IEXEC_IN").map(PathBuf::from);
        let file = |name: &OsStr| {
            let folder = folder
                .as_ref()
                .context("the task has files, but IEXEC_IN does not say where they are")?;
            inside(folder, name)
        };
        let inputs = (1..=number(variable, "IEXEC_INPUT_FILES_NUMBER", 0)?).map(|n| {
            let name = format!("IEXEC_INPUT_FILE_NAME_{n}");
            file(&variable(&name).with_context(|| format!("the task's environment lacks {name}"))?)
        });
        let inputs = inputs.collect::<Result<_>>()?;
        let dataset = match variable("IEXEC_DATASET_FILENAME").filter(|name| name != NO_DATASET) {
            Some(name) => Some(file(&name)?),
            None => None,
        };
        let index = number(variable, "IEXEC_BOT_TASK_INDEX", 0)?;
        Ok(Some(Self {
            output,
            inputs,
            dataset,
            index,
            bag: number(variable, "IEXEC_BOT_SIZE", 1)?,
        }))
    }

    /// The task's own among `images`: its positions, from 0.
    ///
    /// In a bag of tasks all have the same images, and each does one: task 0 the first, task 1 the
    /// second, and on from the first again when there are more tasks than images. The index counts
    /// through the requester's order, which may be matched in several deals, each with its own bag;
    /// so the bag's size cannot tell which images are left, and does not count but for being a bag.
    fn own(&self, images: usize) -> Vec<usize> {
        if (self.bag > 1 || self.index > 0) && images > 1 {
            vec![self.index % images]
        } else {
            (0..images).collect()
        }
    }

    /// What the program is to do: what the arguments say, within what a task may.
    ///
    /// # Errors
    ///
    /// When there is no image to work on, or more than one to report to a contract.
    fn apply(&self, options: &mut Options) -> Result<()> {
        options
            .sources
            .extend(self.inputs.iter().cloned().map(Source::File));
        let own = self.own(options.sources.len());
        if own.is_empty() {
            let message = "the task has no image: name one in iexec_args, by its address, or in iexec_input_files";
            return Err(Code::CommandLine.error(message));
        }
        if options.callback && own.len() > 1 {
            let message = format!(
                "--callback reports one image, and the task has {}; give each its own task",
                own.len()
            );
            return Err(Code::ManyImages.error(message));
        }
        let note = |text: String| {
            if options.verbosity != Verbosity::Quiet {
                // Nobody is left to be told when standard error cannot be written.
                writeln!(io::stderr(), "note: {text}").ok();
            }
        };
        if options.output != Options::default_output() && options.output != self.output {
            note(format!(
                "in a task the results go to `{}`, and not to `{}`",
                self.output.display(),
                options.output.display()
            ));
        }
        if own.len() < options.sources.len() {
            note(format!(
                "task {} of the bag does image {} of {}",
                self.index,
                own[0] + 1,
                options.sources.len()
            ));
        }
        options.sources = own
            .iter()
            .map(|&position| options.sources[position].clone())
            .collect();
        options.numbers = Some(own.into_iter().map(|position| position + 1).collect());
        for source in &options.sources {
            if let Some(path) = source
                .path()
                .filter(|path| self.inputs.iter().any(|input| input == path))
                && fs::symlink_metadata(path)
                    .is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
            {
                let message = format!(
                    "the worker did not bring the input file `{}`; is its address right?",
                    path.display()
                );
                return Err(Code::InputFile.error(message));
            }
        }
        if options.weights.is_none() {
            options.weights = match &self.dataset {
                Some(dataset) if dataset.is_file() => Some(Source::File(dataset.clone())),
                Some(dataset) => {
                    let place = dataset.display();
                    note(format!(
                        "the dataset is not at `{place}`: the weights are those that the program brings itself"
                    ));
                    None
                }
                None => None,
            };
        }
        options.output.clone_from(&self.output);
        // The requester names the addresses, and the worker's owner has the network and the memory.
        options.fetch.temporary.clone_from(&self.output);
        options.fetch.max_weights_bytes = Some(MAX_WEIGHTS_BYTES);
        options.fetch.max_image_bytes = options.fetch.max_image_bytes.min(MAX_FILE_BYTES);
        options.max_pixels = options.max_pixels.min(DEFAULT_MAX_PIXELS);
        Ok(())
    }
}

/// The file `name` in `folder`.
///
/// # Errors
///
/// When the name leads out of the folder. Workers before 2025 took it from the requester's URL.
fn inside(folder: &Path, name: &OsStr) -> Result<PathBuf> {
    let path = Path::new(name);
    let mut components = path.components();
    match (components.next(), components.next()) {
        (Some(Component::Normal(only)), None) if only == name => Ok(folder.join(path)),
        _ => bail!(
            "expected the name of a file in `{}`, found `{}`",
            folder.display(),
            path.display()
        ),
    }
}

/// The number that a variable of the environment holds.
fn number(variable: Variable, name: &str, default: usize) -> Result<usize> {
    let Some(value) = variable(name) else {
        return Ok(default);
    };
    let number = value.to_str().and_then(|text| text.parse().ok());
    number.with_context(|| {
        format!(
            "expected a whole number in {name}, found `{}`",
            value.display()
        )
    })
}

/// Does the task: true when every image was done. The requester's faults end with a result that
/// says so, to be paid like any other; after all others there is none, and the worker reports a
/// failure. Every error is printed.
pub fn run(task: &Task) -> bool {
    attempt(task).unwrap_or_else(|error| {
        code::print(&error, false);
        false
    })
}

fn attempt(task: &Task) -> Result<bool> {
    let options = Options::in_task();
    if options.as_ref().is_ok_and(|options| options.deterministic) {
        environment::make_deterministic();
    }
    signals::handle()?;
    let output = OutputDir::prepare(&task.output)?;
    let results = match options {
        Ok(options) => segment(task, &output, options)?,
        Err(error) => {
            error.print().ok();
            remove_all(task)?;
            // Behind `--` it would be an image of that name.
            let callback = env::args_os()
                .take_while(|word| word != "--")
                .any(|word| word == "--callback");
            Results::failed(&usage(&error), callback)
        }
    };
    match results {
        Some(results) => results.write(&output),
        // What it was has been printed.
        None => Ok(false),
    }
}

/// Does what the arguments say; none when something failed that is not the requester's fault.
///
/// # Errors
///
/// When the results would replace what the task reads.
fn segment(task: &Task, output: &OutputDir, mut options: Options) -> Result<Option<Results>> {
    let applied = task.apply(&mut options);
    let inputs: Vec<_> = options
        .sources
        .iter()
        .chain(&options.weights)
        .cloned()
        .collect();
    output.protect(&inputs, &results::NAMES.map(|name| task.output.join(name)))?;
    remove_all(task)?;
    Ok(match applied.and_then(|()| app::run(&options)) {
        Ok(outcome) => Results::new(outcome, &options),
        Err(error) => {
            code::print(&error, options.verbosity == Verbosity::Verbose);
            Results::failed(&error, options.callback)
        }
    })
}

/// What clap says about the command line, in one sentence.
fn usage(error: &clap::Error) -> anyhow::Error {
    let text = error.to_string();
    let line = text
        .lines()
        .next()
        .unwrap_or_default()
        .trim_start_matches("error: ");
    let line = if error.use_stderr() {
        line
    } else {
        "the arguments ask for help or the version, and for nothing else"
    };
    Code::CommandLine.error(line)
}

/// In a task, takes back an earlier run's word to the worker. To be called before anything that can
/// fail: a crash must not leave it for ours.
///
/// # Errors
///
/// When it cannot be removed.
pub fn forget() -> Result<()> {
    match env::var_os("IEXEC_OUT").filter(|folder| !folder.is_empty()) {
        Some(folder) => remove(&Path::new(&folder).join(results::COMPUTED)),
        None => Ok(()),
    }
}

/// Removes what says how an earlier run of the task ended.
fn remove_all(task: &Task) -> Result<()> {
    results::NAMES
        .iter()
        .try_for_each(|name| remove(&task.output.join(name)))
}

/// Removes the file `path`, if it is there.
fn remove(path: &Path) -> Result<()> {
    use io::ErrorKind::{NotADirectory, NotFound};
    match fs::remove_file(path) {
        Err(error) if !matches!(error.kind(), NotFound | NotADirectory) => {
            let context = format!("cannot remove `{}`, which is there already", path.display());
            Err(anyhow::Error::from(error).context(context)).or_code(Code::OutputFile)
        }
        _ => Ok(()),
    }
}

/// The plan of a task, for the fuzz target, which must not do it.
#[cfg(fuzzing)]
pub mod fuzzing {
    use super::*;

    /// What a task is about to do.
    pub struct Plan {
        /// The files that the worker gives.
        pub given: Vec<PathBuf>,
        /// What the arguments say, within what a task may.
        pub options: Options,
        /// The files of the images.
        pub results: Vec<PathBuf>,
    }

    /// The plan for these variables and words; none when there is an error in them.
    pub fn plan(variable: Variable, words: impl IntoIterator<Item = OsString>) -> Option<Plan> {
        let task = Task::from_variables(variable).ok()??;
        let mut options = Options::parse_in_task(words).ok()?;
        task.apply(&mut options).ok()?;
        let results = app::plan(&options, &OutputDir::unchecked(&task.output)).concat();
        Some(Plan {
            given: task.inputs.into_iter().chain(task.dataset).collect(),
            options,
            results,
        })
    }
}

#[cfg(test)]
mod tests;
