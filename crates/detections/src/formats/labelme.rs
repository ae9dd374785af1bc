//! What LabelMe opens and edits.

use std::io::Cursor;

use data_encoding::BASE64;
use image::codecs::png::PngEncoder;
use image::{ExtendedColorType, ImageEncoder};
use serde::Serialize;

use super::polygons::outlines;
use super::rasters::extent;
use crate::contour::Contour;
use crate::detection::Detection;
use crate::geometry::Size;
use crate::mask::Mask;
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
pub fn labelme(detections: &[Detection], image: Size, image_path: &str, tolerance: f64) -> String {
    let shapes = detections.iter().filter_map(|detection| {
        let mask = &detection.mask;
        let (left, top, size) = extent(mask)?;
        let contours = Contour::of(mask);
        let outlines = if contours.len() == 1 {
            outlines(mask, tolerance)
        } else {
            Vec::new()
        };
        let polygon = outlines
            .into_iter()
            .next()
            .filter(|polygon| polygon.len() >= 3);
        let (shape_type, points, png) = match polygon {
            Some(polygon) => ("polygon", polygon, None),
            None => {
                let [left, top] = [left, top].map(|side| side as f64);
                let (right, bottom) = (
                    left + size.width as f64 - 1.0,
                    top + size.height as f64 - 1.0,
                );
                let corners = vec![(left, top), (right, bottom)];
                ("mask", corners, Some(BASE64.encode(&cropped(mask)?)))
            }
        };
        Some(Shape {
            label: &detection.label,
            points,
            group_id: (),
            description: format!("score {}", detection.score),
            shape_type,
            flags: Empty {},
            mask: png,
        })
    });
    let file = File {
        version: VERSION,
        flags: Empty {},
        shapes: shapes.collect(),
        image_path,
        image_data: (),
        image_height: image.height,
        image_width: image.width,
    };
    line(&file) + "\n"
}

/// The smallest rectangle around a mask as a PNG of 0 and 1, as labelme's `img_arr_to_b64` makes of
/// an array; none for an empty mask.
fn cropped(mask: &Mask) -> Option<Vec<u8>> {
    let (left, top, size) = extent(mask)?;
    let bits = (0..size.area())
        .map(|i| u8::from(mask.contains(left + i % size.width, top + i / size.width)));
    let bits: Vec<u8> = bits.collect();
    let mut bytes = Cursor::new(Vec::new());
    let encoder = PngEncoder::new(&mut bytes);
    let (width, height) = (size.width as u32, size.height as u32);
    encoder
        .write_image(&bits, width, height, ExtendedColorType::L8)
        .ok()?;
    Some(bytes.into_inner())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::geometry::BBox;
    use crate::mask::tests::drawn;

    const IMAGE: Size = Size::new(9, 14);

    fn labelled(label: &str, mask: Mask) -> Detection {
        Detection {
            category_id: 1,
            label: label.into(),
            score: 0.5,
            bbox: BBox::new(0.0, 0.0, 1.0, 1.0),
            mask,
        }
    }

    #[test]
    fn one_piece_is_a_polygon_and_anything_else_a_mask() {
        let square = labelled("a \"dog\"", drawn(IMAGE, 2, 1, &["###", "###", "###"]));
        let ring = labelled("ring", drawn(IMAGE, 8, 4, &["###", "#.#", "###"]));
        let pixel = labelled("pixel", drawn(IMAGE, 13, 8, &["#"]));
        let empty = labelled("empty", Mask::empty(IMAGE));
        let text = labelme(
            &[square, ring, pixel, empty],
            IMAGE,
            "../p \u{202e}.jpg",
            0.0,
        );
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
