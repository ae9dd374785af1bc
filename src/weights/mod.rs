//! Weights by name: which ones there are, where they come from, and where they are kept; and what
//! files of weights are.

mod cache;
pub mod catalogue;
mod check;
pub mod command;
mod destination;
pub mod files;

pub use cache::Cache;
pub use catalogue::Entry;

use std::ffi::OsStr;
use std::fs::File;

use anyhow::{Context, Result};
use check::{Found, Sums};
use intake::Address;
use maskrcnn::{ReadOptions, Weights};
use url::Url;

/// Where the weights of a run come from.
#[derive(Clone, Debug, PartialEq)]
pub enum Source {
    /// The program itself.
    Embedded,
    /// A file or an address. Never standard input.
    At(Address),
    /// Publishers, by a name of the catalogue.
    Named(Named),
}

/// Weights that have a name.
#[derive(Clone, Debug, PartialEq)]
pub struct Named {
    /// What is known of them.
    pub entry: &'static Entry,
    /// Where they are fetched from.
    pub address: Address,
    /// Where they are kept; none where nothing is kept, as in a task.
    pub cache: Option<Cache>,
}

impl Named {
    /// These weights out of the cache, where they are; [`check`](Self::check) compares their sum.
    ///
    /// # Errors
    ///
    /// When they cannot be read: where they were damaged, with the remedy.
    pub fn open_kept(&self, cache: &Cache, options: &ReadOptions) -> Result<Weights> {
        if cache.sum(self.entry).is_none() {
            cache.verify(self.entry)?;
        }
        Weights::open_with(&cache.path(self.entry), options).or_else(|error| {
            cache.verify(self.entry)?;
            Err(error.into())
        })
    }

    /// Refuses weights that have another SHA-256, in hex, than those of this name must have.
    ///
    /// # Errors
    ///
    /// Then.
    pub fn check(&self, sha256: &str) -> Result<()> {
        let (found, sum) = match &self.cache {
            Some(cache) => (Found::Kept, cache.sum(self.entry)),
            None => (Found::Fetched, self.entry.sha256.map(str::to_owned)),
        };
        found.compare_sha256(self.entry, sum.as_deref(), sha256)
    }

    /// Refuses a file, open at its beginning, that was fetched and is another than the one of this
    /// name. Leaves the SHA-256 to [`check`](Self::check), as reports need it anyway, unless the
    /// file has to be read here.
    ///
    /// # Errors
    ///
    /// Then, and when it cannot be read.
    pub fn check_fetched(&self, file: &File) -> Result<()> {
        if self.entry.md5_prefix.is_none() {
            return Ok(());
        }
        let sums = Sums::of(file, self.entry).context("cannot read a temporary file")?;
        sums.compare(self.entry, Found::Fetched)
    }
}

/// What was to be done with the weights at `address`, and whether a name was meant.
pub fn cannot_load(address: &Address) -> String {
    let (word, is_there) = match address {
        Address::File(path) => (path.to_string_lossy().into_owned(), path.exists()),
        // Such as `detectron2://…/model_final_f10217.pkl`, which its own programs know.
        Address::Unusable(_) => (address.file_name(), false),
        _ => (String::new(), true),
    };
    let what = format!("cannot load the weights `{address}`");
    if is_there {
        return what;
    }
    match catalogue::nearest(&word) {
        Some(name) => format!("{what}; did you mean those called `{name}`?"),
        None if catalogue::is_bare(&word) => {
            format!("{what}; `maskrcnn weights` lists those that have a name")
        }
        None => what,
    }
}

impl Source {
    /// What `word` means: a name of the catalogue, else an address or a path. A file that has such a
    /// name is reached as `./name`.
    ///
    /// `mirror` stands for the publishers' hosts. `cache`: where what is fetched by its name is
    /// kept.
    pub fn new(word: &OsStr, mirror: Option<&Url>, cache: Option<Cache>) -> Self {
        let Some(entry) = word.to_str().and_then(catalogue::find) else {
            return Self::At(Address::not_standard_input(word));
        };
        match entry.address(mirror) {
            None => Self::Embedded,
            Some(address) => Self::Named(Named {
                entry,
                address,
                cache,
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_a_name_an_address_or_a_path() {
        let source = |word: &str| Source::new(OsStr::new(word), None, None);
        assert!(matches!(source("compact"), Source::Embedded));
        let Source::Named(named) = source("maskrcnn-v1") else {
            panic!("it is in the catalogue")
        };
        let url = "https://download.pytorch.org/models/maskrcnn_resnet50_fpn_coco-bf2d0c1e.pth";
        assert_eq!(named.address.name(), url);
        assert!(matches!(
            source("./maskrcnn-v1"),
            Source::At(Address::File(_))
        ));
        assert!(matches!(
            source("maskrcnn-v9"),
            Source::At(Address::File(_))
        ));
        assert!(matches!(
            source("https://example.org/a.pth"),
            Source::At(Address::Http(_))
        ));
    }

    #[test]
    fn a_mirror_stands_for_the_host() {
        let mirror = Url::parse("http://127.0.0.1:8080/mirror/").unwrap();
        let word = OsStr::new("detectron2-r50-3x");
        let Source::Named(named) = Source::new(word, Some(&mirror), None) else {
            panic!("it is in the catalogue")
        };
        assert_eq!(
            named.address.name(),
            "http://127.0.0.1:8080/mirror/detectron2/COCO-InstanceSegmentation/\
             mask_rcnn_R_50_FPN_3x/137849600/model_final_f10217.pkl"
        );
    }
}
