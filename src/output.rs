//! The output directory: checked before work starts, safe names, and files that appear whole or not
//! at all.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};

use crate::code::{Code, OrCode};
use crate::source::Source;
use crate::temporary::{self, Temporary};

/// Longest name of a result file, in bytes, extension included: what an iExec task may return.
const MAX_NAME: usize = 31;

/// Stem of the results of an image that has no usable name of its own.
const NO_NAME: &str = "image";

/// Where the results go.
#[derive(Debug)]
pub struct OutputDir {
    path: PathBuf,
}

/// The files of one image, written but not visible yet.
pub struct Staged<'a> {
    files: Vec<(Temporary, PathBuf)>,
    directory: &'a Path,
}

impl OutputDir {
    /// Makes the directory when it is missing, and finds out now, before a model is loaded, whether
    /// files can be made in it. What killed processes left in it goes.
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
                "cannot write to `{shown}`: it is a symbolic link that leads nowhere; name another with -o"
            );
        }
        fs::create_dir_all(path).with_context(|| {
            format!("cannot make the output directory `{shown}`; name another with -o")
        })?;
        let probe = temporary(path)?;
        temporary::remove_stale(path, &probe);
        Ok(Self {
            path: path.to_owned(),
        })
    }

    /// A directory that is not looked at.
    #[cfg(fuzzing)]
    pub fn unchecked(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
        }
    }

    /// The path of the file `stem`.`extension`.
    pub fn path(&self, stem: &str, extension: &str) -> PathBuf {
        self.path.join(format!("{stem}.{extension}"))
    }

    /// Refuses when one of `results` is one of `sources`: a result would replace somebody's photo.
    pub fn protect(&self, sources: &[Source], results: &[PathBuf]) -> Result<()> {
        // By device and number, not by path: a folder may be seen at two places, as in `docker run
        // -v .:/in -v .:/out`.
        let identity = |path: &Path| {
            fs::metadata(path)
                .ok()
                .map(|metadata| (metadata.dev(), metadata.ino()))
        };
        let inputs: HashSet<_> = sources
            .iter()
            .filter_map(Source::path)
            .filter_map(identity)
            .collect();
        match results
            .iter()
            .find(|result| identity(result).is_some_and(|id| inputs.contains(&id)))
        {
            Some(result) => Err(anyhow!(
                "refused to replace the input `{}` by its result; name another directory with -o",
                result.display()
            ))
            .or_code(Code::ReplacesInput),
            None => Ok(()),
        }
    }

    /// Writes `files` (path, content) beside where they belong, under names that nobody looks for.
    pub fn stage(&self, files: Vec<(PathBuf, Vec<u8>)>) -> Result<Staged<'_>> {
        let staged = files.into_iter().map(|(path, content)| {
            let mut file = temporary(&self.path)?;
            file.write(&content)
                .map_err(|error| refused(&self.path, error))?;
            Ok((file, path))
        });
        Ok(Staged {
            files: staged.collect::<Result<_>>().or_code(Code::OutputFile)?,
            directory: &self.path,
        })
    }
}

impl Staged<'_> {
    /// Gives the files their names, in order, replacing those of an earlier run. All of them are
    /// complete by now, so none ever shows half-written. Of two processes with one output directory
    /// one waits for the other, so that the files of an image are of the same run.
    pub fn publish(self) -> Result<()> {
        self.rename().or_code(Code::OutputFile)
    }

    fn rename(mut self) -> Result<()> {
        // Before the first appears: it would stand alone. A link to a directory is replaced like
        // any link.
        let is_directory =
            |path: &Path| fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_dir());
        if let Some((_, path)) = self.files.iter().find(|(_, path)| is_directory(path)) {
            bail!(
                "cannot write `{}`: it is a directory; remove it, or name another directory with -o",
                path.display()
            );
        }
        // Held until the function returns. Where directories cannot be locked, each file is still
        // whole.
        let directory = File::open(self.directory);
        let _lock = directory.as_ref().ok().map(File::lock);
        temporary::rename(&mut self.files).map_err(|(error, path)| {
            let remedy = remedy(&error);
            anyhow::Error::from(error)
                .context(format!("cannot write `{}`; {remedy}", path.display()))
        })
    }
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

/// The stem of the results of each source, in order: see [`safe_stem`]. Where two would be the
/// same, also to a file system that ignores case, the later one gets -2, -3, …. `extension`: the
/// longest that will follow, without its dot.
pub fn stems(sources: &[Source], extension: &str) -> Vec<String> {
    let longest = MAX_NAME - 1 - extension.len();
    let mut taken = HashSet::new();
    let mut free = |stem: String| {
        let numbered = (2..).map(|n| {
            let suffix = format!("-{n}");
            format!("{}{suffix}", cut(&stem, longest - suffix.len()))
        });
        std::iter::once(cut(&stem, longest).to_owned())
            .chain(numbered)
            .find(|name| taken.insert(name.to_lowercase()))
            .expect("there are more numbers than images")
    };
    let stem = |source: &Source| match source {
        Source::Stdin => "stdin".to_owned(),
        Source::File(path) => safe_stem(path.file_stem().unwrap_or_default()),
        Source::Url(address) => safe_stem(
            Path::new(&address.file_name())
                .file_stem()
                .unwrap_or_default(),
        ),
    };
    sources.iter().map(|source| free(stem(source))).collect()
}

/// A name that no shell, file system or task trips over: letters and digits of any script, `-`, `_`
/// and `.` stay, each run of anything else becomes one `_`, and punctuation at either end goes.
/// `image` when nothing is left.
fn safe_stem(name: &OsStr) -> String {
    let mut stem = String::new();
    for character in name.to_string_lossy().chars() {
        if character.is_alphanumeric() || "-_.".contains(character) {
            stem.push(character);
        } else if !stem.ends_with('_') {
            stem.push('_');
        }
    }
    let stem = stem.trim_matches(['-', '_', '.']);
    if stem.is_empty() {
        NO_NAME.to_owned()
    } else {
        stem.to_owned()
    }
}

/// The first characters of `text` that fit into `longest` bytes, without punctuation at their end.
fn cut(text: &str, longest: usize) -> &str {
    text[..text.floor_char_boundary(longest)].trim_end_matches(['-', '_', '.'])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(sources: &[&str]) -> Vec<String> {
        let sources: Vec<_> = sources
            .iter()
            .map(|name| Source::new(OsStr::new(name)))
            .collect();
        stems(&sources, "json")
    }

    #[test]
    fn a_hostile_name_becomes_a_safe_one() {
        for (name, stem) in [
            ("photo.jpg", "photo"),
            ("a/b/photo.tar.jpg", "photo.tar"),
            ("My Photo (1).jpeg", "My_Photo_1"),
            ("-rf.png", "rf"),
            (".hidden.png", "hidden"),
            (".jpg", "jpg"),
            ("..", "image"),
            ("/", "image"),
            ("...png", "image"),
            ("noextension", "noextension"),
            ("line\nbreak\u{1b}[31m.png", "line_break_31m"),
            ("a\\b:c*d?.png", "a_b_c_d"),
            ("été à la plage.png", "été_à_la_plage"),
            ("写真.webp", "写真"),
            ("🐕.png", "image"),
            ("-", "stdin"),
            (
                "https://user:secret@example.org/a/My%20Photo.jpg?size=large.png#x",
                "My_Photo",
            ),
            (
                "https://example.org/%2e%2e%2f%2e%2e%2fetc%2fpasswd",
                "passwd",
            ),
            ("https://example.org/", "image"),
            ("data:image/png;base64,iVBORw0KGgo/a.png", "image"),
            (
                "ipfs://QmT78zSuBmuS4z925WZfrqQ1qHaJ56DQaTfyMUF7F8ff5o/dogs/rex.jpg",
                "rex",
            ),
            ("ipfs://QmT78zSuBmuS4z925W", "QmT78zSuBmuS4z925W"),
        ] {
            assert_eq!(names(&[name]), [stem], "{name}");
        }
    }

    #[test]
    fn a_name_that_is_no_text_becomes_a_safe_one() {
        use std::os::unix::ffi::OsStrExt;
        assert_eq!(safe_stem(OsStr::from_bytes(b"pho\xffto")), "pho_to");
    }

    #[test]
    fn a_long_name_is_cut_between_characters_and_its_file_names_are_at_most_31_bytes() {
        for name in [
            "a-rather-long-name-of-a-photo-of-a-dog.jpg",
            "写真写真写真写真写真写真写真.png",
            &"é".repeat(99),
        ] {
            for stem in names(&[name; 12]) {
                let file = format!("{stem}.json");
                assert!(file.len() <= 31 && file.len() >= 25, "{file}");
                assert!(!file.contains('\u{fffd}'), "{file}");
            }
        }
        assert_eq!(
            names(&["abcdefghijklmnopqrstuvwxyz.png"]),
            ["abcdefghijklmnopqrstuvwxyz"]
        );
        assert_eq!(
            names(&["abcdefghijklmnopqrstuvwxyzA.png"]),
            ["abcdefghijklmnopqrstuvwxyz"]
        );
    }

    #[test]
    fn images_of_the_same_name_get_numbers_in_their_order() {
        assert_eq!(
            names(&["a/photo.jpg", "b/photo.png", "photo.gif"]),
            ["photo", "photo-2", "photo-3"]
        );
        assert_eq!(names(&["photo.jpg", "PHOTO.JPG"]), ["photo", "PHOTO-2"]);
        assert_eq!(
            names(&["photo.jpg", "photo.png", "photo-2.jpg"]),
            ["photo", "photo-2", "photo-2-2"]
        );
        assert_eq!(names(&["-", "stdin.png"]), ["stdin", "stdin-2"]);
        let long = [
            "the-same-long-beginning-of-a-name-1.jpg",
            "the-same-long-beginning-of-a-name-2.jpg",
        ];
        assert_eq!(
            names(&long),
            ["the-same-long-beginning-of", "the-same-long-beginning-2"]
        );
    }
}
