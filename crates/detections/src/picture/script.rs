//! Which characters may be set side by side, from left to right, and read as they are meant.
//!
//! A font having a glyph does not tell: DejaVu has the letters of Arabic, which would stand apart
//! and in reverse order.

use unicode_properties::{EmojiStatus, GeneralCategoryGroup, UnicodeEmoji, UnicodeGeneralCategory};
use unicode_script::{Script, ScriptExtension};

/// Scripts whose letters stand side by side from left to right and neither join, nor change their
/// form or their place. Hangul as syllables: no font here has the letters that would have to be
/// put together.
const PLAIN: [Script; 13] = [
    Script::Latin,
    Script::Greek,
    Script::Cyrillic,
    Script::Armenian,
    Script::Georgian,
    Script::Han,
    Script::Hiragana,
    Script::Katakana,
    Script::Hangul,
    Script::Bopomofo,
    Script::Canadian_Aboriginal,
    Script::Lisu,
    Script::Tifinagh,
];

/// Whether a letter needs nothing that the drawing does not do: its script is plain, and it is no
/// mark on another letter, no control, and no emoji.
pub(super) fn is_plain(letter: char) -> bool {
    // Punctuation, digits and symbols that all scripts use count as of each, while those of some,
    // such as the Arabic comma, name these.
    let scripts = ScriptExtension::from(letter);
    PLAIN.iter().any(|&script| scripts.contains_script(script))
        && !matches!(
            letter.general_category_group(),
            GeneralCategoryGroup::Mark | GeneralCategoryGroup::Other
        )
        && !is_picture(letter)
        && !is_stand_in(letter)
}

/// Whether a character is an emoji unless said otherwise: these are pictures in colour, and with
/// the few that DejaVu has in black, a list of labels would be half faces and half numbers.
fn is_picture(letter: char) -> bool {
    matches!(
        letter.emoji_status(),
        EmojiStatus::EmojiPresentation
            | EmojiStatus::EmojiPresentationAndModifierBase
            | EmojiStatus::EmojiPresentationAndEmojiComponent
            | EmojiStatus::EmojiPresentationAndModifierAndEmojiComponent
    )
}

/// Whether a character stands for what the text could not hold: an object, or a letter that was
/// lost when the text was read.
fn is_stand_in(letter: char) -> bool {
    matches!(letter, '\u{FFFC}' | '\u{FFFD}')
}

/// Whether a character is not to be seen and changes nothing in a plain script: places where a line
/// may be broken or not, joiners, the mark of left-to-right order, the byte order mark, and
/// selectors of a variant of the letter before.
///
/// The controls that turn the reading order are none of these: without them the text says something
/// else.
pub(super) fn is_unseen(letter: char) -> bool {
    matches!(
        letter,
        '\u{AD}'
            | '\u{200B}'..='\u{200E}'
            | '\u{2060}'
            | '\u{FE00}'..='\u{FE0F}'
            | '\u{FEFF}'
            | '\u{E0100}'..='\u{E01EF}'
    )
}
