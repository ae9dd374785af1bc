//! Images from where they are to pixels, in a thread of their own.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;

use anyhow::{Context, Result, anyhow};
use data_encoding::HEXLOWER;
use image::RgbImage;
use intake::{Address, Decoded, Fetched, Fetcher};
use sha2::{Digest, Sha256};

use super::timed::Timed;
use crate::errors::{Code, OrCode};

/// An image, decoded, and what identifies it.
pub(super) struct Photo {
    /// Of the file's bytes, in hex.
    pub sha256: String,
    /// Upright.
    pub pixels: RgbImage,
    /// Which colours the numbers stand for, when the file says so.
    pub icc_profile: Option<Vec<u8>>,
    /// What was noticed on the way and only some want to know.
    pub notes: Vec<String>,
}

/// Images of more pixels are decoded when the model is loaded, not meanwhile: it is asked for the
/// memory of an image before that is taken, and what the model takes in between would be missing.
/// Empirical: more than phones make, so that who waits for it waits for much longer anyway.
const LARGE: u64 = 32_000_000;

impl Photo {
    /// The image at `address`, of `max_pixels` at most. `model_is_loaded` is closed then.
    fn load(
        address: &Address,
        fetcher: &Fetcher,
        max_pixels: u64,
        model_is_loaded: &Receiver<()>,
    ) -> Result<Self> {
        let Fetched { content, notes } = fetcher.image(address)?;
        if intake::pixels(&content).is_some_and(|pixels| pixels > LARGE) {
            // Nothing is ever sent.
            let _closed = model_is_loaded.recv();
        }
        let sha256 = HEXLOWER.encode(&Sha256::digest(&content));
        let Decoded {
            pixels,
            icc_profile,
        } = intake::decode(content, max_pixels)?;
        Ok(Self {
            sha256,
            pixels,
            icc_profile,
            notes,
        })
    }
}

/// Fetches, reads and decodes the images in a thread of its own, while the model loads and while the
/// image before is segmented.
///
/// `model_is_loaded` is closed then; large images wait for it. At most one decoded image waits. The
/// thread is not joined: when the model cannot be loaded,
/// nobody should have to close standard input first to be told.
///
/// # Errors
///
/// When the system refuses the thread.
pub(super) fn read_all(
    images: Vec<Address>,
    fetcher: Arc<Fetcher>,
    max_pixels: u64,
    model_is_loaded: Receiver<()>,
) -> Result<Receiver<Result<Timed<Photo>>>> {
    let (sender, receiver) = sync_channel(0);
    let read = move || {
        for image in images {
            // A decoder that panics fails its image and no other.
            let loaded = catch_unwind(AssertUnwindSafe(|| {
                Timed::of(|| Photo::load(&image, &fetcher, max_pixels, &model_is_loaded))
            }));
            let broken = |_| {
                let error = anyhow!(
                    "the decoder broke down over it; convert it to PNG, and please report it"
                );
                Err(error).or_code(Code::Internal)
            };
            if sender.send(loaded.unwrap_or_else(broken)).is_err() {
                break;
            }
        }
    };
    thread::Builder::new()
        .spawn(read)
        .context("cannot start the thread that reads images")
        .or_code(Code::System)?;
    Ok(receiver)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use intake::{DEFAULT_MAX_PIXELS, FetchOptions, Proxies, Silent};

    use super::*;

    fn load(path: &Path) -> Photo {
        let options = FetchOptions {
            max_image_bytes: 1 << 20,
            max_weights_bytes: None,
            timeout: std::time::Duration::from_secs(10),
            public_only: false,
            ipfs_gateways: Vec::new(),
            ca_file: None,
            proxies: Proxies::default(),
            temporary: ".".into(),
        };
        let fetcher = Fetcher::new(options, Arc::new(Silent));
        let (_, closed) = std::sync::mpsc::channel();
        let address = Address::File(path.into());
        Photo::load(&address, &fetcher, DEFAULT_MAX_PIXELS, &closed).unwrap()
    }

    #[test]
    fn the_format_is_told_by_the_content_not_by_the_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("photo.png");
        let jpeg = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/images/jpeg-444.jpg");
        std::fs::copy(&jpeg, &path).unwrap();
        assert_eq!(load(&path).pixels, load(&jpeg).pixels);
    }

    #[test]
    fn the_digest_is_that_of_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pixel.bmp");
        // `printf 'BM...' | sha256sum` of a bitmap of one pixel.
        let mut bitmap =
            b"BM\x3a\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0\x01\0\0\0\x01\0\0\0\x01\0\x18\0".to_vec();
        bitmap.resize(58, 0);
        std::fs::write(&path, &bitmap).unwrap();
        let photo = load(&path);
        assert_eq!(
            photo.sha256,
            "8fcc806ebfa0f9404bab0aa6fac485a8f22e33cfd2c42e5047718e528e53741e"
        );
        assert_eq!(photo.pixels.dimensions(), (1, 1));
    }
}
