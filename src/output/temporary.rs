//! Files that are being written: under names that nobody looks for, until they are whole. Neither
//! an error nor a signal leaves one behind; after SIGKILL a later run removes it.

use std::collections::BTreeSet;
use std::fs::{self, File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use tempfile::Builder;

const PREFIX: &str = ".maskrcnn-";

/// Characters after the prefix, of which none is known before.
const RANDOM: usize = 6;

/// How long nobody has written to a file before it may pass for left behind, empirical: a file
/// waits for milliseconds, and who looks for it after a crash has an hour.
const STALE: Duration = Duration::from_secs(3600);

/// Every temporary file that exists. A file is made, renamed and removed only by who holds this, so
/// that a signal finds each of them either here or gone.
static EXISTING: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

fn existing() -> MutexGuard<'static, BTreeSet<PathBuf>> {
    // A set of paths is as good as before, whoever panicked.
    EXISTING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A file under a temporary name, removed when it is dropped.
pub struct Temporary {
    file: File,
    /// Empty once the file has its own name.
    path: PathBuf,
}

impl Temporary {
    /// A new file in `directory`, with the permissions of any new file.
    pub fn create(directory: &Path) -> io::Result<Self> {
        // The mode of every new file, of which the umask takes its part; tempfile's own is for
        // secrets.
        let permissions = Permissions::from_mode(0o666);
        let mut builder = Builder::new();
        builder
            .prefix(PREFIX)
            .rand_bytes(RANDOM)
            .permissions(permissions);
        let mut existing = existing();
        let (file, path) = builder
            .tempfile_in(directory)?
            .keep()
            .map_err(|error| error.error)?;
        existing.insert(path.clone());
        // For `remove_stale` of another process. A file system without locks loses only that.
        file.try_lock().ok();
        Ok(Self { file, path })
    }

    /// Writes all of `content`, down to the disk: some file systems find out only then that they
    /// are full.
    pub fn write(&mut self, content: &[u8]) -> io::Result<()> {
        self.file.write_all(content)?;
        self.file.sync_all()
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if !self.path.as_os_str().is_empty() {
            let mut existing = existing();
            fs::remove_file(&self.path).ok();
            existing.remove(&self.path);
        }
    }
}

/// Gives `files` their names, in order; no signal comes in between. A link of such a name is
/// replaced, not followed.
///
/// # Errors
///
/// What the system says, and of which file. Those before it have their names.
pub fn rename(files: &mut [(Temporary, PathBuf)]) -> Result<(), (io::Error, &Path)> {
    let mut existing = existing();
    for (file, name) in files {
        fs::rename(&file.path, &*name).map_err(|error| (error, &**name))?;
        existing.remove(&file.path);
        file.path = PathBuf::new();
    }
    Ok(())
}

/// Removes every temporary file of this process, and lets `end` end it before another can be made.
pub fn remove_all(end: impl FnOnce()) {
    let existing = existing();
    for path in &*existing {
        fs::remove_file(path).ok();
    }
    end();
}

/// Removes from `directory` what processes left there that were killed: files of our temporary
/// names that no process holds locked and that were last written an hour before `now`, by the file
/// system's own clock. In doubt a file stays.
pub fn remove_stale(directory: &Path, now: &Temporary) {
    let Ok(now) = now.file.metadata().and_then(|metadata| metadata.modified()) else {
        return;
    };
    let Ok(entries) = fs::read_dir(directory) else {
        return;
    };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let ours = name.as_encoded_bytes().starts_with(PREFIX.as_bytes())
            && name.len() == PREFIX.len() + RANDOM;
        if ours
            && entry.file_type().is_ok_and(|kind| kind.is_file())
            && is_stale(&entry.path(), now)
        {
            fs::remove_file(entry.path()).ok();
        }
    }
}

fn is_stale(path: &Path, now: SystemTime) -> bool {
    let Ok(file) = File::open(path) else {
        return false;
    };
    let age = file
        .metadata()
        .and_then(|metadata| metadata.modified())
        .map(|written| now.duration_since(written));
    matches!(age, Ok(Ok(age)) if age > STALE) && file.try_lock().is_ok()
}
