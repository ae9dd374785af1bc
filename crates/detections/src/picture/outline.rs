//! Smooth, anti-aliased lines along the edges of masks.
//!
//! The edge of a mask is traced between its pixels, smoothed along its length (so that the
//! staircase of the pixel grid becomes the curve that it stands for), and stroked by distance.

use image::{Rgb, RgbImage};

use super::canvas::{PixelRect, blend};
use super::weights::LineWeights;
use crate::contour::{Side, trace};
use crate::mask::Mask;

/// A point in pixels; the centre of pixel (x, y) is (x + 0.5, y + 0.5).
#[derive(Clone, Copy, Debug, PartialEq)]
struct Point {
    x: f32,
    y: f32,
}

/// Draws the outline of `mask`: a line of `color` and a dark casing on both sides of it.
pub(super) fn draw(canvas: &mut RgbImage, mask: &Mask, color: Rgb<u8>, weights: LineWeights) {
    let width = weights.line as usize;
    // Half a pixel in, a line of odd width covers whole pixels along straight edges; one of even
    // width does so on the edge.
    let inset = if width % 2 == 1 { 0.5 } else { 0.0 };
    let contours: Vec<_> = curves(mask, inset)
        .into_iter()
        .map(|contour| simplify(smooth(contour, width), width))
        .collect();
    stroke(canvas, &contours, color, weights);
}

/// The closed curves along the sides of a mask's pixels, by the middles of the sides, each moved
/// `inset` pixels into the mask.
fn curves(mask: &Mask, inset: f32) -> Vec<Vec<Point>> {
    let middle = |side: &Side| {
        let ((dx, dy), (inward_x, inward_y)) = (side.step(), side.inward());
        Point {
            x: side.x as f32 + 0.5 * dx as f32 + inset * inward_x as f32,
            y: side.y as f32 + 0.5 * dy as f32 + inset * inward_y as f32,
        }
    };
    let loops = trace(mask);
    loops
        .iter()
        .map(|sides| sides.iter().map(middle).collect())
        .collect()
}

/// Averages every point of a closed curve with its neighbours, repeatedly: a Gaussian along the
/// curve.
///
/// Wider lines are smoothed more, short curves less and the shortest not at all: a Gaussian of
/// standard deviation s draws a circle of radius r in by s² / 2r.
fn smooth(mut contour: Vec<Point>, line: usize) -> Vec<Point> {
    // n passes have a standard deviation of √(n / 2) points. Empirical: 8 a pixel of line width
    // hide the staircase, 24 that of any width; at a sixteenth of the curve's length the shape
    // begins to suffer.
    let passes = (8 * line).min(24).min((contour.len() / 16).pow(2));
    for _ in 0..passes {
        let (first, mut before) = (contour[0], contour[contour.len() - 1]);
        for i in 0..contour.len() {
            let (here, after) = (contour[i], *contour.get(i + 1).unwrap_or(&first));
            contour[i] = Point {
                x: 0.25 * (before.x + after.x) + 0.5 * here.x,
                y: 0.25 * (before.y + after.y) + 0.5 * here.y,
            };
            before = here;
        }
    }
    contour
}

/// Keeps one point in every half of the line's width: fewer segments to stroke, no corner that
/// shows.
fn simplify(contour: Vec<Point>, line: usize) -> Vec<Point> {
    let step = (line / 2).max(1);
    if contour.len() < 16 * step {
        contour
    } else {
        contour.into_iter().step_by(step).collect()
    }
}

/// Strokes closed curves.
///
/// Works through the curves' rows in bands, each with a buffer of squared distances, so that
/// crossing strokes blend once and a mask as large as the image needs no buffer of that size.
fn stroke(canvas: &mut RgbImage, contours: &[Vec<Point>], color: Rgb<u8>, weights: LineWeights) {
    /// Rows; empirical: the buffer of a wide image stays in the second-level cache.
    const BAND: i64 = 64;
    let half_width = 0.5 * weights.line as f32;
    let reach = half_width + weights.casing as f32 + 0.5;
    let image = PixelRect::of_image(canvas);
    let pixels = |a: Point, b: Point| PixelRect {
        left: (a.x.min(b.x) - reach).floor() as i64,
        top: (a.y.min(b.y) - reach).floor() as i64,
        right: (a.x.max(b.x) + reach).ceil() as i64,
        bottom: (a.y.max(b.y) + reach).ceil() as i64,
    };
    let segments = || {
        contours.iter().flat_map(|contour| {
            contour
                .iter()
                .zip(contour.iter().cycle().skip(1))
                .map(|(&a, &b)| (a, b, pixels(a, b).intersect(image)))
        })
    };
    let Some(area) = segments()
        .map(|(.., pixels)| pixels)
        .filter(|pixels| pixels.area() > 0)
        .reduce(PixelRect::hull)
    else {
        return;
    };
    let mut bands = vec![Vec::new(); ((area.height() + BAND - 1) / BAND) as usize];
    for (a, b, pixels) in segments().filter(|(.., pixels)| pixels.area() > 0) {
        for band in (pixels.top - area.top) / BAND..=(pixels.bottom - 1 - area.top) / BAND {
            bands[band as usize].push((a, b, pixels));
        }
    }
    let mut squared_distances = vec![f32::INFINITY; (area.width() * BAND) as usize];
    for (top, segments) in (area.top..).step_by(BAND as usize).zip(bands) {
        let band = PixelRect {
            top,
            bottom: (top + BAND).min(area.bottom),
            ..area
        };
        for (a, b, pixels) in segments {
            let pixels = pixels.intersect(band);
            for y in pixels.top..pixels.bottom {
                let row = &mut squared_distances[((y - top) * area.width()) as usize..]
                    [..area.width() as usize];
                for x in pixels.left..pixels.right {
                    let squared = squared_distance(
                        Point {
                            x: x as f32 + 0.5,
                            y: y as f32 + 0.5,
                        },
                        a,
                        b,
                    );
                    let nearest = &mut row[(x - area.left) as usize];
                    *nearest = nearest.min(squared);
                }
            }
        }
        for (row, y) in squared_distances
            .chunks_exact_mut(area.width() as usize)
            .zip(band.top..band.bottom)
        {
            for (squared, x) in row
                .iter_mut()
                .zip(area.left..)
                .filter(|(squared, _)| squared.is_finite())
            {
                let distance = std::mem::replace(squared, f32::INFINITY).sqrt();
                let coverage = |half_width: f32| (half_width + 0.5 - distance).clamp(0.0, 1.0);
                let pixel = canvas.get_pixel_mut(x as u32, y as u32);
                let casing = coverage(half_width + weights.casing as f32)
                    * f32::from(LineWeights::CASING_ALPHA);
                blend(pixel, LineWeights::CASING, casing.round() as u8);
                blend(pixel, color, (coverage(half_width) * 255.0).round() as u8);
            }
        }
    }
}

/// The squared distance from `p` to the segment from `a` to `b`.
fn squared_distance(p: Point, a: Point, b: Point) -> f32 {
    let (dx, dy) = (b.x - a.x, b.y - a.y);
    let length = dx * dx + dy * dy;
    let along = if length > 0.0 {
        (((p.x - a.x) * dx + (p.y - a.y) * dy) / length).clamp(0.0, 1.0)
    } else {
        0.0
    };
    (p.x - a.x - along * dx).powi(2) + (p.y - a.y - along * dy).powi(2)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::Size;

    const WEIGHTS: LineWeights = LineWeights {
        line: 1,
        frame: 1,
        casing: 1,
        type_size: 10.0,
    };
    const ORANGE: Rgb<u8> = Rgb([255, 145, 0]);

    /// A mask from rows of `#` and `.`, with its first pixel at (`left`, `top`) of an image of
    /// `size`.
    fn mask(size: Size, left: usize, top: usize, rows: &[&str]) -> Mask {
        let bits = rows
            .iter()
            .flat_map(|row| row.bytes().map(|byte| byte == b'#'))
            .collect();
        Mask::new(size, left, top, Size::new(rows.len(), rows[0].len()), bits)
    }

    fn drawn(size: Size, mask: &Mask, weights: LineWeights) -> RgbImage {
        let mut canvas =
            RgbImage::from_pixel(size.width as u32, size.height as u32, Rgb([200, 200, 200]));
        draw(&mut canvas, mask, ORANGE, weights);
        canvas
    }

    #[test]
    fn three_by_three_pixels_have_a_border_cased_on_both_sides() {
        let size = Size::new(7, 9);
        let canvas = drawn(size, &mask(size, 3, 2, &["###"; 3]), WEIGHTS);
        // Casing: 200 · (1 − 110/255) = 114 beside the line; at its corners, √2 away, 0.586 of
        // that: 150.
        let (line, cased, corner, free) = (ORANGE, Rgb([114; 3]), Rgb([150; 3]), Rgb([200; 3]));
        for (x, y, pixel) in canvas.enumerate_pixels() {
            let (dx, dy) = (x.abs_diff(4), y.abs_diff(3));
            let expected = match (dx.max(dy), dx.min(dy)) {
                (0, _) => cased,
                (1, _) => line,
                (2, 0 | 1) => cased,
                (2, 2) => corner,
                _ => free,
            };
            assert_eq!(*pixel, expected, "({x}, {y})");
        }
    }

    #[test]
    fn a_line_of_even_width_covers_whole_pixels_on_both_sides() {
        let size = Size::new(12, 14);
        let bar = mask(size, 3, 4, &["########"; 5]);
        let canvas = drawn(size, &bar, LineWeights { line: 2, ..WEIGHTS });
        let column: Vec<_> = (1..8).map(|y| canvas[(7, y)]).collect();
        let (cased, free) = (Rgb([114; 3]), Rgb([200; 3]));
        assert_eq!(column, [free, cased, ORANGE, ORANGE, cased, free, cased]);
    }

    #[test]
    fn a_mask_at_the_border_is_outlined_along_the_border() {
        let size = Size::new(3, 4);
        let canvas = drawn(size, &mask(size, 0, 0, &["####"; 3]), WEIGHTS);
        for (x, y, pixel) in canvas.enumerate_pixels() {
            let border = x == 0 || y == 0 || x == 3 || y == 2;
            assert_eq!(*pixel == ORANGE, border, "({x}, {y})");
        }
    }

    #[test]
    fn holes_have_a_contour_of_their_own() {
        let contours = curves(
            &mask(Size::new(9, 9), 2, 1, &["#####", "#...#", "#####"]),
            0.5,
        );
        assert_eq!(contours.iter().map(Vec::len).collect::<Vec<_>>(), [16, 8]);
    }

    #[test]
    fn pixels_that_touch_by_a_corner_are_apart() {
        for rows in [["#.", ".#"], [".#", "#."]] {
            let contours = curves(&mask(Size::new(5, 7), 3, 1, &rows), 0.5);
            assert_eq!(contours.iter().map(Vec::len).collect::<Vec<_>>(), [4, 4]);
        }
    }

    #[test]
    fn an_empty_mask_has_no_outline() {
        let size = Size::new(5, 7);
        assert!(curves(&Mask::empty(size), 0.5).is_empty());
        assert!(curves(&mask(size, 1, 1, &["..", ".."]), 0.5).is_empty());
        assert!(
            drawn(size, &Mask::empty(size), WEIGHTS)
                .pixels()
                .all(|&pixel| pixel == Rgb([200; 3]))
        );
    }

    #[test]
    fn smoothing_takes_the_staircase_off_a_disc_not_its_radius() {
        let (size, radius) = (Size::new(60, 70), 20.0);
        let center = Point { x: 37.3, y: 29.6 };
        let from_center = |x: f32, y: f32| (x - center.x).hypot(y - center.y);
        let bits = (0..size.area())
            .map(|i| from_center((i % 70) as f32 + 0.5, (i / 70) as f32 + 0.5) < radius)
            .collect::<Vec<_>>();
        let traced = curves(&Mask::new(size, 0, 0, size, bits), 0.5).remove(0);
        // Distances from the middle: their mean and their standard deviation.
        let roundness = |contour: &[Point]| {
            let radii: Vec<_> = contour
                .iter()
                .map(|point| from_center(point.x, point.y))
                .collect();
            let mean =
                |values: &mut dyn Iterator<Item = f32>| values.sum::<f32>() / radii.len() as f32;
            let radius = mean(&mut radii.iter().copied());
            (
                radius,
                mean(&mut radii.iter().map(|r| (r - radius).powi(2))).sqrt(),
            )
        };
        let (_, before) = roundness(&traced);
        let (mean, after) = roundness(&smooth(traced, 2));
        assert!(
            after < before / 2.0 && after < 0.15,
            "{before} before, {after} after"
        );
        // Half a pixel inside the edge.
        assert!((mean - (radius - 0.5)).abs() < 0.3, "{mean}");
    }

    #[test]
    fn outlines_taller_than_a_band_have_no_seams() {
        let size = Size::new(200, 12);
        let canvas = drawn(size, &mask(size, 3, 5, &["######"; 190]), WEIGHTS);
        let row = |y: u32| (0..12).map(|x| canvas[(x, y)]).collect::<Vec<_>>();
        for y in 10..190 {
            assert_eq!(row(y), row(100), "row {y}");
        }
        assert_eq!(canvas[(3, 100)], ORANGE);
    }
}
