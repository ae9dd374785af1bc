//! How the worker splits `iexec_args` into arguments.

use std::mem::take;

/// The arguments that `iexec_args` becomes: split at spaces, grouped by quotes, which vanish. A
/// backslash protects a quote and stays. There is no shell: no variables, no patterns, and only the
/// ASCII space splits. Empty arguments vanish; when a quote is left open, all do.
///
/// Source: iexec-commons-containers `ArgsUtils.java`, which calls maven-shared-utils
/// `CommandLineUtils.translateCommandline`.
pub fn split(iexec_args: &str) -> Vec<String> {
    let mut arguments = Vec::new();
    let mut current = String::new();
    let mut quote = None;
    // A backslash came right before, or before spaces outside of quotes, which do not end that in
    // the original either.
    let mut escaped = false;
    for character in iexec_args.chars() {
        match (character, quote) {
            ('\'' | '"', None) if !escaped => quote = Some(character),
            (_, Some(open)) if character == open && !escaped => quote = None,
            (' ', None) => {
                if !current.is_empty() {
                    arguments.push(take(&mut current));
                }
                continue;
            }
            _ => {
                current.push(character);
                escaped = character == '\\';
                continue;
            }
        }
    }
    if !current.is_empty() {
        arguments.push(current);
    }
    if quote.is_some() {
        Vec::new()
    } else {
        arguments
    }
}

/// What maven-shared-utils 3.3.4 itself made of these, run for the purpose.
#[test]
fn arguments_are_split_as_the_worker_splits_them() {
    for (text, arguments) in [
        ("", &[][..]),
        (" ", &[]),
        (
            "https://example.org/dog.jpg",
            &["https://example.org/dog.jpg"],
        ),
        ("  a   b ", &["a", "b"]),
        ("a\tb", &["a\tb"]),
        ("a\nb c", &["a\nb", "c"]),
        ("a\u{a0}b", &["a\u{a0}b"]),
        ("'a b' c", &["a b", "c"]),
        (r#""a b" c"#, &["a b", "c"]),
        (r#"a"b c"d"#, &["ab cd"]),
        (
            "--classes 'potted plant,dog' x",
            &["--classes", "potted plant,dog", "x"],
        ),
        (
            r#"-t=0.5 --classes="stop sign""#,
            &["-t=0.5", "--classes=stop sign"],
        ),
        ("''", &[]),
        (r#""" a"#, &["a"]),
        ("a '' b", &["a", "b"]),
        (r#"'"' "'""#, &["\"", "'"]),
        ("'a", &[]),
        ("\"a", &[]),
        ("b 'a", &[]),
        (r#"a'b'c""#, &[]),
        (r"\'a\'", &[r"\'a\'"]),
        (r#"\"a b\""#, &[r#"\"a"#, r#"b\""#]),
        (r"a\ b", &[r"a\", "b"]),
        (r#"\ "a b""#, &[]),
        (r#"\\"a b""#, &[]),
        (r"\\'x", &[r"\\'x"]),
        (r"\x'a b'", &[r"\xa b"]),
        (r"'it\'s here'", &[r"it\'s here"]),
        (r#""say \"hi\" now""#, &[r#"say \"hi\" now"#]),
        ("$HOME * ?", &["$HOME", "*", "?"]),
        ("a;b|c&d", &["a;b|c&d"]),
        ("été 写真.png", &["été", "写真.png"]),
    ] {
        assert_eq!(split(text), arguments, "{text}");
    }
}
