//! The formula that stands in for the weights of a full-size network.

use crate::formula;

const CHECKSUMS: &str = include_str!("../fixtures/parity/formula.tsv");

#[test]
fn formula_gives_the_bits_that_python_gives() {
    let mut tensors = 0;
    for line in CHECKSUMS.lines() {
        let [name, shape, expected] = line.split('\t').collect::<Vec<_>>()[..] else {
            panic!("not three fields: {line}")
        };
        let shape: Vec<i64> = shape.split(',').map(|side| side.parse().unwrap()).collect();
        assert_eq!(
            format!("{:016x}", checksum(&formula::fill(name, &shape))),
            expected,
            "tensor `{name}`"
        );
        tensors += 1;
    }
    assert_eq!(
        tensors, 307,
        "tensors of torchvision's maskrcnn_resnet50_fpn"
    );
}

/// A sum in which each bit and each place of the tensor counts, as
/// `tests/reference/make_formula.py` says.
fn checksum(values: &[f32]) -> u64 {
    (1..).zip(values).fold(0, |sum: u64, (place, value)| {
        sum.wrapping_add(place * u64::from(value.to_bits()))
    })
}
