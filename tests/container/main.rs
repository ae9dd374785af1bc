//! The container image, run as iExec's worker runs it. Needs a container engine and the image,
//! which `make test-container` provides; `make test` leaves these tests out.

// Tests have an environment and a clock.
#![allow(clippy::disallowed_methods)]

mod arguments;
mod checkpoint;
mod commands;
mod connection;
mod digest;
mod engine;
mod fault;
mod image;
mod task;
mod worker;

#[path = "../common/formula.rs"]
mod formula;
// Some of it is for the other test programs.
#[allow(dead_code)]
#[path = "../common/server.rs"]
mod server;

use std::fs;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

use engine::{GATEWAY, network};
use server::{Server, answer};

/// A file of this repository.
fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// A photo of examples/photos.
fn photo(name: &str) -> Vec<u8> {
    fs::read(repository("examples/photos").join(name)).unwrap()
}

/// The web as the tasks see it: the example photos at any path that ends in their name,
/// `/note.txt`, `/silence`, which says nothing for a minute, and nothing else.
fn web() -> Server {
    network();
    let photos = [
        "dog1.jpg",
        "dog2.jpg",
        "person1.jpg",
        "chelsea.png",
        "astronaut.png",
    ];
    Server::on(GATEWAY.into(), None, move |_, head, connection| {
        let path = head.split([' ', '?']).nth(1).unwrap();
        let name = path.rsplit('/').next().unwrap();
        match name {
            "silence" => sleep(Duration::from_secs(60)),
            "note.txt" => answer(connection, "200 OK", "", b"no image"),
            name if photos.contains(&name) => answer(connection, "200 OK", "", &photo(name)),
            _ => answer(connection, "404 Not Found", "", b""),
        }
    })
    .expect("the network of the tasks has this machine in it")
}
