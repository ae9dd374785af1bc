//! Weights that are kept under a name: what of them is compared with what, and what is said when they
//! are others.

use std::fs;

use crate::server::Server;
use crate::user::{FILE, NAME, User, content, mirror, text};

/// A user who keeps the weights [`NAME`].
fn keeper() -> User {
    let (user, server) = (User::new(), mirror(content()));
    user.succeeds(&["weights", "fetch", NAME, "--mirror", &server.url("")]);
    user
}

fn remedy() -> String {
    format!(
        "`maskrcnn weights remove {NAME}` removes what is kept of them, and the next use fetches \
         them again"
    )
}

#[test]
fn kept_weights_that_no_longer_read_get_the_remedy() {
    let user = keeper();
    let whole = content();
    for damaged in [&whole[..whole.len() / 2], b"", b"<html>moved</html>"] {
        fs::write(user.kept(FILE), damaged).unwrap();
        for args in [
            &["-w", NAME, "a.png"][..],
            &["inspect", NAME],
            &["convert", NAME, "new.safetensors"],
            &["weights", "fetch", NAME],
        ] {
            let error = user.fails(args);
            assert!(error.contains(&remedy()), "{args:?}: {error}");
        }
    }
    assert!(!user.path("new.safetensors").exists());
    user.succeeds(&["weights", "remove", NAME]);
}

#[test]
fn every_use_of_kept_weights_compares_their_sum() {
    let user = keeper();
    let mut damaged = content();
    *damaged.last_mut().unwrap() ^= 1;
    fs::write(user.kept(FILE), damaged).unwrap();
    for args in [
        &["-w", NAME, "a.png"][..],
        &["inspect", NAME],
        &["convert", NAME, "new.safetensors"],
        &["weights", "fetch", NAME],
    ] {
        let error = user.fails(args);
        let start = format!("these are not the weights {NAME}: expected the SHA-256 ");
        assert!(
            error.contains(&start) && error.contains(&remedy()),
            "{error}"
        );
    }
    assert!(!user.path("new.safetensors").exists());
}

#[test]
fn a_lost_sum_is_made_again_once_the_file_is_known() {
    let sum = format!("{FILE}.sha256");
    let user = keeper();
    let written = fs::read(user.kept(&sum)).unwrap();
    for lost in [None, Some("")] {
        match lost {
            None => fs::remove_file(user.kept(&sum)).unwrap(),
            Some(text) => fs::write(user.kept(&sum), text).unwrap(),
        }
        user.succeeds(&["-w", NAME, "a.png"]);
        assert_eq!(fs::read(user.kept(&sum)).unwrap(), written);
    }
    fs::remove_file(user.kept(&sum)).unwrap();
    let mut damaged = content();
    *damaged.last_mut().unwrap() ^= 1;
    fs::write(user.kept(FILE), damaged).unwrap();
    for args in [&["-w", NAME, "a.png"][..], &["inspect", NAME]] {
        let error = user.fails(args);
        let expected = "expected an MD5 that begins with a3ec72, found ";
        assert!(
            error.contains(expected) && error.contains(&remedy()),
            "{error}"
        );
    }
    assert!(!user.kept(&sum).exists());
}

#[test]
fn a_key_that_is_not_there_is_no_damage() {
    let user = keeper();
    let error = user.fails(&["inspect", NAME, "--checkpoint-key", "model_ema"]);
    assert!(
        error.contains("no network under the key `model_ema`"),
        "{error}"
    );
    assert!(!error.contains("weights remove"), "{error}");
}

#[test]
fn without_a_known_sum_a_download_must_read_as_its_family() {
    // As long as Matterport's file.
    const BYTES: usize = 257_557_808;
    let server = Server::new(|_, _, connection| {
        let head =
            format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {BYTES}\r\n\r\n");
        connection.write_all(head.as_bytes()).unwrap();
        let chunk = vec![b'\n'; 1 << 20];
        let mut left = BYTES;
        while left > 0 {
            let next = left.min(chunk.len());
            connection.write_all(&chunk[..next]).unwrap();
            left -= next;
        }
    });
    let user = User::new();
    let error = user.fails(&[
        "weights",
        "fetch",
        "matterport",
        "--mirror",
        &server.url(""),
    ]);
    let expected = "these are not the weights matterport: expected a network of the family \
                    matterport, and it cannot be read as one: not a checkpoint: ";
    assert!(error.contains(expected), "{error}");
    assert_eq!(fs::read_dir(user.kept("")).unwrap().count(), 0);
}

#[test]
fn where_nothing_is_kept_the_digits_of_the_name_count_too() {
    let user = User::new();
    let run = |server: &Server| {
        let mut command = user.command(&["-w", NAME, "--mirror", &server.url(""), "a.png"]);
        // As in an iExec task, there is no place to keep anything.
        let command = command.env_remove("XDG_CACHE_HOME").env_remove("HOME");
        let run = command.output().unwrap();
        (run.status.code(), text(&run.stderr))
    };
    assert_eq!(run(&mirror(content())).0, Some(0));
    let mut other = content();
    *other.last_mut().unwrap() ^= 1;
    let (status, error) = run(&mirror(other));
    assert_eq!(status, Some(1));
    let expected = "expected an MD5 that begins with a3ec72, found ";
    assert!(error.contains(expected), "{error}");
    assert!(!error.contains("weights remove"), "{error}");
}
