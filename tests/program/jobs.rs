//! Words that were meant to start another job than the main one.

use std::fs;

use crate::user::{User, text};

/// Standard error of a command line that makes no sense.
fn mistaken(user: &User, args: &[&str]) -> String {
    let run = user.command(args).output().unwrap();
    let error = text(&run.stderr);
    assert_eq!(run.status.code(), Some(2), "{args:?}: {error}");
    assert!(!user.path("out").exists(), "{args:?}");
    error
}

#[test]
fn a_job_mistyped_is_suggested() {
    let user = User::new();
    for (args, job) in [
        (&["weight"][..], "maskrcnn weights"),
        (&["inspekt", "a.png"], "maskrcnn inspect"),
        (&["fetch", "maskrcnn-v1"], "maskrcnn weights fetch"),
        (&["convret", "a.pth", "b.safetensors"], "maskrcnn convert"),
        (&["list"], "maskrcnn weights list"),
        (&["help"], "maskrcnn --help"),
    ] {
        let error = mistaken(&user, args);
        let word = args[0];
        let expected = format!(
            "error: there is neither an image nor a job called `{word}`; did you mean `{job}`?\n"
        );
        assert!(error.starts_with(&expected), "{error}");
    }
    let error = mistaken(&user, &["convret", "a.pth", "b.safetensors", "--half"]);
    let expected = "error: there is no job called `convret`; did you mean `maskrcnn convert`?\n";
    assert!(error.starts_with(expected), "{error}");
    // An option of no job stays what it is.
    let error = mistaken(&user, &["a.png", "--half"]);
    assert!(error.contains("unexpected argument '--half'"), "{error}");
}

#[test]
fn what_weights_does_not_do_is_suggested() {
    let user = User::new();
    for (word, action) in [("download", "fetch"), ("delete", "remove"), ("ls", "list")] {
        let error = mistaken(&user, &["weights", word]);
        let tip = format!("tip: a similar subcommand exists: '{action}'");
        assert!(error.contains(&tip), "{error}");
    }
}

#[test]
fn an_image_that_has_nearly_a_jobs_name_is_an_image() {
    let user = User::new();
    for name in ["weight", "fetch"] {
        fs::rename(user.path("a.png"), user.path(name)).unwrap();
        let line = user.succeeds(&[name]);
        assert!(line.starts_with(&format!("{name}: ")), "{line}");
        fs::rename(user.path(name), user.path("a.png")).unwrap();
    }
    // Another image that is not there is told as ever, and the others are done.
    let error = user.fails(&["segment", "a.png"]);
    assert!(error.starts_with("error: segment: "), "{error}");
    let error = user.fails(&["./weight"]);
    assert!(error.starts_with("error: ./weight: "), "{error}");
}
