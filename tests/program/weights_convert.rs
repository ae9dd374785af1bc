//! What `maskrcnn convert` replaces, and what never.

use std::fs;
use std::path::Path;

use crate::user::User;

const OUT: &str = "new.safetensors";

/// The error of a conversion into `to`, which leaves what is there alone.
fn refused(user: &User, to: &str) -> String {
    let path = user.path(to);
    let before = fs::read(&path).ok();
    let error = user.fails(&["convert", "compact", to]);
    assert_eq!(fs::read(&path).ok(), before, "{to}");
    let left = fs::read_dir(user.path("")).unwrap();
    let mut left = left.map(|entry| entry.unwrap().file_name());
    assert!(left.all(|name| !name.to_string_lossy().starts_with('.')));
    error
}

#[test]
fn convert_replaces_what_it_wrote_and_nothing_else() {
    let user = User::new();
    user.succeeds(&["convert", "compact", OUT]);
    let whole = fs::read(user.path(OUT)).unwrap();
    user.succeeds(&["convert", "compact", OUT, "--half"]);
    assert!(fs::read(user.path(OUT)).unwrap().len() < whole.len());

    // Another program's: no blueprint.
    let header =
        br#"{"__metadata__":{"format":"pt"},"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}"#;
    let length = (header.len() as u64).to_le_bytes();
    let foreign = [&length[..], header, b"\0"].concat();
    fs::write(user.path("foreign.safetensors"), foreign).unwrap();
    fs::write(user.path("cut.safetensors"), &whole[..whole.len() / 2]).unwrap();
    fs::write(user.path("empty"), b"").unwrap();
    fs::write(user.path("notes.txt"), b"what I did in summer").unwrap();
    for (name, what) in [
        ("a.png", "a PNG image"),
        (
            "foreign.safetensors",
            "a safetensors file of another program",
        ),
        ("cut.safetensors", "a damaged safetensors file"),
        ("empty", "an empty file"),
        ("notes.txt", "a text file"),
    ] {
        let error = refused(&user, name);
        let expected = format!(
            "error: refused to replace `{name}`: it is {what}, and only a file that `maskrcnn \
             convert` wrote is replaced; name another file, or remove this one first\n"
        );
        assert_eq!(error, expected);
    }
}

#[test]
fn convert_says_which_folder_is_missing() {
    let user = User::new();
    assert_eq!(
        refused(&user, "no/new.safetensors"),
        "error: cannot write `no/new.safetensors`: `no` is missing; make this folder first\n"
    );
    assert_eq!(
        refused(&user, "a.png/new.safetensors"),
        "error: cannot write `a.png/new.safetensors`: `a.png` is no folder; name another\n"
    );
    fs::create_dir(user.path("folder")).unwrap();
    assert_eq!(
        refused(&user, "folder"),
        "error: cannot write `folder`: it is a folder; name a file, such as \
         `folder/weights.safetensors`\n"
    );
    if Path::new("/dev/null").exists() {
        let error = user.fails(&["convert", "compact", "/dev/null"]);
        assert!(error.contains("it is no ordinary file"), "{error}");
    }
}

#[test]
fn a_conversion_that_fails_leaves_the_earlier_file() {
    let user = User::new();
    user.succeeds(&["convert", "compact", OUT]);
    // Another number of anchors than the tensors have: found when the network is built.
    fs::write(user.path("blueprint.json"), br#"{"fpn": {"channels": 64}}"#).unwrap();
    let before = fs::read(user.path(OUT)).unwrap();
    user.fails(&["convert", "compact", OUT, "--blueprint", "blueprint.json"]);
    assert_eq!(fs::read(user.path(OUT)).unwrap(), before);
}

#[test]
fn convert_names_the_document_that_it_cannot_use() {
    let user = User::new();
    fs::write(user.path("names.txt"), b"person\ndog\n").unwrap();
    let error = user.fails(&["convert", "compact", OUT, "--labels", "names.txt"]);
    let expected =
        "error: cannot use the labels `names.txt`: the names of the classes are unusable: ";
    assert!(error.starts_with(expected), "{error}");
    let error = user.fails(&["convert", "compact", OUT, "--blueprint", "names.txt"]);
    let expected = "error: cannot use the blueprint `names.txt`: the blueprint is unusable: ";
    assert!(error.starts_with(expected), "{error}");
    assert!(!user.path(OUT).exists());
}
