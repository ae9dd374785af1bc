//! What does not fit a network, belongs to another one, or cannot be computed with.

use detections::SegmentOptions;
use image::{Rgb, RgbImage};

use super::{complaint, tiny};
use crate::detector::MaskRcnn;
use crate::fixture::V1;
use crate::runtime::Device;
use crate::weights::Weights;

#[test]
fn a_missing_a_leftover_and_a_misshapen_tensor_are_each_named() {
    let mut missing = V1::new();
    missing.0.remove("backbone.body.layer2.1.bn2.running_var");
    assert_eq!(
        complaint(missing.checkpoint()),
        "tensor `backbone.body.layer2.1.bn2.running_var` of shape [128] is missing in the checkpoint"
    );
    let mut leftover = V1::new();
    leftover
        .0
        .insert("roi_heads.keypoint_head.0.bias".to_owned(), vec![5]);
    assert_eq!(
        complaint(leftover.checkpoint()),
        "the checkpoint holds a tensor that this network has no place for: `roi_heads.keypoint_head.0.bias`"
    );
    let mut misshapen = V1::new();
    *misshapen
        .0
        .get_mut("roi_heads.box_head.fc7.weight")
        .unwrap() = vec![1024, 512];
    assert_eq!(
        complaint(misshapen.checkpoint()),
        "tensor `roi_heads.box_head.fc7.weight` has shape [1024, 512], expected [1024, 1024]"
    );
}

#[test]
fn relatives_that_are_not_read_are_recognised() {
    for (names, hint) in [
        (&["backbone.bottom_up.stem.conv1.weight"][..], "detectron2"),
        (&["head.classification_head.cls_logits.weight"], "RetinaNet"),
        (
            &["roi_heads.box_predictor.cls_score.weight"],
            "without masks",
        ),
        (
            &["mrcnn_class_logits/kernel:0"],
            "a Matterport model with another backbone",
        ),
        (&["conv1.weight", "fc.weight"], "image classifier"),
        (
            &["encoder.weight"],
            "unfamiliar names, such as `encoder.weight`",
        ),
    ] {
        let message = complaint(tiny(names, &[]));
        assert!(
            message.contains(hint)
                && message.ends_with(
                    "known are compact, torchvision-v1, torchvision-v2, detectron2, matterport"
                ),
            "{message}"
        );
    }
    let message = complaint(tiny(&["a"], &[("family", "yol\u{1b}[31mact\n")]));
    assert!(
        message.contains(r"its metadata says `yol\u{1b}[31mact\n`"),
        "{message}"
    );
}

#[test]
fn a_tensor_that_is_not_finite_is_named() {
    let v1 = V1::new();
    let dead = v1.checkpoint_changed(|name, values| {
        if name == "backbone.body.layer3.2.bn2.running_var" {
            values[7] = 0.0;
        }
    });
    let message = complaint(dead);
    assert!(
        message.starts_with(
            "tensor `backbone.body.layer3.2.bn2.running_var` cannot be computed with: channel 7 has the variance 0, \
             which with the epsilon 0"
        ),
        "{message}"
    );
    for number in [f32::NAN, f32::NEG_INFINITY] {
        let diverged = v1.checkpoint_changed(|name, values| {
            if name == "roi_heads.box_head.fc7.bias" {
                values[1000] = number;
            }
        });
        assert_eq!(
            complaint(diverged),
            "tensor `roi_heads.box_head.fc7.bias` cannot be computed with: it holds NaN or infinity, as after a \
             training that went wrong"
        );
    }
}

#[test]
fn outputs_that_are_not_finite_are_an_error() {
    let small = r#"{"transform": {"min_size": 96, "max_size": 160}, "postprocess": {"score_thresh": 0.0},
        "rpn": {"post_nms_top_n": 20}}"#;
    for (layer, doing) in [
        ("rpn.head.bbox_pred.weight", "computing objectness"),
        (
            "roi_heads.box_predictor.cls_score.weight",
            "classifying proposals",
        ),
        (
            "roi_heads.box_predictor.bbox_pred.weight",
            "classifying proposals",
        ),
        (
            "roi_heads.mask_predictor.mask_fcn_logits.weight",
            "computing masks",
        ),
    ] {
        let vast = V1::relative("resnet18").checkpoint_changed(|name, values| {
            if name == layer {
                values.fill(3e38);
            }
        });
        let weights = Weights::from_bytes(vast).unwrap();
        let network = MaskRcnn::new(
            weights.with_blueprint(small.as_bytes()).unwrap(),
            Device::Cpu,
        )
        .unwrap();
        let image = RgbImage::from_fn(60, 40, |x, y| Rgb([(4 * x) as u8, (6 * y) as u8, 99]));
        let options = SegmentOptions {
            score_threshold: 0.0,
            ..SegmentOptions::default()
        };
        let error = network.segment(&image, &options).unwrap_err();
        assert_eq!(error.code(), "not-finite-output", "{layer}: {error}");
        assert!(error.to_string().starts_with(doing), "{layer}: {error}");
    }
}
