//! Convolutions and matrix products, by oneDNN and nobody else.
//!
//! Left to itself libtorch takes another library with another number of threads (a 1×1 convolution
//! by one thread is a matrix product by MKL), and MKL's sums change with the number of threads and
//! with the vendor of the processor. oneDNN's kernels give each sum to one thread. Which kernel it
//! takes depends on the instruction set; see [`crate::runtime`] for how that is settled.
//!
//! Other devices than the processor, and a libtorch without oneDNN, compute in their own way.

use tch::{Device, Tensor};

use super::torch::TchResult;

/// `input` `[N, I, H, W]` convolved with `weight` `[O, I / groups, k, k]` and `bias` `[O]`, if any, added:
/// `[N, O, H', W']`. Channels-last in, channels-last out. `N` may be 0.
pub(super) fn convolution(
    input: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
    padding: i64,
    stride: i64,
    groups: i64,
) -> TchResult<Tensor> {
    let (padding, stride, dilation) = ([padding; 2], [stride; 2], [1; 2]);
    if serves(input) {
        input.f_mkldnn_convolution(weight, bias, padding, stride, dilation, groups)
    } else {
        input.f_conv2d(weight, bias, stride, padding, dilation, groups)
    }
}

/// `input` `[N, I]` times the transpose of `weight` `[O, I]` with `bias` `[O]` added: `[N, O]`. `N`
/// may be 0.
pub(super) fn linear(input: &Tensor, weight: &Tensor, bias: &Tensor) -> TchResult<Tensor> {
    let size = input.size();
    let (rows, columns) = (size[0], size[1]);
    if rows == 0 || !serves(input) {
        return input.f_linear(weight, Some(bias));
    }
    // A 1×1 convolution of an image of one row. oneDNN's own matrix product may divide a sum among
    // threads, and a batch of images of one pixel each takes six times as long.
    let image = input
        .f_view([1, 1, rows, columns])?
        .f_permute([0, 3, 1, 2])?; // [1, I, 1, N], channels-last
    let product = convolution(
        &image,
        &weight.f_view([-1, columns, 1, 1])?,
        Some(bias),
        0,
        1,
        1,
    )?; // [1, O, 1, N]
    product.f_permute([0, 2, 3, 1])?.f_view([rows, -1])
}

/// Whether oneDNN can compute with this tensor.
fn serves(input: &Tensor) -> bool {
    input.device() == Device::Cpu && tch::utils::has_mkldnn()
}

#[cfg(test)]
mod tests {
    use tch::Kind;

    use super::*;

    #[test]
    fn linear_multiplies_by_the_transpose_and_adds_the_bias() {
        let input = Tensor::from_slice(&[1f32, 2.0, 3.0, -1.0, 0.5, 4.0]).view([2, 3]);
        let weight = Tensor::from_slice(&[
            1f32, 0.0, -1.0, 2.0, 2.0, 2.0, 0.0, 10.0, 0.0, 1.0, 1.0, 0.0,
        ])
        .view([4, 3]);
        let bias = Tensor::from_slice(&[0f32, 1.0, 0.0, -1.0]);
        let product = linear(&input, &weight, &bias).unwrap();
        assert_eq!(product.size(), [2, 4]);
        let product = Vec::<f32>::try_from(product.contiguous().view([-1])).unwrap();
        assert_eq!(product, [-2.0, 13.0, 20.0, 2.0, -5.0, 8.0, 5.0, -1.5]);
    }

    #[test]
    fn nothing_in_gives_nothing_out() {
        let zeros = |shape: &[i64]| Tensor::zeros(shape, (Kind::Float, Device::Cpu));
        assert_eq!(
            linear(&zeros(&[0, 3]), &zeros(&[4, 3]), &zeros(&[4]))
                .unwrap()
                .size(),
            [0, 4]
        );
        let maps = convolution(
            &zeros(&[0, 3, 5, 7]),
            &zeros(&[4, 3, 3, 3]),
            Some(&zeros(&[4])),
            1,
            2,
            1,
        )
        .unwrap();
        assert_eq!(maps.size(), [0, 4, 3, 4]);
    }
}
