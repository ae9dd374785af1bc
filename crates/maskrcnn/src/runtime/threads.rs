//! How many threads compute, and what they do while they wait.

use std::thread;

use tch::{Device, Kind, Tensor};

/// Most threads that [`set_threads`] takes. Empirical: few enough that starting them does not fail;
/// libtorch does not survive when it does.
pub const MAX_THREADS: usize = 256;

/// How many threads this process has cores for: those that it may run on (its affinity), and no more
/// than its control group pays for (`cpu.max`). At most [`MAX_THREADS`].
pub fn available_threads() -> usize {
    thread::available_parallelism().map_or(1, |count| count.get().min(MAX_THREADS))
}

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
    share_processor(count);
}

/// How many threads libtorch uses.
pub fn threads() -> usize {
    usize::try_from(tch::get_num_threads()).unwrap_or(1)
}

/// Has libtorch's threads sleep soon when they wait for each other, so that two programs on one
/// machine do not take turns at waiting.
///
/// libtorch's OpenMP (GCC's libgomp) lets a thread that waits spin for some milliseconds, and for
/// some microseconds when the process has more threads in teams than it has processors
/// (libgomp, `config/linux/wait.h`, `do_spin`). The policy stands in an environment variable that
/// is read when the library is loaded, before `main`. So a second team is made here by a thread
/// that then sleeps for good, and the process has more threads than processors.
fn share_processor(count: usize) {
    /// Elements that libtorch gives a thread of its own (`at::internal::GRAIN_SIZE`).
    const GRAIN: usize = 32_768;
    if count < 2 {
        return;
    }
    let make_team = move || {
        let elements = Tensor::f_zeros([(count * GRAIN) as i64], (Kind::Float, Device::Cpu));
        // Without a team threads only spin longer.
        let _ = elements.and_then(|elements| elements.f_add_scalar(1.0));
        loop {
            thread::park();
        }
    };
    // As with the pool: a system that refuses a thread loses only that.
    let _ = thread::Builder::new().spawn(make_team);
}
