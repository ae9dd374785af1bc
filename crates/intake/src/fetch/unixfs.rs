//! One node of an IPFS file: the DAG-PB block (<https://ipld.io/specs/codecs/dag-pb/spec/>) and the
//! UnixFS message in it (<https://specs.ipfs.tech/unixfs/>). Both are protocol buffers, of which a
//! few fields are needed.

use cid::Cid;

/// A node: a file or part of one, or a directory.
#[derive(Debug)]
pub struct Node<'a> {
    /// What it is.
    pub kind: Kind,
    /// Content that stands in the node itself, before that of the links.
    pub data: &'a [u8],
    /// The size that the node says its file has.
    pub file_size: Option<u64>,
    /// Parts of a file, in their order; entries of a directory.
    pub links: Vec<Link<'a>>,
}

/// What a node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A file, or a part of one.
    File,
    /// A directory, whose links are its entries.
    Directory,
    /// A directory that is spread over many nodes by the hashes of the names.
    ShardedDirectory,
    /// Something else: a symbolic link, metadata.
    Other,
}

/// A reference to another node.
#[derive(Debug)]
pub struct Link<'a> {
    /// Which.
    pub cid: Cid,
    /// By which name, in a directory.
    pub name: &'a [u8],
}

/// A field's value.
enum Value<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

impl<'a> Node<'a> {
    /// Reads a DAG-PB block; none when it is no UnixFS node.
    pub fn parse(block: &'a [u8]) -> Option<Self> {
        let mut message = None;
        let mut links = Vec::new();
        each_field(block, |number, value| {
            match (number, value) {
                (1, Value::Bytes(bytes)) => message = Some(bytes),
                (2, Value::Bytes(bytes)) => links.push(parse_link(bytes)?),
                _ => {}
            }
            Some(())
        })?;
        let mut node = Self {
            kind: Kind::Other,
            data: &[],
            file_size: None,
            links,
        };
        each_field(message?, |number, value| {
            match (number, value) {
                (1, Value::Number(0 | 2)) => node.kind = Kind::File,
                (1, Value::Number(1)) => node.kind = Kind::Directory,
                (1, Value::Number(5)) => node.kind = Kind::ShardedDirectory,
                (2, Value::Bytes(bytes)) => node.data = bytes,
                (3, Value::Number(size)) => node.file_size = Some(size),
                _ => {}
            }
            Some(())
        })?;
        Some(node)
    }
}

fn parse_link(bytes: &[u8]) -> Option<Link<'_>> {
    let mut cid = None;
    let mut name: &[u8] = &[];
    each_field(bytes, |number, value| {
        match (number, value) {
            (1, Value::Bytes(bytes)) => cid = Some(Cid::try_from(bytes).ok()?),
            (2, Value::Bytes(bytes)) => name = bytes,
            _ => {}
        }
        Some(())
    })?;
    Some(Link { cid: cid?, name })
}

/// Calls `take` with number and value of each field of a message; none when the bytes are no
/// message, or `take` gives none.
fn each_field<'a>(
    mut bytes: &'a [u8],
    mut take: impl FnMut(u64, Value<'a>) -> Option<()>,
) -> Option<()> {
    while !bytes.is_empty() {
        let key = varint(&mut bytes)?;
        let value = match key & 7 {
            0 => Value::Number(varint(&mut bytes)?),
            1 => Value::Bytes(split(&mut bytes, 8)?),
            2 => {
                let length = varint(&mut bytes)?;
                Value::Bytes(split(&mut bytes, length)?)
            }
            5 => Value::Bytes(split(&mut bytes, 4)?),
            _ => return None,
        };
        take(key >> 3, value)?;
    }
    Some(())
}

fn split<'a>(bytes: &mut &'a [u8], length: u64) -> Option<&'a [u8]> {
    let (head, rest) = bytes.split_at_checked(usize::try_from(length).ok()?)?;
    *bytes = rest;
    Some(head)
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// `printf 'hello world\n' | ipfs add`: QmT78zSuBmuS4z925WZfrqQ1qHaJ56DQaTfyMUF7F8ff5o.
    const HELLO: &[u8] = b"\x0a\x12\x08\x02\x12\x0chello world\n\x18\x0c";

    #[test]
    fn a_file_of_one_block_holds_its_content() {
        let node = Node::parse(HELLO).unwrap();
        assert_eq!(
            (node.kind, node.data, node.file_size),
            (Kind::File, &b"hello world\n"[..], Some(12))
        );
        assert!(node.links.is_empty());
    }

    proptest! {
        #[test]
        fn nor_do_bytes_by_chance(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Some(node) = Node::parse(&bytes) {
                prop_assert!(node.data.len() < bytes.len() && node.links.len() < bytes.len());
            }
        }
    }

    #[test]
    fn the_blocks_from_fuzzing_are_read_or_refused() {
        let fixtures =
            std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures");
        let mut files: Vec<_> = std::fs::read_dir(fixtures.join("ipfs/blocks"))
            .unwrap()
            .collect();
        assert!(files.len() > 20);
        // None so far.
        files.extend(
            std::fs::read_dir(fixtures.join("regressions/unixfs"))
                .into_iter()
                .flatten(),
        );
        for file in files {
            let bytes = std::fs::read(file.unwrap().path()).unwrap();
            if let Some(node) = Node::parse(&bytes) {
                assert!(node.data.len() < bytes.len() && node.links.len() < bytes.len());
            }
        }
    }

    #[test]
    fn no_bytes_make_it_panic_or_believe_a_length() {
        for length in 0..HELLO.len() {
            assert!(Node::parse(&HELLO[..length]).is_none(), "{length}");
        }
        for at in 0..HELLO.len() {
            for byte in 0..=255 {
                let mut bytes = HELLO.to_vec();
                bytes[at] = byte;
                Node::parse(&bytes);
            }
        }
        for bad in [
            &b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"[..],
            &[0xff; 99],
            b"\x0b",
            b"\x12\x02\x0a\x00",
        ] {
            assert!(Node::parse(bad).is_none(), "{bad:?}");
        }
    }
}
