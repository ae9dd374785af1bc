//! What the network runs on: the device, the threads, libtorch and its version.

mod determinism;
mod device;
mod threads;

pub use determinism::{DETERMINISTIC_ENVIRONMENT, check_determinism};
pub use device::Device;
pub(crate) use device::present;
pub use threads::{MAX_THREADS, set_threads, threads};

/// The version of libtorch that the program was built with.
pub fn libtorch_version() -> &'static str {
    env!("MASKRCNN_LIBTORCH_VERSION")
}
