//! Files made to fill memory: each small, each announcing or unpacking to far more. The built
//! program meets them, and the most memory that it ever held is read from the system while it runs.
//! `docs/hostile-input.md` has the table.

use std::fs;
use std::io::{Cursor, Read};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use image::{ExtendedColorType, ImageEncoder, ImageFormat, Rgb, RgbImage};

use crate::repository::PROGRAM;

/// What the program holds for a small photo, in MB: 190, most of it libtorch and the network, and
/// some to spare.
const ORDINARY: u64 = 260;

/// What one run gave.
struct Outcome {
    success: bool,
    stderr: String,
    /// Most memory held at any time, in MB.
    peak: u64,
}

/// How much memory the program may ask for here, in KiB, whether it uses it or not: what a bomb
/// announces and a decoder reserves is not held until it is written to.
const ADDRESS_SPACE: &str = "3000000";

/// Runs the program on a file of these bytes, without a picture to draw.
fn run(bytes: &[u8], options: &[&str]) -> Outcome {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("bomb");
    fs::write(&file, bytes).unwrap();
    let script = "ulimit -v \"$1\" && shift && exec \"$@\"";
    let mut child = Command::new("sh")
        .args(["-c", script, "sh", ADDRESS_SPACE, PROGRAM])
        .args(["--json-only", "--threads", "2", "-o"])
        .args([folder.path().join("out"), file])
        .args(options)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut peak = 0;
    let status = loop {
        peak = high_water_mark(child.id()).unwrap_or(peak);
        match child.try_wait().unwrap() {
            Some(status) => break status,
            None => thread::sleep(Duration::from_millis(1)),
        }
    };
    let mut stderr = String::new();
    child
        .stderr
        .take()
        .unwrap()
        .read_to_string(&mut stderr)
        .unwrap();
    Outcome {
        success: status.success(),
        stderr,
        peak,
    }
}

/// The most memory that a process has held so far, in MB; none once it has ended.
fn high_water_mark(process: u32) -> Option<u64> {
    let status =
        fs::read_to_string(Path::new("/proc").join(process.to_string()).join("status")).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    Some(line.split_whitespace().nth(1)?.parse::<u64>().ok()? / 1024)
}

/// Asserts that the program refuses `bytes` with `message` and has not held more than for a small
/// photo.
fn refused(bytes: &[u8], message: &str) {
    let Outcome {
        success,
        stderr,
        peak,
    } = run(bytes, &[]);
    assert!(
        !success && stderr.contains(message) && stderr.lines().count() == 1,
        "{stderr}"
    );
    assert!(peak <= ORDINARY, "{peak} MB: {stderr}");
}

/// Asserts that the program reads `bytes` within `most` MB.
fn admitted(bytes: &[u8], most: u64) {
    let Outcome {
        success,
        stderr,
        peak,
    } = run(bytes, &[]);
    assert!(success, "{stderr}");
    assert!(peak <= most && peak > 50, "{peak} MB");
}

fn png(width: u32, height: u32, profile: Option<Vec<u8>>) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder =
        PngEncoder::new_with_quality(&mut bytes, CompressionType::Fast, FilterType::NoFilter);
    if let Some(profile) = profile {
        encoder.set_icc_profile(profile).unwrap();
    }
    let pixels = vec![0; width as usize * height as usize];
    encoder
        .write_image(&pixels, width, height, ExtendedColorType::L8)
        .unwrap();
    bytes
}

fn encoded(format: ImageFormat) -> Vec<u8> {
    let mut file = Cursor::new(Vec::new());
    RgbImage::from_pixel(20, 10, Rgb([200, 30, 90]))
        .write_to(&mut file, format)
        .unwrap();
    file.into_inner()
}

/// A GIF whose canvas and only frame have these sizes; the frame holds a pixel or two.
fn gif(canvas: [u16; 2], frame: [u16; 2]) -> Vec<u8> {
    let size = |[width, height]: [u16; 2]| [width.to_le_bytes(), height.to_le_bytes()].concat();
    let two_colours = b"\x80\0\0\0\0\0\xff\xff\xff";
    let pixels = b"\0\x02\x02\x4c\x01\0;";
    [
        b"GIF89a",
        &*size(canvas),
        two_colours,
        b",\0\0\0\0",
        &size(frame),
        pixels,
    ]
    .concat()
}

const MANY_PIXELS: &str = "pixels are more than the limit of 100 megapixels; scale it down first, or raise the limit with --max-megapixels";
const MUCH_MEMORY: &str = "it needs too much memory, scale it down first";

#[test]
fn a_profile_that_unpacks_to_400_megabytes_is_left_packed() {
    let bomb = png(20, 10, Some(vec![0; 400 << 20]));
    assert!(bomb.len() < 4 << 20, "{}", bomb.len());
    admitted(&bomb, ORDINARY + 70);
}

#[test]
fn a_hundred_megapixels_take_their_memory_and_a_row_more_none() {
    let bomb = png(12_500, 8_000, None);
    assert!(bomb.len() < 2 << 20, "{}", bomb.len());
    admitted(&bomb, ORDINARY + 330);
    refused(&png(12_500, 8_001, None), MANY_PIXELS);
}

#[test]
fn the_limit_on_pixels_is_the_users() {
    let photo = png(1_001, 1_000, None);
    let Outcome {
        success, stderr, ..
    } = run(&photo, &["--max-megapixels", "1"]);
    assert!(
        !success && stderr.contains("1001×1000 pixels are more than the limit of 1 megapixels"),
        "{stderr}"
    );
    assert!(run(&photo, &["--max-megapixels", "2"]).success);
}

#[test]
fn a_gif_frame_larger_than_its_canvas_is_refused_early() {
    for side in [5_000, 16_000, u16::MAX] {
        refused(&gif([20, 10], [side, side]), MUCH_MEMORY);
    }
    refused(&gif([u16::MAX, u16::MAX], [20, 10]), MANY_PIXELS);
}

#[test]
fn a_webp_whose_exif_announces_gigabytes_is_read_without_them() {
    let mut photo = encoded(ImageFormat::WebP);
    // The extended form: a header for a canvas of 20×10 with EXIF, the pixels, and the EXIF.
    let pixels = photo.split_off(12);
    let header = b"VP8X\x0a\0\0\0\x08\0\0\0\x13\0\0\x09\0\0";
    let mut bomb = [&*photo, header, &pixels, b"EXIF\xf0\xff\xff\xffII*\0"].concat();
    let length = (bomb.len() as u32 - 8).to_le_bytes();
    bomb[4..8].copy_from_slice(&length);
    admitted(&bomb, ORDINARY);
    bomb[24..27].fill(0xff);
    refused(&bomb, MANY_PIXELS);
}

#[test]
fn a_tiff_strip_that_announces_four_gigabytes_is_refused() {
    let mut photo = encoded(ImageFormat::Tiff);
    let tag = |tag: u8| [tag, 1, 4, 0, 1, 0, 0, 0]; // one number of 32 bits
    let count = photo
        .windows(8)
        .position(|entry| entry == tag(0x17))
        .expect("a strip byte count");
    photo[count + 8..count + 12].fill(0xff);
    refused(&photo, MUCH_MEMORY);
}

#[test]
fn a_jpeg_that_announces_four_gigapixels_is_refused() {
    let mut photo = encoded(ImageFormat::Jpeg);
    let frame = photo
        .windows(2)
        .position(|marker| marker == [0xff, 0xc0])
        .unwrap();
    photo[frame + 5..frame + 9].fill(0xff);
    refused(&photo, MANY_PIXELS);
}

#[test]
fn a_bitmap_that_announces_pixels_it_cannot_have_is_refused() {
    let bitmap = |width: i32, height: i32| {
        let sizes = [width.to_le_bytes(), height.to_le_bytes()].concat();
        [
            b"BM\x36\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0",
            &*sizes,
            b"\x01\0\x18\0",
            &[0; 24],
        ]
        .concat()
    };
    refused(&bitmap(60_000, 60_000), MANY_PIXELS);
    refused(&bitmap(20, i32::MIN), "cannot decode the BMP image");
}
