//! The names of classes: those of COCO, those in a file, and those that are given.

use std::collections::HashMap;

use super::{complaint, network, resnet, saved_metadata, tiny};
use crate::checkpoint::Checkpoint;
use crate::detector::MaskRcnn;
use crate::fixture::V1;
use crate::runtime::Device;
use crate::weights::{EMBEDDED, Weights};

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
