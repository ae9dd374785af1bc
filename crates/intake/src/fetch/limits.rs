//! How long a transfer may take.

use std::time::{Duration, Instant};

/// A connection comes about within this or never, empirical.
const MAX_CONNECT: Duration = Duration::from_secs(10);

/// How long things may take.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Lookup, connection and TLS handshake, each.
    pub connect: Duration,
    /// Until the server answers, and between any two pieces of what it sends.
    pub idle: Duration,
    /// Everything, redirects and retries too.
    pub total: Duration,
    /// When `total` is over.
    pub end: Instant,
}

impl Limits {
    /// Starts the clock: `total` in all, of which a server may be silent for a quarter.
    pub fn start(total: Duration) -> Self {
        let idle = total / 4;
        Self {
            connect: idle.min(MAX_CONNECT),
            idle,
            total,
            end: Instant::now() + total,
        }
    }
}
