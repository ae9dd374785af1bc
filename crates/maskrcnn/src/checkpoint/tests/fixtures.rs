//! What `torch.save` and the safetensors package wrote, see tests/reference/make_checkpoints.py.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::sync::Arc;

use safetensors::{Dtype, SafeTensors};

use super::super::bytes::Bytes;
use super::super::view::View;
use super::super::{Checkpoint, DType, Format, StateDict, safetensors::save};
use super::*;

/// The names, shapes and fp32 values that Python says a fixture has; `None` for the values of
/// integers.
pub(super) type Expected = Vec<(String, Vec<i64>, Option<Vec<f32>>)>;

/// Read by the safetensors crate alone.
pub(super) fn expected(name: &str) -> Expected {
    let bytes = bytes(&format!("{name}.safetensors"));
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let mut expected: Expected = tensors
        .iter()
        .map(|(name, view)| {
            let values = view
                .data()
                .as_chunks()
                .0
                .iter()
                .map(|&element| f32::from_le_bytes(element))
                .collect();
            let shape = view.shape().iter().map(|&length| length as i64).collect();
            (
                name.to_owned(),
                shape,
                (view.dtype() == Dtype::F32).then_some(values),
            )
        })
        .collect();
    expected.sort_by(|a, b| a.0.cmp(&b.0));
    expected
}

/// Compares bit by bit, so that −0 is not 0.
pub(super) fn assert_reads(file: &str, format: Format, expected: &Expected) {
    let mut checkpoint =
        Checkpoint::open(&path(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
    assert_eq!(checkpoint.format, format, "{file}");
    let names: Vec<_> = checkpoint.tensors.names().collect();
    assert_eq!(
        names,
        expected.iter().map(|(name, ..)| name).collect::<Vec<_>>(),
        "{file}"
    );
    for (name, shape, values) in expected {
        assert_eq!(
            checkpoint.tensors.shape(name),
            Some(shape.as_slice()),
            "{file}: {name}"
        );
        match values {
            Some(expected) => {
                let values = checkpoint.tensors.take(name, shape).unwrap().into_f32();
                let bits = |values: &[f32]| {
                    values
                        .iter()
                        .map(|value| value.to_bits())
                        .collect::<Vec<_>>()
                };
                assert_eq!(bits(&values), bits(expected), "{file}: {name}");
            }
            None => {
                assert!(
                    matches!(
                        checkpoint.tensors.take(name, shape),
                        Err(Error::Unsupported { .. })
                    ),
                    "{file}: {name}"
                );
                assert!(checkpoint.tensors.remove(name));
            }
        }
    }
    checkpoint.tensors.finish().unwrap();
}

#[test]
fn both_forms_of_pth_give_the_tensors_that_python_saved() {
    for (file, tensors) in [
        ("dtypes", "dtypes"),
        ("strided", "strided"),
        ("module", "module"),
        ("module_protocol_3", "module"),
        ("module_protocol_4", "module"),
        ("module_protocol_5", "module"),
        ("parameters", "parameters"),
        ("nested", "nested"),
        ("training", "training"),
        ("training_protocol_4", "training"),
    ] {
        let expected = expected(tensors);
        assert!(
            expected
                .iter()
                .any(|(_, shape, values)| values.is_some() && shape.len() > 1),
            "{file}"
        );
        assert_reads(&format!("{file}.zip.pth"), Format::TorchZip, &expected);
        assert_reads(
            &format!("{file}.legacy.pth"),
            Format::TorchLegacy,
            &expected,
        );
    }
}

#[test]
fn an_archive_that_was_unpacked_and_packed_again_is_read() {
    assert_reads("repacked.zip.pth", Format::TorchZip, &expected("module"));
}

#[test]
fn the_archives_folder_may_have_any_name() {
    // One of this length misleads the zip crate when it has to guess where the archive begins.
    assert_reads(
        "twenty_one_characters.pth",
        Format::TorchZip,
        &expected("module"),
    );
}

#[test]
fn safetensors_of_python_are_read_with_their_metadata() {
    for name in ["dtypes", "strided", "module", "parameters"] {
        assert_reads(
            &format!("{name}.safetensors"),
            Format::Safetensors,
            &expected(name),
        );
        let checkpoint = Checkpoint::open(&path(&format!("{name}.safetensors"))).unwrap();
        assert_eq!(checkpoint.metadata["name"], name);
        assert_eq!(checkpoint.metadata.len(), 1);
    }
}

#[test]
fn the_embedded_default_is_read_from_the_program() {
    const WEIGHTS: &[u8] = include_bytes!("../../../../../weights/compact.safetensors");
    let checkpoint = Checkpoint::from_static(WEIGHTS).unwrap();
    let mapped = Checkpoint::open(
        &PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../weights/compact.safetensors"),
    );
    assert_eq!(checkpoint.sha256(), mapped.unwrap().sha256());
    assert!(take_all(checkpoint).len() > 100);
}

#[test]
fn the_digest_is_that_of_the_whole_file() {
    let name = "refused/plain_pickle.pkl";
    assert!(Checkpoint::open(&path(name)).is_err());
    // sha256sum of the bytes `{}` after their length, which is an empty but valid safetensors file.
    let checkpoint = Checkpoint::from_bytes(b"\x02\0\0\0\0\0\0\0{}".to_vec()).unwrap();
    assert_eq!(
        checkpoint.sha256(),
        "411a485216e432ece6b9af94fa32154cf79a2a56d4f81266baa50063f45092bd"
    );
}

/// Tensors of a file of these bytes.
fn state_dict<const N: usize>(file: Vec<u8>, views: [(&str, View); N]) -> StateDict {
    let views = views
        .into_iter()
        .map(|(name, view)| (name.to_owned(), view));
    StateDict::new(Arc::new(Bytes::Owned(file)), views.collect())
}

#[test]
fn what_is_saved_comes_back_and_has_the_same_bytes_each_time() {
    let folder = tempfile::tempdir().unwrap();
    let tensors = || {
        let floats = [1f32, -2.5, 3.25, 4.0, 5.5, -6.0];
        let doubles = [0.5f64, 65504.0];
        let mut file: Vec<u8> = floats.iter().flat_map(|x| x.to_le_bytes()).collect();
        file.extend(doubles.iter().flat_map(|x| x.to_le_bytes()));
        let transposed = View::strided(DType::F32, vec![3, 2], &[1, 3], 0, 0..24).unwrap();
        let views = [
            ("b.weight", transposed),
            (
                "a.bias",
                View::contiguous(DType::F64, vec![2], 24..40).unwrap(),
            ),
            (
                "c.empty",
                View::contiguous(DType::F32, vec![0, 3], 40..40).unwrap(),
            ),
        ];
        state_dict(file, views)
    };
    let metadata: BTreeMap<_, _> = (0..9)
        .map(|i| (format!("key {i}"), format!("value \"{i}\"")))
        .collect();
    for half in [false, true] {
        let (first, second) = (folder.path().join("first"), folder.path().join("second"));
        save(&first, tensors(), &metadata, half).unwrap();
        save(&second, tensors(), &metadata, half).unwrap();
        assert_eq!(
            std::fs::read(&first).unwrap(),
            std::fs::read(&second).unwrap()
        );

        let checkpoint = Checkpoint::open(&first).unwrap();
        assert_eq!(checkpoint.metadata, metadata);
        let expected = [
            ("a.bias".to_owned(), vec![2], vec![0.5, 65504.0]),
            (
                "b.weight".to_owned(),
                vec![3, 2],
                vec![1.0, 4.0, -2.5, 5.5, 3.25, -6.0],
            ),
            ("c.empty".to_owned(), vec![0, 3], vec![]),
        ];
        assert_eq!(take_all(checkpoint), expected);

        // The header is padded so that the tensors are aligned, and fp16 halves what follows it.
        let bytes = std::fs::read(&first).unwrap();
        let header = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
        assert_eq!(
            (header % 8, bytes.len() - 8 - header),
            (0, if half { 16 } else { 32 })
        );
    }
    assert_eq!(
        std::fs::read_dir(folder.path()).unwrap().count(),
        2,
        "no temporary file is left"
    );
}

#[test]
fn saving_refuses_what_would_not_come_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weights");
    let tensor = |name: &'static str, values: [f32; 2]| {
        let file = values.iter().flat_map(|x| x.to_le_bytes()).collect();
        let view = View::contiguous(DType::F32, vec![2], 0..8).unwrap();
        state_dict(file, [(name, view)])
    };
    let none = BTreeMap::new();
    let large = save(&path, tensor("x", [1.0, -70000.0]), &none, true);
    assert!(matches!(large, Err(Error::Unsupported { .. })));
    let metadata = save(&path, tensor("__metadata__", [1.0, 2.0]), &none, false);
    assert!(matches!(metadata, Err(Error::DuplicateTensor { name }) if name == "__metadata__"));
    let integer = View::contiguous(DType::I64, vec![], 0..8).unwrap();
    let integer = save(
        &path,
        state_dict(vec![0; 8], [("x", integer)]),
        &none,
        false,
    );
    assert!(matches!(integer, Err(Error::Unsupported { .. })));
    assert!(!path.exists());
    // Infinite before, so infinite after.
    save(&path, tensor("x", [1.0, f32::INFINITY]), &none, true).unwrap();

    let nowhere = folder.path().join("no/such/folder");
    let nowhere = save(&nowhere, tensor("x", [1.0, 2.0]), &none, false);
    assert!(matches!(nowhere, Err(Error::WriteFile { .. })));
}

#[test]
fn files_that_cannot_be_read_are_clear_errors() {
    let folder = tempfile::tempdir().unwrap();
    let missing = Checkpoint::open(&folder.path().join("none.pth"))
        .err()
        .unwrap();
    let kind = |error: &Error| match error {
        Error::ReadFile { source, .. } => Some(source.kind()),
        _ => None,
    };
    assert_eq!(kind(&missing), Some(ErrorKind::NotFound));
    assert!(missing.to_string().ends_with("none.pth`"));
    let directory = Checkpoint::open(folder.path()).err().unwrap();
    assert!(matches!(
        directory,
        Error::UnknownFormat { found } if found == "a directory without a checkpoint in it"
    ));
    let empty = folder.path().join("empty.pth");
    std::fs::write(&empty, b"").unwrap();
    let empty = Checkpoint::open(&empty).err().unwrap();
    assert!(matches!(empty, Error::UnknownFormat { found } if found == "an empty file"));
}
