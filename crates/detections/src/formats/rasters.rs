//! Masks as pictures, and objects cut out of a photo.

use image::{ExtendedColorType, ImageResult, RgbImage};

use crate::detection::Detection;
use crate::geometry::Size;
use crate::mask::Mask;
use crate::png::encode;

/// A mask as an 8-bit grey PNG of the size of its image: 255 on the object, 0 elsewhere.
///
/// # Errors
///
/// When the image has no pixels.
pub fn mask_picture(mask: &Mask) -> ImageResult<Vec<u8>> {
    let image = mask.image();
    let mut grey = vec![0; image.area()];
    for_each(mask, |x, y| grey[y * image.width + x] = u8::MAX);
    encode(&grey, image, ExtendedColorType::L8, None)
}

/// Which pixel is of which object, as a 16-bit grey PNG of size `image`: the object's number in the
/// list, from 1; 0 where there is none. Where objects overlap, the surer one has the pixel.
///
/// # Errors
///
/// When the image has no pixels.
pub fn instance_map(detections: &[Detection], image: Size) -> ImageResult<Vec<u8>> {
    let mut numbers = vec![0_u16; image.area()];
    let mut surest_last: Vec<_> = detections.iter().zip(1..=u16::MAX).collect();
    surest_last.sort_by(|(a, i), (b, j)| a.score.total_cmp(&b.score).then(j.cmp(i)));
    for (detection, number) in surest_last {
        for_each(&detection.mask, |x, y| {
            numbers[y * image.width + x] = number
        });
    }
    // The encoder takes numbers as this machine stores them.
    let bytes: Vec<_> = numbers
        .iter()
        .flat_map(|number| number.to_ne_bytes())
        .collect();
    encode(&bytes, image, ExtendedColorType::L16, None)
}

/// The object of `mask` alone, as an RGBA PNG cropped to it and transparent around it; none for an
/// empty mask. `icc_profile`: of `photo`.
///
/// # Errors
///
/// When the profile cannot be written.
pub fn cutout(
    photo: &RgbImage,
    mask: &Mask,
    icc_profile: Option<&[u8]>,
) -> ImageResult<Option<Vec<u8>>> {
    let Some((left, top, size)) = extent(mask) else {
        return Ok(None);
    };
    let mut pixels = vec![0; 4 * size.area()];
    for_each(mask, |x, y| {
        let [r, g, b] = photo.get_pixel(x as u32, y as u32).0;
        let at = 4 * ((y - top) * size.width + x - left);
        pixels[at..at + 4].copy_from_slice(&[r, g, b, u8::MAX]);
    });
    encode(&pixels, size, ExtendedColorType::Rgba8, icc_profile).map(Some)
}

/// Left, top and size of the smallest rectangle that holds the pixels of a mask; none when there
/// are none.
pub(super) fn extent(mask: &Mask) -> Option<(usize, usize, Size)> {
    let mut bounds: Option<(usize, usize, usize, usize)> = None;
    for_each(mask, |x, y| {
        let (left, right, top, _) = bounds.unwrap_or((x, x, y, y));
        bounds = Some((left.min(x), right.max(x), top, y));
    });
    let (left, right, top, bottom) = bounds?;
    Some((left, top, Size::new(bottom + 1 - top, right + 1 - left)))
}

/// Does something for each pixel (x, y) of a mask, row by row.
fn for_each(mask: &Mask, mut act: impl FnMut(usize, usize)) {
    for y in mask.top()..mask.top() + mask.region().height {
        for (x, _) in mask.row(y).enumerate().filter(|(_, bit)| *bit) {
            act(mask.left() + x, y);
        }
    }
}

#[cfg(test)]
mod tests {
    use image::{DynamicImage, Rgb};

    use super::*;
    use crate::detection::tests::found;
    use crate::mask::tests::drawn;

    const IMAGE: Size = Size::new(5, 7);

    fn read(png: &[u8]) -> DynamicImage {
        image::load_from_memory(png).unwrap()
    }

    #[test]
    fn a_mask_is_white_on_black_of_the_whole_image() {
        let mask = drawn(IMAGE, 2, 1, &["##.", ".##"]);
        let DynamicImage::ImageLuma8(picture) = read(&mask_picture(&mask).unwrap()) else {
            panic!("it is grey in 8 bits");
        };
        assert_eq!(picture.dimensions(), (7, 5));
        for (x, y, pixel) in picture.enumerate_pixels() {
            let expected = if mask.contains(x as usize, y as usize) {
                255
            } else {
                0
            };
            assert_eq!(pixel.0, [expected], "{x} {y}");
        }
    }

    #[test]
    fn the_surer_object_has_the_shared_pixels() {
        let first = found("dog", 0.6, drawn(IMAGE, 0, 0, &["###"]));
        let second = found("dog", 0.9, drawn(IMAGE, 2, 0, &["##", "##"]));
        let third = found("dog", 0.6, drawn(IMAGE, 0, 0, &["#", "#"]));
        let png = instance_map(&[first, second, third], IMAGE).unwrap();
        let DynamicImage::ImageLuma16(map) = read(&png) else {
            panic!("it is grey in 16 bits");
        };
        let rows: Vec<Vec<u16>> = map
            .rows()
            .map(|row| row.map(|p| p.0[0]).collect())
            .collect();
        assert_eq!(rows[0], [1, 1, 2, 2, 0, 0, 0]);
        assert_eq!(rows[1], [3, 0, 2, 2, 0, 0, 0]);
        assert!(rows[2..].iter().flatten().all(|number| *number == 0));
    }

    #[test]
    fn a_cutout_is_cropped_and_transparent_around() {
        let photo = RgbImage::from_fn(7, 5, |x, y| Rgb([x as u8, y as u8, 9]));
        let mask = drawn(IMAGE, 1, 1, &["....", ".##.", "..#."]);
        let png = cutout(&photo, &mask, None).unwrap().unwrap();
        let DynamicImage::ImageRgba8(picture) = read(&png) else {
            panic!("it has transparency");
        };
        assert_eq!(picture.dimensions(), (2, 2));
        let pixels: Vec<_> = picture.pixels().map(|pixel| pixel.0).collect();
        assert_eq!(
            pixels,
            [[2, 2, 9, 255], [3, 2, 9, 255], [0; 4], [3, 3, 9, 255]]
        );
        assert!(cutout(&photo, &Mask::empty(IMAGE), None).unwrap().is_none());
    }
}
