//! Masks as polygons, in the two ways in which tools fill them.

use std::ops::Range;

use crate::contour::Contour;
use crate::geometry::Size;
use crate::mask::Mask;

/// A polygon by its corners, as (x, y) in pixels of the image; the last corner is joined to the
/// first.
pub type Polygon = Vec<(f64, f64)>;

/// How much of what a mask and its polygons cover together is covered by both, at least.
const OVERLAP: f64 = 0.99;

/// A tolerance below which polygons are exact: sides of pixels have length 1.
const FINEST: f64 = 0.25;

/// The polygons of a mask for tools that take corners of pixels and fill what is inside, as COCO's
/// do: one for each part, from top to bottom; a hole is joined to the outline around it by two edges
/// on top of each other. None for an empty mask.
///
/// Corners leave the mask's edge by at most `tolerance` pixels, and by less where the polygons
/// would cover less than 99 % of what both cover together; 0 is exact.
///
/// Exact ones give the very mask back in pycocotools (`maskApi.c`, `rleFrPoly`), where edges that
/// lie on top of each other cancel out: 400 masks, with pycocotools 2.0.11.
pub fn polygons(mask: &Mask, tolerance: f64) -> Vec<Polygon> {
    let corners = |contour: &Contour| {
        let corners = contour.corners.iter();
        corners
            .map(|&(x, y)| (f64::from(x), f64::from(y)))
            .collect()
    };
    parts(mask, tolerance, corners)
}

/// The polygons of a mask for tools that take pixels and fill whatever the edges touch, as OpenCV
/// and Pillow do: through the centres of the pixels along its edge. Otherwise like [`polygons`]. An
/// exact one gives the mask back there where that is in one piece without holes; the cut to a hole is
/// an edge that they fill.
pub fn outlines(mask: &Mask, tolerance: f64) -> Vec<Polygon> {
    let [width, height] = [mask.image().width, mask.image().height].map(|side| side as f64);
    // Half a pixel to the right of a slanted edge may be outside.
    let inside = |(x, y): (f64, f64)| (x.max(0.5).min(width - 0.5), y.max(0.5).min(height - 0.5));
    parts(mask, tolerance, |contour| {
        centres(contour).into_iter().map(inside).collect()
    })
}

fn parts(mask: &Mask, tolerance: f64, corners: impl Fn(&Contour) -> Polygon) -> Vec<Polygon> {
    let parts = mask.parts();
    parts
        .iter()
        .map(|part| of_part(part, tolerance, &corners))
        .collect()
}

/// The polygon of a mask that is in one piece.
fn of_part(part: &Mask, tolerance: f64, corners: &impl Fn(&Contour) -> Polygon) -> Polygon {
    let contours = Contour::of(part);
    let mut tolerance = tolerance;
    let chosen = loop {
        if tolerance < FINEST {
            break contours;
        }
        let simplified: Vec<_> = contours.iter().map(|c| c.simplified(tolerance)).collect();
        if overlap(&simplified, part) >= OVERLAP {
            break simplified;
        }
        tolerance /= 2.0;
    };
    // The outline begins above and to the left of all holes.
    let mut rings = chosen.iter().map(corners);
    let mut polygon = rings.next().unwrap_or_default();
    rings.for_each(|hole| join(&mut polygon, &hole));
    polygon
}

/// Joins a hole to the ring around it, from the hole's first corner to the nearest one of the ring
/// and back.
fn join(ring: &mut Polygon, hole: &[(f64, f64)]) {
    let Some(&first) = hole.first() else {
        return;
    };
    let distance = |&(x, y): &(f64, f64)| (x - first.0).powi(2) + (y - first.1).powi(2);
    let nearest =
        (0..ring.len()).min_by(|&a, &b| distance(&ring[a]).total_cmp(&distance(&ring[b])));
    let nearest = nearest.expect("a mask with a hole has an outline");
    let back = [first, ring[nearest]];
    let cut: Vec<_> = hole.iter().copied().chain(back).collect();
    ring.splice(nearest + 1..nearest + 1, cut);
}

/// The centres of the pixels along a contour where it turns.
fn centres(contour: &Contour) -> Polygon {
    let mut polygon = Polygon::new();
    let corners = &contour.corners;
    for (place, &start) in corners.iter().enumerate() {
        let end = corners[(place + 1) % corners.len()];
        for corner in pixels_along(start, end) {
            if polygon.last() != Some(&corner) {
                polygon.push(corner);
            }
        }
    }
    while polygon.len() > 1 && polygon.first() == polygon.last() {
        polygon.pop();
    }
    polygon
}

/// The centres of the first and the last pixel on the right hand of somebody who walks from one
/// corner to another. Of an edge that is not along the grid, which a simplified contour has, one
/// that is half a pixel to the right of each end.
fn pixels_along(start: (u32, u32), end: (u32, u32)) -> [(f64, f64); 2] {
    let [ax, ay, bx, by] = [start.0, start.1, end.0, end.1].map(f64::from);
    let (dx, dy) = (bx - ax, by - ay);
    // From a corner to the centre of the pixel ahead of it, and of the one behind, to the right.
    let (ahead, behind) = if dy == 0.0 {
        let (along, right) = (0.5 * dx.signum(), 0.5 * dx.signum());
        ((along, right), (-along, right))
    } else if dx == 0.0 {
        let (along, right) = (0.5 * dy.signum(), -0.5 * dy.signum());
        ((right, along), (right, -along))
    } else {
        let right = (-0.5 * dy.signum(), 0.5 * dx.signum());
        (right, right)
    };
    [(ax + ahead.0, ay + ahead.1), (bx + behind.0, by + behind.1)]
}

/// How much of what a mask and its simplified contours, filled as COCO's tools fill them, cover
/// together is covered by both, 0 to 1.
fn overlap(contours: &[Contour], mask: &Mask) -> f64 {
    let (mut both, mut filled) = (0, 0);
    for (column, rows) in filled_rows(contours, mask.image()) {
        filled += rows.len();
        both += rows.filter(|&row| mask.contains(column, row)).count();
    }
    let either = mask.area() + filled - both;
    both as f64 / either.max(1) as f64
}

/// Which pixels pycocotools takes for the inside of contours: pieces of columns.
///
/// pycocotools `common/maskApi.c`, `rleFrPoly`: edges are drawn five times as large, and a column
/// changes where one crosses its middle.
fn filled_rows(contours: &[Contour], image: Size) -> Vec<(usize, Range<usize>)> {
    const SCALE: i64 = 5;
    let mut changes = vec![Vec::new(); image.width];
    for (start, end) in contours.iter().flat_map(edges) {
        let mut before = None::<(i64, i64)>;
        for_each_point(start.map(|v| SCALE * v), end.map(|v| SCALE * v), |x, y| {
            let (x_before, y_before) = before.replace((x, y)).unwrap_or((x, y));
            // The middle of a column lies behind the third of its five steps.
            let left = x.min(x_before);
            if x != x_before && left.rem_euclid(SCALE) == SCALE / 2 {
                // Rounded up.
                let row = (y.min(y_before) + SCALE / 2).div_euclid(SCALE);
                changes[(left / SCALE) as usize].push(row as usize);
            }
        });
    }
    let columns = changes.into_iter().enumerate();
    let pieces = columns.flat_map(|(column, mut rows)| {
        rows.sort_unstable();
        let pairs: Vec<_> = rows
            .chunks_exact(2)
            .map(|pair| (column, pair[0]..pair[1]))
            .collect();
        pairs
    });
    pieces.collect()
}

/// The points of an edge, from its beginning to its end: whole steps along the axis on which it is
/// longer.
fn for_each_point(start: [i64; 2], end: [i64; 2], mut act: impl FnMut(i64, i64)) {
    let (dx, dy) = ((end[0] - start[0]).abs(), (end[1] - start[1]).abs());
    let length = dx.max(dy);
    let along = usize::from(dx < dy);
    // An edge has the same points in both directions.
    let is_back = start[along] > end[along];
    let (from, to) = if is_back { (end, start) } else { (start, end) };
    let across = 1 - along;
    let slope = (to[across] - from[across]) as f64 / length as f64;
    for step in 0..=length {
        let step = if is_back { length - step } else { step };
        let mut point = [0; 2];
        point[along] = from[along] + step;
        point[across] = (from[across] as f64 + slope * step as f64 + 0.5) as i64;
        act(point[0], point[1]);
    }
}

/// The edges of a contour, as pairs of [x, y].
fn edges(contour: &Contour) -> impl Iterator<Item = ([i64; 2], [i64; 2])> {
    let corner = |&(x, y): &(u32, u32)| [i64::from(x), i64::from(y)];
    let next = contour.corners.iter().cycle().skip(1);
    let pairs = contour.corners.iter().zip(next);
    pairs.map(move |(a, b)| (corner(a), corner(b)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::mask::tests::{any_mask, drawn};

    /// Fills polygons by the even-odd rule at the centres of pixels, each by itself.
    fn filled(polygons: &[Polygon], image: Size) -> Mask {
        let inside = |polygon: &Polygon, x: f64, y: f64| {
            let next = polygon.iter().cycle().skip(1);
            let crossed = polygon.iter().zip(next).filter(|&(&(ax, ay), &(bx, by))| {
                (ay <= y) != (by <= y) && x < ax + (y - ay) / (by - ay) * (bx - ax)
            });
            crossed.count() % 2 == 1
        };
        let bits = (0..image.area()).map(|i| {
            let (x, y) = (
                (i % image.width) as f64 + 0.5,
                (i / image.width) as f64 + 0.5,
            );
            polygons.iter().any(|polygon| inside(polygon, x, y))
        });
        Mask::new(image, 0, 0, image, bits.collect())
    }

    #[test]
    fn a_hole_is_joined_by_a_cut_of_no_width() {
        let mask = drawn(Size::new(9, 7), 1, 2, &["#####", "#..##", "#####"]);
        let expected = [
            (1.0, 2.0),
            (2.0, 3.0),
            (2.0, 4.0),
            (4.0, 4.0),
            (4.0, 3.0),
            (2.0, 3.0),
            (1.0, 2.0),
            (6.0, 2.0),
            (6.0, 5.0),
            (1.0, 5.0),
        ];
        assert_eq!(polygons(&mask, 0.0), [expected.to_vec()]);
    }

    #[test]
    fn outlines_go_through_the_centres_of_pixels() {
        let mask = drawn(Size::new(8, 6), 2, 1, &["#..", "#..", "###"]);
        let expected = [(2.5, 1.5), (2.5, 2.5), (3.5, 3.5), (4.5, 3.5), (2.5, 3.5)];
        assert_eq!(outlines(&mask, 0.0), [expected.to_vec()]);
        let pixel = drawn(Size::new(4, 9), 6, 2, &["#"]);
        assert_eq!(outlines(&pixel, 0.0), [[(6.5, 2.5)]]);
    }

    /// What pycocotools 2.0 makes of [0, 0, 7, 3, 2, 6].
    const TRIANGLE: [&str; 7] = [
        "#........",
        ".###.....",
        ".#####...",
        ".#####...",
        "..##.....",
        "..#......",
        ".........",
    ];

    /// What pycocotools 2.0 makes of [1, 5, 4, 0, 8, 2, 6, 6].
    const FOUR: [&str; 7] = [
        "....#....",
        "...####..",
        "..######.",
        "..#####..",
        ".######..",
        "....##...",
        ".........",
    ];

    #[test]
    fn slanted_edges_are_filled_as_coco_fills_them() {
        for (corners, expected) in [
            (vec![(0, 0), (7, 3), (2, 6)], TRIANGLE),
            (vec![(1, 5), (4, 0), (8, 2), (6, 6)], FOUR),
        ] {
            let image = Size::new(7, 9);
            let contour = Contour {
                corners,
                is_hole: false,
            };
            let pieces = filled_rows(&[contour], image);
            let is_in = |x: usize, y: usize| pieces.iter().any(|(c, r)| *c == x && r.contains(&y));
            let bits = (0..image.area()).map(|i| is_in(i % 9, i / 9));
            let found = Mask::new(image, 0, 0, image, bits.collect());
            assert_eq!(found, drawn(image, 0, 0, &expected));
        }
    }

    #[test]
    fn a_large_simplified_mask_is_covered() {
        let image = Size::new(90, 130);
        let disc = (0..image.area()).map(|i| {
            let (x, y) = (
                (i % image.width) as f64 - 60.0,
                (i / image.width) as f64 - 44.0,
            );
            let distance = x * x + y * y;
            (150.0..=1500.0).contains(&distance)
        });
        let mask = Mask::new(image, 0, 0, image, disc.collect());
        let found = polygons(&mask, 1.0);
        assert!(filled(&found, image).iou(&mask) >= 0.99);
        assert!(found[0].len() < polygons(&mask, 0.0)[0].len());
        // However coarse it may be.
        assert!(filled(&polygons(&mask, 50.0), image).iou(&mask) >= 0.99);
    }

    proptest! {
        #[test]
        fn exact_polygons_give_the_mask_back(mask in any_mask()) {
            let found = polygons(&mask, 0.0);
            prop_assert_eq!(found.len(), mask.parts().len());
            prop_assert_eq!(filled(&found, mask.image()).iou(&mask), 1.0);
        }

        #[test]
        fn exact_contours_cover_their_mask(mask in any_mask()) {
            for part in mask.parts() {
                prop_assert_eq!(overlap(&Contour::of(&part), &part), 1.0);
            }
        }
    }
}
