//! Any text as an address: http, https, data, ipfs. Nothing is connected to.

#![no_main]

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use intake::{Address, FetchOptions, Fetcher, Proxies, Silent};
use libfuzzer_sys::fuzz_target;

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
        Fetcher::new(options, Arc::new(Silent))
    })
}

fuzz_target!(|text: &str| {
    let address = Address::not_standard_input(text.as_ref());
    let (shown, name) = (address.name(), address.file_name());
    // A part of the names of output files.
    let leads_out = name.contains('/') || name == "." || name == "..";
    assert!(!leads_out || address.path().is_some(), "{name:?}");
    assert!(!address.to_string().contains(char::is_control), "{text:?}");

    match &address {
        Address::Http(remote) => {
            let url = &remote.target;
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
                let may_hold_one = url.path().contains(['@', '%']);
                assert!(
                    !name.contains('@') || may_hold_one,
                    "{text:?} is called {name:?}"
                );
            }
        }
        Address::Data(_) | Address::Ipfs(_) => match fetcher().image(&address) {
            Ok(fetched) => assert!(fetched.content.len() as u64 <= MOST),
            Err(error) => drop(error.to_string()),
        },
        Address::Unusable(_) => {
            let error = fetcher().image(&address).expect_err("it makes no sense");
            drop(error.to_string());
        }
        _ => {}
    }
});
