//! The classes and functions that a pickle names: those that tensors are made of, those that are
//! refused, and all others, which stay names.
//!
//! A name becomes a variant of [`Global`], never code. What `torch.save` writes for tensors is
//! listed (PyTorch `torch/_weights_only_unpickler.py`, `_get_allowed_globals`). Training scripts put
//! much else beside them (an `argparse.Namespace`, enums, the classes of whole modules), so
//! unlisted names are inert: nothing is imported or called for one. Names that no training script
//! has reason to write are refused all the same ([`hostile`]): here they would do nothing, but the
//! file was made to do harm where it is unpickled, and whoever has it should know.

use super::hostile;
use crate::checkpoint::dtype::DType;
use crate::checkpoint::printable::printable;
use crate::error::{Error, Result};

/// A class or function that a pickle may name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::checkpoint) enum Global<'a> {
    /// `collections.OrderedDict`.
    OrderedDict,
    /// `collections.defaultdict`.
    DefaultDict,
    /// `set` or `frozenset`.
    Set,
    /// `torch.Size`, a tuple.
    Size,
    /// `torch.Tensor`, as the type of a tensor with attributes.
    Tensor,
    /// `torch.nn.Parameter`, or one of the functions that rebuild it from a tensor.
    Parameter,
    /// `torch._utils._rebuild_tensor` and `_rebuild_tensor_v2`, which differ in what follows the
    /// strides.
    RebuildTensor,
    /// `torch._utils._rebuild_tensor_v3`: the element type is an argument, the storage has none.
    RebuildTensorV3,
    /// `torch._tensor._rebuild_from_type_v2`: another rebuild function, its arguments, and
    /// attributes.
    RebuildFromType,
    /// `torch._utils._rebuild_wrapper_subclass`: a tensor that holds others among its attributes.
    RebuildWrapper,
    /// The class of a storage of such elements. `torch.UntypedStorage` counts as bytes, as in
    /// PyTorch.
    Storage(DType),
    /// `torch.float32` and its like.
    DType(DType),
    /// `numpy.ndarray`, as the class of an array.
    NdArray,
    /// `numpy.dtype`.
    ElementType,
    /// NumPy's `_reconstruct`, which makes an array whose contents are set afterwards.
    Reconstruct,
    /// NumPy's `_frombuffer`, which protocol 5 writes.
    FromBuffer,
    /// `_codecs.encode`, by which protocol 2 writes bytes.
    Encode,
    /// The constructor of plain data of this kind.
    Plain(&'static str),
    /// Anything else: module and name.
    Inert(&'a str, &'a str),
}

impl<'a> Global<'a> {
    /// What `module.name` stands for.
    ///
    /// # Errors
    ///
    /// [`Error::Unsupported`] for kinds of tensors that are not read, [`Error::ForbiddenGlobal`]
    /// for what could only do harm.
    pub(super) fn resolve(module: &'a str, name: &'a str) -> Result<Self> {
        let global = match (module, name) {
            ("collections", "OrderedDict") => Self::OrderedDict,
            ("collections", "defaultdict") => Self::DefaultDict,
            ("collections", "Counter") => Self::Plain("a Counter"), // milestones of a MultiStepLR
            ("torch", "Size") => Self::Size,
            ("torch", "Tensor") => Self::Tensor,
            ("torch", "device") => Self::Plain("a device"),
            ("torch.nn.parameter", "Parameter") => Self::Parameter,
            ("torch._utils", "_rebuild_parameter" | "_rebuild_parameter_with_state") => {
                Self::Parameter
            }
            ("torch._utils", "_rebuild_tensor" | "_rebuild_tensor_v2") => Self::RebuildTensor,
            ("torch._utils", "_rebuild_tensor_v3") => Self::RebuildTensorV3,
            ("torch._tensor" | "torch.tensor", "_rebuild_from_type_v2") => Self::RebuildFromType,
            ("torch._utils", "_rebuild_wrapper_subclass") => Self::RebuildWrapper,
            // Python 2's name of the module, which protocol 2 writes under Python 3 as well, and
            // Python 3's.
            ("__builtin__" | "builtins", "set" | "frozenset") => Self::Set,
            ("__builtin__" | "builtins", "bytearray") => Self::Plain("bytes"),
            ("__builtin__" | "builtins", "complex") => Self::Plain("a complex number"),
            ("_codecs", "encode") => Self::Encode,
            ("numpy", "ndarray") => Self::NdArray,
            ("numpy", "dtype") => Self::ElementType,
            // `core` became `_core` in NumPy 2.
            ("numpy.core.multiarray" | "numpy._core.multiarray", "_reconstruct") => {
                Self::Reconstruct
            }
            ("numpy.core.numeric" | "numpy._core.numeric", "_frombuffer") => Self::FromBuffer,
            ("torch._utils", _) if name.starts_with("_rebuild_") => {
                return Err(unsupported_tensor(rebuilt(name)));
            }
            // The module says where the tensor was when it was saved.
            ("torch" | "torch.cuda" | "torch.storage", _) if name.ends_with("Storage") => {
                return storage(name).map(Self::Storage);
            }
            ("torch", _) if let Some(dtype) = dtype(name)? => Self::DType(dtype),
            _ if hostile::is_hostile(module, name) => return Err(forbidden(module, name)),
            _ => Self::Inert(module, name),
        };
        Ok(global)
    }
}

fn forbidden(module: &str, name: &str) -> Error {
    Error::ForbiddenGlobal {
        global: printable(&format!("{module}.{name}")),
    }
}

pub(super) fn unsupported_tensor(what: String) -> Error {
    Error::Unsupported {
        what,
        remedy: "save the tensors dense and on the CPU, in float32, float16 or bfloat16",
    }
}

/// The kind of tensor that another function of `torch._utils` rebuilds.
fn rebuilt(function: &str) -> String {
    match function {
        "_rebuild_qtensor" => "a quantised tensor".to_owned(),
        "_rebuild_sparse_tensor" | "_rebuild_sparse_csr_tensor" => "a sparse tensor".to_owned(),
        "_rebuild_nested_tensor" => "a nested tensor".to_owned(),
        "_rebuild_meta_tensor_no_storage" => "a tensor without data (device `meta`)".to_owned(),
        _ => format!("a tensor that needs `torch._utils.{}`", printable(function)),
    }
}

fn storage(class: &str) -> Result<DType> {
    Ok(match class {
        "DoubleStorage" => DType::F64,
        "FloatStorage" => DType::F32,
        "HalfStorage" => DType::F16,
        "BFloat16Storage" => DType::BF16,
        "LongStorage" => DType::I64,
        "IntStorage" => DType::I32,
        "ShortStorage" => DType::I16,
        "CharStorage" => DType::I8,
        "ByteStorage" | "UntypedStorage" => DType::U8,
        "BoolStorage" => DType::Bool,
        _ => {
            return Err(unsupported_tensor(format!(
                "a tensor in a `torch.{}`",
                printable(class)
            )));
        }
    })
}

fn dtype(name: &str) -> Result<Option<DType>> {
    Ok(Some(match name {
        "float64" => DType::F64,
        "float32" => DType::F32,
        "float16" => DType::F16,
        "bfloat16" => DType::BF16,
        "int64" => DType::I64,
        "int32" => DType::I32,
        "int16" => DType::I16,
        "int8" => DType::I8,
        "uint64" => DType::U64,
        "uint32" => DType::U32,
        "uint16" => DType::U16,
        "uint8" => DType::U8,
        "bool" => DType::Bool,
        _ => {
            const UNREAD: [&str; 6] = ["float8_", "float4_", "complex", "qint", "quint", "bits"];
            if UNREAD.iter().any(|kind| name.starts_with(kind)) {
                return Err(unsupported_tensor(format!(
                    "a tensor of `torch.{}`",
                    printable(name)
                )));
            }
            return Ok(None);
        }
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tensors_are_made_of_listed_globals_and_others_stay_names() {
        assert_eq!(
            Global::resolve("torch", "HalfStorage").unwrap(),
            Global::Storage(DType::F16)
        );
        assert_eq!(
            Global::resolve("torch.cuda", "FloatStorage").unwrap(),
            Global::Storage(DType::F32)
        );
        assert_eq!(
            Global::resolve("torch", "bfloat16").unwrap(),
            Global::DType(DType::BF16)
        );
        for (module, name) in [
            ("os", "system"),
            ("posix", "system"),
            ("builtins", "eval"),
            ("__builtin__", "getattr"),
            ("torch", "load"),
            ("torch.storage", "_load_from_bytes"),
            ("torch.hub", "load"),
            ("collections", "OrderedDict.update"),
            ("", ""),
        ] {
            let error = Global::resolve(module, name).unwrap_err();
            assert!(
                matches!(error, Error::ForbiddenGlobal { global } if global == format!("{module}.{name}"))
            );
        }
        for (module, name) in [
            ("numpy.core.multiarray", "scalar"),
            ("argparse", "Namespace"),
            ("torchvision.models.detection.mask_rcnn", "MaskRCNN"),
            ("builtins", "list"),
            ("pathlib", "PosixPath"),
            ("functools", "partial"),
        ] {
            assert_eq!(
                Global::resolve(module, name).unwrap(),
                Global::Inert(module, name)
            );
        }
    }

    #[test]
    fn tensors_that_are_not_read_are_named() {
        for (module, name, expected) in [
            (
                "torch._utils",
                "_rebuild_qtensor",
                "a quantised tensor is not supported",
            ),
            (
                "torch._utils",
                "_rebuild_sparse_tensor",
                "a sparse tensor is not supported",
            ),
            (
                "torch",
                "ComplexFloatStorage",
                "a tensor in a `torch.ComplexFloatStorage` is not supported",
            ),
            (
                "torch",
                "QInt8Storage",
                "a tensor in a `torch.QInt8Storage` is not supported",
            ),
            (
                "torch",
                "float8_e4m3fn",
                "a tensor of `torch.float8_e4m3fn` is not supported",
            ),
        ] {
            let error = Global::resolve(module, name).unwrap_err().to_string();
            assert!(error.starts_with(expected), "{error}");
        }
    }

    #[test]
    fn a_refused_name_cannot_mess_up_the_terminal() {
        let error = Global::resolve("os\x1b[2J", &"x".repeat(5000))
            .unwrap_err()
            .to_string();
        assert!(!error.contains('\x1b') && error.len() < 300, "{error}");
    }
}
