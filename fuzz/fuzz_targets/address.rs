//! Any text as an address: http, https, data, ipfs. Nothing is connected to.

#![no_main]

#[allow(dead_code)]
#[path = "../../src/bin/maskrcnn/memory.rs"]
mod memory;

/// The program's own modules; `http` and what belongs to it are here because `fetch` needs them.
#[allow(dead_code)]
#[path = "../../src/bin/maskrcnn/source"]
mod source {
    pub mod address;
    pub mod fetch;
    pub mod fetch_error;
    pub mod guard;
    pub mod http;
    pub mod ipfs;
    pub mod lookup;
    pub mod sink;
    pub mod unixfs;
}

use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressDrawTarget};
use libfuzzer_sys::fuzz_target;
use source::address::Address;
use source::fetch::{FetchOptions, Fetcher, Proxies};
use url::Url;

/// Largest content of an address that stands in the address itself.
const MOST: u64 = 1 << 20;

fn fetcher() -> &'static Fetcher {
    static FETCHER: OnceLock<Fetcher> = OnceLock::new();
    FETCHER.get_or_init(|| {
        let options = FetchOptions {
            max_image_bytes: MOST,
            max_weights_bytes: None,
            timeout: Duration::from_secs(10),
            public_only: true,
            // Without a gateway no block comes from outside, and those that stand in their CIDs do.
            ipfs_gateways: Vec::new(),
            ca_file: None,
            proxies: Proxies::default(),
            temporary: PathBuf::from("."),
        };
        Fetcher::new(
            options,
            MultiProgress::with_draw_target(ProgressDrawTarget::hidden()),
        )
    })
}

fuzz_target!(|text: &str| {
    let Some(address) = Address::new(text) else {
        return;
    };
    let (shown, name) = (address.shown(), address.file_name());
    // A part of the names of output files.
    assert!(
        !name.contains('/') && name != "." && name != "..",
        "{name:?}"
    );

    match &*address.scheme() {
        "http" | "https" => {
            let Ok(url) = Url::parse(text) else { return };
            // What the client takes for user name and password must not be shown, however the text
            // hides it. The authority stands in front of the first `@` that is shown, if any: none
            // may be left there.
            if !url.username().is_empty() || url.password().is_some() {
                let after = shown.split_once("://").map_or("", |(_, rest)| rest);
                let after = after.trim_start_matches(['/', '\\', '\t', '\r', '\n']);
                let authority = after
                    .split(['/', '?', '#', '\\'])
                    .next()
                    .unwrap_or_default();
                assert!(!authority.contains('@'), "{text:?} is shown as {shown:?}");
                assert!(
                    !name.contains('@') || url.path().contains(['@', '%']),
                    "{text:?} is called {name:?}"
                );
            }
        }
        "data" | "ipfs" => match fetcher().image(&address) {
            Ok(fetched) => assert!(fetched.content.len() as u64 <= MOST),
            Err(error) => drop(error.to_string()),
        },
        _ => drop(
            fetcher()
                .image(&address)
                .err()
                .expect("no other scheme is fetched")
                .to_string(),
        ),
    }
});
