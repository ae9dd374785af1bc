//! What the coordinates of boxes mean between the anchors and the detections.

use super::transform::Frame;
use crate::blueprint::Coordinates;
use crate::ops::BoxCoder;
use detections::{BBox, Size};

/// The coordinates of the boxes of one image, and the way from them to its original pixels.
#[derive(Clone, Copy, Debug)]
pub(super) struct Space {
    coordinates: Coordinates,
    frame: Frame,
}

impl Space {
    /// That of an image that went through these sizes.
    pub fn new(coordinates: Coordinates, frame: Frame) -> Self {
        Self { coordinates, frame }
    }

    /// The sizes of the image.
    pub fn frame(self) -> Frame {
        self.frame
    }

    /// The box around (`x`, `y`), in pixels of the network's input, whose edges lie so far from
    /// there: left, top, right, bottom.
    pub fn anchor(self, x: usize, y: usize, [left, top, right, bottom]: [f64; 4]) -> BBox {
        match self.coordinates {
            Coordinates::Edges => {
                let (x, y) = (x as f32, y as f32);
                BBox::new(
                    x + left as f32,
                    y + top as f32,
                    x + right as f32,
                    y + bottom as f32,
                )
            }
            Coordinates::Normalised => {
                let (x, y) = (x as f64, y as f64);
                let Size { height, width } = self.frame.padded;
                normalised([x + left, y + top, x + right, y + bottom], height, width)
            }
        }
    }

    /// The box that deltas make of another. torchvision `models/detection/_utils.py`,
    /// `BoxCoder.decode_single`; Matterport `mrcnn/model.py`, `apply_box_deltas_graph`.
    pub fn decode(self, coder: BoxCoder, deltas: [f32; 4], reference: BBox) -> BBox {
        match self.coordinates {
            Coordinates::Edges => coder.decode(deltas, reference),
            Coordinates::Normalised => coder.decode_unlimited(deltas, reference),
        }
    }

    /// A proposal, cut to what the network sees: the resized image, or the square around it.
    pub fn clip_proposal(self, bbox: BBox) -> BBox {
        match self.coordinates {
            Coordinates::Edges => bbox.clip(self.frame.resized),
            Coordinates::Normalised => clip(bbox, BBox::new(0.0, 0.0, 1.0, 1.0)),
        }
    }

    /// A detection, cut to the image.
    pub fn clip_detection(self, bbox: BBox) -> BBox {
        match self.coordinates {
            Coordinates::Edges => bbox.clip(self.frame.resized),
            Coordinates::Normalised => clip(bbox, self.window()),
        }
    }

    /// A detection in original pixels; may become empty. Normalised boxes get whole edges, a half
    /// being rounded to even.
    ///
    /// Matterport `mrcnn/model.py`, `unmold_detections`, and `utils.py`, `denorm_boxes`: shares of
    /// the window in f32, pixels in f64.
    pub fn to_original(self, bbox: BBox) -> BBox {
        match self.coordinates {
            Coordinates::Edges => self.frame.to_original(bbox),
            Coordinates::Normalised => {
                let window = self.window();
                let Size { height, width } = self.frame.original;
                let edge = |edge: f32, start: f32, length: f32, side: usize, shift: f64| {
                    let share = f64::from((edge - start) / length);
                    (share * (side as f64 - 1.0) + shift).round_ties_even() as f32
                };
                BBox::new(
                    edge(bbox.x1, window.x1, window.width(), width, 0.0),
                    edge(bbox.y1, window.y1, window.height(), height, 0.0),
                    edge(bbox.x2, window.x1, window.width(), width, 1.0),
                    edge(bbox.y2, window.y1, window.height(), height, 1.0),
                )
            }
        }
    }

    /// The part of the square that is the image, normalised.
    fn window(self) -> BBox {
        let Frame {
            resized, padded, ..
        } = self.frame;
        let [top, left] = self.frame.offset().map(|edge| edge as f64);
        let (bottom, right) = (top + resized.height as f64, left + resized.width as f64);
        normalised([left, top, right, bottom], padded.height, padded.width)
    }
}

/// Edges in pixels (left, top, right, bottom) as shares of a picture's sides less one pixel; right
/// and bottom ones are a pixel further in. Matterport `mrcnn/utils.py`, `norm_boxes`, in f64.
fn normalised([left, top, right, bottom]: [f64; 4], height: usize, width: usize) -> BBox {
    let (height, width) = (height as f64 - 1.0, width as f64 - 1.0);
    BBox::new(
        (left / width) as f32,
        (top / height) as f32,
        ((right - 1.0) / width) as f32,
        ((bottom - 1.0) / height) as f32,
    )
}

/// Matterport `mrcnn/model.py`, `clip_boxes_graph`.
fn clip(bbox: BBox, window: BBox) -> BBox {
    BBox::new(
        bbox.x1.min(window.x2).max(window.x1),
        bbox.y1.min(window.y2).max(window.y1),
        bbox.x2.min(window.x2).max(window.x1),
        bbox.y2.min(window.y2).max(window.y1),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::blueprint::Resize;

    /// An image of 300×151 pixels, doubled, in the middle of a square of 1001.
    fn space() -> Space {
        Space::new(
            Coordinates::Normalised,
            Frame {
                original: Size::new(151, 300),
                resized: Size::new(302, 600),
                padded: Size::new(1001, 1001),
                resize: Resize::Square,
            },
        )
    }

    #[test]
    fn the_whole_window_is_the_whole_image() {
        let space = space();
        let whole = space.clip_detection(BBox::new(-1.0, -1.0, 2.0, 2.0));
        // (1001 − 600) / 2 = 200 and (1001 − 302) / 2 = 349, cut.
        assert_eq!(whole, BBox::new(0.2, 0.349, 0.799, 0.65));
        let original = BBox::new(0.0, 0.0, 300.0, 151.0);
        assert_eq!(space.to_original(whole), original);
        let beside = space.clip_detection(BBox::new(0.0, 0.0, 0.1, 0.1));
        // A point of the window's corner becomes a pixel, for its right and bottom edges lie
        // a pixel further in.
        assert_eq!(space.to_original(beside), BBox::new(0.0, 0.0, 1.0, 1.0));
    }

    #[test]
    fn anchors_are_shares_of_the_square_less_one_pixel() {
        let anchor = space().anchor(100, 40, [-50.0, -20.0, 51.0, 31.0]);
        assert_eq!(anchor, BBox::new(0.05, 0.02, 0.15, 0.07));
        let edges = Space::new(Coordinates::Edges, space().frame());
        let anchor = edges.anchor(100, 40, [-50.0, -20.0, 51.0, 31.0]);
        assert_eq!(anchor, BBox::new(50.0, 20.0, 151.0, 71.0));
    }
}
