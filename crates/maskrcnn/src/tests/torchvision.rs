//! torchvision's networks: their old names, and what is read off their tensors.

use super::{complaint, network, old_name, resnet};
use crate::blueprint::{Block, Blueprint};
use crate::checkpoint::Checkpoint;
use crate::fixture::V1;
use crate::weights::Weights;

#[test]
fn v1_is_read_under_old_names_in_a_wrapper_and_with_counters() {
    let old = V1::new().checkpoint_with(old_name, None);
    let names: Vec<String> = Checkpoint::from_bytes(old.clone())
        .unwrap()
        .tensors
        .names()
        .map(str::to_owned)
        .collect();
    for name in [
        "backbone.fpn.inner_blocks.2.weight",
        "rpn.head.conv.bias",
        "roi_heads.mask_head.mask_fcn4.weight",
    ] {
        assert!(
            names.iter().any(|n| n == name),
            "{name} is no name of the official file"
        );
    }
    network(old).unwrap();
    network(V1::new().checkpoint_with(|name| format!("module.{name}"), None)).unwrap();

    let mut counted = V1::new();
    let counter = "backbone.body.bn1.num_batches_tracked";
    counted.0.insert(counter.to_owned(), vec![]);
    network(counted.checkpoint()).unwrap();
}

#[test]
fn the_architecture_is_read_off_the_tensors() {
    use Block::{Basic, Bottleneck};
    for (network, family, blocks, block, groups, width_per_group) in [
        ("formula", "torchvision-v1", [3, 4, 6, 3], Bottleneck, 1, 64),
        ("v2", "torchvision-v2", [3, 4, 6, 3], Bottleneck, 1, 64),
        ("resnet18", "torchvision-v1", [2, 2, 2, 2], Basic, 1, 64),
        (
            "resnext50_32x4d",
            "torchvision-v1",
            [3, 4, 6, 3],
            Bottleneck,
            32,
            4,
        ),
        (
            "wide_resnet50_2",
            "torchvision-v1",
            [3, 4, 6, 3],
            Bottleneck,
            1,
            128,
        ),
    ] {
        let weights = Weights::from_bytes(V1::relative(network).checkpoint()).unwrap();
        assert_eq!(weights.family(), family, "{network}");
        let found = resnet(&weights);
        assert_eq!(
            (
                found.blocks,
                found.block,
                found.groups,
                found.width_per_group
            ),
            (blocks, block, groups, width_per_group),
            "{network}"
        );
        let Blueprint {
            fpn,
            rpn,
            box_head,
            mask_head,
            ..
        } = weights.blueprint();
        let norms = [
            fpn.norm_epsilon,
            box_head.norm_epsilon,
            mask_head.norm_epsilon,
        ];
        let convolutions = [
            rpn.convolutions,
            box_head.convolutions,
            mask_head.convolutions,
        ];
        let sizes = (box_head.fully_connected, box_head.hidden, fpn.channels);
        if network == "v2" {
            assert_eq!(norms, [Some(1e-5); 3]);
            assert_eq!((convolutions, sizes), ([2, 4, 4], (1, 1024, 256)));
        } else {
            assert_eq!(norms, [None; 3], "{network}");
            assert_eq!((convolutions, sizes), ([1, 0, 4], (2, 1024, 256)));
        }
        assert_eq!((box_head.resolution, mask_head.channels), (7, 256));
    }
}

#[test]
fn unusual_sizes_are_read_off_the_tensors_too() {
    let mut other = V1::new();
    for (name, shape) in &mut other.0 {
        let narrow = |axis: usize, shape: &mut Vec<i64>| shape[axis] = 64;
        match name.as_str() {
            name if name.starts_with("backbone.fpn.inner_blocks.") => narrow(0, shape),
            name if name.starts_with("backbone.fpn.layer_blocks.")
                || name.starts_with("rpn.head.conv.") =>
            {
                narrow(0, shape);
                if name.ends_with("weight") {
                    narrow(1, shape);
                }
            }
            "rpn.head.cls_logits.weight" | "rpn.head.bbox_pred.weight" => narrow(1, shape),
            "roi_heads.mask_head.0.0.weight"
            | "roi_heads.mask_predictor.conv5_mask.weight"
            | "roi_heads.mask_predictor.mask_fcn_logits.weight" => narrow(1, shape),
            "roi_heads.mask_predictor.conv5_mask.bias" => narrow(0, shape),
            // 5×5 bins, 96 hidden units.
            "roi_heads.box_head.fc6.weight" => *shape = vec![96, 64 * 25],
            "roi_heads.box_head.fc7.weight" => *shape = vec![96, 96],
            "roi_heads.box_head.fc6.bias" | "roi_heads.box_head.fc7.bias" => *shape = vec![96],
            "roi_heads.box_predictor.cls_score.weight"
            | "roi_heads.box_predictor.bbox_pred.weight" => shape[1] = 96,
            _ => (),
        }
    }
    let blueprint = Weights::from_bytes(other.checkpoint()).unwrap();
    let Blueprint {
        fpn,
        box_head,
        mask_head,
        ..
    } = blueprint.blueprint();
    assert_eq!(
        (fpn.channels, box_head.hidden, box_head.resolution),
        (64, 96, 5)
    );
    assert_eq!((mask_head.channels, mask_head.reduced), (256, Some(64)));
    network(other.checkpoint()).unwrap();
}

#[test]
fn the_epsilon_of_norms_depends_on_whether_they_were_trained() {
    let of = |network: &V1| {
        let weights = Weights::from_bytes(network.checkpoint()).unwrap();
        resnet(&weights).norm_epsilon
    };
    let mut v1 = V1::new();
    assert_eq!(of(&v1), 0.0);
    v1.0.insert(
        "backbone.body.layer1.0.bn1.num_batches_tracked".to_owned(),
        vec![],
    );
    assert_eq!(of(&v1), 1e-5);
    // No weights without an epsilon were ever published for these.
    assert_eq!(of(&V1::relative("resnet18")), 1e-5);
    assert_eq!(of(&V1::relative("wide_resnet50_2")), 1e-5);
    assert_eq!(of(&V1::relative("v2")), 1e-5);
}

#[test]
fn torchvision_networks_of_other_kinds_are_refused_in_a_sentence() {
    let changed = |change: &dyn Fn(&mut V1)| {
        let mut network = V1::relative("resnet18");
        change(&mut network);
        complaint(network.checkpoint())
    };
    let message = changed(&|network| {
        for name in ["weight", "bias"] {
            for blocks in ["inner_blocks", "layer_blocks"] {
                let name = format!("backbone.fpn.{blocks}.3.0.{name}");
                network.0.remove(&name);
            }
        }
    });
    assert_eq!(
        message,
        "a feature pyramid on 3 levels of the backbone is not supported; \
         pyramids on all four layers of a ResNet are read"
    );
    let message = changed(&|network| {
        let name = "backbone.fpn.extra_blocks.p6.weight";
        network.0.insert(name.to_owned(), vec![4, 4, 3, 3]);
    });
    assert!(
        message.starts_with("a coarsest level made by convolutions"),
        "{message}"
    );
    let message = changed(&|network| {
        let name = "backbone.fpn.inner_blocks.0.1.weight";
        network.0.insert(name.to_owned(), vec![256]);
    });
    assert!(message.contains("a GroupNorm?"), "{message}");
    let message = changed(&|network| {
        let shape = network.0.get_mut("rpn.head.cls_logits.weight").unwrap();
        shape[0] = 15;
    });
    assert_eq!(
        message,
        "the blueprint is unusable: rpn.aspect_ratios: expected it to fit tensor `rpn.head.cls_logits.weight` of \
         shape [15, 256, 1, 1], found 3 anchors a cell, one of each ratio"
    );
}
