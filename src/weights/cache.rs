//! Weights that were fetched once, in the user's cache.

use std::env;
use std::fs::{self, File, TryLockError};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use intake::{Address, Fetcher};

use super::catalogue::Entry;
use super::check::{self, Found, Sums};
use crate::errors::{Code, OrCode};
use crate::terminal::Terminal;

/// The folder in which weights are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cache {
    directory: PathBuf,
}

impl Cache {
    /// The user's: `maskrcnn` in `$XDG_CACHE_HOME`, else in `~/.cache` (XDG Base Directory
    /// Specification). None when the environment names neither.
    #[expect(clippy::disallowed_methods, reason = "the folder is named there")]
    pub fn of_user() -> Option<Self> {
        let variable = |name: &str| {
            let path = PathBuf::from(env::var_os(name)?);
            // The specification has relative paths ignored.
            path.is_absolute().then_some(path)
        };
        let caches =
            variable("XDG_CACHE_HOME").or_else(|| variable("HOME").map(|home| home.join(".cache")));
        caches.map(|caches| Self::at(&caches.join("maskrcnn")))
    }

    /// In `directory`, which need not be there.
    pub fn at(directory: &Path) -> Self {
        Self {
            directory: directory.to_owned(),
        }
    }

    /// Where these weights are or would be.
    pub fn path(&self, entry: &Entry) -> PathBuf {
        self.directory.join(entry.file())
    }

    /// Whether these weights are there, whole.
    pub fn holds(&self, entry: &Entry) -> bool {
        self.path(entry).is_file()
    }

    /// The sum that these weights must have: the publisher's, or the one that they had when they
    /// were fetched, where that is all there is to go by. None when it was not written down, or is
    /// lost.
    pub fn sum(&self, entry: &Entry) -> Option<String> {
        let known = entry.sha256.map(str::to_owned);
        known.or_else(|| {
            let line = fs::read_to_string(self.sum_path(entry)).ok()?;
            let sum = line.split_whitespace().next()?;
            let is_sum = sum.len() == 64 && sum.bytes().all(|byte| byte.is_ascii_hexdigit());
            is_sum.then(|| sum.to_owned())
        })
    }

    /// Compares these weights, which are kept, with their sum. Where that is lost, they are looked at
    /// as if they were just fetched, and it is written down again.
    ///
    /// # Errors
    ///
    /// When they cannot be read, or are others, with the remedy.
    pub fn verify(&self, entry: &Entry) -> Result<()> {
        let path = self.path(entry);
        let Some(expected) = self.sum(entry) else {
            let sha256 = check::examine(entry, &path, Found::Kept)?;
            // A cache that others filled may be read-only: then it is looked at each time.
            self.write_sum(entry, &sha256).ok();
            return Ok(());
        };
        let sums = File::open(&path)
            .and_then(|file| Sums::of(file, entry))
            .with_context(|| format!("cannot read `{}`", path.display()))
            .or_code(Code::Cache)?;
        Found::Kept.compare_sha256(entry, Some(&expected), &sums.sha256)
    }

    /// Fetches these weights from `address` unless they are there, and checks them. What an earlier
    /// try has fetched is gone on from; where another process is at it, this one waits.
    ///
    /// # Errors
    ///
    /// When they cannot be fetched or kept, or are not what the publisher offers.
    pub fn fetch(
        &self,
        entry: &Entry,
        address: &Address,
        fetcher: &Fetcher,
        terminal: &Terminal,
    ) -> Result<PathBuf> {
        let path = self.path(entry);
        if path.is_file() {
            return Ok(path);
        }
        fs::create_dir_all(&self.directory)
            .with_context(|| format!("cannot make the folder `{}`", self.directory.display()))
            .or_code(Code::Cache)?;
        let Some(file) = self.claim(entry, terminal)? else {
            return Ok(path);
        };
        let mut tries = if file.metadata().is_ok_and(|data| data.len() > 0) {
            // What is there may be the beginning of another file.
            2
        } else {
            1
        };
        loop {
            let copy = file.try_clone().or_code(Code::Cache)?;
            let notes = fetcher.download(address, copy, &self.directory)?;
            notes.iter().for_each(|note| terminal.detail(note));
            tries -= 1;
            match self.settle(entry, &file) {
                Ok(()) => return Ok(path),
                Err(error) => {
                    file.set_len(0).or_code(Code::Cache)?;
                    if tries == 0 {
                        fs::remove_file(self.partial_path(entry)).or_code(Code::Cache)?;
                        return Err(error.context(format!("fetched from {address}")));
                    }
                    terminal.detail(&format!(
                        "{address}: fetched from the start again: {error:#}"
                    ));
                }
            }
        }
    }

    /// Removes these weights, and what of them was fetched. False when there was nothing.
    ///
    /// # Errors
    ///
    /// When a file cannot be removed.
    pub fn remove(&self, entry: &Entry) -> Result<bool> {
        let files = [
            self.path(entry),
            self.sum_path(entry),
            self.partial_path(entry),
        ];
        let mut was_there = false;
        for file in files {
            match fs::remove_file(&file) {
                Ok(()) => was_there = true,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => {
                    return Err(error)
                        .with_context(|| format!("cannot remove `{}`", file.display()))
                        .or_code(Code::Cache);
                }
            }
        }
        Ok(was_there)
    }

    /// The file that these weights are fetched into, locked; none when another process has fetched
    /// them meanwhile.
    fn claim(&self, entry: &Entry, terminal: &Terminal) -> Result<Option<File>> {
        let path = self.partial_path(entry);
        loop {
            let opened = File::options()
                .read(true)
                .append(true)
                .create(true)
                .open(&path);
            let file = opened
                .with_context(|| format!("cannot write `{}`", path.display()))
                .or_code(Code::Cache)?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => {
                    terminal.detail(&format!("waiting: another process fetches {}", entry.name));
                    file.lock().or_code(Code::Cache)?;
                }
                // Where files cannot be locked, two processes fetch the same bytes.
                Err(TryLockError::Error(_)) => {}
            }
            if self.holds(entry) {
                // This process may have made the file anew.
                let is_empty = file.metadata().is_ok_and(|data| data.len() == 0);
                if is_empty && is_at(&file, &path) {
                    fs::remove_file(&path).ok();
                }
                return Ok(None);
            }
            // Whoever held the lock may have removed the file.
            if is_at(&file, &path) {
                return Ok(Some(file));
            }
        }
    }

    /// Checks what was fetched and gives it its name.
    fn settle(&self, entry: &Entry, file: &File) -> Result<()> {
        let partial = self.partial_path(entry);
        let sha256 = check::examine(entry, &partial, Found::Fetched)?;
        file.sync_all()
            .and_then(|()| self.write_sum(entry, &sha256))
            .and_then(|()| fs::rename(&partial, self.path(entry)))
            .with_context(|| format!("cannot write to `{}`", self.directory.display()))
            .or_code(Code::Cache)
    }

    fn write_sum(&self, entry: &Entry, sha256: &str) -> io::Result<()> {
        let line = format!("{sha256}  {}\n", entry.file());
        fs::write(self.sum_path(entry), line)
    }

    fn partial_path(&self, entry: &Entry) -> PathBuf {
        self.directory.join(format!("{}.partial", entry.file()))
    }

    fn sum_path(&self, entry: &Entry) -> PathBuf {
        self.directory.join(format!("{}.sha256", entry.file()))
    }
}

/// Whether `file` is what `path` leads to.
fn is_at(file: &File, path: &Path) -> bool {
    let number = |data: fs::Metadata| (data.dev(), data.ino());
    let here = file.metadata().map(number).ok();
    here.is_some() && here == fs::metadata(path).map(number).ok()
}
