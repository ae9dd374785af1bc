//! Anchors: the boxes that the RPN's deltas start from.

use super::space::Space;
use crate::blueprint::{Anchors, RpnBlueprint};
use detections::{BBox, Size};

/// The anchors of one pyramid level, made on demand: there are hundreds of thousands, of which a
/// few thousand are used.
#[derive(Clone, Debug)]
pub(super) struct LevelAnchors {
    /// Left, top, right and bottom edges, in pixels, around (0, 0).
    cell: Vec<[f64; 4]>,
    grid_width: usize,
    stride: Size,
    space: Space,
}

impl LevelAnchors {
    /// The anchors of the level numbered `level`, 0 for P2, whose feature map has `grid` cells, for
    /// an image with boxes in this space.
    ///
    /// torchvision's stride is the padded size divided by the grid, cut to a whole number: on P6,
    /// whose grid is rounded up, it is not 64 for most sizes. torchvision
    /// `models/detection/anchor_utils.py`, `AnchorGenerator.forward`; detectron2
    /// `modeling/anchor_generator.py`, `DefaultAnchorGenerator` with offset 0; Matterport
    /// `mrcnn/utils.py`, `generate_pyramid_anchors`.
    pub fn new(blueprint: &RpnBlueprint, level: usize, grid: Size, space: Space) -> Self {
        let padded = space.frame().padded;
        let size = blueprint.anchor_sizes[level];
        let cell = blueprint
            .aspect_ratios
            .iter()
            .map(|&ratio| match blueprint.anchors {
                Anchors::WholePixels => cell_anchor(size, ratio),
                Anchors::Exact => exact_cell_anchor(size, ratio),
            })
            .collect();
        let stride = match blueprint.anchors {
            Anchors::WholePixels => {
                Size::new(padded.height / grid.height, padded.width / grid.width)
            }
            Anchors::Exact => Size::new(FINEST_STRIDE << level, FINEST_STRIDE << level),
        };
        Self {
            cell,
            grid_width: grid.width,
            stride,
            space,
        }
    }

    /// The anchor with this index in the order row, column, aspect ratio; not clipped.
    ///
    /// torchvision `AnchorGenerator.grid_anchors`.
    pub fn get(&self, index: usize) -> BBox {
        let cell = self.cell[index % self.cell.len()];
        let position = index / self.cell.len();
        let x = position % self.grid_width * self.stride.width;
        let y = position / self.grid_width * self.stride.height;
        self.space.anchor(x, y, cell)
    }
}

/// Pixels from cell to cell on P2.
const FINEST_STRIDE: usize = 4;

/// An anchor of area `size`² with this height over width, around (0, 0), unrounded.
///
/// detectron2 `DefaultAnchorGenerator.generate_cell_anchors`, in f64 as there; Matterport
/// `generate_anchors`.
fn exact_cell_anchor(size: f32, aspect_ratio: f32) -> [f64; 4] {
    let (size, aspect_ratio) = (f64::from(size), f64::from(aspect_ratio));
    let width = (size * size / aspect_ratio).sqrt();
    let (right, bottom) = (width / 2.0, aspect_ratio * width / 2.0);
    [-right, -bottom, right, bottom]
}

/// An anchor of area `size`² with this height over width, around (0, 0), rounded half to even as
/// torch does.
///
/// torchvision `AnchorGenerator.generate_anchors`.
fn cell_anchor(size: f32, aspect_ratio: f32) -> [f64; 4] {
    let height_ratio = aspect_ratio.sqrt();
    let width_ratio = 1.0 / height_ratio;
    let (width, height) = (width_ratio * size, height_ratio * size);
    let half = |side: f32| f64::from((side / 2.0).round_ties_even());
    [half(-width), half(-height), half(width), half(height)]
}

#[cfg(test)]
mod tests {
    use super::super::transform::Frame;
    use super::*;
    use crate::blueprint::{Coordinates, ProposalSelection, Ranking, Resize};
    use crate::fixture::{Fixture, edges};

    #[test]
    fn lie_where_torchvision_puts_them() {
        let ops = Fixture::ops();
        for case in ops.cases("anchors") {
            let mut blueprint = blueprint();
            blueprint.anchor_sizes = ops
                .integers(&format!("{case}sizes"))
                .iter()
                .map(|&size| size as f32)
                .collect();
            blueprint.aspect_ratios = ops
                .doubles(&format!("{case}ratios"))
                .iter()
                .map(|&ratio| ratio as f32)
                .collect();
            let padded = ops.size(&format!("{case}padded_size"));
            let mut found = Vec::new();
            for (level, grid) in ops
                .indices(&format!("{case}feature_sizes"))
                .as_chunks()
                .0
                .iter()
                .enumerate()
            {
                let &[height, width] = grid;
                let anchors =
                    LevelAnchors::new(&blueprint, level, Size::new(height, width), space(padded));
                found.extend(
                    (0..height * width * blueprint.aspect_ratios.len())
                        .map(|index| anchors.get(index)),
                );
            }
            assert_eq!(
                edges(&found),
                ops.floats(&format!("{case}expected")),
                "{case}"
            );
        }
    }

    /// That of an image which is padded to this size.
    fn space(padded: Size) -> Space {
        let frame = Frame {
            original: padded,
            resized: padded,
            padded,
            resize: Resize::Float,
        };
        Space::new(Coordinates::Edges, frame)
    }

    fn blueprint() -> RpnBlueprint {
        RpnBlueprint {
            anchor_sizes: vec![32.0, 64.0],
            aspect_ratios: vec![0.5, 1.0, 2.0],
            pre_nms_top_n: 1000,
            post_nms_top_n: 1000,
            nms_thresh: 0.7,
            min_size: 1e-3,
            convolutions: 1,
            channels: None,
            anchors: Anchors::WholePixels,
            selection: ProposalSelection::PerLevel,
            ranking: Ranking::Probability,
        }
    }

    #[test]
    fn cell_anchors_are_whole_pixels_wide_ones_first() {
        // The first row of torchvision's documented anchors for size 32: 45×23, 32×32, 23×45,
        // halves rounded.
        let anchors = LevelAnchors::new(&blueprint(), 0, Size::new(3, 5), space(Size::new(12, 20)));
        assert_eq!(anchors.get(0), BBox::new(-23.0, -11.0, 23.0, 11.0));
        assert_eq!(anchors.get(1), BBox::new(-16.0, -16.0, 16.0, 16.0));
        assert_eq!(anchors.get(2), BBox::new(-11.0, -23.0, 11.0, 23.0));
    }

    #[test]
    fn exact_anchors_are_unrounded_and_keep_their_strides() {
        // P3 of a padded input whose grid does not divide it: stride 8 all the same; size 64, half
        // as high as wide: 64·√2 by 64/√2.
        let blueprint = RpnBlueprint {
            anchors: Anchors::Exact,
            ..blueprint()
        };
        let anchors = LevelAnchors::new(&blueprint, 1, Size::new(3, 5), space(Size::new(25, 44)));
        let (right, bottom) = (45.254_833, 22.627_417);
        assert_eq!(anchors.get(0), BBox::new(-right, -bottom, right, bottom));
        let (x, y) = (2.0 * 8.0, 8.0); // row 1, column 2
        assert_eq!(
            anchors.get(3 * 7 + 1),
            BBox::new(x - 32.0, y - 32.0, x + 32.0, y + 32.0)
        );
    }

    #[test]
    fn positions_run_along_rows_with_the_stride_of_each_side() {
        // 3 rows by 5 columns over 13×22 pixels (not multiples): strides 4 and 4; index 3·(1·5 + 2)
        // + 1 is row 1, column 2.
        let anchors = LevelAnchors::new(&blueprint(), 0, Size::new(3, 5), space(Size::new(17, 22)));
        assert_eq!(
            anchors.get(3 * 7 + 1),
            BBox::new(8.0 - 16.0, 5.0 - 16.0, 8.0 + 16.0, 5.0 + 16.0)
        );
    }
}
