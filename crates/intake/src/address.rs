//! The address of an image or of weights, as text: what may be shown of it, and what a file fetched
//! from it is called.

use std::path::Path;

use percent_encoding::percent_decode_str;

/// What the user named by an address: `scheme://…` or `data:…`. It may make no sense; that is found
/// out when it is fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address(String);

impl Address {
    /// The address that `text` is, unless it is a path: `scheme://` (RFC 3986, section 3.1) or a
    /// data URL. No path that people use begins so.
    pub fn new(text: &str) -> Option<Self> {
        let scheme = |scheme: &str| {
            scheme.starts_with(|c: char| c.is_ascii_alphabetic())
                && scheme
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
        };
        let hierarchical = text
            .split_once("://")
            .is_some_and(|(before, _)| scheme(before));
        (hierarchical || is_data(text)).then(|| Self(text.to_owned()))
    }

    /// The whole address, with whatever secrets are in it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The scheme in lower case, `https` for one.
    pub fn scheme(&self) -> String {
        self.0
            .split(':')
            .next()
            .unwrap_or_default()
            .to_ascii_lowercase()
    }

    /// The address as it is shown and reported: without user name and password, and of a data URL
    /// no data.
    pub fn shown(&self) -> String {
        if is_data(&self.0) {
            let header = self.0.split(',').next().unwrap_or_default();
            // What has no comma is no data URL, and may be long.
            return format!("{},…", &header[..header.floor_char_boundary(100)]);
        }
        let Some((scheme, rest)) = self.split() else {
            return self.0.clone();
        };
        let authority = &rest[..rest.find(['/', '?', '#', '\\']).unwrap_or(rest.len())];
        let host = authority.rfind('@').map_or(0, |at| at + 1);
        format!("{scheme}://{}", &rest[host..])
    }

    /// The last part of the path, decoded, without query and fragment; what follows a `/` that was
    /// hidden in an escape counts as the last part, too. The CID when that is all there is of an
    /// `ipfs://` address; empty for data URLs and where there is no path.
    pub fn file_name(&self) -> String {
        let Some((_, rest)) = self.split().filter(|_| !is_data(&self.0)) else {
            return String::new();
        };
        let path = rest[..rest.find(['?', '#']).unwrap_or(rest.len())].trim_end_matches('/');
        let name = match path.rsplit_once('/') {
            Some((_, name)) => name,
            None if self.scheme() == "ipfs" => path,
            None => "",
        };
        let name = percent_decode_str(name).decode_utf8_lossy().into_owned();
        Path::new(&name)
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned()
    }

    /// The scheme, and what follows its `://`.
    fn split(&self) -> Option<(&str, &str)> {
        let (scheme, rest) = self.0.split_once("://")?;
        // However many slashes stand there, for http what follows them is the host (URL Standard,
        // "special authority ignore slashes state"), and what stands before an `@` a password.
        let is_http = scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https");
        Some((
            scheme,
            if is_http {
                rest.trim_start_matches(['/', '\\', '\t', '\r', '\n'])
            } else {
                rest
            },
        ))
    }
}

fn is_data(text: &str) -> bool {
    text.get(..5)
        .is_some_and(|start| start.eq_ignore_ascii_case("data:"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn address(text: &str) -> Address {
        Address::new(text).unwrap()
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
            assert_eq!(address(text).shown(), shown, "{text}");
        }
        assert!(address(&format!("data:{}", "é".repeat(999))).shown().len() < 120);
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
            prop_assert!(!address.shown().contains("SECRET"));
            prop_assert!(!address.file_name().contains('/'));
            Address::new(&rest).map(|address| (address.shown(), address.file_name(), address.scheme()));
        }
    }

    /// The seeds of fuzzing and what it found.
    #[test]
    fn no_address_that_fuzzing_starts_from_or_came_to_shows_a_secret_or_leads_out_of_a_directory() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
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
            let Some(address) = Address::new(&text) else {
                continue;
            };
            assert!(!address.shown().contains("secret"), "{text}");
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
            assert_eq!(Address::new(path), None, "{path}");
        }
    }
}
