//! A task of iExec: what the worker says in the environment and in the arguments, and what the run
//! gave as the files that the worker looks for. docs/iexec.md is its description for requesters.
//!
//! The files are those of iexec-common, `ComputedFile.java`.

mod agreed;
mod blame;
mod callback;
mod results;
mod task;

use std::env;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::Path;

use anyhow::Result;
use intake::Address;

use crate::cli::Args;
use crate::environment;
use crate::errors::{self, Code, OrCode};
use crate::options::{Naming, Options};
use crate::output::{Kind, OutputDir};
use crate::run;
use crate::signals;
use crate::terminal::note;
use crate::verbosity::Verbosity;
use crate::weights::Source;
use agreed::AgreedImage;
use results::Results;

pub use task::{Named, Task, Variable};

/// Does the task that `words`, the first of which is the program's name, describe: true when every
/// image was done. The requester's faults end with a result that says so, to be paid like any other;
/// after all others there is none, and the worker reports a failure. Every error is printed.
pub fn run(task: &Task, words: Vec<OsString>) -> bool {
    attempt(task, words).unwrap_or_else(|error| {
        errors::print(&error, false);
        false
    })
}

fn attempt(task: &Task, words: Vec<OsString>) -> Result<bool> {
    let args = Args::parse_in_task(words.iter().cloned());
    environment::settle(args.as_ref().is_ok_and(|args| args.deterministic_or(true)));
    signals::handle()?;
    let output = OutputDir::prepare(task.output())?;
    let results = match args {
        Ok(args) => segment(task, &output, args)?,
        Err(error) => {
            error.print().ok();
            remove_all(&output)?;
            Results::failed(&usage(&error), Args::ask_for_callback(words))
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
fn segment(task: &Task, output: &OutputDir, args: Args) -> Result<Option<Results>> {
    let (callback, verbosity) = (args.callback, args.verbosity());
    let named = task.named(&args);
    let mut inputs = named.images.clone();
    inputs.extend(task.given().map(|path| Address::File(path.into())));
    if let Some(Source::At(weights)) = &named.weights {
        inputs.push(weights.clone());
    }
    let results = Kind::OF_TASKS.map(|kind| output.artefact(kind, "", Vec::new()).path);
    output.protect(&inputs, &results)?;
    remove_all(output)?;

    let done = task.place(&args, named).and_then(|(place, notes)| {
        notes.iter().for_each(|text| note(verbosity, text));
        let options = Options::new(args, place).map_err(|error| usage(&error))?;
        let Naming::ByNumber(numbers) = &options.naming else {
            unreachable!("a task's images have numbers")
        };
        let outcome = run::run(&options, output, |done| {
            let detections = done.detections.iter().map(Into::into);
            AgreedImage::new(numbers[done.place], done.sha256, done.size, detections)
        })?;
        Ok(Results::new(outcome, numbers, callback))
    });
    Ok(done.unwrap_or_else(|error| {
        errors::print(&error, verbosity == Verbosity::Verbose);
        Results::failed(&error, callback)
    }))
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
#[expect(clippy::disallowed_methods, reason = "a task is told by it")]
pub fn forget() -> Result<()> {
    match env::var_os("IEXEC_OUT").filter(|folder| !folder.is_empty()) {
        Some(folder) => {
            let output = OutputDir::at(Path::new(&folder));
            remove(&output.artefact(Kind::Computed, "", Vec::new()).path)
        }
        None => Ok(()),
    }
}

/// Removes what says how an earlier run of the task ended.
fn remove_all(output: &OutputDir) -> Result<()> {
    let path = |kind| output.artefact(kind, "", Vec::new()).path;
    Kind::OF_TASKS
        .into_iter()
        .try_for_each(|kind| remove(&path(kind)))
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

#[cfg(test)]
mod tests;
