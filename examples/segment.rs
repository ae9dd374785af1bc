//! The library in thirty lines: `cargo run --release --example segment -- photo.jpg found.png
//! [weights]`.

use std::error::Error;
use std::path::Path;

use maskrcnn::image::{DynamicImage, ImageDecoder, ImageReader};
use maskrcnn::{Device, MaskRcnn, SegmentOptions, Style, Weights, render};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (photo, picture, weights) = match &arguments[..] {
        [photo, picture] => (photo, picture, Weights::embedded()?),
        [photo, picture, weights] => (photo, picture, Weights::open(Path::new(weights))?),
        _ => return Err("usage: segment PHOTO PICTURE [WEIGHTS]".into()),
    };

    let model = MaskRcnn::new(weights, Device::Cpu)?;
    // Upright, as the camera was held; `image::open` would not turn it.
    let mut decoder = ImageReader::open(photo)?
        .with_guessed_format()?
        .into_decoder()?;
    let orientation = decoder.orientation()?;
    let mut photo = DynamicImage::from_decoder(decoder)?;
    photo.apply_orientation(orientation);
    let photo = photo.to_rgb8();
    let options = SegmentOptions {
        score_threshold: 0.6,
        ..SegmentOptions::default()
    };
    let detections = model.segment(&photo, &options)?;

    for found in &detections {
        let (x, y) = (found.bbox.x1, found.bbox.y1);
        println!(
            "{} {:.2} at {x:.0}, {y:.0}: {} pixels",
            found.label,
            found.score,
            found.mask.area()
        );
    }
    render(&photo, &detections, &Style::default()).save(picture)?;
    Ok(())
}
