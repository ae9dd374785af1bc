//! What the network runs on: the device, the threads, libtorch and its version.

mod determinism;
mod device;
mod memory;
mod threads;

pub use determinism::{DETERMINISTIC_ENVIRONMENT, check_determinism};
pub use device::Device;
pub(crate) use device::present;
pub use memory::BOUNDED_ENVIRONMENT;
pub use threads::{MAX_THREADS, available_threads, set_threads, threads};

/// The version of libtorch that the program was built with.
pub fn libtorch_version() -> &'static str {
    env!("MASKRCNN_LIBTORCH_VERSION")
}
