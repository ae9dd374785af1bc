//! Foreign text in error messages.

/// Foreign text as it may stand in an error message: on one line, without terminal codes, and not
/// endless. Quotation marks stay as they are.
pub(crate) fn printable(text: &str) -> String {
    const LONGEST: usize = 120;
    let mut shown = text
        .chars()
        .take(LONGEST)
        .fold(String::new(), |mut shown, character| {
            match character {
                '\'' | '"' => shown.push(character),
                other => shown.extend(other.escape_debug()),
            }
            shown
        });
    if text.chars().nth(LONGEST).is_some() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_text_is_quoted_on_one_line() {
        assert_eq!(printable("expected ',' or \"]\""), "expected ',' or \"]\"");
        assert_eq!(printable("a\n\u{1b}[31m\\b"), r"a\n\u{1b}[31m\\b");
        assert_eq!(printable(&"é".repeat(121)), "é".repeat(120) + "…");
    }
}
