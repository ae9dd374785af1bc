//! Where `maskrcnn convert` writes: nothing of the user's is lost to a name that was mistyped or to
//! words in the wrong order.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use maskrcnn::checkpoint::{Checkpoint, Format};

use crate::errors::{Code, OrCode};

/// The metadata by which a file is known as one that an earlier conversion wrote; all of them.
const OWN: [&str; 4] = ["format", "family", "blueprint", "labels"];

/// A file that may be written.
#[derive(Debug)]
pub(super) struct Destination<'a> {
    path: &'a Path,
    folder: &'a Path,
}

impl<'a> Destination<'a> {
    /// `to`, where nothing is or what an earlier conversion wrote. `from`: the file that is
    /// converted, where it is one.
    ///
    /// # Errors
    ///
    /// When `to` is something else or is `from`, or its folder is missing.
    pub(super) fn new(to: &'a Path, from: Option<&Path>) -> Result<Self> {
        let shown = to.display();
        let named = to.parent().filter(|folder| !folder.as_os_str().is_empty());
        let folder = named.unwrap_or(Path::new("."));
        if !folder.is_dir() {
            let what = if folder.exists() {
                "is no folder; name another"
            } else {
                "is missing; make this folder first"
            };
            let folder = folder.display();
            let message = format!("cannot write `{shown}`: `{folder}` {what}");
            return Err(Code::OutputFile.error(message));
        }
        if to.is_dir() {
            let example = to.join("weights.safetensors");
            return Err(Code::OutputFile.error(format!(
                "cannot write `{shown}`: it is a folder; name a file, such as `{}`",
                example.display()
            )));
        }
        // It could be done, as the new file gets the name when it is whole; but what a checkpoint holds
        // beside its network would be gone, and the original with it.
        if let Some(from) = from.filter(|from| same(from, to)) {
            return Err(Code::ReplacesInput.error(format!(
                "refused to replace `{}` by itself; name another file to write",
                from.display()
            )));
        }
        if let Some(what) = stranger(to) {
            return Err(Code::OutputFile.error(format!(
                "refused to replace `{shown}`: it is {what}, and only a file that `maskrcnn \
                 convert` wrote is replaced; name another file, or remove this one first"
            )));
        }
        Ok(Self { path: to, folder })
    }

    /// The outcome of `write`, which writes the file that it is given. What was there before stays
    /// when it fails.
    ///
    /// # Errors
    ///
    /// Those of `write`, and when no file can be made there.
    pub(super) fn write<T>(&self, write: impl FnOnce(&Path) -> Result<T>) -> Result<T> {
        let cannot = || format!("cannot write `{}`", self.path.display());
        let made = tempfile::Builder::new()
            .prefix(".maskrcnn-")
            .tempdir_in(self.folder);
        // Its words name the temporary folder, of which nobody knows.
        let made = made.map_err(|error| io::Error::from(error.kind()));
        let temporary = made.with_context(cannot).or_code(Code::OutputFile)?;
        let name = self.path.file_name().map_or("out".into(), PathBuf::from);
        let written = temporary.path().join(name);
        let outcome = write(&written)?;
        fs::rename(&written, self.path)
            .with_context(cannot)
            .or_code(Code::OutputFile)?;
        Ok(outcome)
    }
}

/// What stands at `path`, in words, when it is nothing that a conversion wrote.
fn stranger(path: &Path) -> Option<String> {
    let metadata = match fs::metadata(path) {
        Ok(metadata) => metadata,
        // A link that leads nowhere is replaced by no one's loss.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
        Err(error) => return Some(format!("there, and cannot be looked at ({error})")),
    };
    if !metadata.is_file() {
        return Some("no ordinary file".to_owned());
    }
    match Checkpoint::open(path) {
        Ok(found) if found.format == Format::Safetensors => {
            let is_own = OWN.iter().all(|key| found.metadata.contains_key(*key));
            (!is_own).then(|| "a safetensors file of another program".to_owned())
        }
        Ok(found) => Some(format!("a checkpoint ({})", found.format)),
        Err(maskrcnn::Error::UnknownFormat { found }) => Some(found),
        Err(maskrcnn::Error::Malformed { format, .. }) => Some(format!("a damaged {format} file")),
        Err(_) => Some("a file that is not read here".to_owned()),
    }
}

/// Whether two paths lead to one file.
fn same(a: &Path, b: &Path) -> bool {
    let file = |path: &Path| fs::canonicalize(path).ok();
    file(a).is_some_and(|a| file(b) == Some(a))
}
