//! The operators that libtorch lacks, over plain slices: no tensors, no weights.
//!
//! Each gives torchvision's numbers; where rounding could decide (a comparison against a
//! threshold), the order of the floating-point operations is torchvision's too.

pub(crate) mod bilinear;
mod box_coder;
pub(crate) mod elementary;
mod nms;
mod paste_mask;
mod roi_align;

pub(crate) use box_coder::BoxCoder;
pub(crate) use nms::batched_nms;
pub(crate) use paste_mask::paste_mask;
pub(crate) use roi_align::{FeatureMap, RoiAlign};
