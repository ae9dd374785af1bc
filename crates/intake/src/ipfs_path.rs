//! What an `ipfs://` address names.

use cid::Cid;
use percent_encoding::percent_decode_str;

/// What an `ipfs://` address names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IpfsPath {
    /// The file or directory that the path starts from.
    pub root: Cid,
    /// Names of directory entries, from the root on.
    pub names: Vec<String>,
}

impl IpfsPath {
    /// Reads `ipfs://CID[/path]`; a query or fragment means nothing.
    ///
    /// # Errors
    ///
    /// When there is no CID, in words.
    pub fn parse(address: &str) -> Result<Self, String> {
        let rest = address.split_once("://").map_or("", |(_, rest)| rest);
        let rest = &rest[..rest.find(['?', '#']).unwrap_or(rest.len())];
        let mut names = rest.split('/').filter(|name| !name.is_empty());
        let root = match names.next() {
            Some("ipfs") => names.next(), // as in `ipfs://ipfs/CID`, a slip that is common
            root => root,
        };
        let root = root.unwrap_or_default();
        let root = Cid::try_from(root).map_err(|error| {
            format!("it is no valid IPFS address: expected `ipfs://CID/path`: {error}")
        })?;
        let names = names
            .map(|name| percent_decode_str(name).decode_utf8_lossy().into_owned())
            .collect();
        Ok(Self { root, names })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HELLO: &str = "QmT78zSuBmuS4z925WZfrqQ1qHaJ56DQaTfyMUF7F8ff5o";

    #[test]
    fn an_address_is_a_cid_and_a_path() {
        let names = |address: &str| IpfsPath::parse(address).map(|path| path.names);
        assert_eq!(names(&format!("ipfs://{HELLO}")), Ok(vec![]));
        assert_eq!(names(&format!("IPFS://{HELLO}/")), Ok(vec![]));
        assert_eq!(
            names(&format!("ipfs://ipfs/{HELLO}/a%20b/c.jpg?x#y")),
            Ok(vec!["a b".into(), "c.jpg".into()])
        );
        for bad in [
            "ipfs://",
            "ipfs:///",
            "ipfs://photo.jpg",
            "ipfs://QmT78",
            "ipfs://ipfs",
            "ipfs://bafy/é",
        ] {
            let error = names(bad).unwrap_err();
            assert!(
                error.starts_with("it is no valid IPFS address: expected `ipfs://CID/path`: "),
                "{bad}: {error}"
            );
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_reading_an_address_panic(rest in "\\PC{0,80}", base in "[bzfmuQ]", cid in "[a-z2-7]{0,80}") {
            IpfsPath::parse(&format!("ipfs://{rest}")).ok();
            IpfsPath::parse(&format!("ipfs://{base}{cid}/{rest}")).ok();
        }
    }
}
