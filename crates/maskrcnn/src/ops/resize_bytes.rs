//! Resizing pixels of 8 bits as Pillow does, to the bit.

use std::borrow::Cow;

use detections::Size;
use rayon::prelude::*;

/// Red, green, blue.
const CHANNELS: usize = 3;

/// Bits of a weight behind the binary point: 32, less 8 of the pixel and 2 for sums beyond the
/// ends. Pillow `Resample.c`, `PRECISION_BITS`.
const PRECISION: u32 = 32 - 8 - 2;

/// Pixels of another size: bilinear, and over all that a pixel covers where the image shrinks.
///
/// `pixels`: `[from.height, from.width, 3]`; the result is `[to.height, to.width, 3]`. First along
/// rows, then along columns, or the other way around where that is less work; rounded to 8 bits after
/// each. A side that stays as long is left alone. Pillow 13.0 `src/libImaging/Resample.c`,
/// `ImagingResampleInner`, with `BILINEAR` and the whole image for a box; before 13.0 rows always
/// came first, which moves bytes by 1 where a picture more than twice as high as wide shrinks. No
/// pixels in give none, or black ones.
///
/// # Panics
///
/// When `pixels` does not fill its size: a bug of the caller.
pub(crate) fn resize_bytes(pixels: &[u8], from: Size, to: Size) -> Cow<'_, [u8]> {
    assert_eq!(
        pixels.len(),
        from.area() * CHANNELS,
        "pixels do not fill their size"
    );
    if from.area() == 0 || to.area() == 0 {
        return Cow::Owned(vec![0; to.area() * CHANNELS]);
    }
    let (mut pixels, mut size) = (Cow::Borrowed(pixels), from);
    let lost = |from: usize, to: usize| from as i64 - to as i64;
    let (rows_lost, columns_lost) = (lost(from.height, to.height), lost(from.width, to.width));
    let rows_first = !(rows_lost > 0 && rows_lost > 2 * columns_lost);
    for along_rows in [rows_first, !rows_first] {
        if along_rows && size.width != to.width {
            pixels = Cow::Owned(self::along_rows(&pixels, size, to.width));
            size.width = to.width;
        }
        if !along_rows && size.height != to.height {
            pixels = Cow::Owned(along_columns(&pixels, size, to.height));
            size.height = to.height;
        }
    }
    pixels
}

/// What a resized position is made of: neighbouring positions from `first` on, by weight.
struct Window {
    first: usize,
    /// In units of 2^-`PRECISION`; they add up to one, nearly.
    weights: Vec<i32>,
}

/// The windows of an axis. Pillow `precompute_coeffs` and `normalize_coeffs_8bpc`, with the triangle
/// that is `bilinear_filter`.
fn windows(from: usize, to: usize) -> Vec<Window> {
    let scale = from as f64 / to as f64;
    // As wide as a pixel, or as what becomes one.
    let support = scale.max(1.0);
    let window = |position: usize| {
        let centre = (position as f64 + 0.5) * scale;
        // `as` cuts towards zero, as C does, and keeps to what there is below.
        let first = (centre - support + 0.5) as usize;
        let end = ((centre + support + 0.5) as usize).min(from);
        let weight = |at: usize| {
            let distance = (at as f64 - centre + 0.5) * (1.0 / support);
            (1.0 - distance.abs()).max(0.0)
        };
        let weights: Vec<f64> = (first..end).map(weight).collect();
        let sum: f64 = weights.iter().sum();
        let fixed = |weight: &f64| {
            let share = if sum == 0.0 { *weight } else { weight / sum };
            (0.5 + share * f64::from(1 << PRECISION)) as i32
        };
        Window {
            first,
            weights: weights.iter().map(fixed).collect(),
        }
    };
    (0..to).map(window).collect()
}

/// One half, so that what is cut afterwards is rounded.
const HALF: i32 = 1 << (PRECISION - 1);

/// The whole of a sum, in 8 bits. Pillow `clip8`.
fn clip(sum: i32) -> u8 {
    (sum >> PRECISION).clamp(0, 255) as u8
}

/// Rows of another length. Pillow `ImagingResampleHorizontal_8bpc`.
fn along_rows(pixels: &[u8], from: Size, width: usize) -> Vec<u8> {
    let windows = windows(from.width, width);
    let mut resized = vec![0; from.height * width * CHANNELS];
    resized
        .par_chunks_exact_mut(width * CHANNELS)
        .zip(pixels.par_chunks_exact(from.width * CHANNELS))
        .for_each(|(out, row)| {
            for (out, window) in out.chunks_exact_mut(CHANNELS).zip(&windows) {
                let mut sums = [HALF; CHANNELS];
                let pixels = row[window.first * CHANNELS..].chunks_exact(CHANNELS);
                for (pixel, weight) in pixels.zip(&window.weights) {
                    for (sum, &value) in sums.iter_mut().zip(pixel) {
                        *sum += i32::from(value) * weight;
                    }
                }
                for (out, sum) in out.iter_mut().zip(sums) {
                    *out = clip(sum);
                }
            }
        });
    resized
}

/// Columns of another length. Pillow `ImagingResampleVertical_8bpc`.
fn along_columns(pixels: &[u8], from: Size, height: usize) -> Vec<u8> {
    let row = from.width * CHANNELS;
    let windows = windows(from.height, height);
    let mut resized = vec![0; height * row];
    resized
        .par_chunks_exact_mut(row)
        .zip(&windows)
        .for_each_init(
            || vec![0; row],
            |sums, (out, window)| {
                sums.fill(HALF);
                let rows = pixels[window.first * row..].chunks_exact(row);
                for (pixels, weight) in rows.zip(&window.weights) {
                    for (sum, &value) in sums.iter_mut().zip(pixels) {
                        *sum += i32::from(value) * weight;
                    }
                }
                for (out, &sum) in out.iter_mut().zip(sums.iter()) {
                    *out = clip(sum);
                }
            },
        );
    resized
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::fixture::Fixture;

    #[test]
    fn gives_pillows_bytes_larger_and_smaller() {
        let fixture = Fixture::open("ops/detectron2.safetensors");
        for case in fixture.cases("resize_bytes") {
            let image = fixture.image(&format!("{case}image"));
            let from = Size::new(image.height() as usize, image.width() as usize);
            let shape = fixture.shape(&format!("{case}expected"));
            let resized = resize_bytes(image.as_raw(), from, Size::new(shape[0], shape[1]));
            let expected = fixture.bytes(&format!("{case}expected"));
            assert!(*resized == *expected, "{case}");
        }
    }

    #[test]
    fn halving_averages_and_doubling_leans_to_the_nearer() {
        // Triangles two pixels wide to each side: 1/8, 3/8, 3/8, 1/8, and at the ends 3/7, 3/7, 1/7.
        let row = [0, 0, 0, 70, 70, 70, 140, 140, 140, 210, 210, 210];
        let halved = resize_bytes(&row, Size::new(1, 4), Size::new(1, 2));
        assert_eq!(*halved, [50, 50, 50, 160, 160, 160]);
        let pair = [0, 0, 0, 100, 40, 8];
        let doubled = resize_bytes(&pair, Size::new(2, 1), Size::new(4, 1));
        assert_eq!(*doubled, [0, 0, 0, 25, 10, 2, 75, 30, 6, 100, 40, 8]);
    }

    #[test]
    fn nothing_is_no_trouble_and_the_same_size_no_work() {
        assert_eq!(
            *resize_bytes(&[], Size::new(0, 5), Size::new(1, 1)),
            [0, 0, 0]
        );
        let same = resize_bytes(&[1, 2, 3], Size::new(1, 1), Size::new(1, 1));
        assert!(matches!(same, Cow::Borrowed([1, 2, 3])));
    }

    proptest! {
        #[test]
        fn one_colour_stays_one_colour(
            height in 1usize..40, width in 1usize..40, to_height in 1usize..60,
            to_width in 1usize..60, colour in any::<u8>(),
        ) {
            let pixels = vec![colour; height * width * 3];
            let (from, to) = (Size::new(height, width), Size::new(to_height, to_width));
            prop_assert!(resize_bytes(&pixels, from, to).iter().all(|&byte| byte == colour));
        }
    }
}
