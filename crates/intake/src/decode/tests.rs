//! The truth is what Pillow makes of the same files: `tests/reference/make_images.py`.

use std::fs;
use std::path::{Path, PathBuf};

use super::*;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .join("tests/fixtures/images")
        .join(name)
}

fn bytes(name: &str) -> Vec<u8> {
    fs::read(fixture(name)).unwrap()
}

/// Every fixture but the expectations, sorted.
fn fixtures() -> Vec<String> {
    let names = fs::read_dir(fixture(""))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names
        .filter(|name| !name.ends_with(".expected.png"))
        .collect();
    names.sort();
    names
}

fn read(bytes: &[u8]) -> Result<RgbImage> {
    Ok(decode(bytes.to_vec(), DEFAULT_MAX_PIXELS)?.pixels)
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
        "tiff-jpeg-ycbcr.tif" => 3,
        // Pillow cuts the low byte off, we round.
        "png-rgb-16.png" | "png-rgba-16.png" | "tiff-rgb-16-big-endian.tif" => 1,
        // Pillow rounds the product of ink and black, the decoder cuts it.
        "tiff-cmyk.tif" | "tiff-cmyk-icc-rgb.tif" => 1,
        _ => 0,
    }
}

#[test]
fn every_kind_of_image_comes_out_as_in_pillow() {
    let names = fixtures();
    assert!(names.len() >= 70, "{}", names.len());
    for name in names {
        let expected = image::open(fixture(&format!("{name}.expected.png")))
            .unwrap()
            .into_rgb8();
        let found = read(&bytes(&name)).unwrap_or_else(|error| panic!("{name}: {error:#}"));
        assert_eq!(found.dimensions(), expected.dimensions(), "{name}");
        let worst = found
            .iter()
            .zip(expected.iter())
            .map(|(a, b)| a.abs_diff(*b))
            .max()
            .unwrap();
        assert!(
            worst <= tolerance(&name),
            "{name}: a channel is off by {worst}"
        );
    }
}

#[test]
fn a_file_cut_short_is_refused_in_one_line_and_never_panics() {
    for name in fixtures() {
        let whole = bytes(&name);
        // Behind the first frame or field, or the last strip of pixels, there is nothing that is
        // needed.
        let several = ["animated", "offset.webp", "fields"];
        let half = if several.iter().any(|part| name.contains(part)) {
            whole.len() / 3
        } else {
            whole.len() / 2
        };
        let message = message(&whole[..half]);
        assert!(
            message.starts_with("cannot decode the ") && !message.contains('\n'),
            "{name}: {message}"
        );
        for length in 0..half {
            assert!(
                read(&whole[..length]).is_err(),
                "{name}: {length} of {} bytes",
                whole.len()
            );
        }
    }
}

#[test]
fn a_jpeg_may_have_bytes_behind_it_but_not_lack_its_last() {
    // Of two fields the second is such bytes.
    let names = fixtures()
        .into_iter()
        .filter(|name| name.starts_with("jpeg-") && !name.contains("fields"));
    for name in names {
        let mut photo = bytes(&name);
        assert_eq!(
            message(&photo[..photo.len() - 2]),
            format!("cannot decode the JPEG image: {CUT_SHORT}"),
            "{name}"
        );
        // As phones append films: with bytes that look like a start of scan.
        photo.extend(b"film\xff\xd8\xff\xda\0\x04");
        assert!(read(&photo).is_ok(), "{name}");
    }
}

#[test]
fn damaged_bytes_give_pixels_or_one_line_and_never_a_panic() {
    let mut state = 1u32;
    let mut random = move || {
        // Numerical Recipes, section 7.1
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
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
        (
            b"hello",
            "it is no image of a known format; PNG, JPEG, WebP, GIF, BMP and TIFF are read",
        ),
        (
            b"\0\0\0\x18ftypheic\0\0\0\0",
            "HEIC is not read; convert it to JPEG or PNG",
        ),
        (
            b"\0\0\0\x18ftypmif1\0\0\0\0",
            "HEIC is not read; convert it to JPEG or PNG",
        ),
        (
            b"\0\0\0\x1cftypavif\0\0\0\0",
            "AVIF is not read; convert it to JPEG or PNG",
        ),
        (
            b"\0\0\0\x18ftypisom\0\0\0\0",
            "video is not read; convert it to JPEG or PNG",
        ),
        (b"%PDF-1.7", "PDF is not read; convert it to JPEG or PNG"),
        (
            b"<?xml version=\"1.0\"?>\n<svg ",
            "SVG is not read; convert it to JPEG or PNG",
        ),
        (
            b"\xff\x0a\x7f",
            "JPEG XL is not read; convert it to JPEG or PNG",
        ),
        (
            b"\n<!DOCTYPE html>",
            "it is a web page, not an image; PNG, JPEG, WebP, GIF, BMP and TIFF are read",
        ),
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a",
            "it is a git-lfs pointer in place of the image; `git lfs pull` fetches it",
        ),
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
    assert_eq!(
        message(&photo),
        format!("cannot decode the PNG image: {expected}")
    );
}

#[test]
fn floating_point_pixels_are_refused_not_guessed_at() {
    let mut file = Cursor::new(Vec::new());
    let image = DynamicImage::ImageRgb32F(image::ImageBuffer::from_pixel(
        7,
        3,
        image::Rgb([0.2, 30.0, 400.0]),
    ));
    image.write_to(&mut file, ImageFormat::Tiff).unwrap();
    let expected = "cannot decode the TIFF image: its pixels are floating-point numbers, which have no agreed range; convert it to 8 or 16 bits";
    assert_eq!(message(file.get_ref()), expected);
}

#[test]
fn a_variant_that_the_decoder_lacks_is_refused_with_a_remedy() {
    // A palette of 16 colours; the one of 256 is read.
    let mut photo = bytes("tiff-palette.tif");
    let map = photo
        .windows(8)
        .position(|entry| entry == [0x40, 1, 3, 0, 0, 3, 0, 0])
        .unwrap();
    photo[map + 4..map + 8].copy_from_slice(&48u32.to_le_bytes());
    let expected = "cannot decode the TIFF image: this variant is not read, convert it to PNG: ";
    assert!(message(&photo).starts_with(expected), "{}", message(&photo));
}

/// Images that nobody here made, good and damaged: `tests/fixtures/corpora`.
fn corpora() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .join("tests/fixtures/corpora");
    let folders = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_dir());
    let mut files: Vec<_> = folders
        .flat_map(|folder| {
            fs::read_dir(folder)
                .unwrap()
                .map(|entry| entry.unwrap().path())
        })
        .collect();
    files.retain(|path| !path.to_string_lossy().ends_with(".expected.png"));
    files.sort();
    files
}

/// What Pillow makes of an image of the corpora; none when it refuses it.
fn expected(path: &Path) -> Option<RgbImage> {
    Some(
        image::open(format!("{}.expected.png", path.display()))
            .ok()?
            .into_rgb8(),
    )
}

/// Largest difference to Pillow in a channel of an image of the corpora, and the reason why it is
/// not 0; none where one of the two is wrong, or both guess.
fn corpora_tolerance(path: &Path) -> Option<u8> {
    let extension = path.extension().unwrap_or_default().to_string_lossy();
    Some(
        match (&*path.file_name().unwrap().to_string_lossy(), &*extension) {
            // In the last column and half of the rows only.
            ("video-001.rgb.jpeg", _) => 22,
            // Chroma of half and quarter size: the standard leaves the upsampling to the decoder.
            (_, "jpg" | "jpeg") => 6,
            (name, "png") if name.contains("16") => 1, // Pillow cuts the low byte off
            (_, "tif" | "tiff") => 1,                  // 16 bits, alpha that was multiplied
            (name, "bmp") if name.contains("rgb16") => 1, // from 5 bits to 8, rounded or not
            _ => 0,
        },
    )
}

/// Images of the corpora that Pillow reads and we refuse, and a part of what is said.
const REFUSED: [(&str, &str); 12] = [
    // Variants that the decoders leave out.
    (
        "bw-gopher_ccittGroup3.tiff",
        "this variant is not read, convert it to PNG: ",
    ),
    ("testimgari.jpg", "header `DAC` is not supported"), // arithmetic coding
    // Damaged; Pillow makes something of them.
    ("invalid-noend.png", CUT_SHORT),
    ("huge_IDAT.png", CUT_SHORT),
    ("badcrc.png", "CRC error"),
    ("test_ifd_loop_to_self.tif", "a cycle in the list of IFDs"),
    ("badplanes.bmp", "More than one plane"),
    ("badrle.bmp", "Corrupt RLE data"),
    ("rletopdown.bmp", "Invalid image type 1 for top-down image"),
    (
        "crash-0da013a13571cc8eb457a39fee8db18f8a3c7127.tif",
        CUT_SHORT,
    ),
    (
        "crash-74d2a78403a5a59db1fb0a2b8735ac068a75f6e3.tif",
        "Decode Error",
    ),
    (
        "tiff_wrong_bits_per_sample_2.tiff",
        "inconsistent sizes encountered",
    ),
];

#[test]
fn images_of_others_come_out_as_in_pillow_or_are_refused() {
    let (mut same, mut refused, mut faults) = (0, 0, Vec::new());
    for path in corpora() {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        match (read(&fs::read(&path).unwrap()), expected(&path)) {
            (Ok(found), Some(expected)) if found.dimensions() == expected.dimensions() => {
                let worst = found
                    .iter()
                    .zip(expected.iter())
                    .map(|(a, b)| a.abs_diff(*b))
                    .max()
                    .unwrap();
                if corpora_tolerance(&path).is_some_and(|most| worst > most) {
                    faults.push(format!("{name}: a channel is off by {worst}"));
                }
                same += 1;
            }
            (Ok(found), Some(expected)) => faults.push(format!(
                "{name}: {:?}, not {:?}",
                found.dimensions(),
                expected.dimensions()
            )),
            (Err(error), Some(_)) => {
                let message = format!("{error:#}");
                if !REFUSED
                    .iter()
                    .any(|(known, reason)| *known == name && message.contains(reason))
                {
                    faults.push(format!("{name}: refused: {message}"));
                }
            }
            // More forgiving than Pillow.
            (Ok(_), None) => {}
            (Err(error), None) => {
                assert!(!format!("{error:#}").contains('\n'), "{name}: {error:#}");
                refused += 1;
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert!(same >= 140 && refused >= 30, "{same} {refused}");
}

#[test]
fn colours_are_narrowed_and_widened_where_they_are() {
    let converted = |from: &[u8], color: ColorType, pixels: usize| {
        let mut buffer = from.to_vec();
        buffer.resize(from.len().max(3 * pixels), 0);
        into_rgb(&mut buffer, color, pixels, over_white).unwrap();
        buffer
    };
    assert_eq!(converted(&[1, 9], ColorType::L8, 2), [1, 1, 1, 9, 9, 9]);
    assert_eq!(
        converted(&[1, 255, 9, 0], ColorType::La8, 2),
        [1, 1, 1, 255, 255, 255]
    );
    assert_eq!(
        converted(&[1, 2, 3, 255, 9, 8, 7, 0], ColorType::Rgba8, 2),
        [1, 2, 3, 255, 255, 255]
    );
    let wide: Vec<u8> = [257u16, 512, 65535, 0]
        .iter()
        .flat_map(|channel| channel.to_ne_bytes())
        .collect();
    assert_eq!(
        converted(&wide, ColorType::L16, 4),
        [1, 1, 1, 2, 2, 2, 255, 255, 255, 0, 0, 0]
    );
    assert_eq!(converted(&wide, ColorType::Rgba16, 1), [255, 255, 255]);
    assert_eq!(converted(&wide[..6], ColorType::Rgb16, 1), [1, 2, 255]);
}

#[test]
fn a_channel_multiplied_by_its_alpha_is_not_multiplied_again() {
    assert_eq!((over_white(100, 128), add_white(50, 128)), (177, 177));
    assert_eq!(add_white(200, 100), 255); // more than its alpha allows: damaged, and safe
}

#[test]
fn an_image_of_exactly_the_limit_is_read() {
    let photo = bytes("png-rgb.png");
    let image = read(&photo).unwrap();
    let pixels = u64::from(image.width()) * u64::from(image.height());
    assert!(decode(photo.clone(), pixels).is_ok());
    assert!(decode(photo, pixels - 1).is_err());
}

#[test]
fn absurd_exif_is_no_reason_to_refuse_a_photo() {
    let photo = bytes("jpeg-444.jpg");
    let upright = read(&photo).unwrap();
    let tiff = |entries: u16, next: u32| {
        [
            b"II*\0\x08\0\0\0".as_slice(),
            &entries.to_le_bytes(),
            &next.to_le_bytes(),
        ]
        .concat()
    };
    for exif in [
        vec![],
        b"II*\0".to_vec(),
        b"II*\0\xff\xff\xff\xff".to_vec(), // a directory far behind the end
        tiff(u16::MAX, 8),                 // more entries than there are bytes
        tiff(0, 8),                        // a directory whose next is itself
        [tiff(0, 0), vec![0xff; 60_000]].concat(),
        // An orientation that is none, and a count that is absurd.
        b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x63\0\0\0\0\0\0".to_vec(),
        b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\xff\xff\xff\xff\0\x09\0\0\0\0\0\0".to_vec(),
    ] {
        let length = (exif.len() as u16 + 8).to_be_bytes();
        let segment = [b"\xff\xe1".as_slice(), &length, b"Exif\0\0", &exif].concat();
        assert_eq!(
            read(&[&photo[..2], &segment, &photo[2..]].concat()).unwrap(),
            upright,
            "{exif:?}"
        );
    }
}

#[test]
fn broken_profiles_are_no_reason_to_refuse_a_photo() {
    let photo = bytes("jpeg-444.jpg");
    let upright = read(&photo).unwrap();
    let segment = |number: u8, count: u8, length: usize| {
        let content = [
            b"ICC_PROFILE\0".as_slice(),
            &[number, count],
            &vec![0x5a; length],
        ]
        .concat();
        [
            b"\xff\xe2".as_slice(),
            &(content.len() as u16 + 2).to_be_bytes(),
            &content,
        ]
        .concat()
    };
    // Four of sixty kilobytes; one that is missing; one that comes twice; one without a number;
    // none at all.
    let whole: Vec<u8> = (1..=4)
        .flat_map(|number| segment(number, 4, 60_000))
        .collect();
    for profile in [
        whole,
        segment(2, 9, 9),
        [segment(1, 1, 5), segment(1, 1, 7)].concat(),
        segment(0, 0, 3),
        segment(9, 2, 0),
    ] {
        assert_eq!(
            read(&[&photo[..2], &profile, &photo[2..]].concat()).unwrap(),
            upright
        );
    }
}

#[test]
fn a_profile_of_rgb_is_kept_and_any_other_is_not() {
    let profile = fs::read(fixture("../icc/rgb.icc")).unwrap();
    let kept = |bytes: Vec<u8>| decode(bytes, DEFAULT_MAX_PIXELS).unwrap().icc_profile;
    let names = fixtures();
    let of_rgb = ["icc.jpg", "icc.png", "icc.tif", "icc.webp"];
    let others = ["grey", "cmyk"];
    let mut count = 0;
    for name in names {
        let is_other = others.iter().any(|part| name.contains(part));
        let has_profile = !is_other && of_rgb.iter().any(|end| name.ends_with(end));
        let expected = has_profile.then(|| profile.clone());
        assert_eq!(kept(bytes(&name)), expected, "{name}");
        count += usize::from(has_profile);
    }
    assert_eq!(count, 6);
    // One that is damaged is no reason to refuse the photo.
    let mut photo = bytes("tiff-icc.tif");
    let signature = photo.windows(4).position(|word| word == b"acsp").unwrap();
    photo[signature] = b'A';
    assert_eq!(kept(photo), None);
}

#[test]
fn a_profile_that_announces_too_much_is_left_out() {
    let announcing = |name: &str, header: &[u8], length: &[u8]| {
        let mut photo = bytes(name);
        let at = photo.windows(header.len()).position(|part| part == header);
        let at = at.unwrap() + header.len();
        photo[at..at + length.len()].copy_from_slice(length);
        decode(photo, DEFAULT_MAX_PIXELS)
    };
    for length in [589u32, 20_000_000, u32::MAX] {
        let length = length.to_le_bytes();
        // Tag 34675 of type 7, bytes.
        let photo = announcing("tiff-icc.tif", b"\x73\x87\x07\0", &length).unwrap();
        assert_eq!(photo.icc_profile, None);
    }
    // The chunks behind it are lost with it.
    assert!(announcing("webp-icc.webp", b"ICCP", &u32::MAX.to_le_bytes()).is_err());
}

#[test]
fn a_progressive_jpeg_without_its_tables_is_refused() {
    let mut photo = bytes("jpeg-progressive.jpg");
    // What they are for, so that they define nothing.
    while let Some(at) = photo.windows(2).position(|pair| pair == b"\xff\xc4") {
        photo[at + 1] = 0xfe;
    }
    let expected = "cannot decode the JPEG image: the tables that its pixels are coded with are missing; get the file from its source again";
    assert_eq!(message(&photo), expected);
}

/// A TIFF of 20×20 pixels of RGB in tiles of 16×16, one plane after the other.
fn planes_of_tiles() -> Vec<u8> {
    const LONG: u16 = 4;
    const TILES: u32 = 3 * 4;
    let tags: [(u16, u32, u32); 10] = [
        (256, 1, 20),
        (257, 1, 20),
        (258, 1, 8),
        (262, 1, 2),
        (277, 1, 3),
        (284, 1, 2),
        (322, 1, 16),
        (323, 1, 16),
        (324, TILES, 134),
        (325, TILES, 134 + 4 * TILES),
    ];
    let mut file = b"II*\0\x08\0\0\0\x0a\0".to_vec();
    for (tag, count, value) in tags {
        file.extend(tag.to_le_bytes());
        file.extend(LONG.to_le_bytes());
        file.extend(count.to_le_bytes());
        file.extend(value.to_le_bytes());
    }
    file.extend([0; 4]);
    assert_eq!(file.len(), 134);
    for number in [134 + 8 * TILES, 256] {
        (0..TILES).for_each(|_| file.extend(number.to_le_bytes()));
    }
    file.extend([0; 256]);
    file
}

#[test]
fn a_tiff_that_would_break_the_decoder_is_refused_by_its_tags() {
    let file = planes_of_tiles();
    let expected = "cannot decode the TIFF image: its colours are stored apart, in tiles, which is not read; convert it to PNG";
    assert_eq!(message(&file), expected);
    // The same in one plane is read, so that it is this that is refused. Each tile holds a third.
    let mut chunky = file.clone();
    chunky[10 + 5 * 12 + 8] = 1;
    let tiles = 10 + 8 * 12 + 4;
    chunky[tiles] = 4;
    chunky[tiles + 12] = 4;
    chunky.resize(file.len() + 512, 0);
    assert_eq!(read(&chunky).unwrap().dimensions(), (20, 20));
}

#[test]
fn a_jpeg_larger_than_its_place_in_a_tiff_is_refused() {
    for name in ["tiff-jpeg.tif", "tiff-jpeg-ycbcr.tif"] {
        let mut photo = bytes(name);
        // Of 16,000×16,000 pixels: the height and width behind length and precision.
        let frame = photo.windows(4).position(|word| word == b"\xff\xc0\0\x11");
        let at = frame.unwrap() + 5;
        photo[at..at + 4].copy_from_slice(&[16_000u16.to_be_bytes(); 2].concat());
        let expected =
            "cannot decode the TIFF image: a part of it is larger than it says; convert it to PNG";
        assert_eq!(message(&photo), expected, "{name}");
    }
}

#[test]
fn parts_of_a_tiff_that_overlap_are_not_turned_over() {
    let mut file = planes_of_tiles();
    let entry = |index: usize| 10 + index * 12;
    // Instead of the planes: bits in reverse.
    file[entry(5)..entry(5) + 2].copy_from_slice(&266u16.to_le_bytes());
    for tiles in [entry(8), entry(9)] {
        file[tiles + 4] = 4;
    }
    // Four tiles that begin one byte apart, each half of the file, which are far more than it.
    let half = file.len() as u32 / 2;
    let (offsets, lengths) = (134, 134 + 4 * 12);
    for tile in 0..4 {
        let at = 4 * tile;
        file[offsets + at..][..4].copy_from_slice(&(200 + tile as u32).to_le_bytes());
        file[lengths + at..][..4].copy_from_slice(&half.to_le_bytes());
    }
    let expected = "cannot decode the TIFF image: its parts overlap; convert it to PNG";
    assert_eq!(message(&file), expected);
}

/// What fuzzing found: see `fuzz/README.md`.
#[test]
fn findings_of_fuzzing_give_pixels_or_one_short_line() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .join("tests/fixtures/regressions/image");
    let mut count = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if let Err(error) = read(&fs::read(&path).unwrap()) {
            let message = format!("{error:#}");
            assert!(
                message.len() < 1000 && !message.contains(char::is_control),
                "{}: {message}",
                path.display()
            );
        }
        count += 1;
    }
    assert!(count > 0);
}
