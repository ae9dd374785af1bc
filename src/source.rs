//! Images from outside: what the user named -> bytes -> upright RGB pixels. Every limit on foreign
//! input is here.

mod address;
mod decode;
mod fetch;
mod fetch_error;
mod guard;
mod http;
mod ipfs;
mod jpeg_markers;
mod lookup;
mod png_chunks;
mod sink;
mod tiff_tags;
mod unixfs;
mod webp_chunks;

use std::ffi::OsStr;
use std::fmt;
use std::fs::File;
use std::io::{self, IsTerminal, Read};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use data_encoding::HEXLOWER;
use image::RgbImage;
use sha2::{Digest, Sha256};

pub use address::Address;
pub use decode::DEFAULT_MAX_PIXELS;
pub use fetch::{FetchOptions, Fetched, Fetcher, Proxies};
pub use fetch_error::FetchError;

use crate::code::{Code, OrCode};
use crate::memory::OutOfMemory;

/// Largest file that is read, in bytes: more than [`DEFAULT_MAX_PIXELS`] take as 8-bit RGBA without
/// compression, and little enough that `/dev/zero` or a film by mistake ends soon.
pub const MAX_FILE_BYTES: u64 = 512 << 20;

/// Where an image comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// Standard input, named `-`.
    Stdin,
    /// A file.
    File(PathBuf),
    /// An address.
    Url(Address),
}

/// An image, decoded, and what identifies it.
pub struct Photo {
    /// Of the file's bytes, in hex.
    pub sha256: String,
    /// Upright.
    pub pixels: RgbImage,
    /// What was noticed on the way and only some want to know.
    pub notes: Vec<String>,
}

impl Source {
    /// What `name`, an argument of the command line, stands for.
    pub fn new(name: &OsStr) -> Self {
        if name == "-" {
            Self::Stdin
        } else {
            Self::not_stdin(name)
        }
    }

    /// What `name` stands for where standard input is no choice.
    pub fn not_stdin(name: &OsStr) -> Self {
        Address::new(&name.to_string_lossy()).map_or_else(|| Self::File(name.into()), Self::Url)
    }

    /// The path, when it is a file.
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::File(path) => Some(path),
            Self::Stdin | Self::Url(_) => None,
        }
    }

    /// The last part of the path, without directories.
    pub fn file_name(&self) -> String {
        match self {
            Self::Stdin => String::new(),
            Self::File(path) => path
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned(),
            Self::Url(address) => address.file_name(),
        }
    }

    /// The name that the user gave, `-` for standard input; of an address what may be shown.
    pub fn name(&self) -> String {
        match self {
            Self::Stdin => "-".to_owned(),
            Self::File(path) => path.to_string_lossy().into_owned(),
            Self::Url(address) => address.shown(),
        }
    }

    /// Reads and decodes the image, of `max_pixels` at most; `fetcher` gets it when it is an
    /// address.
    pub fn load(&self, fetcher: &Fetcher, max_pixels: u64) -> Result<Photo> {
        let Fetched {
            content: bytes,
            notes,
        } = self.read(fetcher).or_code(Code::ImageFile)?;
        let known = image::guess_format(&bytes).is_ok_and(|format| format.reading_enabled());
        let sha256 = HEXLOWER.encode(&Sha256::digest(&bytes));
        let pixels = decode::decode(bytes, max_pixels).or_code(if known {
            Code::BadImage
        } else {
            Code::NotAnImage
        })?;
        Ok(Photo {
            sha256,
            pixels,
            notes,
        })
    }

    fn read(&self, fetcher: &Fetcher) -> Result<Fetched<Vec<u8>>> {
        let content = match self {
            Self::Stdin => {
                let stdin = io::stdin().lock();
                ensure!(
                    !stdin.is_terminal(),
                    "it is a terminal; pipe an image into the program, or name a file"
                );
                read_limited(stdin).context("cannot read standard input")?
            }
            Self::File(path) => {
                let file = File::open(path).context("cannot open the file")?;
                ensure!(
                    !file.metadata().is_ok_and(|metadata| metadata.is_dir()),
                    "it is a directory; name the images in it, for example {}",
                    path.join("*.jpg").display()
                );
                read_limited(file).context("cannot read the file")?
            }
            Self::Url(address) => return Ok(fetcher.image(address)?),
        };
        Ok(Fetched {
            content,
            notes: Vec::new(),
        })
    }
}

/// The user's name for the source, made fit for one line of a terminal: standard input by its full
/// name, control characters escaped, an empty name in quotes.
impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::Stdin {
            return f.write_str("standard input");
        }
        let name = self.name();
        if name.is_empty() {
            return f.write_str("\"\"");
        }
        for character in name.chars() {
            if character.is_control() {
                write!(f, "{}", character.escape_default())?
            } else {
                write!(f, "{character}")?
            }
        }
        Ok(())
    }
}

fn read_limited(reader: impl Read) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    reader
        .take(MAX_FILE_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| match error.kind() {
            io::ErrorKind::OutOfMemory => anyhow::Error::from(OutOfMemory("to read it")),
            _ => error.into(),
        })?;
    ensure!(
        bytes.len() as u64 <= MAX_FILE_BYTES,
        "it is larger than the limit of {} MiB",
        MAX_FILE_BYTES >> 20
    );
    Ok(bytes)
}

#[cfg(test)]
mod tests;
