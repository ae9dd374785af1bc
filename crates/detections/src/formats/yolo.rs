//! What Ultralytics trains on.

use std::fmt::Write;

use super::polygons::{Polygon, outlines};
use crate::detection::Detection;
use crate::geometry::Size;

/// The text that Ultralytics keeps for an image of size `image`: a line an object, its class's place
/// in `labels` and the corners of its polygon as fractions of the image's sides (ultralytics,
/// `data/utils.py`, `verify_image_label`).
///
/// An object has one polygon there: holes and parts are joined by edges that lie on top of each
/// other. Corners leave the mask by `tolerance` pixels at most. What has no pixels is left out, and
/// so is a class that is not among the labels.
pub fn yolo(detections: &[Detection], image: Size, labels: &[String], tolerance: f64) -> String {
    let mut text = String::new();
    for detection in detections {
        let class = labels.iter().position(|label| **label == *detection.label);
        let (Some(class), Some(polygon)) = (class, joined(outlines(&detection.mask, tolerance)))
        else {
            continue;
        };
        let [width, height] = [image.width, image.height].map(|side| side as f64);
        write!(text, "{class}").expect("a string takes what is written to it");
        for (x, y) in polygon {
            // A millionth of a side is less than a hundredth of a pixel of any photo.
            write!(text, " {:.6} {:.6}", x / width, y / height)
                .expect("a string takes what is written to it");
        }
        text.push('\n');
    }
    text
}

/// One polygon of several, from each to the nearest corner of those before it and back; of fewer
/// than three corners, which no reader takes, the last one again. None of none.
fn joined(polygons: Vec<Polygon>) -> Option<Polygon> {
    let mut polygons = polygons.into_iter();
    let mut all = polygons.next()?;
    for part in polygons {
        let (mut best, mut shortest) = ((0, 0), f64::INFINITY);
        for (i, a) in all.iter().enumerate() {
            for (j, b) in part.iter().enumerate() {
                let distance = (a.0 - b.0).powi(2) + (a.1 - b.1).powi(2);
                if distance < shortest {
                    (best, shortest) = ((i, j), distance);
                }
            }
        }
        let (i, j) = best;
        let around = part[j..].iter().chain(&part[..=j]).copied();
        let cut: Vec<_> = around.chain([all[i]]).collect();
        all.splice(i + 1..i + 1, cut);
    }
    while all.len() < 3 {
        all.push(*all.last()?);
    }
    Some(all)
}

/// The file that tells Ultralytics where the labels of a data set are and what its classes are
/// called, to be completed by the folder of the images.
pub fn yolo_names(labels: &[String]) -> String {
    let mut text = "# Written by maskrcnn. Put the photos into `images`, beside `labels`, in the \
                    same folders.\npath: .\ntrain: images\nval: images\nnames:\n"
        .to_owned();
    for (class, label) in labels.iter().enumerate() {
        writeln!(text, "  {class}: {}", quoted(label))
            .expect("a string takes what is written to it");
    }
    text
}

/// A YAML string in double quotes (YAML 1.2, section 7.3.1); JSON's are such, and what YAML does
/// not take as it is, is escaped.
fn quoted(text: &str) -> String {
    let mut quoted = "\"".to_owned();
    for character in text.chars() {
        match character {
            '"' => quoted += "\\\"",
            '\\' => quoted += "\\\\",
            ' '..='~' => quoted.push(character),
            // Letters are printable there; everything else is safe as a number.
            _ if character.is_alphanumeric() => quoted.push(character),
            _ => write!(quoted, "\\U{:08X}", u32::from(character))
                .expect("a string takes what is written to it"),
        }
    }
    quoted + "\""
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detection::tests::found;
    use crate::mask::Mask;
    use crate::mask::tests::drawn;

    const IMAGE: Size = Size::new(4, 8);

    #[test]
    fn a_line_has_the_class_and_fractions_of_the_sides() {
        let labels = ["cat", "dog"].map(str::to_owned);
        let objects = [
            found("dog", 0.5, drawn(IMAGE, 1, 1, &["###", "###"])),
            found("bird", 0.5, drawn(IMAGE, 1, 1, &["###", "###"])),
            found("cat", 0.5, Mask::empty(IMAGE)),
            found("cat", 0.5, drawn(IMAGE, 0, 0, &["#"])),
        ];
        let expected = "1 0.187500 0.375000 0.437500 0.375000 0.437500 0.625000 0.187500 0.625000\n\
                        0 0.062500 0.125000 0.062500 0.125000 0.062500 0.125000\n";
        assert_eq!(yolo(&objects, IMAGE, &labels, 0.0), expected);
    }

    #[test]
    fn parts_are_joined_at_their_nearest_corners() {
        let square = |x: f64| vec![(x, 0.0), (x + 1.0, 0.0), (x + 1.0, 1.0), (x, 1.0)];
        let expected = [
            (0.0, 0.0),
            (1.0, 0.0),
            (3.0, 0.0),
            (4.0, 0.0),
            (4.0, 1.0),
            (3.0, 1.0),
            (3.0, 0.0),
            (1.0, 0.0),
            (1.0, 1.0),
            (0.0, 1.0),
        ];
        assert_eq!(
            joined(vec![square(0.0), square(3.0)]),
            Some(expected.to_vec())
        );
        assert_eq!(joined(Vec::new()), None);
    }

    #[test]
    fn names_of_any_characters_are_only_text() {
        let labels = ["dog", "a: \"b\" #c", "line\nend\u{202e}", "été", "no"].map(str::to_owned);
        let text = yolo_names(&labels);
        let names: Vec<_> = text
            .lines()
            .skip_while(|line| *line != "names:")
            .skip(1)
            .collect();
        assert_eq!(
            names,
            [
                r#"  0: "dog""#,
                r##"  1: "a: \"b\" #c""##,
                r#"  2: "line\U0000000Aend\U0000202E""#,
                r#"  3: "été""#,
                r#"  4: "no""#,
            ]
        );
    }
}
