//! The program `maskrcnn`: images in, pictures with masks and lists of objects out.

mod app;
mod cli;
mod output;
mod source;

use std::io::Write;
use std::process::ExitCode;

/// 0 when every image was done, 1 when something failed; a command line that makes no sense is 2, by clap.
fn main() -> ExitCode {
    match app::run(&cli::Options::from_command_line()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            // Unlike `eprintln!`, no panic when standard error is closed.
            writeln!(std::io::stderr(), "error: {error:#}").ok();
            ExitCode::FAILURE
        }
    }
}
