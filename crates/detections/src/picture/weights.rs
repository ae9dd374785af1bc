//! How wide lines are and how large type is.

use image::Rgb;

use crate::geometry::Size;

/// Line widths and type size, in pixels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct LineWeights {
    /// Width of outlines.
    pub line: i64,
    /// Width of the frames of boxes; thinner, for the outline says more.
    pub frame: i64,
    /// Width of the dark casing on each side of a line, which sets it off from a background of its
    /// own colour.
    pub casing: i64,
    /// Height of a line of caption type, from ascent to descent.
    pub type_size: f32,
}

impl LineWeights {
    /// The casing's colour.
    pub const CASING: Rgb<u8> = Rgb([0, 0, 0]);
    /// The casing's opacity, of 255. Empirical: seen on white, not in the way on dark.
    pub const CASING_ALPHA: u8 = 110;

    /// LineWeights for an image of this size: they grow with the side of the square of equal area,
    /// more slowly than it, for a small picture is looked at from nearer.
    ///
    /// Empirical, by looking at pictures from 64×64 (line 1, type 10) over 640×480 (2, 17) and
    /// 1920×1080 (3, 30) to 4000×3000 (7, 58).
    pub fn of(image: Size) -> Self {
        let side = (image.area() as f32).sqrt();
        let line = (1.0 + side / 600.0).round() as i64;
        Self {
            line,
            frame: (2 * line / 3).max(1),
            casing: (line + 3) / 4,
            type_size: (9.0 + side / 70.0).round(),
        }
    }
}
