//! Whole checkpoints through a family into a network: nothing missing, nothing left over, and clear
//! words otherwise.

use std::collections::HashMap;

use detections::SegmentOptions;
use image::{Rgb, RgbImage};
use safetensors::tensor::{Dtype, TensorView};

use crate::blueprint::{BackboneBlueprint, Block, Blueprint, ResNetBlueprint};
use crate::checkpoint::Checkpoint;
use crate::detector::MaskRcnn;
use crate::error::Result;
use crate::fixture::V1;
use crate::runtime::Device;
use crate::weights::{EMBEDDED, Precision, Weights};

/// The network of a checkpoint, or what is wrong with it.
fn network(checkpoint: Vec<u8>) -> Result<MaskRcnn> {
    MaskRcnn::new(Weights::from_bytes(checkpoint)?, Device::Cpu)
}

fn complaint(checkpoint: Vec<u8>) -> String {
    network(checkpoint).unwrap_err().to_string()
}

/// The name that the official file, older than torchvision's renamings, gives a tensor.
fn old_name(name: &str) -> String {
    let name = name.replace("rpn.head.conv.0.0.", "rpn.head.conv.");
    let unblocked = |name: &str, blocks: &str| match name.strip_prefix(blocks) {
        Some(rest) => format!("{blocks}{}", rest.replacen(".0.", ".", 1)),
        None => name.to_owned(),
    };
    let name = unblocked(
        &unblocked(&name, "backbone.fpn.inner_blocks."),
        "backbone.fpn.layer_blocks.",
    );
    let mask_head = "roi_heads.mask_head.";
    match name
        .strip_prefix(mask_head)
        .and_then(|rest| rest.split_once(".0."))
    {
        Some((index, parameter)) => {
            format!(
                "{mask_head}mask_fcn{}.{parameter}",
                index.parse::<u32>().unwrap() + 1
            )
        }
        None => name,
    }
}

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
fn v1_knows_the_names_of_coco_and_keeps_the_nameless_slots() {
    let weights = Weights::from_bytes(V1::new().checkpoint()).unwrap();
    assert_eq!(weights.family(), "torchvision-v1");
    assert_eq!(weights.labels().count(), 80);
    assert_eq!(
        (
            weights.meaning.labels.slots(),
            &*weights.meaning.labels.of_slot(18).name
        ),
        (91, "dog")
    );
    let unused = weights.meaning.labels.of_slot(12);
    assert_eq!((&*unused.name, unused.category_id), ("N/A", 12));
}

#[test]
fn a_network_trained_further_may_name_its_own_classes() {
    let mut trained = V1::new();
    for (name, rows) in [
        ("roi_heads.box_predictor.cls_score", 3),
        ("roi_heads.box_predictor.bbox_pred", 12),
        ("roi_heads.mask_predictor.mask_fcn_logits", 3),
    ] {
        for parameter in ["weight", "bias"] {
            trained.0.get_mut(&format!("{name}.{parameter}")).unwrap()[0] = rows;
        }
    }
    let model = network(trained.checkpoint()).unwrap();
    assert_eq!(model.labels().collect::<Vec<_>>(), ["class 1", "class 2"]);
    let labelled = |labels: &str| {
        let metadata = HashMap::from([("labels".to_owned(), labels.to_owned())]);
        trained.checkpoint_with(str::to_owned, Some(metadata))
    };
    let model = network(labelled(r#"["__background__", "crack", "rust"]"#)).unwrap();
    assert_eq!(model.labels().collect::<Vec<_>>(), ["crack", "rust"]);
    assert_eq!(
        complaint(labelled(r#"["__background__", "crack"]"#)),
        "the checkpoint's `labels` metadata is unusable: expected 3 names, one for each slot of the classifier, found 2"
    );
}

#[test]
fn names_that_would_upset_a_terminal_are_refused() {
    let config = Checkpoint::from_static(EMBEDDED).unwrap().metadata["config"].clone();
    for labels in [
        r#"["b", "\u001b[31mred\n"]"#.to_owned(),
        r#"["b", ""]"#.to_owned(),
        format!(r#"["b", "{}"]"#, "x".repeat(101)),
    ] {
        let message = complaint(tiny(
            &["a"],
            &[
                ("family", "compact"),
                ("config", &config),
                ("labels", &labels),
            ],
        ));
        assert!(
            message.contains("expected printable names of 1 to 100 bytes")
                && !message.contains('\u{1b}'),
            "{message}"
        );
        assert!(message.len() < 200, "{message}");
    }
}

#[test]
fn the_embedded_network_reports_the_ids_of_coco() {
    let weights = Weights::embedded().unwrap();
    let ids: Vec<u32> = (1..weights.meaning.labels.slots())
        .map(|slot| weights.meaning.labels.of_slot(slot).category_id)
        .collect();
    // weights/README.md names the classes; COCO's annotations their ids.
    assert_eq!(
        ids,
        [
            1, 2, 3, 4, 5, 6, 7, 9, 16, 17, 18, 19, 20, 21, 44, 62, 63, 64, 67, 72
        ]
    );
}

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

/// A file of tiny tensors with these names.
fn tiny(names: &[&str], metadata: &[(&str, &str)]) -> Vec<u8> {
    let tensors = V1(names
        .iter()
        .map(|name| (format!("{name}.bias"), vec![1]))
        .collect());
    let metadata = metadata
        .iter()
        .map(|&(key, value)| (key.to_owned(), value.to_owned()))
        .collect();
    tensors.checkpoint_with(
        |name| name.trim_end_matches(".bias").to_owned(),
        Some(metadata),
    )
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
fn a_senseless_description_is_refused_before_any_tensor() {
    let config = Checkpoint::from_static(EMBEDDED).unwrap().metadata["config"].clone();
    for (from, to, hint) in [
        (
            "\"channels\": 96",
            "\"channels\": 0",
            "channels: expected 1 to 4096",
        ),
        (
            "\"max_size\": 544",
            "\"max_size\": 100",
            "max_size: expected min_size to 8192",
        ),
        ("\"max_size\": 544", "\"max_size\": 99999999999", "max_size"),
        (
            "[20, 40, 80, 160, 320]",
            "[16, 32]",
            "anchor_sizes: expected five positive sizes",
        ),
        ("0.5, 1.0, 2.0", "0.5, -1.0, 2.0", "aspect_ratios"),
        ("0.229", "0.0", "image_std"),
        (
            "\"num_classes\": 21",
            "\"num_classes\": 1",
            "num_classes: expected 2 to 100000",
        ),
        ("\"box_hidden\": 384, ", "", "missing field `box_hidden`"),
        (
            "\"rpn_pre_nms_top_n\": 600",
            "\"rpn_pre_nms_top_n\": 9223372036854775807",
            "rpn_pre_nms_top_n: expected 1 to 10000",
        ),
        (
            "\"rpn_post_nms_top_n\": 300",
            "\"rpn_post_nms_top_n\": 0",
            "rpn_post_nms_top_n",
        ),
        (
            "\"detections_per_image\": 100",
            "\"detections_per_image\": 4611686018427387904",
            "detections_per_image: expected 1 to 1000",
        ),
        (
            "\"box_nms_thresh\": 0.3",
            "\"box_nms_thresh\": 9",
            "box_nms_thresh: expected 0 to 1",
        ),
        (
            "\"rpn_nms_thresh\": 0.7",
            "\"rpn_nms_thresh\": -1",
            "rpn_nms_thresh",
        ),
        (
            "\"box_score_thresh\": 0.05",
            "\"box_score_thresh\": 1e9",
            "box_score_thresh",
        ),
        // Infinite, or out of range already to a reader that some other crate configures.
        ("0.485", "1e99", ""),
    ] {
        assert!(config.contains(from), "{from}");
        let changed = config.replacen(from, to, 1);
        let message = complaint(tiny(&["a"], &[("family", "compact"), ("config", &changed)]));
        assert!(
            message.starts_with("the checkpoint's `config` metadata is unusable: ")
                && message.contains(hint),
            "{message}"
        );
    }
    let message = complaint(tiny(&["a"], &[("family", "compact")]));
    assert!(
        message.starts_with("the checkpoint's `config` metadata is unusable"),
        "{message}"
    );
}

#[test]
fn what_is_saved_is_canonical_and_reads_back_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("v1.safetensors");
    let old = V1::new().checkpoint_with(old_name, None);
    Weights::from_bytes(old)
        .unwrap()
        .save(&path, Precision::Single)
        .unwrap();
    let saved = Weights::open(&path).unwrap();
    assert_eq!(
        (saved.family(), saved.labels().count()),
        ("torchvision-v1", 80)
    );
    let names: Vec<String> = saved
        .checkpoint
        .tensors
        .names()
        .map(str::to_owned)
        .collect();
    assert_eq!(names, V1::new().0.into_keys().collect::<Vec<_>>());

    let embedded = folder.path().join("compact.safetensors");
    Weights::embedded()
        .unwrap()
        .save(&embedded, Precision::Half)
        .unwrap();
    let saved = Weights::open(&embedded).unwrap();
    let original = Weights::embedded().unwrap();
    assert_eq!(saved.meaning, original.meaning);
    MaskRcnn::new(saved, Device::Cpu).unwrap();
}

/// The metadata that a saved file carries.
fn saved_metadata(weights: Weights) -> HashMap<String, String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("saved.safetensors");
    weights.save(&path, Precision::Half).unwrap();
    let checkpoint = Checkpoint::open(&path).unwrap();
    checkpoint.metadata.into_iter().collect()
}

#[test]
fn a_canonical_checkpoint_explains_itself_and_needs_no_family() {
    let v1 = Weights::from_bytes(V1::new().checkpoint()).unwrap();
    let (blueprint, labels) = (v1.meaning.blueprint.clone(), v1.meaning.labels.clone());
    let mut metadata = saved_metadata(v1);
    let keys = ["blueprint", "category_ids", "family", "format", "labels"];
    let mut found: Vec<_> = metadata.keys().map(String::as_str).collect();
    found.sort_unstable();
    assert_eq!(found, keys);
    // A family that nobody knows, and none.
    for family in [Some("tomorrows"), None] {
        metadata.remove("family");
        metadata.extend(family.map(|family| ("family".to_owned(), family.to_owned())));
        let file = V1::new().checkpoint_with(str::to_owned, Some(metadata.clone()));
        let weights = Weights::from_bytes(file).unwrap();
        assert_eq!(weights.family(), family.unwrap_or("canonical"));
        assert_eq!(weights.meaning.blueprint, blueprint);
        // With the ids of COCO, which are not the numbers of the slots that have names.
        assert_eq!(weights.meaning.labels, labels);
    }
    // What the file says counts: here another number of proposals.
    let fewer = metadata["blueprint"].replace("\"post_nms_top_n\":1000", "\"post_nms_top_n\":7");
    metadata.insert("blueprint".to_owned(), fewer);
    let file = V1::new().checkpoint_with(str::to_owned, Some(metadata));
    assert_eq!(
        Weights::from_bytes(file)
            .unwrap()
            .blueprint()
            .rpn
            .post_nms_top_n,
        7
    );
}

#[test]
fn a_saved_compact_network_has_a_blueprint_and_no_own_form() {
    let metadata = saved_metadata(Weights::embedded().unwrap());
    assert!(metadata.contains_key("blueprint") && !metadata.contains_key("config"));
    let original = Weights::embedded().unwrap();
    assert_eq!(
        serde_json::from_str::<crate::blueprint::Blueprint>(&metadata["blueprint"]).unwrap(),
        original.meaning.blueprint
    );
}

#[test]
fn a_blueprint_that_makes_no_sense_is_refused() {
    let good = saved_metadata(Weights::embedded().unwrap());
    let refused = |key: &str, from: &str, to: &str| {
        let mut metadata = good.clone();
        let value = &metadata[key];
        assert!(value.contains(from), "{from}");
        let changed = value.replacen(from, to, 1);
        metadata.insert(key.to_owned(), changed);
        let metadata: Vec<_> = metadata.iter().map(|(k, v)| (&**k, &**v)).collect();
        complaint(tiny(&["a"], &metadata))
    };
    for (from, to, hint) in [
        (
            "\"channels\":96",
            "\"channels\":0",
            "fpn.channels: expected 1 to 4096",
        ),
        (
            "\"size_divisible\":32",
            "\"size_divisible\":33",
            "size_divisible: expected a multiple",
        ),
        (
            "\"sampling_ratio\":2",
            "\"sampling_ratio\":99",
            "box_head.sampling_ratio",
        ),
        (
            "\"resolution\":7",
            "\"resolution\":0",
            "box_head.resolution: expected 1 to 64",
        ),
        (
            "\"convolutions\":4",
            "\"convolutions\":999",
            "mask_head.convolutions",
        ),
        ("\"fpn\":", "\"fnp\":", "unknown field `fnp`"),
        (
            "efficientnet-lite0",
            "efficientnet-lite9",
            "unknown variant `efficientnet-lite9`",
        ),
        ("{", "[", "expected"),
    ] {
        let message = refused("blueprint", from, to);
        let start = "the checkpoint's `blueprint` metadata is unusable: ";
        assert!(
            message.starts_with(start) && message.contains(hint),
            "{message}"
        );
    }
    let message = refused("category_ids", "[0,", "[");
    assert!(
        message.contains("expected 21 numbers, one for each slot"),
        "{message}"
    );
}

/// The ResNet of a network of torchvision's.
fn resnet(weights: &Weights) -> ResNetBlueprint {
    match &weights.blueprint().backbone {
        BackboneBlueprint::ResNet(resnet) => resnet.clone(),
        other => panic!("{other:?} is no ResNet"),
    }
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

#[test]
fn labels_and_a_blueprint_can_be_given() {
    let weights = Weights::from_bytes(V1::relative("resnet18").checkpoint()).unwrap();
    let names: String = (1..91).map(|n| format!("thing {n}\n")).collect();
    let weights = weights.with_labels(names.as_bytes()).unwrap();
    assert_eq!(weights.labels().last(), Some("thing 90"));
    let json = r#"{"backbone": {"norm_epsilon": 0.001}, "transform": {"min_size": 400}}"#;
    let weights = weights.with_blueprint(json.as_bytes()).unwrap();
    assert_eq!(resnet(&weights).norm_epsilon, 1e-3);
    assert_eq!(weights.blueprint().transform.min_size, 400);
    // Both go along into a canonical file.
    let metadata = saved_metadata(weights);
    assert!(metadata["labels"].contains("thing 90") && metadata["blueprint"].contains("0.001"));

    let weights = || Weights::from_bytes(V1::relative("resnet18").checkpoint()).unwrap();
    let classes = weights()
        .with_blueprint(&br#"{"num_classes": 7}"#[..])
        .unwrap();
    let message = MaskRcnn::new(classes, Device::Cpu).unwrap_err().to_string();
    assert_eq!(
        message,
        "the blueprint is unusable: num_classes: expected it to fit tensor `roi_heads.box_predictor.cls_score.weight` \
         of shape [91, 1024], found 7 classes, the background among them"
    );
}

#[test]
fn a_wrapped_network_segments_as_it_does_bare() {
    let bare = safetensors::SafeTensors::deserialize(EMBEDDED).unwrap();
    let metadata = Checkpoint::from_static(EMBEDDED).unwrap().metadata;
    let one = [0x3f; 4];
    let loss = TensorView::new(Dtype::F32, vec![1], &one).unwrap();
    let wrapped = bare
        .iter()
        .map(|(name, view)| (format!("net._orig_mod.{name}"), view))
        .chain([("criterion.weight".to_owned(), loss)]);
    let wrapped = safetensors::serialize(wrapped, Some(metadata.into_iter().collect())).unwrap();
    let wrapped = Weights::from_bytes(wrapped).unwrap();
    assert_eq!(
        wrapped.wrapper().to_string(),
        "the whole file, behind `net._orig_mod.`; a tensor beside it ignored: `criterion.weight`"
    );
    assert!(Weights::embedded().unwrap().wrapper().is_none());

    let photo = image::open(crate::fixture::fixture_path(
        "../../examples/photos/dog1.jpg",
    ));
    let photo = photo.unwrap().to_rgb8();
    let segment = |weights| {
        let model = MaskRcnn::new(weights, Device::Cpu).unwrap();
        model.segment(&photo, &SegmentOptions::default()).unwrap()
    };
    let found = segment(wrapped);
    assert!(!found.is_empty());
    assert_eq!(found, segment(Weights::embedded().unwrap()));
}
