//! The program `maskrcnn` as a library, so that each of its parts can be imported and tested.
//!
//! [`cli`] has the words, [`options`] what they mean where the program runs, [`run`] does it,
//! [`output`] keeps the files, [`terminal`] prints, [`iexec`] is the same in a task. For the
//! network itself take the crate `maskrcnn`.

pub mod cli;
mod environment;
pub mod errors;
pub mod iexec;
pub mod options;
pub mod output;
pub mod run;
mod signals;
pub mod terminal;

use std::env;
use std::process::ExitCode;

use cli::Args;
use iexec::Task;
use options::{Options, Place, Verbosity};
use output::OutputDir;

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
    let options = Args::parse_words(env::args_os()).and_then(|args| {
        let place = Place::command_line(&args)?;
        Options::new(args, place)
    });
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
