//! How many threads compute.

/// Most threads that [`set_threads`] takes. Empirical: few enough that starting them does not fail;
/// libtorch does not survive when it does.
pub const MAX_THREADS: usize = 256;

/// Sets how many threads libtorch and the native operators use: at least one, at most
/// [`MAX_THREADS`]. To be called before the first network is built; later calls may change
/// libtorch's part only.
pub fn set_threads(count: usize) {
    let count = count.clamp(1, MAX_THREADS);
    tch::set_num_threads(count as i32);
    // Fails only when the pool is there already, and then it stays as it is.
    let _ = rayon::ThreadPoolBuilder::new()
        .num_threads(count)
        .build_global();
}

/// How many threads libtorch uses.
pub fn threads() -> usize {
    usize::try_from(tch::get_num_threads()).unwrap_or(1)
}
