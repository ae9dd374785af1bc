//! One line of type in the embedded font.
//!
//! Laid out here and not by imageproc, whose text drawing looks up kerning pairs in reverse order.
//! No shaping: letters stand side by side from left to right.

use ab_glyph::{Font, FontRef, Glyph, ScaleFont, point};
use image::{Rgb, RgbImage};

use super::canvas::blend;

/// DejaVu Sans Condensed Bold 2.37, unmodified; its licence lies beside it.
const FONT: &[u8] = include_bytes!("font/DejaVuSansCondensed-Bold.ttf");

/// The embedded font.
pub(super) struct Typeface(FontRef<'static>);

impl Typeface {
    pub(super) fn new() -> Self {
        Self(FontRef::try_from_slice(FONT).expect("the embedded font is valid"))
    }

    /// Sets `text` in type of `size`: the pixels from the top of the tallest letter to the bottom
    /// of the lowest.
    pub(super) fn set(&self, text: &str, size: f32) -> Line<'_> {
        let font = self.0.as_scaled(size);
        let (mut glyphs, mut width): (Vec<Glyph>, f32) = (Vec::new(), 0.0);
        for letter in text.chars() {
            let id = font.glyph_id(letter);
            width += glyphs
                .last()
                .map_or(0.0, |previous| font.kern(previous.id, id));
            glyphs.push(id.with_scale_and_position(size, point(width, 0.0)));
            width += font.h_advance(id);
        }
        Line {
            font: &self.0,
            glyphs,
            width,
        }
    }

    /// Height of capitals and digits in type of `size`, in pixels.
    pub(super) fn cap_height(&self, size: f32) -> f32 {
        let capital = self
            .0
            .outline(self.0.glyph_id('H'))
            .map_or(0.0, |outline| outline.bounds.height());
        capital.abs() * size / self.0.height_unscaled()
    }
}

/// A line of glyphs on a baseline that starts at the origin.
pub(super) struct Line<'f> {
    font: &'f FontRef<'static>,
    glyphs: Vec<Glyph>,
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
            .filter_map(|glyph| self.font.outline_glyph(glyph.clone()))
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

    #[test]
    fn glyphs_that_the_font_lacks_have_a_width_and_are_drawn() {
        let (typeface, mut canvas) = (Typeface::new(), RgbImage::new(60, 40));
        let line = typeface.set("猫", 30.0);
        assert!(line.width() > 5);
        line.draw(&mut canvas, 5, 30, Rgb([255; 3]));
        assert!(canvas.pixels().any(|pixel| pixel[0] == 255));
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
