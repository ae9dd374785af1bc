//! The files of the repository that tests read.

use std::path::{Path, PathBuf};

/// The path of a file or folder of the repository.
pub fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// The built program.
pub const PROGRAM: &str = env!("CARGO_BIN_EXE_maskrcnn");
