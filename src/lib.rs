//! The program `maskrcnn` as a library, so that each of its parts can be imported and tested.
//!
//! [`cli`] has the words, [`options`] what they mean where the program runs, [`run`] does it,
//! [`weights`] has those that have a name, [`output`] keeps the files, [`terminal`] prints as much as the [`verbosity`] says, [`iexec`] is
//! the same in a task. For the network itself take the crate `maskrcnn`.

pub mod cli;
mod environment;
pub mod errors;
pub mod iexec;
pub mod options;
pub mod output;
pub mod run;
mod signals;
pub mod terminal;
pub mod verbosity;
pub mod weights;

use std::env;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Result;
use cli::{Args, CommandLine, Inspect, Job, Request, WeightsAction};
use iexec::Task;
use options::{Options, Place};
use output::OutputDir;
use terminal::Terminal;
use verbosity::Verbosity;
use weights::Cache;

/// Everything, with the words and the environment of this process.
///
/// 0 when every image was done, 1 when something failed; a command line that makes no sense is 2,
/// by clap, but in a task.
pub fn main() -> ExitCode {
    let task = iexec::forget().and_then(|()| Task::from_environment());
    let done = match task {
        Ok(Some(task)) => iexec::run(&task, env::args_os().collect()),
        Ok(None) => command_line(),
        Err(error) => {
            errors::print(&error, false);
            false
        }
    };
    if done {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// True when every image was done. Prints help, version or a usage error and exits when that is all
/// there is to do.
fn command_line() -> bool {
    match CommandLine::parse_words(env::args_os()) {
        Ok(Request::Segment(args)) => {
            refuse_mistyped_job(&args);
            segment(*args)
        }
        Ok(Request::Job(job)) => match do_job(job) {
            Ok(()) => true,
            Err(error) => {
                errors::print(&error, false);
                false
            }
        },
        Err(error) => error.exit(),
    }
}

/// Ends the program when the first image is not there and has nearly the name of a job.
fn refuse_mistyped_job(args: &Args) {
    let Some((word, meant)) = args.meant_job() else {
        return;
    };
    // A link that leads nowhere is an image that cannot be read.
    if Path::new(word).symlink_metadata().is_ok() {
        return;
    }
    let message =
        format!("there is neither an image nor a job called `{word}`; did you mean `{meant}`?");
    cli::usage_error(message).exit()
}

/// A job beside the main one.
fn do_job(job: Job) -> Result<()> {
    signals::handle()?;
    let action = match job {
        Job::Weights { action } => action,
        Job::Inspect(args) => return inspect(&args),
        Job::Convert(args) => {
            let line = weights::files::convert(&args)?;
            return Terminal::new(Verbosity::Normal, 0).summary(&line);
        }
    };
    let (quiet, line) = match action {
        None | Some(WeightsAction::List) => {
            let table = weights::command::list(Cache::of_user().as_ref());
            (false, table.trim_end().to_owned())
        }
        Some(WeightsAction::Fetch(args)) => {
            let (options, mirror) =
                options::weights_fetch(&args).unwrap_or_else(|error| error.exit());
            let verbosity = if args.quiet {
                Verbosity::Quiet
            } else {
                Verbosity::Normal
            };
            let terminal = Terminal::new(verbosity, 0);
            let line = weights::command::fetch(&args.name, mirror.as_ref(), options, &terminal)?;
            (args.quiet, line)
        }
        Some(WeightsAction::Remove { name }) => (false, weights::command::remove(&name)?),
    };
    let verbosity = if quiet {
        Verbosity::Quiet
    } else {
        Verbosity::Normal
    };
    Terminal::new(verbosity, 0).summary(&line)
}

/// Prints what a checkpoint is, and after that why it is no network, when it is none.
fn inspect(args: &Inspect) -> Result<()> {
    let (text, verdict) = weights::files::inspect(args)?;
    if !text.is_empty() {
        Terminal::new(Verbosity::Normal, 0).summary(text.trim_end())?;
    }
    verdict
}

/// The main job. True when every image was done.
fn segment(args: Args) -> bool {
    let options = Place::command_line(&args).and_then(|place| Options::new(args, place));
    let options = options.unwrap_or_else(|error| error.exit());
    environment::settle(options.deterministic);
    let outcome = signals::handle()
        .and_then(|()| OutputDir::prepare(&options.output))
        .and_then(|output| run::run(&options, &output, |_| ()));
    match outcome {
        Ok(outcome) => outcome.images.iter().all(Result::is_ok),
        Err(error) => {
            errors::print(&error, options.verbosity == Verbosity::Verbose);
            false
        }
    }
}
