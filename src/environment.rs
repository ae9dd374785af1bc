//! The one place that changes the environment of this process.

use std::env;

/// Has libtorch compute the same bits on every processor, whatever the user's environment says of
/// its kernels.
///
/// To be called before anything else of the library, while the process has one thread.
pub fn make_deterministic() {
    for (variable, value) in maskrcnn::DETERMINISTIC_ENVIRONMENT {
        // SAFETY: `main` calls this after reading the command line and before anything that starts
        // a thread, so nobody reads the environment meanwhile. libtorch starts none when it is
        // loaded.
        unsafe { env::set_var(variable, value) };
    }
}
