//! Files that explain themselves: what is saved and read back, and descriptions that make no sense.

use super::{complaint, old_name, saved_metadata, tiny};
use crate::checkpoint::Checkpoint;
use crate::detector::MaskRcnn;
use crate::fixture::V1;
use crate::runtime::Device;
use crate::weights::{EMBEDDED, Precision, Weights};

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
