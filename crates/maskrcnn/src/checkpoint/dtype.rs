//! Element types that may stand in a checkpoint.

use std::fmt;

use tch::Kind;

/// The type of a tensor's elements, stored little-endian. Quantised, complex and 8-bit float types
/// are refused where a file names them, so they have no place here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DType {
    F64,
    F32,
    F16,
    BF16,
    I64,
    I32,
    I16,
    I8,
    U64,
    U32,
    U16,
    U8,
    Bool,
}

impl DType {
    /// Bytes of one element.
    pub(crate) fn size(self) -> usize {
        match self {
            Self::F64 | Self::I64 | Self::U64 => 8,
            Self::F32 | Self::I32 | Self::U32 => 4,
            Self::F16 | Self::BF16 | Self::I16 | Self::U16 => 2,
            Self::I8 | Self::U8 | Self::Bool => 1,
        }
    }

    /// libtorch's kind for the types that weights come in; `None` for integers, which are counters
    /// and the like.
    pub(crate) fn float_kind(self) -> Option<Kind> {
        match self {
            Self::F64 => Some(Kind::Double),
            Self::F32 => Some(Kind::Float),
            Self::F16 => Some(Kind::Half),
            Self::BF16 => Some(Kind::BFloat16),
            _ => None,
        }
    }
}

impl fmt::Display for DType {
    /// PyTorch's name of the type, without `torch.`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::F64 => "float64",
            Self::F32 => "float32",
            Self::F16 => "float16",
            Self::BF16 => "bfloat16",
            Self::I64 => "int64",
            Self::I32 => "int32",
            Self::I16 => "int16",
            Self::I8 => "int8",
            Self::U64 => "uint64",
            Self::U32 => "uint32",
            Self::U16 => "uint16",
            Self::U8 => "uint8",
            Self::Bool => "bool",
        })
    }
}
