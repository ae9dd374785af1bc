//! Any bytes as a block of an IPFS file.

#![no_main]

use intake::unixfs;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|block: &[u8]| {
    // A link takes 2 bytes of its own, a CID of 4 or more and their keys and lengths, and is held
    // in 120.
    let most = 64 * block.len() + 1024;
    if let Some(node) = maskrcnn_fuzz::within(most, || unixfs::Node::parse(block)) {
        assert!(node.data.len() < block.len());
        assert!(node.links.len() < block.len());
        for link in &node.links {
            let read = cid::Cid::try_from(link.cid.to_string());
            assert!(read.is_ok_and(|cid| cid == link.cid), "{:?}", link.cid);
        }
    }
});
