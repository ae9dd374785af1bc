//! Types of elements, and the filters that may have packed them.

use hdf5_reader::error::ByteOrder;
use hdf5_reader::messages::datatype::{Datatype, DatatypeMessage};
use hdf5_reader::messages::filter_pipeline::FilterPipelineMessage;

use super::super::dtype::DType;
use super::super::format::Format;
use crate::error::{Error, Result};

/// Filters that are read, by number: each loses nothing (specification, IV.A.2.l).
const DEFLATE: u16 = 1;
const SHUFFLE: u16 = 2;
const FLETCHER32: u16 = 3;

/// Names of other filters, those of the HDF Group's registry that people meet.
const OTHER_FILTERS: [(u16, &str); 10] = [
    (4, "szip"),
    (5, "nbit"),
    (6, "scale-offset"),
    (305, "LZO"),
    (307, "bzip2"),
    (32000, "lzf"),
    (32001, "blosc"),
    (32004, "lz4"),
    (32008, "bitshuffle"),
    (32015, "zstd"),
];

/// The type of a float by its encoding, of which the crate tells the size only (specification,
/// IV.A.2.d "Datatype": class 1).
pub(super) fn float(encoding: &[u8], what: &str) -> Result<DType> {
    /// Bits of the offset, precision, exponent's place and size, mantissa's place and size, and the
    /// exponent's bias.
    const KNOWN: [(DType, [u8; 12]); 4] = [
        (DType::F16, [0, 0, 16, 0, 10, 5, 0, 10, 15, 0, 0, 0]),
        (DType::BF16, [0, 0, 16, 0, 7, 8, 0, 7, 127, 0, 0, 0]),
        (DType::F32, [0, 0, 32, 0, 23, 8, 0, 23, 127, 0, 0, 0]),
        (DType::F64, [0, 0, 64, 0, 52, 11, 0, 52, 255, 3, 0, 0]),
    ];
    /// Flags beside the lowest, of big-endian elements: a mantissa whose first bit is implied. That
    /// of VAX's byte order is not set, nor those of padding.
    const IMPLIED: u8 = 2 << 4;
    let found = encoding.get(8..20).and_then(|properties| {
        let known = KNOWN.iter().find(|(_, known)| known[..] == *properties);
        known.map(|(dtype, _)| *dtype)
    });
    // Behind the class stand the flags and the sign's place, then the size.
    let as_usual = |dtype: &DType| {
        let sign = 8 * dtype.size() - 1;
        encoding[1] & !1 == IMPLIED
            && usize::from(encoding[2]) == sign
            && usize::from(encoding[4]) == dtype.size()
    };
    found.filter(as_usual).ok_or_else(|| Error::Unsupported {
        what: format!("{what} of floats that are not those of IEEE 754"),
        remedy: "weights are float64, float32, float16 or bfloat16",
    })
}

/// The type of the elements; of a float, as far as its size tells.
pub(super) fn element_type(datatype: &DatatypeMessage, what: &str) -> Result<(DType, ByteOrder)> {
    let unsupported = |kind: &str| Error::Unsupported {
        what: format!("{what} of {kind}"),
        remedy: "weights are float64, float32 or float16",
    };
    match &datatype.datatype {
        &Datatype::FloatingPoint { size, byte_order } => {
            let dtype = match size {
                2 => DType::F16,
                4 => DType::F32,
                8 => DType::F64,
                _ => return Err(unsupported("long floats")),
            };
            Ok((dtype, byte_order))
        }
        &Datatype::FixedPoint {
            size,
            signed,
            byte_order,
        } => {
            let dtype = match (size, signed) {
                (1, true) => DType::I8,
                (2, true) => DType::I16,
                (4, true) => DType::I32,
                (8, true) => DType::I64,
                (1, false) => DType::U8,
                (2, false) => DType::U16,
                (4, false) => DType::U32,
                (8, false) => DType::U64,
                _ => return Err(unsupported("long integers")),
            };
            Ok((dtype, byte_order))
        }
        Datatype::String { .. } => Err(unsupported("strings")),
        Datatype::VarLen { .. } => Err(unsupported("Python objects or variable-length strings")),
        Datatype::Compound { .. } => Err(unsupported("compound or complex elements")),
        Datatype::Enum { .. } => Err(unsupported("booleans or enumerated values")),
        Datatype::Array { .. } => Err(unsupported("arrays within the array")),
        Datatype::Opaque { .. } | Datatype::Bitfield { .. } => Err(unsupported("opaque bytes")),
        Datatype::Reference { .. } => Err(unsupported("references")),
    }
}

/// Refuses filters that are not read, by name, and filters that are applied twice.
pub(super) fn check_filters(pipeline: &FilterPipelineMessage, what: &str) -> Result<()> {
    let mut seen = Vec::new();
    for filter in &pipeline.filters {
        if !matches!(filter.id, DEFLATE | SHUFFLE | FLETCHER32) {
            let known = OTHER_FILTERS.iter().find(|(id, _)| *id == filter.id);
            let name = known.map_or_else(
                || format!("number {}", filter.id),
                |(_, name)| (*name).to_owned(),
            );
            return Err(Error::Unsupported {
                what: format!("{what}, packed by the filter {name},"),
                remedy: "write the file without it, as `h5repack -f GZIP=6 FILE OUT` does",
            });
        }
        if seen.contains(&filter.id) {
            return Err(Format::Hdf5.malformed(format!("{what} is packed twice")));
        }
        seen.push(filter.id);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As libhdf5 encodes a little-endian float16.
    const F16: [u8; 20] = [
        0x11, 0x20, 15, 0, 2, 0, 0, 0, 0, 0, 16, 0, 10, 5, 0, 10, 15, 0, 0, 0,
    ];

    #[test]
    fn floats_of_16_bits_are_told_apart_and_odd_ones_refused() {
        let with = |places: &[(usize, u8)]| {
            let mut encoding = F16;
            for &(place, byte) in places {
                encoding[place] = byte;
            }
            float(&encoding, "tensor").ok()
        };
        assert_eq!(with(&[]), Some(DType::F16));
        assert_eq!(with(&[(1, 0x21)]), Some(DType::F16)); // big-endian
        let bf16 = [(12, 7), (13, 8), (15, 7), (16, 127)];
        assert_eq!(with(&bf16), Some(DType::BF16));
        // VAX's order, padding, no implied bit, another sign, size, exponent, bias.
        for odd in [
            (1, 0x61),
            (1, 0x22),
            (1, 0),
            (2, 7),
            (4, 4),
            (13, 6),
            (16, 16),
        ] {
            assert_eq!(with(&[odd]), None, "{odd:?}");
        }
        assert!(float(&F16[..19], "tensor").is_err());
    }
}
