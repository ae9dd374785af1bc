//! How long things took.

use std::time::{Duration, Instant};

use anyhow::Result;

/// A value and how long it took.
pub(super) struct Timed<T> {
    /// The value.
    pub value: T,
    /// How long it took to make.
    pub took: Duration,
}

impl<T> Timed<T> {
    /// What `make` returns.
    pub fn of(make: impl FnOnce() -> Result<T>) -> Result<Self> {
        let start = Instant::now();
        let value = make()?;
        let took = start.elapsed();
        Ok(Self { value, took })
    }
}
