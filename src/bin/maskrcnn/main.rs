//! The program `maskrcnn`: images in, pictures with masks and lists of objects out.

mod app;
mod cli;
mod code;
mod output;
mod signals;
mod source;
mod temporary;

use std::io::Write;
use std::process::ExitCode;

/// 0 when every image was done, 1 when something failed; a command line that makes no sense is 2, by clap.
fn main() -> ExitCode {
    let options = cli::Options::from_command_line();
    match app::run(&options) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            // Unlike `eprintln!`, no panic when standard error is closed.
            let verbose = options.verbosity == cli::Verbosity::Verbose;
            writeln!(std::io::stderr(), "{}", code::line(&error, verbose)).ok();
            ExitCode::FAILURE
        }
    }
}
