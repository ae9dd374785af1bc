//! One line of type in the embedded fonts.
//!
//! Laid out here and not by imageproc, whose text drawing looks up kerning pairs in reverse order.
//! No shaping: letters stand side by side from left to right, and text that needs more is refused.

use ab_glyph::{Font, FontRef, Glyph, GlyphId, ScaleFont, point};
use image::{Rgb, RgbImage};
use unicode_normalization::UnicodeNormalization;

use super::canvas::blend;
use super::script::{is_plain, is_unseen};

/// DejaVu Sans Condensed Bold 2.37, unmodified; its licence lies beside it.
const FONT: &[u8] = include_bytes!("font/DejaVuSansCondensed-Bold.ttf");

/// The letters of China, Taiwan, Japan and Korea from Noto Sans CJK SC Bold 2.004; the script that
/// took them out and the licence lie beside it. As bold as DejaVu.
const EASTERN_FONT: &[u8] = include_bytes!("font/NotoSansCJKsc-Bold-subset.otf");

/// Em of the eastern font for DejaVu's of 1. Empirical: its characters have many strokes, and still
/// fit between the top of a plate and the bottom of a `g`.
const EASTERN_EM: f32 = 1.1;

/// How much lower the eastern font's baseline is, in DejaVu's em: as much as brings the middle of
/// its characters, 0.38 of their em, to that of DejaVu's capitals, 0.365 of theirs.
const EASTERN_DROP: f32 = 0.38 * EASTERN_EM - 0.365;

/// The embedded fonts.
pub(super) struct Typeface {
    western: FontRef<'static>,
    eastern: FontRef<'static>,
}

impl Typeface {
    pub(super) fn new() -> Self {
        let read = |font| FontRef::try_from_slice(font).expect("the embedded font is valid");
        Self {
            western: read(FONT),
            eastern: read(EASTERN_FONT),
        }
    }

    /// `text` as it can be set: composed, on one line, without what is not to be seen. `None` when
    /// a letter of it cannot be drawn as it is meant.
    pub(super) fn spell(&self, text: &str) -> Option<String> {
        let seen = text.chars().filter(|&letter| !is_unseen(letter));
        let composed: String = seen.nfc().collect();
        let line = composed.split_whitespace().collect::<Vec<_>>().join(" ");
        let drawn = |letter| is_plain(letter) && self.find(letter).is_some();
        line.chars().all(drawn).then_some(line)
    }

    /// The glyph of a letter and the font that has it: DejaVu if it can.
    fn find(&self, letter: char) -> Option<(&FontRef<'static>, GlyphId)> {
        [&self.western, &self.eastern]
            .into_iter()
            .map(|font| (font, font.glyph_id(letter)))
            // Every font's glyph 0 is the box for what it lacks.
            .find(|(_, id)| id.0 != 0)
    }

    /// Sets `text` in type of `size`: the pixels from the top of the tallest letter to the bottom
    /// of the lowest in DejaVu. Letters that no font has are left out.
    pub(super) fn set(&self, text: &str, size: f32) -> Line<'_> {
        // The size of type is the height of a line, of which fonts make different parts the em.
        let em = |font: &FontRef| font.units_per_em().unwrap_or(1.0) / font.height_unscaled();
        let (western_em, eastern_em) = (em(&self.western), em(&self.eastern));
        let western = self.western.as_scaled(size);
        let eastern = self
            .eastern
            .as_scaled(size * EASTERN_EM * western_em / eastern_em);
        let drop = size * EASTERN_DROP * western_em;

        let (mut glyphs, mut width): (Vec<(&FontRef, Glyph)>, f32) = (Vec::new(), 0.0);
        // The letter before, when it is one of DejaVu: only these are kerned.
        let mut previous = None;
        for (font, id) in text.chars().filter_map(|letter| self.find(letter)) {
            let is_western = std::ptr::eq(font, &self.western);
            let (scale, advance, below) = if is_western {
                width += previous.map_or(0.0, |previous| western.kern(previous, id));
                (western.scale, western.h_advance(id), 0.0)
            } else {
                (eastern.scale, eastern.h_advance(id), drop)
            };
            glyphs.push((font, id.with_scale_and_position(scale, point(width, below))));
            width += advance;
            previous = is_western.then_some(id);
        }
        Line { glyphs, width }
    }

    /// Height of capitals and digits in type of `size`, in pixels.
    pub(super) fn cap_height(&self, size: f32) -> f32 {
        let font = &self.western;
        let capital = font
            .outline(font.glyph_id('H'))
            .map_or(0.0, |outline| outline.bounds.height());
        capital.abs() * size / font.height_unscaled()
    }
}

/// A line of glyphs on a baseline that starts at the origin.
pub(super) struct Line<'f> {
    /// Each with the font that it is of.
    glyphs: Vec<(&'f FontRef<'static>, Glyph)>,
    width: f32,
}

impl Line<'_> {
    /// Width in whole pixels, from the first letter's origin to the end of the last one's advance.
    pub(super) fn width(&self) -> i64 {
        self.width.ceil() as i64
    }

    /// Draws the line with its baseline starting at (`left`, `baseline`); what leaves the image is
    /// cut off.
    pub(super) fn draw(&self, canvas: &mut RgbImage, left: i64, baseline: i64, color: Rgb<u8>) {
        for outlined in self
            .glyphs
            .iter()
            .filter_map(|(font, glyph)| font.outline_glyph(glyph.clone()))
        {
            // Whole pixels: ab_glyph has placed the fraction of a pixel in the coverage.
            let corner = outlined.px_bounds().min;
            outlined.draw(|x, y, coverage| {
                let (x, y) = (
                    left + corner.x as i64 + i64::from(x),
                    baseline + corner.y as i64 + i64::from(y),
                );
                let inside = (0..i64::from(canvas.width())).contains(&x)
                    && (0..i64::from(canvas.height())).contains(&y);
                if inside {
                    // Float casts saturate, and overlapping contours can cover a little more than
                    // all of a pixel.
                    blend(
                        canvas.get_pixel_mut(x as u32, y as u32),
                        color,
                        (coverage * 255.0).round() as u8,
                    );
                }
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn width(text: &str) -> i64 {
        Typeface::new().set(text, 100.0).width()
    }

    #[test]
    fn pairs_are_kerned_in_reading_order() {
        // The font draws P and a full stop together, and leaves a full stop and P apart.
        assert!(width("P.") < width(".P"), "{} {}", width("P."), width(".P"));
    }

    #[test]
    fn capitals_are_as_high_as_they_are_drawn() {
        let (typeface, mut canvas) = (Typeface::new(), RgbImage::new(80, 90));
        typeface
            .set("H", 60.0)
            .draw(&mut canvas, 10, 70, Rgb([255; 3]));
        let rows: Vec<_> = (0..90)
            .filter(|&y| (0..80).any(|x| canvas[(x, y)][0] > 127))
            .collect();
        assert_eq!(rows.last(), Some(&69), "stands on the baseline");
        let height = typeface.cap_height(60.0);
        assert!(
            (rows.len() as f32 - height).abs() < 1.0,
            "{} rows, cap height {height}",
            rows.len()
        );
    }

    fn spell(text: &str) -> Option<String> {
        Typeface::new().spell(text)
    }

    /// Which of these can be set.
    fn accepted<'t>(texts: &[&'t str]) -> Vec<&'t str> {
        texts
            .iter()
            .copied()
            .filter(|text| spell(text).is_some())
            .collect()
    }

    #[test]
    fn text_in_plain_scripts_is_set_as_it_is() {
        for text in [
            "traffic light",
            "Straßenbahn",
            "con chó đường",
            "σκύλος",
            "ζῷον",
            "собака",
            "շուն",
            "ძაღლი",
            "犬",
            "いぬ",
            "ゴルフクラブ・ボール",
            "ｲﾇ",
            "狗",
            "斑马线",
            "自動販賣機",
            "ㄍㄡˇ",
            "개",
            "횡단보도",
            "ᕿᒻᒥᖅ",
            "ⴰⵢⴷⵉ",
            "№ 3: 50 % (½) – „☎“ → ①",
            "狗，猫。「犬」",
        ] {
            assert_eq!(spell(text).as_deref(), Some(text));
            assert!(width(text) > 0, "{text}");
        }
    }

    #[test]
    fn every_kana_and_every_syllable_of_hangul_can_be_set() {
        let letters = ('ぁ'..='ゖ').chain('ァ'..='ヺ').chain('가'..='힣');
        let text: String = letters.collect();
        assert_eq!(spell(&text), Some(text));
    }

    #[test]
    fn a_letter_and_its_accent_are_set_as_one() {
        assert_eq!(spell("cafe\u{301}").as_deref(), Some("café"));
        assert_eq!(spell("か\u{3099}").as_deref(), Some("が"));
        assert_eq!(
            spell("개".nfd().collect::<String>().as_str()).as_deref(),
            Some("개")
        );
    }

    #[test]
    fn scripts_that_join_stack_or_run_backwards_are_refused() {
        let texts = [
            "كلب",
            "سگ",
            "כלב",
            "ߥߎߟߎ",
            "कुत्ता",
            "কুকুর",
            "நாய்",
            "หมา",
            "ໝາ",
            "ខ្មែរ",
            "ཁྱི",
            "ᠨᠣᠬᠠᠢ",
        ];
        assert_eq!(accepted(&texts), [""; 0]);
        let shared = ["،", "؟", "٣", "ـ", "।", "﴾"];
        assert_eq!(accepted(&shared), [""; 0], "signs that only they use");
    }

    #[test]
    fn one_letter_that_cannot_be_drawn_refuses_the_whole_text() {
        let texts = ["dog كلب", "狗 कुत्ता", "собака 🐕", "犬\u{10FFFF}", "3 หมา"];
        assert_eq!(accepted(&texts), [""; 0]);
    }

    #[test]
    fn emoji_are_refused_even_those_that_a_font_has() {
        assert_eq!(
            accepted(&[
                "🐕",
                "🐱",
                "😀",
                "👩\u{200D}🚀",
                "🇯🇵",
                "👍🏽",
                "1\u{FE0F}\u{20E3}"
            ]),
            [""; 0]
        );
    }

    #[test]
    fn marks_without_a_letter_that_has_them_are_refused() {
        assert_eq!(
            accepted(&[
                "ко\u{301}шка",
                "\u{301}",
                "q\u{303}",
                "犬\u{20DD}",
                "ᄀ",
                "ᅡ"
            ]),
            [""; 0]
        );
    }

    #[test]
    fn what_stands_for_no_letter_is_refused() {
        let controls = [
            "\u{0}",
            "a\u{1B}[1m",
            "\u{202E}god",
            "\u{2067}dog\u{2069}",
            "\u{200F}",
        ];
        assert_eq!(accepted(&controls), [""; 0], "controls");
        let others = [
            "caf\u{FFFD}",
            "\u{FFFC}",
            "\u{F6C5}",
            "\u{E000}",
            "\u{378}",
            "\u{3164}",
        ];
        assert_eq!(
            accepted(&others),
            [""; 0],
            "stand-ins, private use, and unassigned ones"
        );
    }

    #[test]
    fn what_is_not_to_be_seen_is_left_out() {
        assert_eq!(
            spell("\u{FEFF}traf\u{AD}fic\u{200B} \u{200D}light\u{200E}").as_deref(),
            Some("traffic light")
        );
        assert_eq!(spell("葛\u{E0100}城 ☎\u{FE0E}").as_deref(), Some("葛城 ☎"));
        assert_eq!(spell("\u{200B}").as_deref(), Some(""));
    }

    #[test]
    fn white_space_of_any_kind_is_one_space() {
        assert_eq!(
            spell(" traffic\t\u{A0}light\r\n").as_deref(),
            Some("traffic light")
        );
        assert_eq!(spell("犬\u{3000}猫\u{2028}").as_deref(), Some("犬 猫"));
        assert_eq!(spell("\u{85} \u{B}").as_deref(), Some(""));
    }

    #[test]
    fn both_fonts_look_of_one_size_on_one_line() {
        let rows = |text| {
            let (typeface, mut canvas) = (Typeface::new(), RgbImage::new(160, 150));
            typeface
                .set(text, 100.0)
                .draw(&mut canvas, 10, 100, Rgb([255; 3]));
            let inked: Vec<u32> = (0..150)
                .filter(|&y| (0..160).any(|x| canvas[(x, y)][0] > 127))
                .collect();
            (f64::from(inked[0]), f64::from(inked[inked.len() - 1] + 1))
        };
        let ((capital_top, capital_bottom), (_, lowest)) = (rows("H"), rows("g"));
        for text in ["国", "犬", "개"] {
            let (top, bottom) = rows(text);
            let off = (top + bottom - capital_top - capital_bottom) / 2.0;
            assert!(off.abs() < 4.0, "the middle of {text} is {off} rows off");
            assert!(bottom < lowest, "{text}");
            let ratio = (bottom - top) / (capital_bottom - capital_top);
            assert!(
                (1.1..1.5).contains(&ratio),
                "{text} is {ratio} capitals high"
            );
        }
    }

    #[test]
    fn letters_of_two_fonts_are_not_kerned() {
        let apart = width("犬") + width("P") + width(".");
        assert!(
            (width("P犬.") - apart).abs() <= 2,
            "each width is rounded up"
        );
        assert!(
            width("P.犬") < apart - 2,
            "P and the full stop are of one font"
        );
    }

    #[test]
    fn the_fonts_are_no_larger_than_six_megabytes() {
        assert!(FONT.len() + EASTERN_FONT.len() <= 6_000_000);
    }

    proptest! {
        #[test]
        fn no_text_is_set_with_the_box_for_missing_glyphs(
            text in prop_oneof![
                "\\PC{0,20}",
                "[\\p{Han}\\p{Hangul}\\p{Hiragana}\\p{Latin}\\p{Mn} ]{0,20}",
                "[\\x00-\u{FFFF}]{0,20}",
            ],
        ) {
            let typeface = Typeface::new();
            let drawn = |text: &str| typeface.set(text, 20.0).glyphs;
            prop_assert!(drawn(&text).iter().all(|(_, glyph)| glyph.id.0 != 0));
            if let Some(spelled) = typeface.spell(&text) {
                prop_assert_eq!(drawn(&spelled).len(), spelled.chars().count(), "{:?}", &spelled);
                prop_assert_eq!(typeface.spell(&spelled), Some(spelled), "stays as it is");
            }
        }
    }

    #[test]
    fn letters_outside_the_image_are_cut_off() {
        let mut canvas = RgbImage::new(9, 7);
        Typeface::new()
            .set("long text", 30.0)
            .draw(&mut canvas, -20, 12, Rgb([255; 3]));
        assert_eq!(Typeface::new().set("", 30.0).width(), 0);
    }
}
