//! The program `maskrcnn`: images in, pictures with masks and lists of objects out.

mod app;
mod cli;
mod code;
mod environment;
mod iexec;
mod memory;
mod output;
mod signals;
mod source;
mod temporary;

use std::process::ExitCode;

use cli::Options;
use iexec::Task;

/// 0 when every image was done, 1 when something failed; a command line that makes no sense is 2,
/// by clap, but in a task.
fn main() -> ExitCode {
    let task = iexec::forget()
        .and_then(|()| Task::from_environment())
        .inspect_err(|error| code::print(error, false));
    let done = match task {
        Ok(Some(task)) => iexec::run(&task),
        Ok(None) => command_line(),
        Err(_) => false,
    };
    if done {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn command_line() -> bool {
    let options = Options::from_command_line();
    if options.deterministic {
        environment::make_deterministic();
    }
    app::run_all(&options)
}
