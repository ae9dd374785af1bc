//! Signals that ask the program to end: nothing half-written stays behind.

use std::ffi::c_int;
use std::{fs, process, thread};

use anyhow::{Context, Result};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use signal_hook::low_level;

use crate::errors::{Code, OrCode};
use crate::output::temporary;

/// From now on SIGINT, SIGTERM and SIGHUP remove the temporary files before they end the process,
/// as they always do: a shell sees 130, 143 and 129. Those that whoever started the program has it
/// ignore stay ignored, as after `nohup`.
pub fn handle() -> Result<()> {
    listen().or_code(Code::System)
}

fn listen() -> Result<()> {
    let ignored = ignored();
    let wanted = [SIGINT, SIGTERM, SIGHUP]
        .into_iter()
        .filter(|signal| ignored >> (signal - 1) & 1 == 0);
    let mut signals = Signals::new(wanted).context("cannot listen to signals")?;
    let wait = move || {
        if let Some(signal) = signals.forever().next() {
            temporary::remove_all(|| end(signal));
        }
    };
    thread::Builder::new()
        .spawn(wait)
        .context("cannot start the thread that listens to signals")?;
    Ok(())
}

/// Dies of `signal` itself, so that a shell's loop ends with Ctrl-C, too.
fn end(signal: c_int) {
    // The first process of a container is spared by signals that it does not handle.
    if process::id() != 1 {
        low_level::emulate_default_handler(signal).ok();
    }
    // Without the clean-up of `process::exit`, during which other threads still compute.
    low_level::exit(128 + signal);
}

/// The signals that are ignored, signal n at bit n - 1; none where there is no /proc.
fn ignored() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .unwrap_or(0)
}
