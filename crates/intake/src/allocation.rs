//! Large pieces of memory, asked for in a way that can be refused: elsewhere a lack of memory ends
//! the program.

use thiserror::Error;

/// There is not enough memory for something.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("there is not enough memory {0}")]
pub struct OutOfMemory(
    /// What it is needed for and what can be done about it.
    pub &'static str,
);

/// Asks whether there are `bytes` more at this moment, for libraries that cannot bear to be
/// refused.
///
/// # Errors
///
/// When there are not.
pub fn ensure(bytes: u64, purpose: &'static str) -> Result<(), OutOfMemory> {
    let mut probe = Vec::<u8>::new();
    let taken = usize::try_from(bytes).is_ok_and(|bytes| probe.try_reserve_exact(bytes).is_ok());
    // Or the compiler leaves the allocation out.
    std::hint::black_box(probe);
    if taken {
        Ok(())
    } else {
        Err(OutOfMemory(purpose))
    }
}

/// Appends `more` to `bytes`.
///
/// # Errors
///
/// When there is no room; `bytes` are then as before.
pub fn append(bytes: &mut Vec<u8>, more: &[u8], purpose: &'static str) -> Result<(), OutOfMemory> {
    bytes
        .try_reserve(more.len())
        .map_err(|_| OutOfMemory(purpose))?;
    bytes.extend_from_slice(more);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_machine_has_is_refused_and_a_little_is_not() {
        assert_eq!(ensure(1 << 20, "to test"), Ok(()));
        for bytes in [1 << 50, i64::MAX as u64, u64::MAX] {
            let refused = ensure(bytes, "to test; buy some").unwrap_err();
            assert_eq!(
                refused.to_string(),
                "there is not enough memory to test; buy some"
            );
        }
    }
}
