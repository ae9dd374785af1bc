//! Writes the man page and the shells' completions, as `make install` puts them into a system:
//! `cargo run --release --example manual -- FOLDER`.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::CommandFactory;
use clap_complete::{Shell, generate_to};
use maskrcnn_dapp::cli::CommandLine;

fn main() -> Result<()> {
    let folder = std::env::args_os().nth(1);
    let folder = PathBuf::from(folder.context("usage: manual FOLDER")?);
    fs::create_dir_all(&folder)?;
    let mut command = CommandLine::command();
    for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
        generate_to(shell, &mut command, "maskrcnn", &folder)?;
    }
    let mut page = Vec::new();
    clap_mangen::Man::new(command).render(&mut page)?;
    fs::write(folder.join("maskrcnn.1"), page)?;
    Ok(())
}
