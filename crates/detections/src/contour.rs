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
    /// the new curve. Tolerance 0 changes nothing. A curve keeps at least three corners, so that it
    /// stays a polygon.
    ///
    /// Douglas and Peucker, by imageproc.
    pub fn simplified(&self, tolerance: f64) -> Self {
        if tolerance.is_nan() || tolerance <= 0.0 {
            return self.clone();
        }
        let points: Vec<_> = self
            .corners
            .iter()
            .map(|&(x, y)| Point::new(x as i32, y as i32))
            .collect();
        let kept = approximate_polygon_dp(&points, tolerance, true);
        if kept.len() < 3 {
            return self.clone();
        }
        let corners = kept
            .iter()
            .map(|point| (point.x as u32, point.y as u32))
            .collect();
        Self {
            corners,
            is_hole: self.is_hole,
        }
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
