//! The same bits on every processor: what has to be settled before libtorch computes.

use crate::error::Error;

/// Environment variables under which the network computes the same bits on every x86-64 processor
/// with AVX2 and FMA, for any number of threads.
///
/// libtorch reads them when it first computes, so they must be set before that; a library has no
/// business changing its process's environment, so this is left to the program. They win over
/// whatever the user set. Ask [`check_determinism`] too.
///
/// Without them the bits still do not depend on the number of threads: everything whose order of
/// summation did is computed otherwise than libtorch would. What is left is the choice of oneDNN's
/// kernels. Those for AVX-512 divide long sums by the size of the processor's second-level cache;
/// those for AVX2 do not, and every processor has them.
pub const DETERMINISTIC_ENVIRONMENT: [(&str, &str); 4] = [
    ("ONEDNN_MAX_CPU_ISA", "AVX2"),
    // Vectors of the width that the instruction set has.
    ("ONEDNN_CPU_ISA_HINTS", "NO_HINTS"),
    // No bf16 or tf32 behind f32's back.
    ("ONEDNN_DEFAULT_FPMATH_MODE", "STRICT"),
    // libtorch's own kernels. Those that the network uses are exact; one day one may not be.
    ("ATEN_CPU_CAPABILITY", "avx2"),
];

/// Whether this processor can compute the bits that others compute.
///
/// # Errors
///
/// [`Error::Processor`] when it has no AVX2 or no FMA.
pub fn check_determinism() -> Result<(), Error> {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
        return Ok(());
    }
    Err(Error::Processor)
}
