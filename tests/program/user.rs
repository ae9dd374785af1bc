//! A user of weights that have a name, and the mirror that has them.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;

use md5::{Digest, Md5};
use tempfile::TempDir;

use crate::repository::{PROGRAM, repository};
use crate::server::{Connection, Server, answer};

/// Weights of which neither size nor SHA-256 is known, so that a mirror can have others.
pub const NAME: &str = "detectron2-r101-3x";
/// Their file.
pub const FILE: &str = "model_final_a3ec72.pkl";

/// What the mirror has under that name: a network that every test can afford, the last of its
/// numbers (f16) changed in their lower bytes, so that its MD5 begins as the file's name says.
pub fn content() -> Vec<u8> {
    static CONTENT: OnceLock<Vec<u8>> = OnceLock::new();
    const EXPECTED: [u8; 3] = [0xa3, 0xec, 0x72];
    let found = CONTENT.get_or_init(|| {
        let mut bytes = fs::read(repository("weights/compact.safetensors")).unwrap();
        let end = bytes.len() - 8;
        let (mut last, first) = ([0; 8], Md5::new_with_prefix(&bytes[..end]));
        last.copy_from_slice(&bytes[end..]);
        let changed = (0..u32::MAX).map(|number| {
            let mut last = last;
            for (place, byte) in number.to_le_bytes().into_iter().enumerate() {
                last[2 * place] = byte;
            }
            last
        });
        let is_it = |last: &[u8; 8]| first.clone().chain_update(last).finalize()[..3] == EXPECTED;
        let last = changed.into_iter().find(is_it).unwrap();
        bytes[end..].copy_from_slice(&last);
        bytes
    });
    found.clone()
}

/// A user with an empty cache and an image.
pub struct User(pub TempDir);

impl User {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let image = repository("tests/fixtures/images/png-rgb.png");
        fs::copy(image, folder.path().join("a.png")).unwrap();
        Self(folder)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Where the program keeps weights for this user.
    pub fn kept(&self, file: &str) -> PathBuf {
        self.0.path().join("cache/maskrcnn").join(file)
    }

    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(PROGRAM);
        for name in ["http_proxy", "https_proxy", "all_proxy", "no_proxy"] {
            command.env_remove(name).env_remove(name.to_uppercase());
        }
        command
            .args(args)
            .current_dir(&self.0)
            .env("XDG_CACHE_HOME", self.0.path().join("cache"))
            .env_remove("MASKRCNN_MIRROR")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// Standard output of a run that succeeds.
    pub fn succeeds(&self, args: &[&str]) -> String {
        let run = self.command(args).output().unwrap();
        assert!(run.status.success(), "{args:?}: {}", text(&run.stderr));
        text(&run.stdout)
    }

    /// Standard error of a run that fails with status 1.
    pub fn fails(&self, args: &[&str]) -> String {
        let run: Output = self.command(args).output().unwrap();
        assert_eq!(
            run.status.code(),
            Some(1),
            "{args:?}: {}",
            text(&run.stdout)
        );
        text(&run.stderr)
    }
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// A mirror that gives everybody `content`, or the part of it that is asked for.
pub fn mirror(content: Vec<u8>) -> Server {
    Server::new(move |_, head, connection| give(&content, head, connection))
}

pub fn give(content: &[u8], head: &str, connection: &mut dyn Connection) {
    match first_byte(head) {
        None => answer(connection, "200 OK", "", content),
        Some(first) if first < content.len() => {
            let (last, all) = (content.len() - 1, content.len());
            let range = format!("content-range: bytes {first}-{last}/{all}\r\n");
            answer(connection, "206 Partial Content", &range, &content[first..]);
        }
        Some(_) => answer(connection, "416 Range Not Satisfiable", "", b""),
    }
}

pub fn first_byte(head: &str) -> Option<usize> {
    let head = head.to_ascii_lowercase();
    let range = head
        .lines()
        .find_map(|line| line.strip_prefix("range: bytes="))?;
    range.strip_suffix('-')?.parse().ok()
}
