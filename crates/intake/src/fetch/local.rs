//! Files of this machine, and standard input.

use std::fs::File;
use std::io::{self, IsTerminal, Read};
use std::path::Path;

use super::error::{FetchError, StorageError};
use crate::allocation::OutOfMemory;

/// Largest file that is read, in bytes: more than 100 megapixels take as 8-bit RGBA without
/// compression, and little enough that `/dev/zero` or a film by mistake ends soon.
pub const MAX_FILE_BYTES: u64 = 512 << 20;

/// All of standard input.
pub(super) fn read_standard_input() -> Result<Vec<u8>, FetchError> {
    let stdin = io::stdin().lock();
    if stdin.is_terminal() {
        return Err(FetchError::Unreadable(
            "it is a terminal; pipe an image into the program, or name a file".to_owned(),
        ));
    }
    read(stdin, "cannot read standard input")
}

/// All of the file at `path`.
pub(super) fn read_file(path: &Path) -> Result<Vec<u8>, FetchError> {
    let doing = "cannot open the file";
    let file = File::open(path).map_err(|source| FetchError::File { doing, source })?;
    if file.metadata().is_ok_and(|metadata| metadata.is_dir()) {
        return Err(FetchError::Unreadable(format!(
            "it is a directory; name the images in it, for example {}",
            path.join("*.jpg").display()
        )));
    }
    read(file, "cannot read the file")
}

fn read(reader: impl Read, doing: &'static str) -> Result<Vec<u8>, FetchError> {
    let mut bytes = Vec::new();
    let done = reader.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes);
    done.map_err(|source| match source.kind() {
        io::ErrorKind::OutOfMemory => StorageError::from(OutOfMemory("to read it")).into(),
        _ => FetchError::File { doing, source },
    })?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(FetchError::Unreadable(format!(
            "it is larger than the limit of {} MiB",
            MAX_FILE_BYTES >> 20
        )));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endless_file_ends_at_the_limit() {
        let error = read(io::repeat(0), "cannot read it").unwrap_err();
        assert_eq!(error.to_string(), "it is larger than the limit of 512 MiB");
    }
}
