//! The truth is what Pillow makes of the same files: `tests/reference/make_images.py`.

use std::fs;
use std::path::{Path, PathBuf};

use super::*;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/images").join(name)
}

fn bytes(name: &str) -> Vec<u8> {
    fs::read(fixture(name)).unwrap()
}

/// Every fixture but the expectations, sorted.
fn fixtures() -> Vec<String> {
    let names = fs::read_dir(fixture("")).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names.filter(|name| !name.ends_with(".expected.png")).collect();
    names.sort();
    names
}

fn read(bytes: &[u8]) -> Result<RgbImage> {
    decode(bytes.to_vec(), DEFAULT_MAX_PIXELS)
}

fn message(bytes: &[u8]) -> String {
    format!("{:#}", read(bytes).unwrap_err())
}

/// Largest difference to Pillow in a channel, 0 to 255, and the reason why it is not 0.
fn tolerance(name: &str) -> u8 {
    match name {
        // The standard leaves the inverse transform and the upsampling of chroma to the decoder.
        _ if name.starts_with("jpeg-") => 3,
        "tiff-jpeg.tif" => 1,
        // Pillow cuts the low byte off, we round.
        "png-rgb-16.png" | "png-rgba-16.png" | "tiff-rgb-16-big-endian.tif" => 1,
        // Pillow rounds the product of ink and black, the decoder cuts it.
        "tiff-cmyk.tif" => 1,
        _ => 0,
    }
}

#[test]
fn every_kind_of_image_comes_out_as_in_pillow() {
    let names = fixtures();
    assert!(names.len() >= 70, "{}", names.len());
    for name in names {
        let expected = image::open(fixture(&format!("{name}.expected.png"))).unwrap().into_rgb8();
        let found = read(&bytes(&name)).unwrap_or_else(|error| panic!("{name}: {error:#}"));
        assert_eq!(found.dimensions(), expected.dimensions(), "{name}");
        let worst = found.iter().zip(expected.iter()).map(|(a, b)| a.abs_diff(*b)).max().unwrap();
        assert!(worst <= tolerance(&name), "{name}: a channel is off by {worst}");
    }
}

#[test]
fn a_file_that_is_cut_short_is_refused_in_one_line_and_never_panics() {
    for name in fixtures() {
        let whole = bytes(&name);
        // Behind the first frame or the last strip of pixels there is nothing that is needed.
        let half =
            if name.contains("animated") || name.contains("offset.webp") { whole.len() / 3 } else { whole.len() / 2 };
        let message = message(&whole[..half]);
        assert!(message.starts_with("cannot decode the ") && !message.contains('\n'), "{name}: {message}");
        for length in 0..half {
            assert!(read(&whole[..length]).is_err(), "{name}: {length} of {} bytes", whole.len());
        }
    }
}

#[test]
fn a_jpeg_without_its_last_bytes_is_refused_and_one_with_more_behind_it_is_read() {
    let names = fixtures().into_iter().filter(|name| name.starts_with("jpeg-"));
    for name in names {
        let mut photo = bytes(&name);
        assert_eq!(message(&photo[..photo.len() - 2]), format!("cannot decode the JPEG image: {CUT_SHORT}"), "{name}");
        // As phones append films: with bytes that look like a start of scan.
        photo.extend(b"film\xff\xd8\xff\xda\0\x04");
        assert!(read(&photo).is_ok(), "{name}");
    }
}

#[test]
fn damaged_bytes_give_pixels_or_one_line_and_never_a_panic() {
    let mut state = 1u32;
    let mut random = move || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223); // Numerical Recipes, section 7.1
        (state >> 8) as usize
    };
    for name in fixtures() {
        let whole = bytes(&name);
        for _ in 0..40 {
            let mut damaged = whole.clone();
            // Past the magic number, so that it stays an image.
            for _ in 0..=random() % 4 {
                let at = 12 + random() % (whole.len() - 12);
                damaged[at] = random() as u8;
            }
            if let Err(error) = read(&damaged) {
                assert!(!format!("{error:#}").contains('\n'), "{name}: {error:#}");
            }
        }
    }
}

#[test]
fn what_is_no_image_is_named_with_a_remedy() {
    for (bytes, expected) in [
        (b"".as_slice(), "it is empty"),
        (b"hello", "it is no image of a known format; PNG, JPEG, WebP, GIF, BMP and TIFF are read"),
        (b"\0\0\0\x18ftypheic\0\0\0\0", "HEIC is not read; convert it to JPEG or PNG"),
        (b"\0\0\0\x18ftypmif1\0\0\0\0", "HEIC is not read; convert it to JPEG or PNG"),
        (b"\0\0\0\x1cftypavif\0\0\0\0", "AVIF is not read; convert it to JPEG or PNG"),
        (b"\0\0\0\x18ftypisom\0\0\0\0", "video is not read; convert it to JPEG or PNG"),
        (b"%PDF-1.7", "PDF is not read; convert it to JPEG or PNG"),
        (b"<?xml version=\"1.0\"?>\n<svg ", "SVG is not read; convert it to JPEG or PNG"),
        (b"\xff\x0a\x7f", "JPEG XL is not read; convert it to JPEG or PNG"),
        (b"\n<!DOCTYPE html>", "it is a web page, not an image; PNG, JPEG, WebP, GIF, BMP and TIFF are read"),
    ] {
        assert_eq!(message(bytes), expected);
    }
}

#[test]
fn an_image_of_too_many_pixels_is_refused_before_it_is_decoded() {
    let mut photo = bytes("png-rgb.png");
    // The header's width and height, and its checksum.
    photo[16..20].copy_from_slice(&20_000u32.to_be_bytes());
    photo[20..24].copy_from_slice(&5_001u32.to_be_bytes());
    photo[29..33].copy_from_slice(&0x1003193f_u32.to_be_bytes());
    let expected = "20000×5001 pixels are more than the limit of 100 megapixels; scale it down first, or raise the limit with --max-megapixels";
    assert_eq!(message(&photo), format!("cannot decode the PNG image: {expected}"));
}

#[test]
fn floating_point_pixels_are_refused_not_guessed_at() {
    let mut file = Cursor::new(Vec::new());
    let image = DynamicImage::ImageRgb32F(image::ImageBuffer::from_pixel(7, 3, image::Rgb([0.2, 30.0, 400.0])));
    image.write_to(&mut file, ImageFormat::Tiff).unwrap();
    let expected = "cannot decode the TIFF image: its pixels are floating-point numbers, which have no agreed range; convert it to 8 or 16 bits";
    assert_eq!(message(file.get_ref()), expected);
}

#[test]
fn a_variant_that_the_decoder_leaves_out_is_refused_with_a_remedy() {
    // A palette of 16 colours; the one of 256 is read.
    let mut photo = bytes("tiff-palette.tif");
    let map = photo.windows(8).position(|entry| entry == [0x40, 1, 3, 0, 0, 3, 0, 0]).unwrap();
    photo[map + 4..map + 8].copy_from_slice(&48u32.to_le_bytes());
    let expected = "cannot decode the TIFF image: this variant is not read, convert it to PNG: ";
    assert!(message(&photo).starts_with(expected), "{}", message(&photo));
}
