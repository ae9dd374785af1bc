//! Layers and the networks made of them, built strictly from a state dict: no initialisation.
//!
//! A layer keeps the parameters that it was given until it is prepared ([`Prepare`]): then every
//! norm is folded into its convolution, and every weight is laid out channels-last, so that the
//! forward pass is convolutions and ReLUs in libtorch's fastest layout. Forward passes return tch's
//! own result; `detector` says what was being done when one fails.

mod backbone;
mod conv;
mod deconv;
mod efficientnet_lite;
mod fpn;
pub(crate) mod host;
mod linear;
mod onednn;
mod parameters;
mod resnet;
mod torch;

pub(crate) use backbone::Backbone;
pub(crate) use conv::{Conv, ConvShape};
pub(crate) use deconv::Deconv;
pub(crate) use fpn::FeaturePyramid;
pub(crate) use linear::Linear;
pub(crate) use parameters::Parameters;
pub(crate) use torch::{Prepare, TchResult, check_finite, during};
