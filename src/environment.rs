//! The one place that changes the environment of this process.

use std::env;

/// Settles what libtorch reads of the environment when it first computes: that memory levels off,
/// and with `deterministic` that the bits are those of every processor, whatever the user's
/// environment says of its kernels.
///
/// To be called before anything else of the library, while the process has one thread.
#[expect(clippy::disallowed_methods, reason = "the one place for it")]
pub fn settle(deterministic: bool) {
    let bounded = maskrcnn::BOUNDED_ENVIRONMENT.into_iter();
    for (variable, value) in bounded.filter(|(variable, _)| env::var_os(variable).is_none()) {
        set(variable, value);
    }
    if deterministic {
        maskrcnn::DETERMINISTIC_ENVIRONMENT
            .into_iter()
            .for_each(|(variable, value)| {
                set(variable, value);
            });
    }
}

#[expect(clippy::disallowed_methods, reason = "the one place for it")]
fn set(variable: &str, value: &str) {
    // SAFETY: `main` calls this after reading the command line and before anything that starts a
    // thread, so nobody reads the environment meanwhile. libtorch starts none when it is loaded.
    unsafe { env::set_var(variable, value) };
}
