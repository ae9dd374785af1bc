//! What Python writes and this program must refuse: real pickles that call functions, and tensors
//! that are not read.

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
        ("attributes", "__main__.Attributes"),
        ("namespace", "argparse.Namespace"),
        ("numpy_scalar", "numpy._core.multiarray.scalar"),
        ("whole_module", "__main__.Net"),
    ] {
        assert_refused(
            name,
            |error| matches!(error, Error::ForbiddenGlobal { global: found } if found == global),
        );
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
        (
            "two_models",
            "several state dicts (`discriminator`, `generator`)",
        ),
    ] {
        let is_unsupported = |error: &Error| {
            let text = error.to_string();
            text.contains(expected)
                && text
                    .ends_with("is not supported; save it with torch.save(model.state_dict(), …)")
        };
        assert_refused(name, is_unsupported);
    }
    assert_refused("integer_name", |error| {
        matches!(error, Error::Malformed { .. })
    });
}

#[test]
fn archives_that_are_not_of_torch_save_are_refused() {
    let torchscript = error(bytes("refused/torchscript.zip.pth")).to_string();
    assert!(
        torchscript.starts_with("a TorchScript archive is not supported"),
        "{torchscript}"
    );
    let compressed = error(bytes("refused/compressed.zip.pth")).to_string();
    assert!(
        compressed.contains("zip -0") && compressed.contains("a compressed or encrypted entry (`"),
        "{compressed}"
    );
}

#[test]
fn pickles_without_tensors_are_no_checkpoints() {
    for name in ["plain_pickle", "plain_os_system"] {
        let error = error(bytes(&format!("refused/{name}.pkl")));
        assert!(
            matches!(&error, Error::UnknownFormat { found } if found.contains("pickle")),
            "{error}"
        );
    }
}
