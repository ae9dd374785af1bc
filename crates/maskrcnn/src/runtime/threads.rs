//! How many threads compute, and what they do while they wait.

use std::sync::RwLock;
use std::sync::mpsc::channel;
use std::thread;

use rustix::thread::sched_getaffinity;
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
    if count > 1 {
        share_processor();
    }
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

/// Has libtorch's threads sleep soon when they wait for each other, so that two programs on one
/// machine do not take turns at waiting.
///
/// libtorch's OpenMP (GCC's libgomp) lets a thread that waits spin for some milliseconds, and for
/// some microseconds when the process has more threads in teams than processors that it may run on
/// (libgomp, `config/linux/wait.h`, `do_spin`). The policy stands in an environment variable that is
/// read when the library is loaded, before `main`. So a second team is made here that is larger than
/// the processors are many, by a thread that then sleeps for good, as its team does: however few
/// threads compute, the process has more threads than processors, from the start.
///
/// Does nothing where there are more processors than [`MAX_THREADS`], or where the system has no
/// room for so many threads: libgomp ends the process when it cannot start one.
fn share_processor() {
    // libgomp counts the processors of the affinity and knows nothing of quotas.
    let Ok(affinity) = sched_getaffinity(None) else {
        return;
    };
    let team = affinity.count() as usize + 1;
    if team > MAX_THREADS || !has_room_for(team) {
        return;
    }
    let (is_made, made) = channel::<()>();
    let thread = thread::Builder::new().spawn(move || {
        make_team(team);
        drop(is_made);
        loop {
            thread::park();
        }
    });
    if thread.is_ok() {
        // libtorch gives a thread the number that was set last in any thread, so the caller's comes
        // after this one. The channel ends without a message.
        let _ = made.recv();
    }
}

/// Has libgomp give the calling thread a team of this many threads.
fn make_team(threads: usize) {
    /// Elements that libtorch gives a thread of its own (`at::internal::GRAIN_SIZE`).
    const GRAIN: usize = 32_768;
    tch::set_num_threads(threads as i32);
    let elements = Tensor::f_zeros([(threads * GRAIN) as i64], (Kind::Int8, Device::Cpu));
    let _ = elements.and_then(|mut elements| elements.f_fill_(1));
}

/// Whether so many threads can be started beside those that there are, found out by starting them.
fn has_room_for(threads: usize) -> bool {
    let gate = RwLock::new(());
    thread::scope(|scope| {
        // Nobody leaves before everybody is there.
        let _closed = gate.write();
        (0..threads).all(|_| {
            let wait = || drop(gate.read());
            thread::Builder::new().spawn_scoped(scope, wait).is_ok()
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_threads_have_room_and_leave() {
        let count = || std::fs::read_dir("/proc/self/task").unwrap().count();
        let before = count();
        assert!(has_room_for(20));
        // Other tests start and end threads meanwhile, but not so many.
        assert!(count() < before + 10);
    }
}
