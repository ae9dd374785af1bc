//! The operators that libtorch lacks, over plain slices: no tensors, no weights.
//!
//! Each gives its peer's numbers, torchvision's unless it says otherwise; where rounding could decide
//! (a comparison against a threshold), the order of the floating-point operations is the peer's too.

pub(crate) mod bilinear;
mod box_coder;
mod crop_and_resize;
pub(crate) mod elementary;
mod nms;
mod paste_at_centres;
mod paste_mask;
mod resize_bytes;
mod roi_align;
mod suppress;
mod zoom;

pub use box_coder::BoxCoder;
pub use crop_and_resize::crop_and_resize;
pub use nms::batched_nms;
pub use paste_at_centres::paste_mask_at_centres;
pub use paste_mask::paste_mask;
pub(crate) use resize_bytes::resize_bytes;
pub use roi_align::{FeatureMap, RoiAlign};
pub use suppress::suppress;
pub use zoom::paste_whole_mask;
pub(crate) use zoom::zoom_bytes;

#[cfg(test)]
mod tests {
    use crate::fixture::{Fixture, edges};
    use detections::BBox;

    #[test]
    fn clips_and_drops_the_small_as_torchvision_does() {
        let ops = Fixture::ops();
        for case in ops.cases("clip") {
            let image = ops.size(&format!("{case}image_size"));
            let clipped: Vec<BBox> = ops
                .boxes(&format!("{case}boxes"))
                .iter()
                .map(|b| b.clip(image))
                .collect();
            assert_eq!(
                edges(&clipped),
                ops.floats(&format!("{case}expected")),
                "{case}"
            );
        }
        for case in ops.cases("remove_small") {
            let least = ops.doubles(&format!("{case}min_size"))[0] as f32;
            let boxes = ops.boxes(&format!("{case}boxes"));
            let kept: Vec<usize> = (0..boxes.len())
                .filter(|&i| boxes[i].has_sides_of(least))
                .collect();
            assert_eq!(kept, ops.indices(&format!("{case}expected")), "{case}");
        }
    }
}
