//! Addresses of images and of weights: what a user names is parsed once, here.

use std::ffi::OsStr;
use std::fmt;
use std::path::{Path, PathBuf};

use data_url::DataUrl;
use percent_encoding::percent_decode_str;
use url::Url;

use crate::ipfs_path::IpfsPath;

/// Where bytes come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// Standard input, named `-`.
    StandardInput,
    /// A file of this machine.
    File(PathBuf),
    /// A resource of an `http` or `https` server.
    Http(Remote<Url>),
    /// A file in IPFS.
    Ipfs(Remote<IpfsPath>),
    /// Bytes that stand in the address itself (RFC 2397, as the Fetch Standard reads it).
    Data(Remote<Vec<u8>>),
    /// An address that makes no sense or is of a kind that is not fetched, and why. It is an error
    /// of its own image only, so it is told when that image's turn comes.
    Unusable(Remote<String>),
}

/// Something that was named by an address, not by a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remote<T> {
    /// What the address stands for.
    pub target: T,
    /// The address without secrets and data.
    shown: String,
    /// The last part of its path.
    file_name: String,
}

impl Address {
    /// What `name`, an argument of a command line, stands for.
    pub fn new(name: &OsStr) -> Self {
        if name == "-" {
            Self::StandardInput
        } else {
            Self::not_standard_input(name)
        }
    }

    /// What `name` stands for where standard input is no choice: an address when it begins with
    /// `scheme://` (RFC 3986, section 3.1) or `data:`, else a path. No path that people use begins
    /// so.
    pub fn not_standard_input(name: &OsStr) -> Self {
        Self::remote(&name.to_string_lossy()).unwrap_or_else(|| Self::File(name.into()))
    }

    fn remote(text: &str) -> Option<Self> {
        let scheme = if is_data(text) {
            "data".to_owned()
        } else {
            let (scheme, _) = text
                .split_once("://")
                .filter(|(scheme, _)| is_scheme(scheme))?;
            scheme.to_ascii_lowercase()
        };
        let parsed = match &*scheme {
            "http" | "https" => match Url::parse(text) {
                Ok(url) => Self::Http(Remote::new(text, url)),
                Err(error) => Self::unusable(text, format!("it is no valid address: {error}")),
            },
            "ipfs" => match IpfsPath::parse(text) {
                Ok(path) => Self::Ipfs(Remote::new(text, path)),
                Err(reason) => Self::unusable(text, reason),
            },
            "data" => match decode_data(text) {
                Ok(bytes) => Self::Data(Remote::new(text, bytes)),
                Err(reason) => Self::unusable(text, reason.to_owned()),
            },
            "file" => {
                let reason = "file addresses are not fetched; give the path itself";
                Self::unusable(text, reason.to_owned())
            }
            scheme => Self::unusable(
                text,
                format!(
                    "`{scheme}` addresses are not fetched, only http, https, data and ipfs; fetch \
                     it with another program and give the file"
                ),
            ),
        };
        Some(parsed)
    }

    fn unusable(text: &str, reason: String) -> Self {
        Self::Unusable(Remote::new(text, reason))
    }

    /// The path, when it is a file of this machine.
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::File(path) => Some(path),
            _ => None,
        }
    }

    /// The name that the user gave, `-` for standard input; bytes that are no text as `\xff`; of an address what may be shown: no
    /// user name, no password, and of a data URL no data.
    pub fn name(&self) -> String {
        match self {
            Self::StandardInput => "-".to_owned(),
            Self::File(path) => as_text(path.as_os_str()),
            Self::Http(Remote { shown, .. })
            | Self::Ipfs(Remote { shown, .. })
            | Self::Data(Remote { shown, .. })
            | Self::Unusable(Remote { shown, .. }) => shown.clone(),
        }
    }

    /// The last part of the path, without directories; of an address decoded, without query and
    /// fragment, and what follows a `/` that was hidden in an escape counts as the last part, too.
    /// The CID when that is all there is of an `ipfs://` address. Empty for standard input, for
    /// data URLs and where there is no path.
    pub fn file_name(&self) -> String {
        match self {
            Self::StandardInput => String::new(),
            Self::File(path) => as_text(path.file_name().unwrap_or_default()),
            Self::Http(Remote { file_name, .. })
            | Self::Ipfs(Remote { file_name, .. })
            | Self::Data(Remote { file_name, .. })
            | Self::Unusable(Remote { file_name, .. }) => file_name.clone(),
        }
    }
}

/// The user's name for it, made fit for one line of a terminal: standard input by its full name,
/// control characters escaped, an empty name in quotes.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::StandardInput {
            return f.write_str("standard input");
        }
        f.write_str(&on_one_line(&self.name()))
    }
}

/// A name from outside, made fit for one line of a terminal: control characters escaped, an empty
/// one in quotes.
pub fn on_one_line(name: &str) -> String {
    if name.is_empty() {
        return "\"\"".to_owned();
    }
    let mut line = String::with_capacity(name.len());
    for character in name.chars() {
        if character.is_control() {
            line.extend(character.escape_default());
        } else {
            line.push(character);
        }
    }
    line
}

/// A name that may be no text, as text: different for different names.
fn as_text(name: &OsStr) -> String {
    let mut text = String::new();
    for chunk in name.as_encoded_bytes().utf8_chunks() {
        text.push_str(chunk.valid());
        for byte in chunk.invalid() {
            text.push_str(&format!("\\x{byte:02x}"));
        }
    }
    text
}

impl<T> Remote<T> {
    fn new(text: &str, target: T) -> Self {
        Self {
            target,
            shown: shown(text),
            file_name: file_name(text),
        }
    }
}

/// The address `text` without user name and password, and of a data URL no data.
///
/// Of the text and not of what became of it, since what makes no sense is shown, too, and may hold
/// a password all the same.
fn shown(text: &str) -> String {
    if is_data(text) {
        let header = text.split(',').next().unwrap_or_default();
        // What has no comma is no data URL, and may be long.
        return format!("{},…", &header[..header.floor_char_boundary(100)]);
    }
    let Some((scheme, rest)) = split(text) else {
        return text.to_owned();
    };
    let authority = &rest[..rest.find(['/', '?', '#', '\\']).unwrap_or(rest.len())];
    let host = authority.rfind('@').map_or(0, |at| at + 1);
    format!("{scheme}://{}", &rest[host..])
}

/// [`Address::file_name`] of the address `text`.
fn file_name(text: &str) -> String {
    let Some((scheme, rest)) = split(text).filter(|_| !is_data(text)) else {
        return String::new();
    };
    let path = rest[..rest.find(['?', '#']).unwrap_or(rest.len())].trim_end_matches('/');
    let name = match path.rsplit_once('/') {
        Some((_, name)) => name,
        None if scheme.eq_ignore_ascii_case("ipfs") => path,
        None => "",
    };
    let name = percent_decode_str(name).decode_utf8_lossy().into_owned();
    let name = Path::new(&name).file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}

/// The scheme of an address, and what follows its `://`.
fn split(text: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = text.split_once("://")?;
    // However many slashes stand there, for http what follows them is the host (URL Standard,
    // "special authority ignore slashes state"), and what stands before an `@` a password.
    let is_http = scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https");
    let rest = if is_http {
        rest.trim_start_matches(['/', '\\', '\t', '\r', '\n'])
    } else {
        rest
    };
    Some((scheme, rest))
}

fn is_scheme(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
}

fn is_data(text: &str) -> bool {
    text.get(..5)
        .is_some_and(|start| start.eq_ignore_ascii_case("data:"))
}

/// The content of a data URL, or why there is none.
fn decode_data(text: &str) -> Result<Vec<u8>, &'static str> {
    let url = DataUrl::process(text)
        .map_err(|_| "it is no data URL: expected `data:`, the type, a comma and the data")?;
    match url.decode_to_vec() {
        Ok((bytes, _)) => Ok(bytes),
        Err(_) => Err("its data is no valid base64; was it cut short?"),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn address(text: &str) -> Address {
        Address::remote(text).unwrap()
    }

    #[test]
    fn names_that_are_no_text_stay_different() {
        use std::os::unix::ffi::OsStrExt;
        let names = [&b"a/\xffb.jpg"[..], b"a/\xfeb.jpg"].map(|bytes| {
            let address = Address::new(OsStr::from_bytes(bytes));
            (address.name(), address.file_name())
        });
        let expected = [
            ("a/\\xffb.jpg", "\\xffb.jpg"),
            ("a/\\xfeb.jpg", "\\xfeb.jpg"),
        ];
        assert_eq!(names, expected.map(|(a, b)| (a.to_owned(), b.to_owned())));
    }

    #[test]
    fn user_names_passwords_and_data_are_never_shown() {
        for (text, shown) in [
            (
                "https://example.org/a.jpg?size=2#top",
                "https://example.org/a.jpg?size=2#top",
            ),
            (
                "https://user:secret@example.org/a.jpg",
                "https://example.org/a.jpg",
            ),
            ("https://user@example.org", "https://example.org"),
            (
                "https://us@er:se@cret@example.org:8443/a@b.jpg",
                "https://example.org:8443/a@b.jpg",
            ),
            (
                "https://user:secret@example.org?q=a@b",
                "https://example.org?q=a@b",
            ),
            (
                "http://user:secret@[::1]:80\\a.jpg",
                "http://[::1]:80\\a.jpg",
            ),
            (
                "https:///user:secret@example.org/a.jpg",
                "https://example.org/a.jpg",
            ),
            ("HTTP://\\\t/user:secret@example.org", "HTTP://example.org"),
            ("s3:///a@b.jpg", "s3:///a@b.jpg"),
            (
                "data:image/png;base64,iVBORw0KGgo=",
                "data:image/png;base64,…",
            ),
            ("DATA:,abc", "DATA:,…"),
            ("ipfs://bafy/a.jpg", "ipfs://bafy/a.jpg"),
        ] {
            assert_eq!(address(text).name(), shown, "{text}");
        }
        assert!(address(&format!("data:{}", "é".repeat(999))).name().len() < 120);
    }

    #[test]
    fn the_file_name_is_the_last_part_of_the_path_decoded() {
        for (text, name) in [
            ("https://example.org/a/photo.jpg", "photo.jpg"),
            (
                "https://example.org/a/photo.jpg?name=other.png",
                "photo.jpg",
            ),
            ("https://example.org/photo.jpg#/x/y", "photo.jpg"),
            ("https://example.org/my%20dog.jpg", "my dog.jpg"),
            ("https://example.org/%2e%2e%2f..%2Fetc%2Fpasswd", "passwd"),
            ("https://example.org/%2e%2e", ""),
            ("https://example.org/%ff.jpg", "\u{fffd}.jpg"),
            ("https://example.org/%zz.jpg", "%zz.jpg"),
            ("https://example.org/album/", "album"),
            ("https://example.org/", ""),
            ("https://user:secret@example.org", ""),
            ("https:///user:secret@example.org", ""),
            ("https://example.org?photo.jpg", ""),
            ("ipfs://bafkqaaa", "bafkqaaa"),
            ("ipfs://bafkqaaa/dogs/rex.png", "rex.png"),
            ("data:image/png;base64,ab/cd://ef/x.png", ""),
        ] {
            assert_eq!(address(text).file_name(), name, "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic_or_show_a_secret(user in "[a-z:@%é]{0,9}", rest in ".{0,40}") {
            let address = address(&format!("https://{user}SECRET@{rest}"));
            prop_assert!(!address.name().contains("SECRET"));
            prop_assert!(!address.file_name().contains('/'));
            let address = Address::new(rest.as_ref());
            let _ = (address.name(), address.file_name());
        }
    }

    /// The seeds of fuzzing and what it found.
    #[test]
    fn no_address_from_fuzzing_tells_a_secret_or_leaves_a_folder() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let folders = ["fuzz/seeds/address", "tests/fixtures/regressions/address"]
            .map(|folder| root.join(folder));
        let files: Vec<_> = folders
            .iter()
            .flat_map(|folder| std::fs::read_dir(folder).unwrap())
            .collect();
        assert!(files.len() >= 13, "{}", files.len());
        for file in files {
            let bytes = std::fs::read(file.unwrap().path()).unwrap();
            let text = String::from_utf8_lossy(&bytes);
            let Some(address) = Address::remote(&text) else {
                continue;
            };
            assert!(!address.name().contains("secret"), "{text}");
            let name = address.file_name();
            assert!(!name.contains(['/', '@']) && name != "..", "{text}: {name}");
        }
    }

    #[test]
    fn paths_are_no_addresses() {
        for path in [
            "photo.jpg",
            "/a/b.jpg",
            "C:\\a.jpg",
            "a:b.jpg",
            "://x",
            "1a://x",
            "",
            "dat",
            "a/b://c",
        ] {
            assert_eq!(
                Address::new(path.as_ref()),
                Address::File(path.into()),
                "{path}"
            );
        }
    }
}
