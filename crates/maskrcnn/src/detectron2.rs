//! Files of a network with few channels, under detectron2's names: what becomes of them, and what is
//! refused. Whole networks are compared with detectron2's own run in `detector/parity.rs`.

use std::path::Path;

use safetensors::tensor::{Dtype, TensorView};

use crate::blueprint::{BackboneBlueprint, BottleneckStride};
use crate::weights::Weights;

const CHANNELS: usize = 8;
const HIDDEN: usize = 6;

/// A tensor: name, shape, and its elements.
type Tensor = (String, Vec<usize>, Vec<f32>);

fn tensor(name: &str, shape: &[usize]) -> Tensor {
    let count = shape.iter().product::<usize>();
    let values = (0..count).map(|index| index as f32).collect();
    (name.to_owned(), shape.to_vec(), values)
}

/// A network of so many classes. The numbers in each tensor are 0, 1, 2, …
fn network(classes: usize) -> Vec<Tensor> {
    let mut tensors = vec![
        tensor("backbone.bottom_up.stem.conv1.weight", &[2, 3, 1, 1]),
        tensor("backbone.bottom_up.stem.conv1.norm.weight", &[2]),
        tensor("backbone.bottom_up.stem.conv1.norm.running_mean", &[2]),
        tensor("backbone.bottom_up.res2.0.conv2.weight", &[64, 64, 3, 3]),
        tensor("backbone.bottom_up.res2.0.conv3.weight", &[4, 4, 1, 1]),
        tensor(
            "proposal_generator.rpn_head.conv.weight",
            &[CHANNELS, CHANNELS, 3, 3],
        ),
        tensor(
            "proposal_generator.rpn_head.objectness_logits.weight",
            &[3, CHANNELS, 1, 1],
        ),
        tensor(
            "proposal_generator.rpn_head.anchor_deltas.weight",
            &[12, CHANNELS, 1, 1],
        ),
        tensor("roi_heads.box_head.fc1.weight", &[HIDDEN, CHANNELS * 49]),
        tensor("roi_heads.box_head.fc2.weight", &[HIDDEN, HIDDEN]),
        tensor(
            "roi_heads.box_predictor.cls_score.weight",
            &[classes + 1, HIDDEN],
        ),
        tensor("roi_heads.box_predictor.cls_score.bias", &[classes + 1]),
        tensor("roi_heads.box_predictor.bbox_pred.bias", &[4 * classes]),
        tensor(
            "roi_heads.mask_head.mask_fcn1.weight",
            &[CHANNELS, CHANNELS, 3, 3],
        ),
        tensor("roi_heads.mask_head.deconv.bias", &[CHANNELS]),
        tensor("roi_heads.mask_head.predictor.weight", &[classes, 2, 1, 1]),
    ];
    for level in 2..=5 {
        let lateral = format!("backbone.fpn_lateral{level}.weight");
        tensors.push(tensor(&lateral, &[CHANNELS, CHANNELS, 1, 1]));
        let output = format!("backbone.fpn_output{level}.weight");
        tensors.push(tensor(&output, &[CHANNELS, CHANNELS, 3, 3]));
    }
    tensors
}

fn file(tensors: &[Tensor]) -> Vec<u8> {
    let bytes =
        |values: &[f32]| -> Vec<u8> { values.iter().flat_map(|v| v.to_le_bytes()).collect() };
    let stored: Vec<_> = tensors
        .iter()
        .map(|(name, shape, values)| (name, shape.clone(), bytes(values)))
        .collect();
    let views = stored.iter().map(|(name, shape, bytes)| {
        (
            name,
            TensorView::new(Dtype::F32, shape.clone(), bytes).unwrap(),
        )
    });
    safetensors::serialize(views, None).unwrap()
}

fn read(tensors: &[Tensor]) -> Weights {
    Weights::from_bytes(file(tensors)).unwrap()
}

/// The elements of a tensor under its canonical name.
fn values(weights: &mut Weights, name: &str) -> Vec<f32> {
    let tensors = &mut weights.checkpoint.tensors;
    let shape = tensors.shape(name).unwrap().to_vec();
    tensors.take(name, &shape).unwrap().into_f32()
}

#[test]
fn of_a_trainers_save_the_model_is_taken_no_momentum() {
    let path = |name| crate::fixture::fixture_path(&format!("parity/detectron2-trainer.{name}"));
    let mut saved = Weights::open(&path("pth")).unwrap();
    let mut alone = Weights::open(&path("safetensors")).unwrap();
    assert_eq!(saved.wrapper().to_string(), "`model`");
    assert_eq!(saved.blueprint(), alone.blueprint());
    let names = |weights: &Weights| -> Vec<String> {
        let mut names: Vec<_> = weights.tensors().names().map(str::to_owned).collect();
        names.sort_unstable();
        names
    };
    assert_eq!(names(&saved), names(&alone));
    assert!(names(&saved).len() > 290);
    for name in names(&alone) {
        let expected = values(&mut alone, &name);
        assert_eq!(values(&mut saved, &name), expected, "{name}");
    }
}

#[test]
fn classes_and_colours_come_in_torchvisions_order() {
    let mut weights = read(&network(3));
    assert_eq!(weights.family(), "detectron2");
    assert_eq!(weights.blueprint().num_classes, 4);
    assert!(weights.labels().eq(["class 1", "class 2", "class 3"]));
    let bias = "roi_heads.box_predictor.cls_score.bias";
    assert_eq!(values(&mut weights, bias), [3.0, 0.0, 1.0, 2.0]);
    let deltas = values(&mut weights, "roi_heads.box_predictor.bbox_pred.bias");
    assert_eq!(deltas[..6], [0.0, 0.0, 0.0, 0.0, 0.0, 1.0]);
    assert_eq!(deltas.len(), 16);
    let masks = values(
        &mut weights,
        "roi_heads.mask_predictor.mask_fcn_logits.weight",
    );
    assert_eq!(masks, [0.0, 0.0, 0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
    let stem = values(&mut weights, "backbone.body.conv1.weight");
    assert_eq!(stem, [2.0, 1.0, 0.0, 5.0, 4.0, 3.0]);
    let transform = &weights.blueprint().transform;
    assert_eq!(
        transform.mean,
        [123.675, 116.28, 103.53].map(|m: f64| (m / 255.0) as f32)
    );
    assert_eq!(transform.std, [1.0 / 255.0; 3]);
}

#[test]
fn outputs_for_all_classes_become_those_of_each() {
    let mut tensors = network(3);
    for (name, shape, values) in &mut tensors {
        let rows = match name.as_str() {
            "roi_heads.box_predictor.bbox_pred.bias" => 4,
            "roi_heads.mask_head.predictor.weight" => 1,
            _ => continue,
        };
        shape[0] = rows;
        values.truncate(shape.iter().product());
    }
    let mut weights = read(&tensors);
    let deltas = values(&mut weights, "roi_heads.box_predictor.bbox_pred.bias");
    let expected = [
        [0.0; 4],
        [0.0, 1.0, 2.0, 3.0],
        [0.0, 1.0, 2.0, 3.0],
        [0.0, 1.0, 2.0, 3.0],
    ];
    assert_eq!(deltas, expected.concat());
    let masks = values(
        &mut weights,
        "roi_heads.mask_predictor.mask_fcn_logits.weight",
    );
    assert_eq!(masks, [0.0, 0.0, 0.0, 1.0, 0.0, 1.0, 0.0, 1.0]);
}

#[test]
fn eighty_classes_are_cocos_by_their_own_numbers() {
    let weights = read(&network(80));
    let labels = &weights.meaning.labels;
    assert_eq!(labels.slots(), 81);
    for (slot, id, name) in [
        (1, 1, "person"),
        (12, 13, "stop sign"),
        (80, 90, "toothbrush"),
    ] {
        let label = labels.of_slot(slot);
        assert_eq!((label.category_id, &*label.name), (id, name));
    }
}

#[test]
fn groups_of_32_are_a_resnext_with_its_deviation() {
    let mut tensors = network(2);
    let middle = tensors
        .iter_mut()
        .find(|(name, ..)| name.ends_with("res2.0.conv2.weight"));
    *middle.unwrap() = tensor("backbone.bottom_up.res2.0.conv2.weight", &[256, 8, 3, 3]);
    let weights = read(&tensors);
    let BackboneBlueprint::ResNet(resnet) = &weights.blueprint().backbone else {
        panic!("no ResNet");
    };
    assert_eq!((resnet.groups, resnet.width_per_group), (32, 8));
    assert_eq!(resnet.stride, BottleneckStride::Middle);
    let std = [58.395, 57.12, 57.375].map(|s: f64| (s / 255.0) as f32);
    assert_eq!(weights.blueprint().transform.std, std);
}

#[test]
fn what_saves_of_2020_hold_beside_the_weights_is_used() {
    let mut tensors = network(2);
    let mean = [123.675, 116.28, 103.53].to_vec();
    tensors.push(("pixel_mean".to_owned(), vec![3, 1, 1], mean));
    tensors.push((
        "pixel_std".to_owned(),
        vec![3, 1, 1],
        vec![58.0, 57.0, 56.0],
    ));
    for (level, size) in [16f32, 32.0, 64.0, 128.0, 300.0].into_iter().enumerate() {
        let cell = [0.5f32, 2.0].map(|ratio| {
            let (width, height) = ((size * size / ratio).sqrt(), (size * size * ratio).sqrt());
            [-width / 2.0, -height / 2.0, width / 2.0, height / 2.0]
        });
        let name = format!("proposal_generator.anchor_generator.cell_anchors.{level}");
        tensors.push((name, vec![2, 4], cell.concat()));
    }
    let mut weights = read(&tensors);
    let blueprint = weights.blueprint().clone();
    // The mean is that of red, green and blue, in this order.
    assert_eq!(
        values(&mut weights, "backbone.body.conv1.weight")[..3],
        [0.0, 1.0, 2.0]
    );
    assert_eq!(
        blueprint.transform.mean,
        [123.675, 116.28, 103.53].map(|m: f64| (m / 255.0) as f32)
    );
    assert_eq!(
        blueprint.transform.std,
        [58.0, 57.0, 56.0].map(|s: f64| (s / 255.0) as f32)
    );
    assert_eq!(blueprint.rpn.anchor_sizes, [16.0, 32.0, 64.0, 128.0, 300.0]);
    assert_eq!(blueprint.rpn.aspect_ratios, [0.5, 2.0]);
    let left = |name: &str| name.contains("cell_anchors") || name.starts_with("pixel");
    assert!(!weights.tensors().names().any(left));
}

/// Reads a network of three classes with this `config.yaml` beside it.
fn with_config(config: &str) -> crate::Result<Weights> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model_final.safetensors");
    std::fs::write(&path, file(&network(3))).unwrap();
    std::fs::write(folder.path().join("config.yaml"), config).unwrap();
    Weights::open(&path)
}

/// The configuration that detectron2 itself wrote, of its model zoo's R50-FPN, for three classes.
fn whole_config() -> String {
    let path = crate::fixture::fixture_path("parity/detectron2-config.yaml");
    let text = std::fs::read_to_string(path).unwrap();
    // Of the RoI heads, not of other heads.
    let (before, heads) = text.split_once("  ROI_HEADS:").unwrap();
    format!(
        "{before}  ROI_HEADS:{}",
        heads.replacen("NUM_CLASSES: 80", "NUM_CLASSES: 3", 1)
    )
}

#[test]
fn the_model_zoos_config_changes_nothing() {
    let weights = with_config(&whole_config()).unwrap();
    assert_eq!(weights.blueprint(), read(&network(3)).blueprint());
    let note = "read the config.yaml beside the weights, which says the same as the model zoo's";
    assert!(weights.notes().eq([note]));
    // Another program's is left alone, and in memory there is none.
    let weights = with_config("model: {depth: 50}\n").unwrap();
    assert_eq!(
        weights.notes().count() + read(&network(3)).notes().count(),
        0
    );
}

#[test]
fn a_config_of_one_key_is_read_too() {
    let weights = with_config("INPUT:\n  MIN_SIZE_TEST: 400\n").unwrap();
    assert_eq!(weights.blueprint().transform.min_size, 400);
    let error = with_config("MODEL:\n  ROI_HEADS:\n    NUM_CLASSES: 7\n").unwrap_err();
    assert!(error.to_string().contains("NUM_CLASSES: 7"), "{error}");
    let error = with_config("MODEL:\n  RESNETS:\n    NUM_GROUPS: 32\n").unwrap_err();
    let of_another =
        "`MODEL.RESNETS.NUM_GROUPS: 32` in the config.yaml beside a checkpoint of 1 groups";
    assert!(error.to_string().contains(of_another), "{error}");
}

#[test]
fn a_config_beside_the_file_says_what_the_file_does_not() {
    let text = [
        ("  FORMAT: BGR", "  FORMAT: RGB"),
        ("MIN_SIZE_TEST: 800", "MIN_SIZE_TEST: 512"),
        ("MAX_SIZE_TEST: 1333", "MAX_SIZE_TEST: 2048"),
        ("STRIDE_IN_1X1: true", "STRIDE_IN_1X1: false"),
        (
            "  - 103.53\n  - 116.28\n  - 123.675",
            "  - 123.675\n  - 116.28\n  - 103.53",
        ),
        ("    - - 32\n    - - 64\n", "    - - 8\n    - - 16\n"),
        (
            "NMS_THRESH_TEST: 0.5\n    NUM_CLASSES: 3",
            "NMS_THRESH_TEST: 0.25\n    NUM_CLASSES: 3",
        ),
        (
            "SCORE_THRESH_TEST: 0.05\n  ROI_K",
            "SCORE_THRESH_TEST: 0.125\n  ROI_K",
        ),
        ("DETECTIONS_PER_IMAGE: 100", "DETECTIONS_PER_IMAGE: 7"),
        ("POST_NMS_TOPK_TEST: 1000", "POST_NMS_TOPK_TEST: 300"),
    ]
    .iter()
    .fold(whole_config(), |text, (old, new)| {
        assert!(text.contains(old), "{old}");
        text.replace(old, new)
    });
    let mut weights = with_config(&text).unwrap();
    let mut expected = read(&network(3)).blueprint().clone();
    expected.transform.min_size = 512;
    expected.transform.max_size = 2048;
    expected.rpn.anchor_sizes = vec![8.0, 16.0, 128.0, 256.0, 512.0];
    expected.rpn.post_nms_top_n = 300;
    expected.postprocess.nms_thresh = 0.25;
    expected.postprocess.score_thresh = 0.125;
    expected.postprocess.detections_per_image = 7;
    let BackboneBlueprint::ResNet(resnet) = &mut expected.backbone else {
        panic!("no ResNet");
    };
    resnet.stride = BottleneckStride::Middle;
    assert_eq!(*weights.blueprint(), expected);
    assert_eq!(
        values(&mut weights, "backbone.body.conv1.weight")[..3],
        [0.0, 1.0, 2.0]
    );
    let note = "read the config.yaml beside the weights, for INPUT.FORMAT, MODEL.PIXEL_MEAN, \
                INPUT.MIN_SIZE_TEST, INPUT.MAX_SIZE_TEST, MODEL.RESNETS.STRIDE_IN_1X1, \
                MODEL.ANCHOR_GENERATOR.SIZES, MODEL.RPN.POST_NMS_TOPK_TEST, \
                MODEL.ROI_HEADS.SCORE_THRESH_TEST, MODEL.ROI_HEADS.NMS_THRESH_TEST, \
                TEST.DETECTIONS_PER_IMAGE";
    assert!(
        weights.notes().eq([note]),
        "{:?}",
        weights.notes().collect::<Vec<_>>()
    );
}

#[test]
fn a_key_of_another_network_is_refused_by_its_name() {
    for (old, new, named) in [
        (
            "META_ARCHITECTURE: GeneralizedRCNN",
            "META_ARCHITECTURE: RetinaNet",
            "`MODEL.META_ARCHITECTURE: RetinaNet`",
        ),
        (
            "FUSE_TYPE: sum",
            "FUSE_TYPE: avg",
            "`MODEL.FPN.FUSE_TYPE: avg`",
        ),
        (
            "RES5_DILATION: 1",
            "RES5_DILATION: 2",
            "`MODEL.RESNETS.RES5_DILATION: 2`",
        ),
        (
            "OFFSET: 0.0",
            "OFFSET: 0.5",
            "`MODEL.ANCHOR_GENERATOR.OFFSET: 0.5`",
        ),
        (
            "POOLER_TYPE: ROIAlignV2",
            "POOLER_TYPE: ROIPool",
            "`MODEL.ROI_BOX_HEAD.POOLER_TYPE: ROIPool`",
        ),
        (
            "USE_SIGMOID_CE: false",
            "USE_SIGMOID_CE: true",
            "`MODEL.ROI_BOX_HEAD.USE_SIGMOID_CE: true`",
        ),
        (
            "  FORMAT: BGR",
            "  FORMAT: YUV-BT.601",
            "`INPUT.FORMAT: YUV-BT.601`",
        ),
        (
            "    - - 32\n    - - 64\n",
            "    - - 32\n      - 48\n    - - 64\n",
            "`MODEL.ANCHOR_GENERATOR.SIZES: [[32,48],",
        ),
        (
            "MIN_SIZE_TEST: 800",
            "MIN_SIZE_TEST: 0",
            "`INPUT.MIN_SIZE_TEST: 0`",
        ),
        (
            "NUM_CLASSES: 3",
            "NUM_CLASSES: 4",
            "`MODEL.ROI_HEADS.NUM_CLASSES: 4` in the config.yaml beside a checkpoint of 3 classes",
        ),
        (
            "NMS_THRESH: 0.7",
            "NMS_THRESH: 1.5",
            "rpn.nms_thresh: expected 0 to 1",
        ),
        (
            "CUDNN_BENCHMARK",
            "_BASE_: Base.yaml\nCUDNN_BENCHMARK",
            "`_BASE_` in the config.yaml",
        ),
        (
            "MODEL:\n",
            "MODEL: [\n",
            "the config.yaml beside the checkpoint (",
        ),
    ] {
        assert!(whole_config().contains(old), "{old}");
        let error = with_config(&whole_config().replace(old, new)).unwrap_err();
        let message = error.to_string();
        assert!(
            message.contains(named) && !message.contains('\n'),
            "{named}: {message}"
        );
    }
    let large = with_config(&"# ".repeat(1 << 20)).unwrap_err();
    assert_eq!(large.code(), "read-file");
    assert!(!Path::new("config.yaml").exists());
}

#[test]
fn other_networks_of_detectron2s_are_refused_by_name() {
    let with = |names: &[&str]| {
        let mut tensors = network(3);
        tensors.extend(names.iter().map(|name| tensor(name, &[1])));
        tensors
    };
    let without = |start: &str| {
        let mut tensors = network(3);
        tensors.retain(|(name, ..)| !name.starts_with(start));
        tensors
    };
    let retinanet = [
        "backbone.bottom_up.stem.conv1.weight",
        "head.cls_subnet.0.weight",
    ];
    let retinanet: Vec<Tensor> = retinanet.iter().map(|name| tensor(name, &[1])).collect();
    for (tensors, name, tensor) in [
        (
            with(&["roi_heads.res5.0.conv1.weight"]),
            "a Mask R-CNN with a C4 backbone",
            "roi_heads.res5.0.conv1.weight",
        ),
        (
            with(&["backbone.res5.0.conv1.weight"]),
            "a Mask R-CNN with a DC5 backbone",
            "backbone.res5.0.conv1.weight",
        ),
        (
            with(&["roi_heads.box_predictor.0.cls_score.weight"]),
            "a Cascade R-CNN",
            "roi_heads.box_predictor.0.cls_score.weight",
        ),
        (
            with(&["backbone.fpn_output2.norm.weight"]),
            "a Mask R-CNN with group norms",
            "backbone.fpn_output2.norm.weight",
        ),
        (
            with(&["backbone.bottom_up.res3.0.conv2_offset.weight"]),
            "a Mask R-CNN with deformable convolutions",
            "backbone.bottom_up.res3.0.conv2_offset.weight",
        ),
        (
            with(&[
                "backbone.fpn_output2.norm.weight",
                "backbone.fpn_output2.norm.running_mean",
            ]),
            "a Mask R-CNN of the new baselines, with norms and convolutions in its heads,",
            "backbone.fpn_output2.norm.running_mean",
        ),
        (
            with(&["roi_heads.keypoint_head.conv_fcn1.weight"]),
            "a network of keypoints",
            "roi_heads.keypoint_head.conv_fcn1.weight",
        ),
        (
            with(&["roi_heads.mask_head.point_head.fc1.weight"]),
            "a PointRend",
            "roi_heads.mask_head.point_head.fc1.weight",
        ),
        (
            with(&["sem_seg_head.p2.0.weight"]),
            "a network of panoptic or semantic segmentation",
            "sem_seg_head.p2.0.weight",
        ),
        (
            without("roi_heads.mask_head."),
            "a Faster R-CNN, which has no mask head,",
            "roi_heads.box_head.fc1.weight",
        ),
        (
            retinanet,
            "a RetinaNet, which has no masks,",
            "head.cls_subnet.0.weight",
        ),
    ] {
        let error = Weights::from_bytes(file(&tensors)).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!(
                "{name} of detectron2's (`{tensor}`) is not supported; its Mask R-CNNs with FPN are \
                 read: R50-FPN, R101-FPN and X101-32x8d-FPN"
            )
        );
    }
}
