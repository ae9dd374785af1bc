//! Whole checkpoints through a family into a network: nothing missing, nothing left over, and clear
//! words otherwise.

mod canonical;
mod classes;
mod refused;
mod torchvision;

use std::collections::HashMap;

use detections::SegmentOptions;
use safetensors::tensor::{Dtype, TensorView};

use crate::blueprint::{BackboneBlueprint, ResNetBlueprint};
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

/// The metadata that a saved file carries.
fn saved_metadata(weights: Weights) -> HashMap<String, String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("saved.safetensors");
    weights.save(&path, Precision::Half).unwrap();
    let checkpoint = Checkpoint::open(&path).unwrap();
    checkpoint.metadata.into_iter().collect()
}

/// The ResNet of a network of torchvision's.
fn resnet(weights: &Weights) -> ResNetBlueprint {
    match &weights.blueprint().backbone {
        BackboneBlueprint::ResNet(resnet) => resnet.clone(),
        other => panic!("{other:?} is no ResNet"),
    }
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
