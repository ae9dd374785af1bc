//! The formula that stands in for the weights of a full-size network.

use crate::formula;
use crate::repository::repository;

/// The networks that the formula fills, and how many tensors each has.
const NETWORKS: [(&str, usize); 5] = [
    ("formula", 307), // v1
    ("v2", 432),
    ("resnet18", 142),
    ("resnext50_32x4d", 307),
    ("wide_resnet50_2", 307),
];

#[test]
fn formula_gives_the_bits_that_python_gives() {
    for (network, count) in NETWORKS {
        let file = format!("tests/fixtures/parity/{network}.tsv");
        let layout = std::fs::read_to_string(repository(&file)).unwrap();
        let basic_blocks = !layout.contains("backbone.body.layer1.0.conv3.weight");
        let mut tensors = 0;
        for line in layout.lines() {
            let [name, shape, expected] = line.split('\t').collect::<Vec<_>>()[..] else {
                panic!("{file}: not three fields: {line}")
            };
            tensors += 1;
            // A counter of batches is a number, and always 0.
            if name.ends_with(".num_batches_tracked") {
                continue;
            }
            let shape: Vec<i64> = shape.split(',').map(|side| side.parse().unwrap()).collect();
            assert_eq!(
                format!(
                    "{:016x}",
                    checksum(&formula::fill(name, &shape, basic_blocks))
                ),
                expected,
                "{file}: tensor `{name}`"
            );
        }
        assert_eq!(tensors, count, "{file}: tensors of torchvision's network");
    }
}

/// A sum in which each bit and each place of the tensor counts, as
/// `tests/reference/make_formula.py` says.
fn checksum(values: &[f32]) -> u64 {
    (1..).zip(values).fold(0, |sum: u64, (place, value)| {
        sum.wrapping_add(place * u64::from(value.to_bits()))
    })
}
