//! Foreign text in error messages.

/// Foreign text as it may stand in an error message: on one line, without terminal codes, and not
/// endless.
pub(crate) fn printable(text: &str) -> String {
    const LONGEST: usize = 120;
    let mut shown: String = text
        .chars()
        .take(LONGEST)
        .flat_map(char::escape_debug)
        .collect();
    if text.chars().nth(LONGEST).is_some() {
        shown.push('…');
    }
    shown
}
