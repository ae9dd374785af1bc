//! The output directory: checked before work starts, safe names, and files that appear whole or not
//! at all.

mod artefact;
mod identity;
pub mod names;
pub mod temporary;

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};
use intake::Address;

use crate::errors::{Code, OrCode};
use identity::{Identity, identities};
use temporary::Temporary;

pub use artefact::{Artefact, Kind};

/// Where the results go.
#[derive(Debug)]
pub struct OutputDir {
    path: PathBuf,
}

/// While it lives, other processes wait to give files in the directory their names. Where
/// directories cannot be locked, each file is still whole.
pub struct Lock {
    _directory: Option<File>,
}

impl OutputDir {
    /// Makes the directory when it is missing, and finds out now, before a model is loaded, whether
    /// files can be made in it. What killed processes left in it goes.
    ///
    /// # Errors
    ///
    /// When it is no directory, cannot be made, or takes no files.
    pub fn prepare(path: &Path) -> Result<Self> {
        Self::make(path).or_code(Code::OutputDirectory)
    }

    fn make(path: &Path) -> Result<Self> {
        let shown = path.display();
        if path.exists() && !path.is_dir() {
            bail!("cannot write to `{shown}`: it is a file, not a directory; name another with -o");
        }
        if path.is_symlink() && !path.exists() {
            bail!(
                "cannot write to `{shown}`: it is a symbolic link that leads nowhere; name another \
                 with -o"
            );
        }
        fs::create_dir_all(path).with_context(|| {
            format!("cannot make the output directory `{shown}`; name another with -o")
        })?;
        let probe = temporary(path)?;
        temporary::remove_stale(path, &probe);
        Ok(Self::at(path))
    }

    /// A directory that is not looked at, for those who only want to know what files would be
    /// called in it.
    pub fn at(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
        }
    }

    /// The directory itself.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A file of the results called `stem`, where they have a name at all.
    pub fn artefact(&self, kind: Kind, stem: &str, bytes: Vec<u8>) -> Artefact {
        let path = self.path.join(kind.file_name(stem));
        Artefact { kind, path, bytes }
    }

    /// Refuses when one of `results` is one of `inputs`: a result would replace somebody's photo.
    ///
    /// # Errors
    ///
    /// Then.
    pub fn protect<'a>(
        &self,
        inputs: impl IntoIterator<Item = &'a Address>,
        results: &[PathBuf],
    ) -> Result<()> {
        let inputs = identities(inputs);
        let is_input = |path: &&PathBuf| Identity::at(path).is_some_and(|id| inputs.contains(&id));
        match results.iter().find(is_input) {
            Some(result) => Err(anyhow!(
                "refused to replace the input `{}` by its result; name another directory with -o",
                result.display()
            ))
            .or_code(Code::ReplacesInput),
            None => Ok(()),
        }
    }

    /// Has other processes wait with their files in this directory.
    pub fn lock(&self) -> Lock {
        let directory = File::open(&self.path).ok();
        Lock {
            _directory: directory.filter(|directory| directory.lock().is_ok()),
        }
    }

    /// Writes files beside where they belong, under names that nobody looks for, and once all of
    /// them are complete gives them their own, in order, replacing those of an earlier run. So none
    /// ever shows half-written, and the files of an image are of the same run.
    ///
    /// # Errors
    ///
    /// When a file cannot be written or cannot get its name.
    pub fn publish(&self, artefacts: Vec<Artefact>, _: &Lock) -> Result<()> {
        self.write(artefacts).or_code(Code::OutputFile)
    }

    fn write(&self, artefacts: Vec<Artefact>) -> Result<()> {
        let written = artefacts.into_iter().map(|artefact| {
            let mut file = temporary(&self.path)?;
            file.write(&artefact.bytes)
                .map_err(|error| refused(&self.path, error))?;
            Ok((file, artefact.path))
        });
        let mut files = written.collect::<Result<Vec<_>>>()?;
        // Before the first appears: it would stand alone. A link to a directory is replaced like
        // any link.
        if let Some((_, path)) = files.iter().find(|(_, path)| is_directory(path)) {
            bail!(
                "cannot write `{}`: it is a directory; remove it, or name another directory with \
                 -o",
                path.display()
            );
        }
        temporary::rename(&mut files).map_err(|(error, path)| {
            let remedy = remedy(&error);
            anyhow::Error::from(error)
                .context(format!("cannot write `{}`; {remedy}", path.display()))
        })
    }
}

fn is_directory(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_dir())
}

/// A file in `directory` that has no name of its own yet.
fn temporary(directory: &Path) -> Result<Temporary> {
    // The error names the temporary file, which means nothing to the user.
    Temporary::create(directory).map_err(|error| refused(directory, error.kind().into()))
}

/// The file system said `error` when something was written to `directory`.
fn refused(directory: &Path, error: io::Error) -> anyhow::Error {
    let context = format!(
        "cannot write to `{}`; {}",
        directory.display(),
        remedy(&error)
    );
    anyhow::Error::from(error).context(context)
}

fn remedy(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "make room there, or name another directory with -o"
        }
        io::ErrorKind::NotFound => {
            "it has been removed meanwhile, so make it again, or name another directory with -o"
        }
        _ => "name another directory with -o",
    }
}
