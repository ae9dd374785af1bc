//! The one place where tensors and Rust slices share memory.
//!
//! RoIAlign and the RPN read feature maps of tens of megabytes; copying them out of libtorch would
//! cost as much as the work itself. Everything here checks what it needs (device, kind, layout)
//! before it touches a pointer.

use tch::{Device, Kind, Tensor};

use super::torch::TchResult;

/// A CPU f32 tensor whose elements lie in order, so that it can be read as a slice.
#[derive(Debug)]
pub(crate) struct HostTensor(Tensor);

impl HostTensor {
    /// Brings a tensor to the CPU, to f32 and into order; only what is not so already is copied.
    pub fn new(tensor: &Tensor) -> TchResult<Self> {
        Ok(Self(
            tensor
                .f_to_device(Device::Cpu)?
                .f_to_kind(Kind::Float)?
                .f_contiguous()?,
        ))
    }

    /// The channels-last memory of a feature map `[1, C, H, W]`, in order `[H, W, C]`.
    pub fn channels_last(feature: &Tensor) -> TchResult<Self> {
        Self::new(&feature.f_permute([0, 2, 3, 1])?)
    }

    /// The elements of a tensor as `change` makes them of the row-major old ones; the tensor stays
    /// as it is. `change` is not called when there are none.
    pub fn changed(tensor: &Tensor, change: impl FnOnce(&mut [f32])) -> TchResult<Self> {
        let old = Self::new(tensor)?;
        let new = filled::<tch::TchError>(&tensor.size(), |elements| {
            elements.copy_from_slice(old.as_slice());
            change(elements);
            Ok(())
        })?;
        Ok(Self(new))
    }

    /// The tensor itself: on the CPU, f32, contiguous.
    pub fn as_tensor(&self) -> &Tensor {
        &self.0
    }

    /// The elements, row-major.
    pub fn as_slice(&self) -> &[f32] {
        if self.0.numel() == 0 {
            return &[]; // an empty tensor's pointer may be null
        }
        // SAFETY: `new` made the tensor a contiguous f32 tensor on the CPU, so `numel` elements lie
        // at `data_ptr`; the borrow of `self` keeps the storage alive. The tensor may share its
        // storage with the tensor it was made from, and nothing writes to that while this module's
        // users hold a `HostTensor`: features are computed once.
        unsafe { std::slice::from_raw_parts(self.0.data_ptr().cast::<f32>(), self.0.numel()) }
    }
}

/// A new CPU f32 tensor of this shape that `fill` writes to before anybody else sees it.
///
/// It starts as zeros, so that what `fill` leaves out is defined.
pub(crate) fn filled<E>(
    shape: &[i64],
    fill: impl FnOnce(&mut [f32]) -> Result<(), E>,
) -> Result<Tensor, E>
where
    E: From<tch::TchError>,
{
    let tensor = Tensor::f_zeros(shape, (Kind::Float, Device::Cpu))?;
    let elements = tensor.numel();
    if elements > 0 {
        // SAFETY: the tensor was made here, is contiguous f32 on the CPU, owns its storage, and no
        // other handle to it exists until this function returns it.
        fill(unsafe { std::slice::from_raw_parts_mut(tensor.data_ptr().cast::<f32>(), elements) })?;
    }
    Ok(tensor)
}
