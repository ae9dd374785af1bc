//! Elementary functions that give the same bits on every machine.
//!
//! IEEE 754 prescribes the bits of sums, products, quotients, square roots and fused multiply-adds,
//! and no more: an exponential differs between versions of the C library, and in libtorch's
//! vectorised kernels between instruction sets and, where a tensor is cut into chunks, between a
//! chunk's vectors and what is left over. Here they are computed in f64, portably and without fused
//! operations, by the `libm` crate, and rounded once: nearly always to the nearest f32.

/// The natural exponential.
pub(crate) fn exp(x: f32) -> f32 {
    libm::exp(f64::from(x)) as f32
}

/// The natural logarithm.
pub(crate) fn ln(x: f32) -> f32 {
    libm::log(f64::from(x)) as f32
}

/// The logarithm to base two; exact for powers of two.
pub(crate) fn log2(x: f32) -> f32 {
    libm::log2(f64::from(x)) as f32
}

/// From a logit to a probability.
pub(crate) fn sigmoid(logit: f32) -> f32 {
    (1.0 / (1.0 + libm::exp(-f64::from(logit)))) as f32
}

/// From logits to probabilities that add up to one, in place. With a NaN among them all become NaN.
/// No logits give none.
pub(crate) fn softmax(logits: &mut [f32]) {
    let most = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let exp = |logit: f32| libm::exp(f64::from(logit) - f64::from(most));
    let sum: f64 = logits.iter().map(|&logit| exp(logit)).sum();
    for logit in logits {
        *logit = (exp(*logit) / sum) as f32;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_the_nearest_floats() {
        // From Python's `decimal` at forty digits, rounded to those that tell a float from its
        // neighbours.
        assert_eq!(exp(1.0), std::f32::consts::E);
        assert_eq!(exp(-87.5), 9.982_351e-39);
        assert_eq!(ln(3.0), 1.098_612_3);
        assert_eq!(log2(3.0), 1.584_962_5);
        assert_eq!(sigmoid(2.5), 0.924_141_8);
        let mut logits = [1.0f32, 3.0, -2.0];
        softmax(&mut logits);
        assert_eq!(logits, [0.118_499_65, 0.875_600_6, 0.005_899_750_6]);
    }

    #[test]
    fn the_ends_are_what_they_should_be() {
        assert_eq!(
            [exp(f32::NEG_INFINITY), exp(0.0), exp(1000.0)],
            [0.0, 1.0, f32::INFINITY]
        );
        assert_eq!(
            [
                sigmoid(f32::NEG_INFINITY),
                sigmoid(0.0),
                sigmoid(f32::INFINITY)
            ],
            [0.0, 0.5, 1.0]
        );
        assert_eq!(
            [log2(0.25), log2(1.0), log2(0.0)],
            [-2.0, 0.0, f32::NEG_INFINITY]
        );
        assert!(exp(f32::NAN).is_nan() && sigmoid(f32::NAN).is_nan());
        let mut large = [1000.0, 1000.0];
        softmax(&mut large);
        assert_eq!(large, [0.5, 0.5]);
        let mut broken = [0.0, f32::NAN];
        softmax(&mut broken);
        assert!(broken.iter().all(|probability| probability.is_nan()));
        softmax(&mut []);
    }
}
