//! Files that are damaged, or lie about themselves.

use super::assemble::*;
use super::*;

fn assert_malformed(bytes: Vec<u8>, expected: &str) {
    let error = error(bytes);
    assert!(
        matches!(&error, Error::Malformed { reason, .. } if reason.contains(expected)),
        "{error}, not {expected}"
    );
}

/// Asserts what both forms of `.pth` say of an object.
fn assert_object_malformed(object: &[u8], expected: &str) {
    assert_malformed(legacy(object), expected);
    assert_malformed(zip(object), expected);
}

#[test]
fn the_assembled_checkpoint_is_good_before_it_is_broken() {
    let object = state_dict_of(Pickle::good_tensor);
    for bytes in [legacy(&object), zip(&object)] {
        let expected = vec![0.5, 1.5, 2.5, 3.5, 4.5, 5.5];
        assert_eq!(
            take_all(Checkpoint::from_bytes(bytes).unwrap()),
            [("weight".to_owned(), vec![2, 3], expected)]
        );
    }
}

#[test]
fn a_tensor_that_leaves_its_storage_is_refused() {
    let cases: [(i64, &[i64], &[i64]); 9] = [
        (1, &[2, 3], &[3, 1]),
        (0, &[2, 4], &[3, 1]),
        (0, &[2, 3], &[4, 1]),
        (0, &[1 << 40], &[1]),
        (0, &[1 << 40, 1 << 40], &[1 << 40, 1]),
        (0, &[2, 3], &[i64::MAX, i64::MAX]),
        (i64::MAX, &[1], &[1]),
        (-1, &[1], &[1]),
        (5, &[3], &[-1]),
    ];
    for (offset, shape, strides) in cases {
        assert_object_malformed(
            &state_dict_of(|p| p.tensor(6, offset, shape, strides)),
            "leaves its storage",
        );
    }
    assert_object_malformed(
        &state_dict_of(|p| p.tensor(6, 0, &[-2, 3], &[3, 1])),
        "an axis of length -2",
    );
    assert_object_malformed(
        &state_dict_of(|p| p.tensor(6, 0, &[2, 3], &[1])),
        "2 axes but 1 strides",
    );
    assert_object_malformed(
        &state_dict_of(|p| p.tensor(6, 0, &[1; 17], &[1; 17])),
        "at most 16",
    );
}

#[test]
fn an_expanded_tensor_of_absurd_size_is_refused() {
    let object = state_dict_of(|p| p.tensor(6, 0, &[1 << 30, 1 << 31], &[0, 0]));
    for bytes in [legacy(&object), zip(&object)] {
        assert!(
            matches!(error(bytes), Error::Unsupported { what, .. } if what.contains("expanded"))
        );
    }
}

#[test]
fn a_storage_that_lies_about_its_length_is_refused() {
    for len in [5, 7, 0, -1, 1 << 40, i64::MAX, i64::MIN] {
        let object = state_dict_of(|p| p.tensor(len, 0, &[1], &[1]));
        assert!(
            matches!(error(legacy(&object)), Error::Malformed { .. }),
            "{len}"
        );
        assert!(
            matches!(error(zip(&object)), Error::Malformed { .. }),
            "{len}"
        );
        // Both say so, and the bytes are not there.
        if len != 5 && len != 0 {
            let lying = legacy_with(&object, &["0"], &[(len, six_floats())]);
            assert!(matches!(error(lying), Error::Malformed { .. }), "{len}");
        }
    }
}

#[test]
fn storages_and_their_keys_must_agree() {
    let object = state_dict_of(Pickle::good_tensor);
    let six = || (6, six_floats());
    assert_malformed(
        legacy_with(&object, &[], &[]),
        "storage `0`, which is missing",
    );
    assert_malformed(
        legacy_with(&object, &["1"], &[six()]),
        "storage `1` belongs to no tensor",
    );
    assert_malformed(
        legacy_with(&object, &["0", "0"], &[six(), six()]),
        "storage `0` stands twice",
    );
    assert_malformed(
        legacy_with(&object, &["0"], &[]),
        "storage `0` is missing at the end; was a download cut short?",
    );
    assert_malformed(
        zip_of(&[("a/data.pkl", &object)]),
        "storage `0`, which is missing",
    );
    assert_malformed(
        zip_of(&[("a/data.pkl", &object), ("b/data/0", &six_floats())]),
        "storage `0`, which is missing",
    );
    let two_lengths = state_dict_with(|p| p.tensor(5, 0, &[1], &[1]));
    assert_malformed(legacy(&two_lengths), "storage `0` is described in two ways");
}

#[test]
fn a_name_that_stands_twice_is_refused() {
    let object = state_dict_of(Pickle::good_tensor);
    let twice = Pickle(object[..object.len() - 1].to_vec())
        .text("weight")
        .good_tensor()
        .op(b"s")
        .stop();
    let shadowed = Pickle(object[..object.len() - 1].to_vec())
        .text("weight")
        .op(b"Ns")
        .stop();
    for object in [twice, shadowed] {
        for bytes in [legacy(&object), zip(&object)] {
            assert!(matches!(error(bytes), Error::DuplicateTensor { name } if name == "weight"));
        }
    }
    let tensor = r#"{"dtype":"F32","shape":[1],"data_offsets":[0,4]}"#;
    for header in [
        format!(r#"{{"w":{tensor},"w":{tensor}}}"#),
        format!(r#"{{"w":{tensor},"\u0077":{tensor}}}"#),
    ] {
        assert!(
            matches!(error(safetensors(&header, &[0; 4])), Error::DuplicateTensor { name } if name == "w")
        );
    }
    let header = format!(r#"{{"__metadata__":{{}},"w":{tensor},"__metadata__":{{"a":"b"}}}}"#);
    assert!(matches!(
        error(safetensors(&header, &[0; 4])),
        Error::DuplicateTensor { .. }
    ));

    let two_models = Pickle::new()
        .op(b"}")
        .text("model")
        .op(b"}")
        .text("weight")
        .good_tensor()
        .op(b"ss");
    let two_models = two_models
        .text("model")
        .op(b"}")
        .text("weight")
        .good_tensor()
        .op(b"ss")
        .stop();
    assert_object_malformed(&two_models, "`model` stands twice");
}

#[test]
fn names_that_no_tensor_has_are_refused() {
    for name in ["\x1b[2Jweight", "a\nb", "\u{9b}31m", &"x".repeat(2000)] {
        let object = Pickle::new()
            .op(b"}")
            .text(name)
            .good_tensor()
            .op(b"s")
            .stop();
        assert_object_malformed(&object, "is no name for a tensor");
        assert!(
            !error(legacy(&object))
                .to_string()
                .contains(char::is_control)
        );
    }
    let header = r#"{"a\u001b[2J":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#;
    assert_malformed(safetensors(header, &[0; 4]), "is no name for a tensor");
}

#[test]
fn a_wrong_magic_number_protocol_or_byte_order_is_refused() {
    let object = state_dict_of(Pickle::good_tensor);
    let mut wrong = legacy(&object);
    wrong[5] ^= 1;
    // Then it is the pickle of a number.
    let message = error(wrong).to_string();
    assert!(
        message.starts_with("a pickle that holds an integer in place of a state dict"),
        "{message}"
    );
    assert_malformed(
        [legacy_header(true, 1000), object.clone()].concat(),
        "protocol version 1000, expected 1001",
    );
    let big = [legacy_header(false, 1001), object.clone()].concat();
    assert!(matches!(error(big), Error::Unsupported { what, .. } if what.contains("big-endian")));

    let data = six_floats();
    let archive = |order| {
        zip_of(&[
            ("a/data.pkl", &object),
            ("a/byteorder", order),
            ("a/data/0", &data),
        ])
    };
    assert!(
        matches!(error(archive(b"big")), Error::Unsupported { what, .. } if what.contains("big-endian"))
    );
    assert_malformed(archive(b"middle"), "byte order");
    outcome(zip_of(&[("data.pkl", &object), ("data/0", &data)])).unwrap();
}

#[test]
fn archives_of_other_things_are_named() {
    for (file, expected) in [
        ("notes.txt", "without data.pkl"),
        ("a/xdata.pkl", "without data.pkl"),
        ("model.weights.h5", "Keras"),
        ("weight.npy", "NumPy"),
        ("download/model.pth", "unpack it first"),
    ] {
        let error = error(zip_of(&[(file, b"x")]));
        assert!(
            matches!(&error, Error::UnknownFormat { found } if found.contains(expected)),
            "{error}"
        );
    }
    let object = state_dict_of(Pickle::good_tensor);
    assert_malformed(
        zip_of(&[("a/data.pkl", &object), ("b/data.pkl", &object)]),
        "two data.pkl",
    );
}

/// Positions of a four-byte signature.
fn positions(bytes: &[u8], signature: &[u8; 4]) -> Vec<usize> {
    (0..bytes.len() - 4)
        .filter(|&at| bytes[at..].starts_with(signature))
        .collect()
}

#[test]
fn entries_that_overlap_repeat_or_leave_the_file_are_refused() {
    let good = zip(&state_dict_of(Pickle::good_tensor));
    let directory = positions(&good, b"PK\x01\x02");
    assert_eq!(directory.len(), 3);
    // In the central directory: compressed size at 20, size at 24, name length at 28, offset at 42,
    // name at 46.
    let set = |at: usize, value: &[u8]| {
        let mut bytes = good.clone();
        bytes[at..at + value.len()].copy_from_slice(value);
        bytes
    };
    let first_offset = good[directory[0] + 42..][..4].to_vec();
    let overlapping = set(directory[2] + 42, &first_offset);
    assert!(matches!(error(overlapping), Error::Malformed { .. }));
    for size in [u32::MAX - 1, 1 << 30, good.len() as u32] {
        let mut bytes = set(directory[2] + 20, &size.to_le_bytes());
        bytes[directory[2] + 24..][..4].copy_from_slice(&size.to_le_bytes());
        assert!(matches!(error(bytes), Error::Malformed { .. }), "{size}");
    }
    for offset in [u32::MAX - 1, good.len() as u32, 7] {
        assert!(
            matches!(
                error(set(directory[2] + 42, &offset.to_le_bytes())),
                Error::Malformed { .. }
            ),
            "{offset}"
        );
    }
    // Sizes that differ are those of a compressed entry.
    assert!(matches!(
        error(set(directory[2] + 24, &[23, 0, 0, 0])),
        Error::Unsupported { .. }
    ));
    assert!(matches!(
        error(set(directory[2] + 10, &[8, 0])),
        Error::Unsupported { .. }
    ));

    let object = state_dict_of(Pickle::good_tensor);
    let (one, two) = (six_floats(), vec![0; 24]);
    let mut twice = zip_of(&[
        ("a/data.pkl", &object),
        ("a/data/0", &one),
        ("a/data/1", &two),
    ]);
    for at in positions(&twice, b"ta/1") {
        twice[at + 3] = b'0';
    }
    assert_malformed(twice, "two entries have the same name");
}

#[test]
fn safetensors_that_break_the_format_are_refused() {
    let tensor = |shape: &str, start: i64, end: i64| {
        format!(r#"{{"dtype":"F32","shape":{shape},"data_offsets":[{start},{end}]}}"#)
    };
    let one = |tensor: String| format!(r#"{{"w":{tensor}}}"#);
    let two = |a: String, b: String| format!(r#"{{"a":{a},"b":{b}}}"#);
    outcome(safetensors(&one(tensor("[2,1]", 0, 8)), &[0; 8])).unwrap();
    for header in [
        one(tensor("[3]", 0, 8)),
        one(tensor("[2]", 0, 1 << 40)),
        one(tensor("[2]", 8, 0)),
        one(tensor("[2]", -8, 0)),
        one(tensor("[2]", 4, 12)),
        one(tensor("[1]", 0, 4)),
        one(tensor("[1099511627776]", 0, 8)),
        one(tensor("[4294967296,4294967296,4]", 0, 8)),
        one(tensor("[-2]", 0, 8)),
        one(tensor("[18446744073709551615,0]", 0, 0)),
        two(tensor("[2]", 0, 8), tensor("[2]", 0, 8)),
        two(tensor("[1]", 0, 4), tensor("[1]", 8, 12)),
        r#"{"w":{"dtype":"F31","shape":[2],"data_offsets":[0,8]}}"#.to_owned(),
        r#"{"w":{"shape":[2],"data_offsets":[0,8]}}"#.to_owned(),
        r#"{"w":[]}"#.to_owned(),
        r#"{"__metadata__":{"a":1}}"#.to_owned(),
        r#"{"w":"#.to_owned(),
        "{".repeat(100_000),
        format!(r#"{{"w":{}"#, "[".repeat(100_000)),
    ] {
        let error = error(safetensors(&header, &[0; 8]));
        assert!(
            matches!(error, Error::Malformed { .. }),
            "{:.80}: {error}",
            header
        );
    }
    assert_malformed(
        (1u64 << 20)
            .to_le_bytes()
            .iter()
            .copied()
            .chain(*b"{}")
            .collect(),
        "header leaves the file",
    );
    let complex = r#"{"w":{"dtype":"C64","shape":[1],"data_offsets":[0,8]}}"#;
    assert!(matches!(
        error(safetensors(complex, &[0; 8])),
        Error::Unsupported { .. }
    ));
}
