use std::fs;

use super::*;

#[test]
fn the_format_is_told_by_the_content_not_by_the_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("photo.png");
    let jpeg = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/images/jpeg-444.jpg");
    fs::copy(&jpeg, &path).unwrap();
    assert_eq!(
        load(&Source::File(path)).pixels,
        load(&Source::File(jpeg)).pixels
    );
}

#[test]
fn the_digest_is_that_of_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pixel.bmp");
    // `printf 'BM...' | sha256sum` of a bitmap of one pixel.
    let mut bitmap =
        b"BM\x3a\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0\x01\0\0\0\x01\0\0\0\x01\0\x18\0".to_vec();
    bitmap.resize(58, 0);
    fs::write(&path, &bitmap).unwrap();
    let photo = load(&Source::File(path));
    assert_eq!(
        photo.sha256,
        "8fcc806ebfa0f9404bab0aa6fac485a8f22e33cfd2c42e5047718e528e53741e"
    );
    assert_eq!(photo.pixels.dimensions(), (1, 1));
}

/// Loads a source that is not to be fetched.
fn load(source: &Source) -> Photo {
    source
        .load(
            &Fetcher::new(FetchOptions::for_tests(), indicatif::MultiProgress::new()),
            DEFAULT_MAX_PIXELS,
        )
        .unwrap()
}

#[test]
fn addresses_are_told_from_paths() {
    let source = |name: &str| Source::new(OsStr::new(name));
    for url in [
        "http://a/b.jpg",
        "HTTPS://a",
        "ipfs://Qm",
        "ftp://a/b",
        "data:image/png;base64,AA",
        "file:///a.png",
    ] {
        assert_eq!(source(url), Source::Url(Address::new(url).unwrap()));
    }
    for path in [
        "a.jpg",
        "/a//b.jpg",
        "./http:/x",
        "C:\\a.jpg",
        "://a",
        "data.png",
        "a b://c",
    ] {
        assert_eq!(source(path), Source::File(path.into()));
    }
    assert_eq!(source("-"), Source::Stdin);
    assert_eq!(source("./-"), Source::File("./-".into()));
}

#[test]
fn a_name_is_shown_in_one_line_and_cannot_steer_the_terminal() {
    let shown = |name: &str| Source::new(OsStr::new(name)).to_string();
    assert_eq!(shown("a\nb\u{1b}[31m.png"), "a\\nb\\u{1b}[31m.png");
    assert_eq!(shown("été 1.png"), "été 1.png");
    assert_eq!(
        (shown("-").as_str(), shown("").as_str()),
        ("standard input", "\"\"")
    );
}

#[test]
fn an_endless_file_ends_at_the_limit() {
    let error = read_limited(io::repeat(0)).unwrap_err();
    assert_eq!(error.to_string(), "it is larger than the limit of 512 MiB");
}
