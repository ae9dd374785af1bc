//! What LabelMe opens and edits.

use data_encoding::BASE64;
use image::{ExtendedColorType, ImageResult};
use serde::Serialize;

use super::polygons::outlines;
use super::rasters::extent;
use crate::contour::Contour;
use crate::detection::Detection;
use crate::geometry::Size;
use crate::mask::Mask;
use crate::png::encode;
use crate::report::line;

/// The version of LabelMe's format that this is: masks as shapes came with 5.3.
const VERSION: &str = "5.5.0";

/// labelme, `_label_file.py`, `LabelFile.load` and `save`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct File<'a> {
    version: &'static str,
    flags: Empty,
    shapes: Vec<Shape<'a>>,
    image_path: &'a str,
    image_data: (),
    image_height: usize,
    image_width: usize,
}

#[derive(Serialize)]
struct Empty {}

#[derive(Serialize)]
struct Shape<'a> {
    label: &'a str,
    points: Vec<(f64, f64)>,
    group_id: (),
    description: String,
    shape_type: &'static str,
    flags: Empty,
    /// A PNG in base64, for a shape that is a mask.
    mask: Option<String>,
}

/// The JSON that LabelMe keeps beside an image of size `image`, which it finds at `image_path`, from
/// the JSON's own folder on.
///
/// An object in one piece without holes is a polygon, whose corners leave it by `tolerance` pixels
/// at most; any other is a mask, which LabelMe edits with a brush. What has no pixels is left out.
/// The score stands in the description.
///
/// # Errors
///
/// When a mask cannot be encoded.
pub fn labelme(
    detections: &[Detection],
    image: Size,
    image_path: &str,
    tolerance: f64,
) -> ImageResult<String> {
    let shapes = detections.iter();
    let shapes = shapes.filter_map(|detection| Shape::new(detection, tolerance).transpose());
    let file = File {
        version: VERSION,
        flags: Empty {},
        shapes: shapes.collect::<ImageResult<_>>()?,
        image_path,
        image_data: (),
        image_height: image.height,
        image_width: image.width,
    };
    Ok(line(&file) + "\n")
}

impl<'a> Shape<'a> {
    /// The shape of an object; none when it has no pixels.
    fn new(detection: &'a Detection, tolerance: f64) -> ImageResult<Option<Self>> {
        let mask = &detection.mask;
        let Some((left, top, size)) = extent(mask) else {
            return Ok(None);
        };
        let outlines = if Contour::of(mask).len() == 1 {
            outlines(mask, tolerance)
        } else {
            Vec::new()
        };
        let polygon = outlines.into_iter().find(|polygon| polygon.len() >= 3);
        let (shape_type, points, png) = match polygon {
            Some(polygon) => ("polygon", polygon, None),
            None => {
                let corner = |x: usize, y: usize| (x as f64, y as f64);
                let (right, bottom) = (left + size.width - 1, top + size.height - 1);
                let corners = vec![corner(left, top), corner(right, bottom)];
                let png = cropped(mask, left, top, size)?;
                ("mask", corners, Some(BASE64.encode(&png)))
            }
        };
        Ok(Some(Self {
            label: &detection.label,
            points,
            group_id: (),
            description: format!("score {}", detection.score),
            shape_type,
            flags: Empty {},
            mask: png,
        }))
    }
}

/// A rectangle of a mask as a PNG of 0 and 1, as labelme's `img_arr_to_b64` makes of an array.
fn cropped(mask: &Mask, left: usize, top: usize, size: Size) -> ImageResult<Vec<u8>> {
    let bits = (0..size.area())
        .map(|i| u8::from(mask.contains(left + i % size.width, top + i / size.width)));
    let bits: Vec<u8> = bits.collect();
    encode(&bits, size, ExtendedColorType::L8, None)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::detection::tests::found;
    use crate::mask::tests::drawn;

    const IMAGE: Size = Size::new(9, 14);

    #[test]
    fn one_piece_is_a_polygon_and_anything_else_a_mask() {
        let square = found("a \"dog\"", 0.5, drawn(IMAGE, 2, 1, &["###", "###", "###"]));
        let ring = found("ring", 0.5, drawn(IMAGE, 8, 4, &["###", "#.#", "###"]));
        let pixel = found("pixel", 0.5, drawn(IMAGE, 13, 8, &["#"]));
        let empty = found("empty", 0.5, Mask::empty(IMAGE));
        let text = labelme(
            &[square, ring, pixel, empty],
            IMAGE,
            "../p \u{202e}.jpg",
            0.0,
        )
        .unwrap();
        let read: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(read["imagePath"], "../p \u{202e}.jpg");
        assert_eq!(
            (&read["imageHeight"], &read["imageWidth"]),
            (&json!(9), &json!(14))
        );
        assert_eq!(read["imageData"], Value::Null);
        let shapes = read["shapes"].as_array().unwrap();
        let kinds: Vec<_> = shapes.iter().map(|shape| &shape["shape_type"]).collect();
        assert_eq!(kinds, ["polygon", "mask", "mask"]);
        assert_eq!(shapes[0]["label"], "a \"dog\"");
        let corners = json!([[2.5, 1.5], [4.5, 1.5], [4.5, 3.5], [2.5, 3.5]]);
        assert_eq!(shapes[0]["points"], corners);
        assert_eq!(shapes[1]["points"], json!([[8.0, 4.0], [10.0, 6.0]]));
        let png = BASE64
            .decode(shapes[1]["mask"].as_str().unwrap().as_bytes())
            .unwrap();
        let bits = image::load_from_memory(&png).unwrap().into_luma8();
        assert_eq!(bits.as_raw(), &[1, 1, 1, 1, 0, 1, 1, 1, 1]);
    }
}
