//! What every layer and the pipeline share of libtorch: its results, its errors, its layouts.

use tch::{Device, TchError, Tensor};

use crate::error::{Error, Result};

/// What a forward pass of a layer gives.
pub(crate) type TchResult<T> = std::result::Result<T, TchError>;

/// A layer, or a network of them, that was given its parameters as they are and becomes fast.
pub(crate) trait Prepare {
    /// Folds norms into convolutions, lays weights out as the kernels want them, and moves them to
    /// the device. Until then a layer computes the same, with more operations.
    ///
    /// # Errors
    ///
    /// When libtorch fails, for want of memory for one.
    fn prepare(&mut self, device: Device) -> Result<()>;
}

impl<T: Prepare> Prepare for Vec<T> {
    fn prepare(&mut self, device: Device) -> Result<()> {
        self.iter_mut().try_for_each(|part| part.prepare(device))
    }
}

impl<T: Prepare> Prepare for Option<T> {
    fn prepare(&mut self, device: Device) -> Result<()> {
        self.iter_mut().try_for_each(|part| part.prepare(device))
    }
}

/// The same values with channels innermost in memory: `[N, C, H, W]` in, `[N, C, H, W]` out,
/// strides of `[N, H, W, C]`.
///
/// tch has no memory-format argument, so the strides are made by a round trip through the permuted
/// shape.
pub(crate) fn channels_last(tensor: &Tensor) -> TchResult<Tensor> {
    tensor
        .f_permute([0, 2, 3, 1])?
        .f_contiguous()?
        .f_permute([0, 3, 1, 2])
}

/// Moves a finished parameter to where the network runs.
///
/// # Errors
///
/// When there is no memory for it there.
pub(crate) fn place(parameter: &mut Tensor, device: Device) -> Result<()> {
    let moved = parameter.f_to_device(device);
    *parameter = moved.map_err(during("moving weights to the device"))?;
    Ok(())
}

/// Whether all numbers of a tensor are finite; so they are where there are none.
pub(crate) fn is_finite(tensor: &Tensor) -> TchResult<bool> {
    if tensor.numel() == 0 {
        return Ok(true);
    }
    // One pass without a copy; NaN anywhere is both.
    let (least, most) = tensor.f_aminmax(None, false)?;
    Ok(f64::try_from(least)?.is_finite() && f64::try_from(most)?.is_finite())
}

/// Refuses an output of the network that holds NaN or infinity. Whatever came of it later, such as
/// no detections, would look like an answer.
///
/// # Errors
///
/// [`Error::NotFiniteOutput`]; and when libtorch fails.
pub(crate) fn check_finite(doing: &'static str, output: &Tensor) -> Result<()> {
    if is_finite(output).map_err(during(doing))? {
        Ok(())
    } else {
        Err(Error::NotFiniteOutput { doing })
    }
}

/// Names what was being done when libtorch failed.
pub(crate) fn during(doing: &'static str) -> impl Fn(TchError) -> Error {
    move |error| torch_error(doing, error)
}

/// Wraps what libtorch said: its first line, without the C++ stack that follows.
pub(crate) fn torch_error(doing: &'static str, error: TchError) -> Error {
    // PyTorch's allocators on the processor and on GPUs, the C++ library, and oneDNN, which
    // says no more than this where it lacks memory; for the layers of these networks it always
    // has an implementation.
    const NO_MEMORY: [&str; 4] = [
        "can't allocate memory",
        "out of memory",
        "std::bad_alloc",
        "could not create a primitive",
    ];
    let text = error.to_string();
    let line = text.lines().next().unwrap_or_default().trim().to_owned();
    if NO_MEMORY.iter().any(|words| line.contains(words)) {
        Error::OutOfMemory {
            doing,
            source: line.into(),
        }
    } else {
        Error::Torch {
            doing,
            source: line.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libtorch_errors_show_one_line_and_lack_of_memory_is_its_own() {
        // As libtorch 2.13 says it under `ulimit -v`.
        let text = "[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory: you \
                    tried to allocate 884736 bytes. Error code 12 (Cannot allocate memory)\nframe #0: c10::Throw";
        let error = torch_error("computing the backbone", TchError::Torch(text.to_owned()));
        assert_eq!(error.code(), "out-of-memory");
        let source = std::error::Error::source(&error).unwrap().to_string();
        assert!(
            !source.contains("frame") && !source.contains('\n'),
            "{source}"
        );
        let other = torch_error(
            "computing the backbone",
            TchError::Torch("sizes differ\nframe #0".to_owned()),
        );
        assert_eq!(other.code(), "libtorch");
    }
}
