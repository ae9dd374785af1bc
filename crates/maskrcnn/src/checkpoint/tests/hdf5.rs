//! Files that Keras and h5py wrote, read to the bit, and those that must not be read
//! (tests/reference/make_hdf5.py).

use super::*;

/// Files of tests/fixtures/hdf5, each beside what h5py reads of it.
const GOOD: [&str; 16] = [
    "chunked_earliest",
    "chunked_latest",
    "dense",
    "dense_attributes",
    "earliest",
    "group_in_itself",
    "keras_save",
    "keras_save_weights",
    "latest",
    "old_many",
    "stored",
    "track_order",
    "types",
    "user_block",
    "v108",
    "variable_length",
];

fn file(name: &str) -> Vec<u8> {
    let path = path("..").join("hdf5").join(name);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Names, shapes, types, and elements as they are stored.
type Read = Vec<(String, Vec<i64>, DType, Vec<f32>)>;

fn read(bytes: Vec<u8>) -> Read {
    let checkpoint = Checkpoint::from_bytes(bytes).unwrap();
    let dtypes: Vec<_> = checkpoint
        .tensors
        .iter()
        .map(|(name, tensor)| (name.to_owned(), tensor.shape().to_vec(), tensor.dtype()))
        .collect();
    let mut taken: std::collections::BTreeMap<_, _> = take_all(checkpoint)
        .into_iter()
        .map(|(name, _, values)| (name, values))
        .collect();
    let with_values = |(name, shape, dtype)| {
        let values = taken.remove(&name).unwrap_or_default();
        (name, shape, dtype, values)
    };
    dtypes.into_iter().map(with_values).collect()
}

#[test]
fn every_tensor_is_the_one_that_h5py_reads() {
    for name in GOOD {
        let found = read(file(&format!("{name}.h5")));
        let expected = read(file(&format!("{name}.safetensors")));
        assert!(!expected.is_empty(), "{name}");
        assert_eq!(found.len(), expected.len(), "{name}");
        for (found, expected) in found.iter().zip(&expected) {
            assert_eq!(found, expected, "{name}");
        }
    }
}

#[test]
fn keras_names_weights_and_says_what_wrote_them() {
    let checkpoint = Checkpoint::from_bytes(file("keras_save_weights.h5")).unwrap();
    assert_eq!(checkpoint.format, Format::Hdf5);
    assert_eq!(checkpoint.key, "");
    assert_eq!(checkpoint.metadata["backend"], "tensorflow");
    assert_eq!(checkpoint.metadata["keras_version"], "2.15.0");
    for name in [
        "anchors/Variable:0",
        "bn_conv1/moving_variance:0",
        "conv1/kernel:0",
        "mrcnn_class_logits/kernel:0",
        "mrcnn_mask_bn1/moving_mean:0",
        "rpn_conv_shared/kernel:0",
    ] {
        assert!(checkpoint.tensors.contains(name), "{name}");
    }
    // The optimizer's moments in the same file are none of its weights.
    let whole = Checkpoint::from_bytes(file("keras_save.h5")).unwrap();
    assert_eq!(whole.key, "model_weights");
    assert!(whole.tensors.names().eq(checkpoint.tensors.names()));
}

#[test]
fn a_list_of_names_in_several_attributes_is_read() {
    // The file has four of the 900 weights: the fifth name is the first that is missing.
    let error = error(file("many_names.h5")).to_string();
    assert!(error.contains("_1/gamma:0` is listed, but"), "{error}");
}

#[test]
fn each_file_that_is_not_read_has_its_own_sentence() {
    let kernel = "tensor `conv1/kernel:0`";
    let cases = [
        (
            "no_layer_names",
            "an HDF5 file without `layer_names`".to_owned(),
        ),
        (
            "no_weight_names",
            "layer `conv1` has no `weight_names`".to_owned(),
        ),
        (
            "missing_dataset",
            format!("{kernel} is listed, but `kernel:0` is not in"),
        ),
        (
            "missing_layer",
            "layer `conv1` is listed, but `conv1` is not in".to_owned(),
        ),
        ("object_dtype", format!("{kernel} of Python objects")),
        ("strings", format!("{kernel} of strings")),
        ("compound", format!("{kernel} of compound or complex")),
        ("booleans", format!("{kernel} of booleans")),
        ("null", format!("{kernel} has no elements and no shape")),
        ("group", "tensor `conv1/bias:0` is no dataset".to_owned()),
        (
            "external_data",
            format!("{kernel}, whose elements lie in another file"),
        ),
        ("lzf", format!("{kernel}, packed by the filter lzf")),
        (
            "scale_offset",
            format!("{kernel}, packed by the filter scale-offset"),
        ),
        ("virtual", format!("{kernel}, a virtual dataset")),
        ("huge", format!("{kernel} is cut into more than")),
        (
            "huge_contiguous",
            format!("{kernel} is unpacked to more than 16 times"),
        ),
        ("many_chunks", format!("{kernel} is cut into more than")),
        (
            "large_chunk",
            format!("{kernel} is unpacked to more than 16 times"),
        ),
        (
            "bomb",
            format!("{kernel} is unpacked to more than 16 times"),
        ),
        (
            "soft_links_earliest",
            "layer `conv1` behind the soft link `conv1`".to_owned(),
        ),
        (
            "soft_links_latest",
            "layer `conv1` behind the soft link `conv1`".to_owned(),
        ),
        (
            "external_link",
            "layer `conv1` behind a link into another file".to_owned(),
        ),
        ("theano", "weights of Keras with Theano".to_owned()),
        (
            "numbers_for_names",
            "attribute `layer_names` holds no strings".to_owned(),
        ),
        ("upwards", "`../conv1` is no name for a tensor".to_owned()),
        ("twice", "layer `conv1` is listed twice".to_owned()),
        (
            "many_names_of_one",
            "parts of the file lie over each other or repeat".to_owned(),
        ),
        (
            "same_names",
            "tensor `conv/kernel:0` stands twice".to_owned(),
        ),
        (
            "odd_float",
            "tensor `conv1/bias:0` of floats that are not".to_owned(),
        ),
        (
            "keras_3.weights",
            "an HDF5 file in Keras 3's own form".to_owned(),
        ),
    ];
    for (name, expected) in cases {
        let message = error(file(&format!("refused/{name}.h5"))).to_string();
        assert!(
            message.contains(&expected),
            "{name}: {message}, not {expected}"
        );
        assert!(!message.contains(char::is_control), "{name}: {message}");
    }
    let whole = file("earliest.h5");
    let message = error(whole[..whole.len() - 1].to_vec()).to_string();
    assert!(message.contains("it has 17639 bytes of 17640"), "{message}");
    let mut wrong = whole;
    wrong[1] = b'G';
    assert!(matches!(error(wrong), Error::UnknownFormat { .. }));
}
