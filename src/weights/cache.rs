//! Weights that were fetched once, in the user's cache.

use std::env;
use std::fs::{self, File, TryLockError};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use data_encoding::HEXLOWER;
use intake::{Address, Fetcher};
use md5::Md5;
use sha2::{Digest, Sha256};

use super::catalogue::Entry;
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
    /// were fetched, where that is all there is to go by.
    pub fn sum(&self, entry: &Entry) -> Option<String> {
        let known = entry.sha256.map(str::to_owned);
        known.or_else(|| {
            let line = fs::read_to_string(self.sum_path(entry)).ok()?;
            Some(line.split_whitespace().next()?.to_owned())
        })
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
        let Sums { bytes, sha256, md5 } = sums_of(&partial)
            .with_context(|| format!("cannot read `{}`", partial.display()))
            .or_code(Code::Cache)?;
        let differs = |what: &str, expected: &str, found: &str| {
            let name = entry.name;
            Err(Code::WeightsChecksum.error(format!(
                "these are not the weights {name}: expected {what} {expected}, found {found}; they \
                 were damaged on the way, or the server has others"
            )))
        };
        if let Some(expected) = entry.bytes.filter(|expected| *expected != bytes) {
            return differs(
                "a size in bytes of",
                &expected.to_string(),
                &bytes.to_string(),
            );
        }
        if let Some(expected) = entry.sha256.filter(|expected| *expected != sha256) {
            return differs("the SHA-256", expected, &sha256);
        }
        let is_other = |expected: &&str| !md5.starts_with(expected);
        if let Some(expected) = entry.md5_prefix.filter(is_other) {
            return differs("an MD5 that begins with", expected, &md5);
        }
        let line = format!("{sha256}  {}\n", entry.file());
        file.sync_all()
            .and_then(|()| fs::write(self.sum_path(entry), line))
            .and_then(|()| fs::rename(&partial, self.path(entry)))
            .with_context(|| format!("cannot write to `{}`", self.directory.display()))
            .or_code(Code::Cache)
    }

    fn partial_path(&self, entry: &Entry) -> PathBuf {
        self.directory.join(format!("{}.partial", entry.file()))
    }

    fn sum_path(&self, entry: &Entry) -> PathBuf {
        self.directory.join(format!("{}.sha256", entry.file()))
    }
}

/// Refuses weights that have another sum than they must have.
///
/// # Errors
///
/// Then.
pub fn check(entry: &Entry, expected: Option<&str>, found: &str) -> Result<()> {
    match expected.filter(|expected| *expected != found) {
        None => Ok(()),
        Some(expected) => {
            let name = entry.name;
            bail!(Code::WeightsChecksum.error(format!(
                "these are not the weights {name}: expected the SHA-256 {expected}, found {found}; \
                 `maskrcnn weights remove {name}` removes what is kept of them"
            )))
        }
    }
}

/// Whether `file` is what `path` leads to.
fn is_at(file: &File, path: &Path) -> bool {
    let number = |data: fs::Metadata| (data.dev(), data.ino());
    let here = file.metadata().map(number).ok();
    here.is_some() && here == fs::metadata(path).map(number).ok()
}

/// What is compared of a file, sums in hex.
struct Sums {
    bytes: u64,
    sha256: String,
    md5: String,
}

fn sums_of(path: &Path) -> io::Result<Sums> {
    let mut file = File::open(path)?;
    let (mut sha256, mut md5) = (Sha256::new(), Md5::new());
    let (mut bytes, mut chunk) = (0, vec![0; 1 << 20]);
    loop {
        let read = file.read(&mut chunk)?;
        if read == 0 {
            return Ok(Sums {
                bytes,
                sha256: HEXLOWER.encode(&sha256.finalize()),
                md5: HEXLOWER.encode(&md5.finalize()),
            });
        }
        sha256.update(&chunk[..read]);
        md5.update(&chunk[..read]);
        bytes += read as u64;
    }
}
