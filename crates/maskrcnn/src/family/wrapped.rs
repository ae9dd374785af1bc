//! Files as training scripts and their libraries write them, see tests/reference/make_wrappers.py:
//! out of each comes the network that went in.

use std::path::{Path, PathBuf};

use safetensors::SafeTensors;

use super::{Wrapper, choose, unwrap};
use crate::checkpoint::Checkpoint;
use crate::error::{Error, Result};
use crate::fixture::fixture_path;

/// Name, shape and the elements' bits, sorted by name.
type Tensors = Vec<(String, Vec<i64>, Vec<u32>)>;

fn path(file: &str) -> PathBuf {
    fixture_path("wrappers").join(file)
}

/// The network in a file, out of its wrapper.
fn read(path: &Path, key: Option<&str>) -> Result<(Wrapper, Tensors)> {
    let mut choice = None;
    let checkpoint = Checkpoint::open_choosing(path, true, &mut |candidates| {
        Ok(choice.insert(choose(candidates, key)?).candidate)
    });
    let mut tensors = checkpoint?.tensors;
    let wrapper = unwrap(&mut tensors, choice.expect("a network was chosen"))?;
    let names: Vec<String> = tensors.names().map(str::to_owned).collect();
    let taken = names.into_iter().map(|name| {
        let shape = tensors.shape(&name).unwrap().to_vec();
        // Counters are integers.
        let values = match tensors.take(&name, &shape) {
            Ok(elements) => elements.into_f32().into_iter().map(f32::to_bits).collect(),
            Err(_) => Vec::new(),
        };
        (name, shape, values)
    });
    Ok((wrapper, taken.collect()))
}

fn tensors(file: &str) -> Tensors {
    read(&path(file), None).unwrap().1
}

/// Asserts that a file's network is the one that was saved, and what is said of where it was.
fn assert_reads(file: &str, key: Option<&str>, saved: &Tensors, place: &str) {
    let (wrapper, found) = read(&path(file), key).unwrap_or_else(|e| panic!("{file}: {e}"));
    let names = |tensors: &Tensors| {
        tensors
            .iter()
            .map(|(name, ..)| name.clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(names(&found), names(saved), "{file}");
    assert!(found == *saved, "{file}: other values");
    assert_eq!(wrapper.to_string(), place, "{file}");
}

#[test]
fn a_network_is_found_in_what_training_scripts_save() {
    let saved = tensors("network.safetensors");
    assert_eq!(saved.len(), 18);
    for (file, place) in [
        ("network.safetensors", "the whole file"),
        ("references_detection.pth", "`model`"),
        ("references_detection.legacy.pth", "`model`"),
        (
            "lightning.ckpt",
            "`state_dict`, behind `model.`; a tensor beside it ignored: `criterion.pos_weight`",
        ),
        (
            "lightning_detector.ckpt",
            "`state_dict`, behind `detector._orig_mod.`; \
             a tensor beside it ignored: `criterion.pos_weight`",
        ),
        ("compiled.pth", "the whole file, behind `_orig_mod.`"),
        ("compiled_part.pth", "the whole file, without `_orig_mod`"),
        ("data_parallel.pth", "the whole file, behind `module.`"),
        ("ddp.pth", "the whole file, behind `module.`"),
        (
            "ddp_compiled.pth",
            "`state_dict`, behind `_orig_mod.module.`",
        ),
        ("ddp_parts.pth", "the whole file, without `module`"),
        (
            "averaged_model.pth",
            "the whole file, behind `module.`; a tensor beside it ignored: `n_averaged`",
        ),
        (
            "activation_checkpointing.pth",
            "the whole file, without `_checkpoint_wrapped_module`",
        ),
        ("fsdp_state_dict.pth", "`model`"),
        (
            "fsdp_named_parameters.pth",
            "`module`, without `_fsdp_wrapped_module`",
        ),
        ("accelerate.safetensors", "the whole file"),
        ("accelerate.bin", "`model`"),
        ("scores.pt", "`net`"),
        ("whole.pth", "the whole file, a pickled `__main__.Part`"),
        (
            "whole.legacy.pth",
            "the whole file, a pickled `__main__.Part`",
        ),
        (
            "whole_data_parallel.pth",
            "`net`, a pickled `torch.nn.parallel.data_parallel.DataParallel`, behind `module.`",
        ),
        ("shards/model.safetensors.index.json", "the whole file"),
        ("shards/model-00002-of-00002.safetensors", "the whole file"),
        (
            "pickled_shards/pytorch_model.bin.index.json",
            "the whole file",
        ),
        (
            "pickled_shards/pytorch_model-00001-of-00002.bin",
            "the whole file",
        ),
    ] {
        assert_reads(file, None, &saved, place);
    }
}

/// Files of tests/reference/make_distributed.py.
#[test]
fn distributed_tensors_are_read_where_they_are_whole() {
    let saved = tensors("../distributed/network.safetensors");
    assert_eq!(saved.len(), 7);
    for (file, place) in [
        ("one_process.pth", "`model`"),
        ("replicated.pth", "the whole file"),
        ("full_state_dict.pth", "the whole file"),
    ] {
        assert_reads(&format!("../distributed/{file}"), None, &saved, place);
    }
}

#[test]
fn modules_of_torchscript_and_of_torchvision_are_read_whole() {
    let saved = tensors("network.safetensors");
    for file in ["script.pt", "traced.pt"] {
        let (wrapper, found) = read(&path(file), None).unwrap();
        assert!(found == saved, "{file}");
        let class = wrapper.class.unwrap();
        assert!(class.starts_with("__torch__."), "{file}: {class}");
    }
    assert_reads(
        "whole_torchvision.pth",
        None,
        &tensors("whole_torchvision.safetensors"),
        "the whole file, a pickled `torchvision.models.detection.mask_rcnn.MaskRCNN`",
    );
}

#[test]
fn averages_come_after_the_weights_and_a_key_chooses_them() {
    let (saved, averages) = (
        tensors("network.safetensors"),
        tensors("averages.safetensors"),
    );
    let file = "references_classification.pth";
    assert_reads(file, None, &saved, "`model`; not `model_ema.module`");
    assert_reads(file, Some("model"), &saved, "`model`");
    for key in ["model_ema", "model_ema.module"] {
        let place = "`model_ema`, behind `module.`; a tensor beside it ignored: `n_averaged`";
        assert_reads(file, Some(key), &averages, place);
    }

    // Both in one dict.
    let file = "lightning_two.ckpt";
    let (wrapper, found) = read(&path(file), None).unwrap();
    assert!(found == saved);
    assert_eq!((&*wrapper.key, &*wrapper.prefix), ("state_dict", "model."));
    assert_eq!(wrapper.also, ["state_dict.ema_model.module"]);
    assert_eq!(wrapper.ignored.len(), 18 + 2, "{:?}", wrapper.ignored);
    assert_eq!(
        wrapper.taken().as_deref(),
        Some(
            "the weights hold several networks: took `state_dict.model`, not \
             `state_dict.ema_model.module`; --checkpoint-key chooses"
        )
    );
    let (wrapper, found) = read(&path(file), Some("ema_model")).unwrap();
    assert!(found == averages);
    assert_eq!(&*wrapper.prefix, "ema_model.module.");
    assert_eq!(wrapper.taken(), None, "it was asked for");

    // Lightning's callback puts the averages where the weights are expected.
    let (wrapper, found) = read(&path("lightning_averages.ckpt"), None).unwrap();
    assert!(found == saved, "learning rates are 0");
    assert_eq!(wrapper.also, ["current_model_state.model"]);
}

/// A file of the network's tensors, each under what `names` makes of its name.
fn renamed(folder: &Path, names: impl Fn(&str) -> Vec<String>) -> PathBuf {
    let bytes = std::fs::read(path("network.safetensors")).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let renamed = tensors.iter().flat_map(|(name, view)| {
        let names = names(name).into_iter();
        names.map(move |name| (name, view.clone()))
    });
    let file = folder.join("renamed.safetensors");
    safetensors::serialize_to_file(renamed.collect::<Vec<_>>(), None, &file).unwrap();
    file
}

#[test]
fn wrappers_in_wrappers_and_copies_inside_are_told_apart() {
    let folder = tempfile::tempdir().unwrap();
    let saved = tensors("network.safetensors");
    let assert_place = |names: &dyn Fn(&str) -> Vec<String>, place: &str| {
        let (wrapper, found) = read(&renamed(folder.path(), names), None).unwrap();
        assert!(found == saved, "{place}");
        assert_eq!(wrapper.to_string(), place);
    };
    // The whole is compiled, and one part of it once more.
    let twice = |name: &str| {
        let name = name.replace("roi_heads.box_head", "roi_heads._orig_mod.box_head");
        vec![format!("net._orig_mod.{name}")]
    };
    assert_place(&twice, "the whole file, behind `net.`, without `_orig_mod`");
    let both = |name: &str| vec![format!("engine.module.{name}").replace("body.", "body.inner.")];
    assert_place(
        &both,
        "the whole file, behind `engine.module.`, without `inner`",
    );
    // Averages of the parameters alone, inside of the network's own names.
    let shadow = |name: &str| match name.contains("running") {
        true => vec![name.to_owned()],
        false => vec![name.to_owned(), format!("shadow._net.{name}")],
    };
    let (wrapper, found) = read(&renamed(folder.path(), shadow), None).unwrap();
    assert!(found == saved);
    assert_eq!((wrapper.ignored.len(), &*wrapper.prefix), (16, ""));
}

#[test]
fn a_key_that_leads_nowhere_is_an_error_that_lists_the_others() {
    let message = |file: &str, key: &str| read(&path(file), Some(key)).unwrap_err().to_string();
    assert_eq!(
        message("references_classification.pth", "ema"),
        "the checkpoint has no network under the key `ema`; it has `model`, `model_ema.module`"
    );
    // An optimizer's moments are no network, whoever asks for them.
    assert_eq!(
        message("references_detection.pth", "optimizer"),
        "the checkpoint has no network under the key `optimizer`; it has `model`"
    );
    assert_eq!(
        message("accelerate.safetensors", "model"),
        "the checkpoint has no network under the key `model`; it has no keys"
    );
}

#[test]
fn of_two_networks_with_the_same_right_neither_is_taken() {
    let file = path("foreign/two_networks.pth");
    let error = read(&file, None).unwrap_err();
    assert_eq!(
        error.to_string(),
        "a checkpoint with several state dicts (`first`, `second`) is not supported; \
         choose one by its key (--checkpoint-key KEY)"
    );
    assert!(matches!(error, Error::Unsupported { .. }));
    let saved = tensors("network.safetensors");
    assert_reads(
        "foreign/two_networks.pth",
        Some("second"),
        &saved,
        "`second`",
    );
}

#[test]
fn a_file_with_bytes_changed_is_read_or_refused_in_one_line() {
    let mut state = 20240u64;
    // A linear congruential generator (Knuth, MMIX), its high bits.
    let mut next = || {
        state = state
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        (state >> 40) as usize
    };
    for file in ["whole.legacy.pth", "references_detection.legacy.pth"] {
        let whole = std::fs::read(path(file)).unwrap();
        for round in 0..2000 {
            let mut bytes = whole.clone();
            for _ in 0..1 + next() % 6 {
                let at = next() % bytes.len();
                bytes[at] = next() as u8;
            }
            let mut choice = None;
            let key = (round % 2 == 1).then_some("model");
            let read = Checkpoint::from_bytes_choosing(bytes, &mut |candidates| {
                Ok(choice.insert(choose(candidates, key)?).candidate)
            });
            let place = read.and_then(|mut checkpoint| {
                unwrap(
                    &mut checkpoint.tensors,
                    choice.take().expect("one was chosen"),
                )
            });
            let said = match place {
                Ok(wrapper) => wrapper.to_string(),
                Err(error) => error.to_string(),
            };
            assert!(!said.contains(char::is_control), "{file}: {said:?}");
            assert!(said.len() < 8192, "{file}: {said}");
        }
    }
}
