//! What Python writes and this program must refuse: real pickles that call functions, and tensors
//! that are not read; and what it used to refuse.

use super::*;

/// Asserts the error of both forms of a file in the folder `refused`.
fn assert_refused(name: &str, expected: impl Fn(&Error) -> bool) {
    for form in ["zip", "legacy"] {
        let file = format!("refused/{name}.{form}.pth");
        let error = error(bytes(&file));
        assert!(expected(&error), "{file}: {error}");
    }
}

#[test]
fn a_pickle_that_names_a_function_is_refused_by_that_name() {
    for (name, global) in [
        ("os_system", "posix.system"),
        ("os_system_protocol_4", "posix.system"),
        ("posix_system", "posix.system"),
        ("named_only", "posix.system"),
        ("eval", "__builtin__.eval"),
        ("eval_protocol_5", "builtins.eval"),
        ("getattr", "__builtin__.getattr"),
        ("attributes", "posix.system"),
    ] {
        assert_refused(
            name,
            |error| matches!(error, Error::ForbiddenGlobal { global: found } if found == global),
        );
    }
}

#[test]
fn names_that_do_no_harm_stay_names_and_weights_beside_them_are_read() {
    for (name, key, tensors) in [
        ("namespace", "model", &["weight"][..]),
        ("numpy_scalar", "", &["weight"]),
        (
            "whole_module",
            "",
            &[
                "bn.bias",
                "bn.num_batches_tracked",
                "bn.running_mean",
                "bn.running_var",
                "bn.weight",
                "conv.bias",
                "conv.weight",
                "head.weight",
            ],
        ),
    ] {
        for form in ["zip", "legacy"] {
            let file = format!("refused/{name}.{form}.pth");
            let checkpoint = Checkpoint::open(&path(&file)).unwrap();
            assert_eq!(checkpoint.key, key, "{file}");
            let is_module = name == "whole_module";
            let class = is_module.then(|| "__main__.Net".to_owned());
            assert_eq!(checkpoint.class, class, "{file}");
            let names: Vec<_> = checkpoint.tensors.names().collect();
            assert_eq!(names, tensors, "{file}");
            take_all(checkpoint);
        }
    }
}

#[test]
fn tensors_that_are_not_read_are_refused_with_a_remedy() {
    for (name, expected) in [
        ("quantised", "a quantised tensor"),
        ("sparse", "a sparse tensor"),
        ("complex", "ComplexFloatStorage"),
        ("negated", "yet to be conjugated or negated"),
        ("float8", "float8_e4m3fn"),
        ("meta", "device `meta`"),
        ("expanded", "tensor `weight`, an expanded view"),
    ] {
        let is_unsupported = |error: &Error| match error {
            Error::Unsupported { what, .. } => what.contains(expected),
            _ => false,
        };
        assert_refused(name, is_unsupported);
    }
}

#[test]
fn a_file_without_one_state_dict_is_refused_with_a_remedy() {
    for (name, expected) in [
        ("tensor_alone", "holds a tensor in place of a state dict"),
        ("list", "holds a list in place of a state dict"),
        ("nothing", "without a state dict"),
    ] {
        let is_unsupported = |error: &Error| {
            let text = error.to_string();
            text.contains(expected)
                && text
                    .ends_with("is not supported; save it with torch.save(model.state_dict(), …)")
        };
        assert_refused(name, is_unsupported);
    }
    assert_refused("two_models", |error| {
        error.to_string()
            == "a checkpoint with several state dicts (`generator`, `discriminator`) is not \
                supported; choose one by its key (--checkpoint-key KEY)"
    });
    assert_refused("integer_name", |error| {
        matches!(error, Error::Malformed { .. })
    });
}

#[test]
fn an_archive_that_was_compressed_is_refused_with_a_remedy() {
    let compressed = error(bytes("refused/compressed.zip.pth")).to_string();
    assert!(
        compressed.contains("zip -0") && compressed.contains("a compressed or encrypted entry (`"),
        "{compressed}"
    );
}

#[test]
fn a_module_of_torchscript_is_read_by_its_attributes() {
    let checkpoint = Checkpoint::open(&path("refused/torchscript.zip.pth")).unwrap();
    let class = checkpoint.class.clone().unwrap();
    assert!(class.starts_with("__torch__."), "{class}");
    let tensors = take_all(checkpoint);
    let shapes: Vec<_> = tensors
        .iter()
        .map(|(name, shape, _)| (&**name, &**shape))
        .collect();
    assert_eq!(shapes, [("bias", &[3][..]), ("weight", &[3, 2])]);
}

#[test]
fn pickles_without_tensors_are_no_checkpoints() {
    let plain = error(bytes("refused/plain_pickle.pkl")).to_string();
    assert!(
        plain.starts_with("a pickle without a state dict is not supported; "),
        "{plain}"
    );
    let evil = error(bytes("refused/plain_os_system.pkl"));
    assert!(
        matches!(&evil, Error::ForbiddenGlobal { global } if global == "posix.system"),
        "{evil}"
    );
}
