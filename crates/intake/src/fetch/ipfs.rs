//! Content from IPFS, through gateways that need not be trusted: blocks are fetched raw
//! (<https://specs.ipfs.tech/http-gateways/trustless-gateway/>) and checked against their CIDs
//! here.

use cid::Cid;
use sha2::{Digest, Sha256, Sha512};
use url::Url;

use super::error::{FetchError, Problem, StorageError};
use super::http::Client;
use super::limits::Limits;
use super::sink::{Buffer, Sink};
use super::unixfs::{Kind, Node};
use crate::ipfs_path::IpfsPath;
use crate::progress::Silent;

// Codes of <https://github.com/multiformats/multicodec/blob/master/table.csv>.
const RAW: u64 = 0x55;
const DAG_PB: u64 = 0x70;
const IDENTITY: u64 = 0x00;
const SHA2_256: u64 = 0x12;
const SHA2_512: u64 = 0x13;

/// Largest block: twice what IPFS nodes exchange among themselves.
const MAX_BLOCK: u64 = 4 << 20;

/// Most blocks of one file: 16 GiB in blocks of 256 KiB, the smallest usual size.
const MAX_BLOCKS: usize = 1 << 16;

/// Deepest tree of blocks: usual trees have 174 branches, with which six levels are more than
/// [`MAX_BLOCKS`].
const MAX_DEPTH: usize = 8;

/// Fetches the file at `path` into `sink` and returns what there is to know about it.
pub fn fetch(
    client: &Client,
    gateways: &[Url],
    path: &IpfsPath,
    limits: &Limits,
    sink: &mut dyn Sink,
) -> Result<Vec<String>, FetchError> {
    let mut walk = Walk {
        client,
        gateways,
        limits,
        first: 0,
        blocks: 0,
    };
    match walk.descend(path)? {
        Ok(file) => {
            walk.file(&file, 0, sink)?;
            Ok(vec![format!("all {} blocks match their CIDs", walk.blocks)])
        }
        Err(reason) => {
            walk.unchecked(path, sink)?;
            Ok(vec![format!(
                "the content was not checked against its CID: {reason}"
            )])
        }
    }
}

/// A walk through blocks.
struct Walk<'a> {
    client: &'a Client,
    gateways: &'a [Url],
    limits: &'a Limits,
    /// The gateway that answered last, which is asked first.
    first: usize,
    /// Fetched so far.
    blocks: usize,
}

impl Walk<'_> {
    /// The CID of the file at `path`, or why it cannot be told here.
    fn descend(&mut self, path: &IpfsPath) -> Result<Result<Cid, String>, FetchError> {
        let mut at = path.root;
        if let Some(reason) = uncheckable(&at) {
            return Ok(Err(reason));
        }
        for name in &path.names {
            let block = self.block(&at)?;
            let node = if at.codec() == DAG_PB {
                Node::parse(&block)
            } else {
                None
            };
            let node = node.filter(|node| node.kind != Kind::File);
            let node = node.ok_or_else(|| {
                FetchError::Content(format!("`{at}` is no directory, so no `{name}` is in it"))
            })?;
            if node.kind == Kind::ShardedDirectory {
                return Ok(Err("it lies in a sharded directory".to_owned()));
            }
            let Some(link) = node.links.iter().find(|link| link.name == name.as_bytes()) else {
                return Err(FetchError::Content(format!(
                    "there is no `{name}` in the directory `{at}`"
                )));
            };
            at = link.cid;
            if let Some(reason) = uncheckable(&at) {
                return Ok(Err(reason));
            }
        }
        Ok(Ok(at))
    }

    /// Writes the content of the file, or of the part of a file, that begins at the block `cid`.
    fn file(&mut self, cid: &Cid, depth: usize, sink: &mut dyn Sink) -> Result<(), FetchError> {
        let block = self.block(cid)?;
        if cid.codec() == RAW {
            if depth == 0 {
                sink.begin(Some(block.len() as u64))?;
            }
            return Ok(sink.write(&block)?);
        }
        let node = Node::parse(&block)
            .ok_or_else(|| FetchError::Content(format!("`{cid}` is no file")))?;
        if node.kind != Kind::File {
            let entry = node
                .links
                .iter()
                .map(|link| String::from_utf8_lossy(link.name))
                .find(|name| !name.is_empty());
            return Err(FetchError::Content(match node.kind {
                Kind::Directory => format!(
                    "`{cid}` is a directory; name a file in it, for example ipfs://{cid}/{}",
                    entry.unwrap_or("photo.jpg".into()).escape_debug()
                ),
                _ => format!("`{cid}` is no file"),
            }));
        }
        if depth == 0 {
            sink.begin(node.file_size)?;
        }
        if depth >= MAX_DEPTH {
            return Err(FetchError::Content(format!(
                "its blocks are nested more than {MAX_DEPTH} deep"
            )));
        }
        sink.write(node.data)?;
        for link in &node.links {
            if let Some(reason) = uncheckable(&link.cid) {
                return Err(FetchError::Content(format!(
                    "its block `{}` cannot be checked: {reason}",
                    link.cid
                )));
            }
            self.file(&link.cid, depth + 1, sink)?;
        }
        Ok(())
    }

    /// The block `cid`, checked.
    fn block(&mut self, cid: &Cid) -> Result<Vec<u8>, FetchError> {
        self.blocks += 1;
        if self.blocks > MAX_BLOCKS {
            return Err(FetchError::Content(format!(
                "it has more than {MAX_BLOCKS} blocks"
            )));
        }
        if cid.hash().code() == IDENTITY {
            return Ok(cid.hash().digest().to_vec());
        }
        let mut buffer = Buffer::new(MAX_BLOCK, Box::new(Silent));
        self.ask(|walk, gateway| {
            let mut url = extend(gateway, &[&cid.to_string()]);
            url.set_query(Some("format=raw"));
            walk.client
                .get(&url, "application/vnd.ipld.raw", walk.limits, &mut buffer)
                .map_err(|error| match error {
                    FetchError::Server {
                        place,
                        problem: Problem::Storage(StorageError::TooLarge(limit)),
                    } => FetchError::Server {
                        place,
                        problem: Problem::LargeBlock(limit),
                    },
                    error => error,
                })?;
            if matches(cid, &buffer.bytes) {
                Ok(())
            } else {
                let place = gateway.host_str().unwrap_or_default().to_owned();
                Err(FetchError::Server {
                    place,
                    problem: Problem::WrongContent(cid.to_string()),
                })
            }
        })?;
        Ok(buffer.bytes)
    }

    /// The content of `path` as a gateway tells it.
    fn unchecked(&mut self, path: &IpfsPath, sink: &mut dyn Sink) -> Result<(), FetchError> {
        let root = path.root.to_string();
        let segments: Vec<_> = std::iter::once(&*root)
            .chain(path.names.iter().map(String::as_str))
            .collect();
        self.ask(|walk, gateway| {
            walk.client
                .get(&extend(gateway, &segments), "*/*", walk.limits, sink)
        })
    }

    /// Asks the gateways in turn.
    fn ask(
        &mut self,
        mut ask: impl FnMut(&Self, &Url) -> Result<(), FetchError>,
    ) -> Result<(), FetchError> {
        let mut failures = Vec::new();
        for turn in 0..self.gateways.len() {
            let index = (self.first + turn) % self.gateways.len();
            match ask(self, &self.gateways[index]) {
                Ok(()) => {
                    self.first = index;
                    return Ok(());
                }
                Err(FetchError::Server { place, problem }) => failures.push((place, problem)),
                Err(error) => return Err(error),
            }
        }
        Err(FetchError::Gateways(failures))
    }
}

/// `gateway`/ipfs/`segments`, escaped.
fn extend(gateway: &Url, segments: &[&str]) -> Url {
    let mut url = gateway.clone();
    if let Ok(mut path) = url.path_segments_mut() {
        path.pop_if_empty().push("ipfs").extend(segments);
    }
    url
}

/// Why content cannot be checked against `cid`; none when it can.
fn uncheckable(cid: &Cid) -> Option<String> {
    let hash = cid.hash().code();
    if !matches!(cid.codec(), RAW | DAG_PB) {
        Some(format!("the codec {:#x} is not known", cid.codec()))
    } else if !matches!(hash, IDENTITY | SHA2_256 | SHA2_512) {
        Some(format!("the hash function {hash:#x} is not known"))
    } else {
        None
    }
}

/// Whether `block` is what `cid` stands for.
fn matches(cid: &Cid, block: &[u8]) -> bool {
    let digest = cid.hash().digest();
    match cid.hash().code() {
        IDENTITY => digest == block,
        SHA2_256 => digest == &Sha256::digest(block)[..],
        SHA2_512 => digest == &Sha512::digest(block)[..],
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HELLO: &str = "QmT78zSuBmuS4z925WZfrqQ1qHaJ56DQaTfyMUF7F8ff5o";

    #[test]
    fn a_block_matches_the_cid_that_kubo_gave_it_and_no_other_does() {
        let block = b"\x0a\x12\x08\x02\x12\x0chello world\n\x18\x0c";
        let cid = Cid::try_from(HELLO).unwrap();
        assert!(matches(&cid, block));
        assert!(!matches(&cid, &block[1..]));
        assert!(!matches(&cid, b""));
    }

    #[test]
    fn segments_are_escaped_and_gateways_may_have_a_path() {
        for (gateway, url) in [
            ("https://ipfs.io", "https://ipfs.io/ipfs/x/a%2Fb%3Fc"),
            (
                "https://a.example/gate/",
                "https://a.example/gate/ipfs/x/a%2Fb%3Fc",
            ),
        ] {
            assert_eq!(
                extend(&Url::parse(gateway).unwrap(), &["x", "a/b?c"]).as_str(),
                url
            );
        }
    }
}
