//! Other networks of detectron2's, told by tensors that the ones that are read do not have.

use crate::checkpoint::{StateDict, printable};
use crate::error::{Error, Result};

/// Whether these are tensors of a network of detectron2's.
pub(super) fn is_detectron2(tensors: &StateDict) -> bool {
    tensors.names().any(|name| {
        name.starts_with("backbone.bottom_up.") || name.starts_with("proposal_generator.rpn_head.")
    })
}

/// Refuses a network of detectron2's that is not read, by its name.
///
/// # Errors
///
/// [`Error::Unsupported`].
pub(super) fn refuse(tensors: &StateDict) -> Result<()> {
    let of = |start: &str| tensors.names().find(|name| name.starts_with(start));
    let end = |end: &str| tensors.names().find(|name| name.ends_with(end));
    // A norm of channels in groups has nothing but weight and bias.
    let group_norm = || {
        tensors.names().find(|name| {
            let norm = name.strip_suffix(".norm.weight");
            norm.is_some_and(|norm| !tensors.contains(&format!("{norm}.norm.running_mean")))
        })
    };
    let no_mask_head = || match of("roi_heads.mask_head.") {
        None => of("roi_heads."),
        Some(_) => None,
    };
    // The first that applies: a network with keypoints has no mask head either.
    let found = [
        (of("head.cls_subnet."), "a RetinaNet, which has no masks,"),
        (
            of("sem_seg_head."),
            "a network of panoptic or semantic segmentation",
        ),
        (of("roi_heads.keypoint_head."), "a network of keypoints"),
        (
            of("roi_heads.mask_head.point_head.")
                .or_else(|| of("roi_heads.mask_head.coarse_head."))
                .or_else(|| of("roi_heads.mask_point_head."))
                .or_else(|| of("roi_heads.mask_coarse_head.")),
            "a PointRend",
        ),
        (
            of("roi_heads.box_predictor.0.").or_else(|| of("roi_heads.box_head.0.")),
            "a Cascade R-CNN",
        ),
        (of("roi_heads.res5."), "a Mask R-CNN with a C4 backbone"),
        (of("backbone.res5."), "a Mask R-CNN with a DC5 backbone"),
        (
            of("backbone.net."),
            "a Mask R-CNN with a vision transformer",
        ),
        (
            of("backbone.bottom_up.s1."),
            "a Mask R-CNN with a RegNet of the new baselines",
        ),
        (
            end(".conv2_offset.weight"),
            "a Mask R-CNN with deformable convolutions",
        ),
        (group_norm(), "a Mask R-CNN with group norms"),
        (
            end("fpn_output2.norm.running_mean").or_else(|| of("roi_heads.box_head.conv1.")),
            "a Mask R-CNN of the new baselines, with norms and convolutions in its heads,",
        ),
        (no_mask_head(), "a Faster R-CNN, which has no mask head,"),
    ];
    let found = found
        .into_iter()
        .find_map(|(name, what)| Some((name?, what)));
    match found {
        Some((name, what)) => Err(Error::Unsupported {
            what: format!("{what} of detectron2's (`{}`)", printable(name)),
            remedy: "its Mask R-CNNs with FPN are read: R50-FPN, R101-FPN and X101-32x8d-FPN",
        }),
        None => Ok(()),
    }
}
