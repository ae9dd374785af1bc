//! The edges of masks, exactly: closed curves along the sides of pixels.

use imageproc::geometry::approximate_polygon_dp;
use imageproc::point::Point;

use crate::geometry::Size;
use crate::mask::Mask;

/// A closed curve along the sides of a mask's pixels, by its corners.
///
/// Corners are crossings of the pixel grid, in pixels of the image: (0, 0) is the top left corner
/// of the first pixel, (width, height) the bottom right corner of the last. Filling all contours of
/// a mask by the even-odd rule gives the mask back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contour {
    /// As (x, y), clockwise around an object and anticlockwise around a hole; the last one is
    /// joined to the first. Neighbours differ in one coordinate unless the contour was simplified.
    pub corners: Vec<(u32, u32)>,
    /// Whether it goes around a hole.
    pub is_hole: bool,
}

impl Contour {
    /// All contours of a mask, from top to bottom by their first corners; none for an empty mask.
    ///
    /// Pixels that touch only by a corner are in contours of their own.
    pub fn of(mask: &Mask) -> Vec<Self> {
        trace(mask)
            .iter()
            .map(|sides| Self::around(sides))
            .collect()
    }

    fn around(sides: &[Side]) -> Self {
        let before = sides.iter().cycle().skip(sides.len() - 1);
        let turns = before
            .zip(sides)
            .filter(|(a, b)| a.direction != b.direction);
        let corners = turns.map(|(_, side)| (side.x, side.y)).collect();
        let mut contour = Self {
            corners,
            is_hole: false,
        };
        contour.is_hole = contour.doubled_area() < 0;
        contour
    }

    /// Twice the area inside, in square pixels; negative for holes.
    ///
    /// The shoelace formula; with y pointing down a clockwise curve counts positive.
    fn doubled_area(&self) -> i64 {
        let next = self.corners.iter().cycle().skip(1);
        let products = self.corners.iter().zip(next).map(|(&(ax, ay), &(bx, by))| {
            let [ax, ay, bx, by] = [ax, ay, bx, by].map(i64::from);
            ax * by - bx * ay
        });
        products.sum()
    }

    /// The same curve with fewer corners, none of the old ones further than `tolerance` pixels from
    /// the new curve. Tolerance 0 changes nothing. The new curve has at least three corners, so
    /// that it stays a polygon: an object thinner than the tolerance gets a finer one.
    ///
    /// Douglas and Peucker, by imageproc.
    pub fn simplified(&self, tolerance: f64) -> Self {
        if tolerance.is_nan() || tolerance <= 0.0 || self.corners.len() < 3 {
            return self.clone();
        }
        // There and back to the first corner: imageproc's own way to close a curve leaves out the
        // last corner, however far it is.
        let around = self.corners.iter().chain(self.corners.first());
        let around: Vec<_> = around.map(|&(x, y)| Point::new(x, y)).collect();
        // No two corners are further apart than this.
        let mut tolerance = tolerance.min(2.0 * f64::from(u32::MAX));
        let mut corners = Vec::new();
        loop {
            simplify(&around, tolerance, &mut corners);
            if corners.len() >= 3 {
                break;
            }
            if tolerance < FINEST {
                return self.clone();
            }
            corners.clear();
            tolerance /= 2.0;
        }
        Self {
            corners,
            is_hole: self.is_hole,
        }
    }
}

/// A curve of which fewer than three corners are left at this tolerance, in pixels, has all of them
/// on one line: no polygon can be had from it.
const FINEST: f64 = 1e-9;

/// Appends the corners of an open curve that are to be kept, without the last one. The curve has at
/// least two points.
///
/// imageproc measures distances to the endless line through two corners, so a spike beyond either
/// of them looks near, and a curve that ends where it began has no such line. Hence the check of
/// what imageproc leaves out, and another corner where that is too far away.
fn simplify(curve: &[Point<u32>], tolerance: f64, corners: &mut Vec<(u32, u32)>) {
    let kept = approximate_polygon_dp(curve, tolerance, false);
    let mut start = 0;
    for (i, &point) in kept.iter().enumerate().skip(1) {
        let end = if i + 1 == kept.len() {
            curve.len() - 1
        } else {
            let rest = &curve[start + 1..];
            let found = rest.iter().position(|&other| other == point);
            start + 1 + found.expect("imageproc keeps corners in their order")
        };
        let piece = &curve[start..=end];
        let distances = piece
            .iter()
            .map(|&point| distance(point, piece[0], curve[end]));
        let (farthest, distance) = distances
            .enumerate()
            .max_by(|(_, a), (_, b)| a.total_cmp(b))
            .expect("a piece of a curve has two ends");
        if distance > tolerance {
            simplify(&piece[..=farthest], tolerance, corners);
            simplify(&piece[farthest..], tolerance, corners);
        } else {
            corners.push((piece[0].x, piece[0].y));
        }
        start = end;
    }
}

/// From a point to the nearest one of the straight line between `start` and `end`, both included.
fn distance(point: Point<u32>, start: Point<u32>, end: Point<u32>) -> f64 {
    let [point, start, end] =
        [point, start, end].map(|point| Point::new(f64::from(point.x), f64::from(point.y)));
    let (along, out) = (end - start, point - start);
    let length = (along.x * along.x + along.y * along.y).sqrt();
    let dot = along.x * out.x + along.y * out.y;
    if dot <= 0.0 {
        (out.x * out.x + out.y * out.y).sqrt()
    } else if dot >= length * length {
        let beyond = point - end;
        (beyond.x * beyond.x + beyond.y * beyond.y).sqrt()
    } else {
        (along.x * out.y - along.y * out.x).abs() / length
    }
}

/// Directions of travel along pixel edges, clockwise from east, with the mask on the right hand (y
/// points down).
const STEPS: [(i64, i64); 4] = [(1, 0), (0, 1), (-1, 0), (0, -1)];

/// One side of a mask pixel, by the grid corner where it starts and the direction in which it is
/// travelled. Ordered by row, then column, of the start.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Side {
    /// Row of the corner.
    pub y: u32,
    /// Column of the corner.
    pub x: u32,
    direction: u8,
}

impl Side {
    /// From the corner where it starts to the one where it ends, as (x, y).
    pub fn step(self) -> (i64, i64) {
        STEPS[usize::from(self.direction)]
    }

    /// From the side into the mask, as (x, y).
    pub fn inward(self) -> (i64, i64) {
        STEPS[usize::from(self.direction + 1) % 4]
    }
}

/// The closed loops of pixel sides between a mask and the rest: clockwise around the outside,
/// anticlockwise around holes, in the order of their first sides. Empty for an empty mask.
///
/// Pixels that touch only by a corner are apart.
pub(crate) fn trace(mask: &Mask) -> Vec<Vec<Side>> {
    let sides = sides(mask);
    let mut visited = vec![false; sides.len()];
    let mut loops = Vec::new();
    for first in 0..sides.len() {
        let (mut contour, mut current) = (Vec::new(), first);
        while !std::mem::replace(&mut visited[current], true) {
            let side = sides[current];
            contour.push(side);
            let (dx, dy) = side.step();
            let x = (i64::from(side.x) + dx) as u32;
            let y = (i64::from(side.y) + dy) as u32;
            let next = |direction| sides.binary_search(&Side { y, x, direction });
            // Right turns first: they stay with the same pixel where two touch by a corner.
            let direction = side.direction;
            let turns = [(direction + 1) % 4, direction, (direction + 3) % 4];
            current = turns
                .into_iter()
                .find_map(|turn| next(turn).ok())
                .expect("sides of pixels form closed curves");
        }
        if !contour.is_empty() {
            loops.push(contour);
        }
    }
    loops
}

/// All sides between a mask pixel and a pixel that is off, in order.
fn sides(mask: &Mask) -> Vec<Side> {
    let (left, top, Size { height, width }) = (mask.left(), mask.top(), mask.region());
    let row = |y: usize| {
        if y < height {
            mask.row(top + y).collect()
        } else {
            vec![false; width]
        }
    };
    let (mut above, mut bits) = (vec![false; width], row(0));
    let mut sides = Vec::new();
    for y in 0..height {
        let below = row(y + 1);
        let mut push = |x: usize, y: usize, direction| {
            sides.push(Side {
                y: (top + y) as u32,
                x: (left + x) as u32,
                direction,
            });
        };
        for x in 0..width {
            if !bits[x] {
                continue;
            }
            if !above[x] {
                push(x, y, 0);
            }
            if x + 1 == width || !bits[x + 1] {
                push(x + 1, y, 1);
            }
            if !below[x] {
                push(x + 1, y + 1, 2);
            }
            if x == 0 || !bits[x - 1] {
                push(x, y + 1, 3);
            }
        }
        (above, bits) = (bits, below);
    }
    sides.sort_unstable();
    sides
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use image::{GrayImage, Luma};
    use imageproc::contours::{BorderType, find_contours};
    use imageproc::region_labelling::{Connectivity, connected_components};
    use proptest::prelude::*;

    use super::*;
    use crate::mask::tests::{any_mask, drawn};

    /// The corners of all contours around objects, and of all around holes.
    fn corners(mask: &Mask) -> [Vec<Vec<(u32, u32)>>; 2] {
        [false, true].map(|is_hole| {
            let contours = Contour::of(mask).into_iter();
            let contours = contours.filter(|contour| contour.is_hole == is_hole);
            contours.map(|contour| contour.corners).collect()
        })
    }

    /// The pairs of neighbouring corners, the last one and the first included.
    fn edges(contour: &Contour) -> impl Iterator<Item = ((u32, u32), (u32, u32))> {
        let corners = &contour.corners;
        let next = corners.iter().cycle().skip(1);
        corners.iter().copied().zip(next.copied())
    }

    /// Fills contours by the even-odd rule: the pixels from whose centres a ray to the right
    /// crosses an odd number of edges.
    fn filled(contours: &[Contour], image: Size) -> Mask {
        Mask::from_rows(image, 0, 0, image, |row, bits| {
            let y = row as f64 + 0.5;
            for (x, bit) in bits.iter_mut().enumerate() {
                let x = x as f64 + 0.5;
                let crossed = contours.iter().flat_map(edges).filter(|&(start, end)| {
                    let [(ax, ay), (bx, by)] =
                        [start, end].map(|(x, y)| (f64::from(x), f64::from(y)));
                    (ay > y) != (by > y) && x < ax + (y - ay) * (bx - ax) / (by - ay)
                });
                *bit = crossed.count() % 2 == 1;
            }
        })
    }

    /// From a corner to the nearest point of a contour, by projection.
    fn distance_to(contour: &Contour, (x, y): (u32, u32)) -> f64 {
        let distances = edges(contour).map(|((ax, ay), (bx, by))| {
            let [x, y, ax, ay, bx, by] = [x, y, ax, ay, bx, by].map(f64::from);
            let (dx, dy) = (bx - ax, by - ay);
            let length = dx * dx + dy * dy;
            let share = if length == 0.0 {
                0.0
            } else {
                (((x - ax) * dx + (y - ay) * dy) / length).clamp(0.0, 1.0)
            };
            let (across, down) = (ax + share * dx - x, ay + share * dy - y);
            (across * across + down * down).sqrt()
        });
        distances.fold(f64::INFINITY, f64::min)
    }

    /// The mask pixels on the right hand of somebody who walks along a contour.
    fn pixels_inside(contour: &Contour) -> BTreeSet<(i64, i64)> {
        let mut pixels = BTreeSet::new();
        for ((ax, ay), (bx, by)) in edges(contour) {
            let [ax, ay, bx, by] = [ax, ay, bx, by].map(i64::from);
            let (dx, dy) = ((bx - ax).signum(), (by - ay).signum());
            for step in 0..(bx - ax).abs() + (by - ay).abs() {
                let (x, y) = (ax + step * dx, ay + step * dy);
                pixels.insert(match (dx, dy) {
                    (1, 0) => (x, y),
                    (0, 1) => (x - 1, y),
                    (-1, 0) => (x - 1, y - 1),
                    _ => (x, y - 1),
                });
            }
        }
        pixels
    }

    /// A mask as imageproc has them, with a border of zeros.
    fn bordered(mask: &Mask) -> GrayImage {
        let Size { height, width } = mask.image();
        GrayImage::from_fn(width as u32 + 2, height as u32 + 2, |x, y| {
            let inside = x > 0 && y > 0 && mask.contains(x as usize - 1, y as usize - 1);
            Luma([u8::from(inside)])
        })
    }

    /// The mask with pixels added until none touch only by a corner, each pixel enlarged to a
    /// square of `scale` first.
    fn without_touches(mask: &Mask, scale: usize) -> Mask {
        let image = Size::new(mask.image().height * scale, mask.image().width * scale);
        let Size { height, width } = image;
        let mut bits: Vec<_> = (0..image.area())
            .map(|i| mask.contains(i % width / scale, i / width / scale))
            .collect();
        loop {
            let before = bits.clone();
            for y in 1..height {
                for x in 1..width {
                    let square = [(x - 1, y - 1), (x, y - 1), (x - 1, y), (x, y)];
                    let [a, b, c, d] = square.map(|(x, y)| bits[y * width + x]);
                    if a == d && b == c && a != b {
                        let (x, y) = square[usize::from(a)];
                        bits[y * width + x] = true;
                    }
                }
            }
            if bits == before {
                return Mask::new(image, 0, 0, image, bits);
            }
        }
    }

    /// The number of connected components that are not zero.
    fn count(image: &GrayImage, connectivity: Connectivity) -> usize {
        let labels = connected_components(image, connectivity, Luma([0]));
        labels.pixels().map(|label| label[0]).max().unwrap_or(0) as usize
    }

    #[test]
    fn a_rectangle_has_four_corners_clockwise() {
        let mask = drawn(Size::new(7, 9), 3, 2, &["####", "####"]);
        let rectangle = vec![(3, 2), (7, 2), (7, 4), (3, 4)];
        assert_eq!(corners(&mask), [vec![rectangle], vec![]]);
    }

    #[test]
    fn a_mask_that_fills_its_image_ends_at_its_edges() {
        let mask = drawn(Size::new(1, 3), 0, 0, &["###"]);
        let rectangle = vec![(0, 0), (3, 0), (3, 1), (0, 1)];
        assert_eq!(corners(&mask), [vec![rectangle], vec![]]);
    }

    #[test]
    fn an_l_has_six_corners() {
        let mask = drawn(Size::new(8, 6), 2, 1, &["#..", "#..", "###"]);
        let l = vec![(2, 1), (3, 1), (3, 3), (5, 3), (5, 4), (2, 4)];
        assert_eq!(corners(&mask), [vec![l], vec![]]);
    }

    #[test]
    fn a_hole_is_walked_around_anticlockwise() {
        let mask = drawn(Size::new(9, 7), 1, 2, &["#####", "#..##", "#####"]);
        let outside = vec![(1, 2), (6, 2), (6, 5), (1, 5)];
        let hole = vec![(2, 3), (2, 4), (4, 4), (4, 3)];
        assert_eq!(corners(&mask), [vec![outside], vec![hole]]);
    }

    #[test]
    fn pixels_that_touch_by_a_corner_are_apart() {
        let image = Size::new(4, 7);
        let falling = drawn(image, 3, 1, &["#.", ".#"]);
        let upper = vec![(3, 1), (4, 1), (4, 2), (3, 2)];
        let lower = vec![(4, 2), (5, 2), (5, 3), (4, 3)];
        assert_eq!(corners(&falling), [vec![upper, lower], vec![]]);
        let rising = drawn(image, 3, 1, &[".#", "#."]);
        let upper = vec![(4, 1), (5, 1), (5, 2), (4, 2)];
        let lower = vec![(3, 2), (4, 2), (4, 3), (3, 3)];
        assert_eq!(corners(&rising), [vec![upper, lower], vec![]]);
    }

    #[test]
    fn a_bay_that_opens_at_a_corner_is_no_hole() {
        let mask = drawn(Size::new(6, 5), 1, 2, &["##.", "#.#", "###"]);
        let [first, second] = [
            [(1, 2), (3, 2), (3, 3), (2, 3), (2, 4)],
            [(3, 4), (3, 3), (4, 3), (4, 5), (1, 5)],
        ];
        assert_eq!(corners(&mask), [vec![[first, second].concat()], vec![]]);
    }

    #[test]
    fn an_empty_mask_has_no_contours() {
        assert_eq!(Contour::of(&Mask::empty(Size::new(3, 5))), []);
        assert_eq!(
            Contour::of(&drawn(Size::new(3, 5), 1, 1, &["...", "..."])),
            []
        );
    }

    #[test]
    fn the_last_corner_of_a_rectangle_is_kept() {
        let mask = drawn(Size::new(7, 9), 3, 2, &["####", "####"]);
        let [rectangle] = &Contour::of(&mask)[..] else {
            panic!("one contour");
        };
        assert_eq!(&rectangle.simplified(0.5), rectangle);
    }

    #[test]
    fn what_is_thinner_than_the_tolerance_stays_a_polygon() {
        for rows in [&["#"][..], &["#######"], &["#", "#", "#", "#"]] {
            let mask = drawn(Size::new(7, 9), 2, 3, rows);
            for tolerance in [1.0, 1e9, f64::MAX, f64::INFINITY] {
                let simplified: Vec<_> = Contour::of(&mask)
                    .iter()
                    .map(|contour| contour.simplified(tolerance))
                    .collect();
                assert!(simplified[0].corners.len() >= 3, "{rows:?} {tolerance}");
                assert!(simplified[0].doubled_area() > 0, "{rows:?} {tolerance}");
            }
        }
    }

    #[test]
    fn a_spike_beyond_the_end_of_a_line_is_kept() {
        // The spike to the left is near the endless line from the first corner to the farthest,
        // and far from both.
        let rows = [
            ".....################",
            "#####################",
            "..........###########",
            ".............########",
            "...............######",
            "..................###",
        ];
        let mask = drawn(Size::new(9, 30), 4, 2, &rows);
        let contour = &Contour::of(&mask)[0];
        let simplified = contour.simplified(4.0);
        assert!(
            simplified.corners.iter().any(|&(x, _)| x == 4),
            "{simplified:?}"
        );
        assert!(simplified.corners.len() < contour.corners.len());
    }

    #[test]
    fn tolerances_that_are_none_change_nothing() {
        let mask = drawn(Size::new(8, 6), 2, 1, &["#..", "#..", "###"]);
        let contour = &Contour::of(&mask)[0];
        for tolerance in [0.0, -1.0, f64::NAN, f64::NEG_INFINITY, f64::MIN_POSITIVE] {
            assert_eq!(&contour.simplified(tolerance), contour, "{tolerance}");
        }
    }

    #[test]
    fn a_curve_that_is_no_polygon_is_left_alone() {
        for corners in [vec![], vec![(2, 3)], vec![(2, 3), (5, 3)], vec![(2, 3); 4]] {
            let contour = Contour {
                corners,
                is_hole: false,
            };
            assert_eq!(contour.simplified(1.0), contour);
        }
    }

    #[test]
    fn a_simplified_disc_still_covers_the_disc() {
        let image = Size::new(47, 61);
        for (x, y) in [(30.0, 23.0), (30.5, 22.5), (31.2, 23.7)] {
            let bits = (0..image.area()).map(|i| {
                let across = (i % image.width) as f64 + 0.5 - x;
                let down = (i / image.width) as f64 + 0.5 - y;
                across * across + down * down <= 400.0
            });
            let disc = Mask::new(image, 0, 0, image, bits.collect());
            let contour = &Contour::of(&disc)[0];
            let simplified = contour.simplified(1.0);
            assert!(simplified.corners.len() * 3 < contour.corners.len());
            let iou = filled(&[simplified], image).iou(&disc);
            assert!(iou >= 0.9, "{iou}");
        }
    }

    proptest! {
        #[test]
        fn filling_contours_gives_the_mask_back(mask in any_mask()) {
            let contours = Contour::of(&mask);
            prop_assert_eq!(filled(&contours, mask.image()).iou(&mask), 1.0);
            let doubled: i64 = contours.iter().map(Contour::doubled_area).sum();
            prop_assert_eq!(doubled, 2 * mask.area() as i64);
        }

        #[test]
        fn simplified_curves_stay_near_all_corners(
            mask in any_mask(),
            tolerance in 0.0..6.0,
        ) {
            for contour in Contour::of(&mask) {
                prop_assert_eq!(&contour.simplified(0.0), &contour);
                let simplified = contour.simplified(tolerance);
                prop_assert!(simplified.corners.len() >= 3);
                prop_assert_eq!(simplified.is_hole, contour.is_hole);
                for &corner in &contour.corners {
                    let distance = distance_to(&simplified, corner);
                    prop_assert!(distance <= tolerance + 1e-9, "{:?} {}", corner, distance);
                }
                let mut old = contour.corners.iter();
                for corner in &simplified.corners {
                    prop_assert!(old.any(|other| other == corner), "{:?} is not in order", corner);
                }
            }
        }

        #[test]
        fn imageproc_finds_the_same_borders(mask in any_mask(), scale in 1_usize..=3) {
            let mask = without_touches(&mask, scale);
            let (image, contours) = (bordered(&mask), Contour::of(&mask));
            let theirs = find_contours::<i64>(&image);
            for (is_hole, border_type) in [(false, BorderType::Outer), (true, BorderType::Hole)] {
                let ours = contours.iter().filter(|contour| contour.is_hole == is_hole);
                let mut ours: Vec<_> = ours.map(pixels_inside).collect();
                let theirs = theirs.iter().filter(|border| border.border_type == border_type);
                let mut theirs: Vec<BTreeSet<_>> = theirs
                    .map(|border| border.points.iter().map(|p| (p.x - 1, p.y - 1)).collect())
                    .collect();
                ours.sort();
                theirs.sort();
                prop_assert_eq!(ours, theirs);
            }
            let outside = contours.iter().filter(|contour| !contour.is_hole).count();
            prop_assert_eq!(outside, count(&image, Connectivity::Four));
            prop_assert_eq!(outside, count(&image, Connectivity::Eight));
            let mut background = image;
            background.pixels_mut().for_each(|pixel| pixel[0] = 1 - pixel[0]);
            // One component of the background is the outside.
            let holes = contours.len() - outside;
            prop_assert_eq!(holes + 1, count(&background, Connectivity::Four));
            prop_assert_eq!(holes + 1, count(&background, Connectivity::Eight));
        }
    }
}
