//! What people hand over by mistake, each with the sentence that says so. Files below
//! `tests/fixtures/wrappers/foreign` are of the real libraries (tests/reference/make_wrappers.py).

use std::io::{Cursor, Write};
use std::path::Path;

use ::zip::ZipWriter;
use ::zip::write::SimpleFileOptions;
use safetensors::tensor::{Dtype, TensorView};

use crate::fit::Fit;
use crate::fixture::fixture_path;
use crate::weights::{ReadOptions, Weights};

const NOT_A_CHECKPOINT: &str = "not a checkpoint: expected safetensors, a PyTorch .pth file, a pickle of NumPy arrays or HDF5 of Keras, found ";
const NO_FAMILY: &str = "the checkpoint belongs to no known model family: ";
const SAVE: &str = "is not supported; save it with torch.save(model.state_dict(), …)";

/// An archive of files with a byte each.
fn zip(names: &[&str]) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for name in names {
        writer
            .start_file(*name, SimpleFileOptions::default())
            .unwrap();
        writer.write_all(b"x").unwrap();
    }
    writer.finish().unwrap().into_inner()
}

fn file(name: &str) -> Vec<u8> {
    let path = fixture_path("wrappers").join(name);
    std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// The sentence about some bytes.
fn sentence(bytes: Vec<u8>) -> String {
    Weights::from_bytes(bytes).unwrap_err().to_string()
}

#[test]
fn files_that_are_no_checkpoint_are_named() {
    let mut tar = vec![0; 1024];
    tar[..9].copy_from_slice(b"model.pth");
    tar[257..262].copy_from_slice(b"ustar");
    for (bytes, found) in [
        (b"".to_vec(), "an empty file"),
        (b"see the releases page\n".to_vec(), "a text file"),
        (
            b"<!DOCTYPE html><title>404".to_vec(),
            "an HTML page (a download that went wrong?)",
        ),
        (
            b"<?xml version=\"1.0\"?><Error><Code>AccessDenied".to_vec(),
            "an XML document (a download that went wrong?)",
        ),
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a".to_vec(),
            "a git-lfs pointer in place of the file (`git lfs pull` fetches it)",
        ),
        (b"{\"epochs\": 12}".to_vec(), "JSON text"),
        (
            file("shards/model.safetensors.index.json"),
            "the index of a checkpoint in several files, without its folder",
        ),
        (zip(&["notes.txt"]), "a zip archive without data.pkl"),
        (
            zip(&["metadata.json", "config.json", "model.weights.h5"]),
            "a Keras archive",
        ),
        (
            zip(&["conv.npy"]),
            "an archive of NumPy arrays (write them anew with safetensors.numpy.save_file(\
             dict(numpy.load(\"weights.npz\")), \"weights.safetensors\"))",
        ),
        (
            file("foreign/stable_baselines3.zip"),
            "a zip archive with a checkpoint in it (unpack it first)",
        ),
        (
            b"\x08\x05\x12\x12\x0a\x10image in pixels".to_vec(),
            "a protobuf file, such as a Core ML model",
        ),
        (b"GGUF\x03\0\0\0".to_vec(), "a GGUF file"),
        (
            b"\x1f\x8b\x08\0\0\0\0\0".to_vec(),
            "a gzip file (unpack it first)",
        ),
        (b"\x80\x04".to_vec(), "a pickle that was cut short"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR".to_vec(), "a PNG image"),
    ] {
        assert_eq!(sentence(bytes), format!("{NOT_A_CHECKPOINT}{found}"));
    }
    assert_eq!(
        sentence(b"\x80\x04\x95\x03\0\0\0\0\0\0\0}\x94.".to_vec()),
        "a pickle without a state dict is not supported; save it with \
         torch.save(model.state_dict(), …)"
    );
    assert_eq!(
        sentence(tar),
        "a tar archive is not supported; unpack it; a checkpoint of PyTorch 0.1 must be loaded and \
         saved again with a newer PyTorch"
    );
}

/// Files of tests/reference/make_foreign.py.
#[test]
fn files_that_other_programs_wrote_are_named() {
    let file = |name: &str| file(&format!("../foreign/{name}"));
    let onnx = "an ONNX model (the checkpoint that it was exported from is wanted)";
    for (name, found) in [
        ("pytorch.onnx", onnx),
        ("nameless.onnx", onnx),
        (
            "converted.tflite",
            "a TensorFlow Lite model (what it was converted from is wanted)",
        ),
        ("archive.keras", "a Keras archive"),
    ] {
        assert_eq!(sentence(file(name)), format!("{NOT_A_CHECKPOINT}{found}"));
    }
    let yolo = format!("{NO_FAMILY}it is a YOLO of Ultralytics (`ultralytics.nn.tasks.");
    let sentence = sentence(file("yolo.pt"));
    assert!(sentence.starts_with(&yolo), "{sentence}");
}

#[test]
fn checkpoints_of_other_things_are_named() {
    for (name, expected) in [
        (
            "classifier.pth",
            format!("{NO_FAMILY}it looks like an image classifier"),
        ),
        (
            "policy.pth",
            format!("{NO_FAMILY}its tensors have unfamiliar names, such as `action_net.weight`"),
        ),
        (
            "yolo.pt",
            format!(
                "{NO_FAMILY}it is a YOLO of Ultralytics (`ultralytics.nn.tasks.DetectionModel`)"
            ),
        ),
    ] {
        let sentence = sentence(file(&format!("foreign/{name}")));
        let (found, _) = sentence.split_once("; known are ").unwrap();
        assert_eq!(found, expected);
    }
    for (name, what) in [
        (
            "optimizer.pt",
            "a PyTorch file of an optimizer's state and no weights",
        ),
        (
            "accelerate_optimizer.bin",
            "a PyTorch file of an optimizer's state and no weights",
        ),
    ] {
        assert_eq!(
            sentence(file(&format!("foreign/{name}"))),
            format!("{what} {SAVE}")
        );
    }
    let frozen = sentence(file("foreign/frozen.pt"));
    assert!(
        frozen.starts_with("a pickled `__torch__.") && frozen.ends_with(SAVE),
        "{frozen}"
    );
}

/// Files of tests/reference/make_distributed.py, whose tensors are in several processes.
#[test]
fn parts_of_distributed_checkpoints_say_how_to_gather_them() {
    let gather = "gather it in all processes with state = get_model_state_dict(model, \
        options=StateDictOptions(full_state_dict=True, cpu_offload=True)) of \
        torch.distributed.checkpoint.state_dict, and torch.save(state, …) in the first";
    let folder = "make one file of the folder with dcp_to_torch_save(folder, \"model.pth\") of \
        torch.distributed.checkpoint.format_utils";
    for (name, what, remedy) in [
        (
            "sharded.pth",
            "a piece [1, 3, 1, 1] of a tensor [2, 3, 1, 1] that is spread over several processes \
             (DTensor)",
            gather,
        ),
        (
            "partial.pth",
            "a tensor whose values are spread over several processes (DTensor)",
            gather,
        ),
        (
            "checkpoint/__0_0.distcp",
            "a piece of a checkpoint of torch.distributed, in several files,",
            folder,
        ),
        (
            "checkpoint/.metadata",
            "the index of a checkpoint of torch.distributed, in several files,",
            folder,
        ),
    ] {
        assert_eq!(
            sentence(file(&format!("../distributed/{name}"))),
            format!("{what} is not supported; {remedy}"),
            "{name}"
        );
    }
}

#[test]
fn files_cut_short_are_called_so_wherever_they_end() {
    for (name, kind) in [
        ("wrappers/references_detection.pth", "PyTorch (zip)"),
        (
            "wrappers/references_detection.legacy.pth",
            "PyTorch (legacy)",
        ),
        ("wrappers/network.safetensors", "safetensors"),
        ("checkpoints/arrays-numpy2-protocol4.pkl", "pickle"),
        ("hdf5/keras_save_weights.h5", "HDF5"),
    ] {
        let whole = std::fs::read(fixture_path(name)).unwrap();
        for len in [200, whole.len() / 4, whole.len() / 2, whole.len() - 1] {
            let sentence = sentence(whole[..len].to_vec());
            assert!(
                sentence.starts_with(&format!("damaged {kind} file: "))
                    && sentence.ends_with("; was a download cut short?"),
                "{name}, {len} bytes: {sentence}"
            );
        }
    }
}

#[test]
fn directories_are_read_by_their_index_or_named() {
    let sentence = |folder: &Path| Weights::open(folder).unwrap_err().to_string();
    // One index: the sentence is that about the network in the shards, which is no whole one.
    let index = fixture_path("wrappers/shards/model.safetensors.index.json");
    assert_eq!(
        sentence(&fixture_path("wrappers/shards")),
        Weights::open(&index).unwrap_err().to_string()
    );
    for (files, found) in [
        (&[][..], "a directory without a checkpoint in it"),
        (&["notes.txt"], "a directory without a checkpoint in it"),
        (
            &["notes.txt", "weights.pth"],
            "a directory; name a file in it, such as `weights.pth`",
        ),
        (
            &["a.index.json", "b.index.json"],
            "a directory with 2 indices of shards (name the one that is meant)",
        ),
        (
            &["saved_model.pb", "fingerprint.pb"],
            "a directory of TensorFlow's (SavedModel); save the weights with \
             model.save_weights(\"weights.h5\")",
        ),
        (
            &[".metadata", "__0_0.distcp"],
            "a directory of torch.distributed.checkpoint; \
             `python -m torch.distributed.checkpoint.format_utils dcp_to_torch DIRECTORY \
             weights.pth` makes one file of it",
        ),
    ] {
        let folder = tempfile::tempdir().unwrap();
        for file in files {
            std::fs::write(folder.path().join(file), "x").unwrap();
        }
        assert_eq!(
            sentence(folder.path()),
            format!("{NOT_A_CHECKPOINT}{found}")
        );
    }
}

#[test]
fn the_nearest_network_of_torchvisions_names_is_torchvisions() {
    for name in ["lightning_two.ckpt", "network.safetensors"] {
        let path = fixture_path("wrappers").join(name);
        let nearest = Fit::nearest(&path, &ReadOptions::default()).unwrap();
        assert_eq!(nearest.unwrap().family, "torchvision-v1", "{name}");
    }
}

#[test]
fn a_network_of_keypoints_is_named() {
    // Names of torchvision's models/detection/keypoint_rcnn.py.
    let names = [
        "roi_heads.box_predictor.cls_score.weight",
        "roi_heads.keypoint_predictor.kps_score_lowres.weight",
    ];
    let zero = [0; 4];
    let tensor = TensorView::new(Dtype::F32, vec![1], &zero).unwrap();
    let tensors = names.map(|name| (name, tensor.clone()));
    let sentence = sentence(safetensors::serialize(tensors, None).unwrap());
    assert!(
        sentence.contains("torchvision's Keypoint R-CNN, which finds keypoints and no masks"),
        "{sentence}"
    );
}
