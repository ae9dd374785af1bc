//! Comparison of pictures with those committed in `tests/golden/`.

use std::path::{Path, PathBuf};

use image::{Rgb, RgbImage, imageops};

/// The command that writes every golden picture anew, for messages.
const REGENERATE: &str = "REGENERATE=1 cargo test --release --test program golden";

/// How far a picture may be from its golden.
#[derive(Clone, Copy, Debug)]
pub struct Tolerance {
    /// A pixel differs when one of its channels is further than this from the golden's.
    pub channel: u8,
    /// The share of pixels that may differ, from 0 to 1.
    pub pixels: f64,
}

/// Asserts that `actual` is the picture `tests/golden/<name>.png`, within `tolerance`.
///
/// With `REGENERATE=1` in the environment the golden is written instead: look at the change before
/// it is committed.
///
/// # Panics
///
/// When the pictures differ, after writing them side by side (expected, difference, actual) to
/// `target/golden-failures/<name>.png`; and when there is no golden.
pub fn compare_to_golden(name: &str, actual: &RgbImage, tolerance: Tolerance) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let golden = root.join("tests/golden").join(name).with_extension("png");
    if std::env::var_os("REGENERATE").is_some_and(|value| value == "1") {
        std::fs::create_dir_all(golden.parent().expect("goldens lie in a folder"))
            .expect("failed to make the folder");
        actual.save(&golden).expect("failed to write the golden");
        return;
    }
    if let Err(message) = compare(
        &golden,
        actual,
        tolerance,
        &root.join("target/golden-failures"),
    ) {
        panic!("{message}");
    }
}

/// Compares `actual` with the picture in the file `golden`; the error says what is wrong, where to
/// look and how to accept the change. A strip of the pictures is written to the folder `failures`
/// when they differ.
pub fn compare(
    golden: &Path,
    actual: &RgbImage,
    tolerance: Tolerance,
    failures: &Path,
) -> Result<(), String> {
    let expected = image::open(golden)
        .map_err(|error| {
            format!(
                "failed to read `{}`: {error}\nto write it: {REGENERATE}",
                golden.display()
            )
        })?
        .to_rgb8();
    let difference = if expected.dimensions() == actual.dimensions() {
        let far = |(a, b): (&Rgb<u8>, &Rgb<u8>)| distance(*a, *b) > tolerance.channel;
        let count = expected
            .pixels()
            .zip(actual.pixels())
            .filter(|&pair| far(pair))
            .count();
        let allowed = (tolerance.pixels * f64::from(actual.width() * actual.height())) as usize;
        if count <= allowed {
            return Ok(());
        }
        let most = expected
            .pixels()
            .zip(actual.pixels())
            .map(|(a, b)| distance(*a, *b))
            .max()
            .unwrap_or(0);
        format!(
            "{count} pixels (allowed: {allowed}) differ by more than {}, one of them by {most}",
            tolerance.channel
        )
    } else {
        format!(
            "it is {:?} pixels large instead of {:?}",
            actual.dimensions(),
            expected.dimensions()
        )
    };
    let strip = write_strip(golden, &expected, actual, failures);
    Err(format!(
        "the picture is not that of `{}`: {difference}\nexpected | difference | actual: {}\nif the new one is right: {REGENERATE}",
        golden.display(),
        strip.display(),
    ))
}

/// The largest difference of a channel.
fn distance(a: Rgb<u8>, b: Rgb<u8>) -> u8 {
    (0..3).map(|i| a[i].abs_diff(b[i])).max().unwrap_or(0)
}

/// Writes expected | difference | actual and returns the file. Differences are eight times as
/// strong as they are, so that the smallest are seen; where one picture has no pixel the difference
/// is white.
fn write_strip(golden: &Path, expected: &RgbImage, actual: &RgbImage, failures: &Path) -> PathBuf {
    const GAP: u32 = 4;
    let width = expected.width().max(actual.width());
    let height = expected.height().max(actual.height());
    let difference = RgbImage::from_fn(width, height, |x, y| {
        match (
            expected.get_pixel_checked(x, y),
            actual.get_pixel_checked(x, y),
        ) {
            (Some(a), Some(b)) => Rgb([0, 1, 2].map(|i| a[i].abs_diff(b[i]).saturating_mul(8))),
            _ => Rgb([255; 3]),
        }
    });
    let mut strip = RgbImage::from_pixel(3 * width + 2 * GAP, height, Rgb([128; 3]));
    for (picture, column) in [expected, &difference, actual].into_iter().zip(0..) {
        imageops::replace(&mut strip, picture, column * i64::from(width + GAP), 0);
    }
    let file = failures.join(golden.file_name().expect("a golden has a name"));
    std::fs::create_dir_all(failures).expect("failed to make the folder of failures");
    strip.save(&file).expect("failed to write the strip");
    file
}
