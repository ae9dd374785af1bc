//! Weights of torchvision's full-size networks from a formula, so that none need be stored.
//!
//! The same, bit for bit, as `tests/reference/formula.py`, which says what the formula is and why.

const FNV_OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
const FNV_PRIME: u64 = 0x0100_0000_01b3;
const GOLDEN_GAMMA: u64 = 0x9e37_79b9_7f4a_7c15;

const POOLED_CELLS: u64 = 7 * 7;
const BACKGROUND_BIAS: f32 = 11.5;

/// Half-width of a uniform distribution.
#[derive(Clone, Copy)]
enum Spread {
    Absolute(f64),
    /// Times He's uniform bound, `sqrt(6 / fan_in)`.
    Gain(f64),
}
use Spread::{Absolute, Gain};

/// (end of the name, centre, spread): the first rule that fits a name holds.
const RULES: [(&str, f64, Spread); 40] = [
    ("bn1.weight", 1.3, Absolute(0.3)),
    ("bn1.bias", -0.5, Absolute(0.3)),
    ("bn2.weight", 1.3, Absolute(0.3)),
    ("bn2.bias", -0.5, Absolute(0.3)),
    ("bn3.weight", 0.2, Absolute(0.08)),
    ("bn3.bias", 0.0, Absolute(0.2)),
    ("downsample.1.weight", 0.8, Absolute(0.2)),
    ("downsample.1.bias", -0.2, Absolute(0.2)),
    ("box_head.0.1.weight", 1.0, Absolute(0.3)),
    ("box_head.1.1.weight", 1.0, Absolute(0.3)),
    ("box_head.2.1.weight", 1.0, Absolute(0.3)),
    ("box_head.3.1.weight", 1.0, Absolute(0.3)),
    ("box_head.0.1.bias", -0.5, Absolute(0.3)),
    ("box_head.1.1.bias", -0.5, Absolute(0.3)),
    ("box_head.2.1.bias", -0.5, Absolute(0.3)),
    ("box_head.3.1.bias", -0.5, Absolute(0.3)),
    (".1.weight", 1.0, Absolute(0.3)),
    (".1.bias", -0.2, Absolute(0.2)),
    ("running_mean", 0.0, Absolute(0.2)),
    ("running_var", 1.0, Absolute(0.4)),
    ("inner_blocks.0.0.weight", 0.0, Gain(0.5)),
    ("inner_blocks.1.0.weight", 0.0, Gain(0.4)),
    ("inner_blocks.2.0.weight", 0.0, Gain(0.3)),
    ("inner_blocks.3.0.weight", 0.0, Gain(0.2)),
    ("layer_blocks.0.0.weight", 0.0, Gain(0.4)),
    ("layer_blocks.1.0.weight", 0.0, Gain(0.55)),
    ("layer_blocks.2.0.weight", 0.0, Gain(0.9)),
    ("layer_blocks.3.0.weight", 0.0, Gain(2.0)),
    ("rpn.head.cls_logits.weight", 0.0, Gain(0.5)),
    ("rpn.head.bbox_pred.weight", 0.0, Gain(0.2)),
    ("box_head.fc6.weight", 0.0, Gain(1.2)),
    ("box_head.fc6.bias", -0.5, Absolute(0.5)),
    ("box_head.5.weight", 0.0, Gain(2.3)),
    ("box_head.5.bias", -1.5, Absolute(0.5)),
    ("box_head.fc7.weight", 0.0, Gain(1.2)),
    ("box_head.fc7.bias", -0.5, Absolute(0.3)),
    ("box_predictor.cls_score.weight", 0.0, Gain(3.0)),
    ("box_predictor.bbox_pred.weight", 0.0, Gain(0.5)),
    ("weight", 0.0, Gain(1.0)),
    ("bias", 0.0, Absolute(0.1)),
];

/// The first fully connected layer of the box head, in v1 and in v2.
const ODD: [&str; 2] = ["box_head.fc6.weight", "box_head.5.weight"];

/// The values of the tensor called `name`, in row-major order; `basic_blocks` says of which kind
/// its network's are.
pub fn fill(name: &str, shape: &[i64], basic_blocks: bool) -> Vec<f32> {
    let unit = if ODD.iter().any(|end| name.ends_with(end)) {
        odd_unit
    } else {
        hashed_unit
    };
    let role = if basic_blocks {
        name.replace(".bn2.", ".bn3.")
    } else {
        name.to_owned()
    };
    let (centre, spread) = distribution(&role, shape);
    let seed = fnv1a(name);
    let count = shape.iter().product::<i64>() as u64;
    let mut values: Vec<f32> = (0..count)
        .map(|index| centre + spread * unit(seed, index))
        .collect();
    if name.ends_with("box_predictor.cls_score.bias") {
        values[0] += BACKGROUND_BIAS;
    }
    values
}

/// The values of a tensor of detectron2's R50-FPN, `canonical` being torchvision's name of it:
/// `tests/reference/detectron2_networks.py`, `fill`.
#[allow(dead_code)] // not every user of this file has use for it
pub fn of_detectron2(name: &str, canonical: &str, shape: &[i64]) -> Vec<f32> {
    let mut values = fill(canonical, shape, false);
    match name {
        // The background is the last class.
        "roi_heads.box_predictor.cls_score.bias" => {
            let last = values.len() - 1;
            values.swap(0, last);
        }
        // It is given bytes.
        "backbone.bottom_up.stem.conv1.weight" => {
            values.iter_mut().for_each(|value| *value *= 1.0 / 52.0);
        }
        _ => {}
    }
    values
}

/// The classifier's gain in Matterport's ResNet-50 for small pictures, `Small` of
/// `tests/reference/matterport_networks.py`; and in the one for pictures of any size, `Full50`.
#[allow(dead_code)] // not every user of this file has use for it
pub const MATTERPORT_SMALL: f32 = 4.5;
#[allow(dead_code)] // not every user of this file has use for it
pub const MATTERPORT_FULL: f32 = 2.0;

/// The values of a tensor of Matterport's ResNet-50 with a gain of the classifier, and its shape in
/// Keras's order: `canonical` is the name that the formula knows it by, `shape` that of torchvision's
/// tensor. `tests/reference/matterport_networks.py`, `fill`.
#[allow(dead_code)] // not every user of this file has use for it
pub fn of_matterport(
    name: &str,
    canonical: &str,
    shape: &[i64],
    class_gain: f32,
) -> (Vec<i64>, Vec<f32>) {
    const STEM_SCALE: f32 = 1.0 / 52.0;
    const BACKGROUND_SHIFT: f32 = -3.0;
    const PROPOSAL_SHIFTS: [f32; 4] = [-4.0, -4.0, -2.0, -2.0];
    const DETECTION_SHIFTS: [f32; 4] = [-1.0, -1.0, -0.5, -0.5];
    let mut values = if canonical.ends_with("fc6.weight") {
        fill(canonical, &[shape[0], shape[1..].iter().product()], false)
    } else {
        fill(canonical, shape, false)
    };
    let mut shift = |shifts: [f32; 4]| {
        let shifts = shifts.into_iter().cycle();
        values
            .iter_mut()
            .zip(shifts)
            .for_each(|(v, shift)| *v += shift);
    };
    match name {
        "rpn_bbox_pred/bias:0" => shift(PROPOSAL_SHIFTS),
        "mrcnn_bbox_fc/bias:0" => shift(DETECTION_SHIFTS),
        "mrcnn_class_logits/bias:0" => values[0] += BACKGROUND_SHIFT,
        "mrcnn_class_logits/kernel:0" => values.iter_mut().for_each(|v| *v *= class_gain),
        "conv1/kernel:0" => values.iter_mut().for_each(|v| *v *= STEM_SCALE),
        _ => {}
    }
    match *shape {
        // [output, input, height, width] to [height, width, input, output].
        [output, input, height, width] => {
            let (area, output, input) =
                ((height * width) as usize, output as usize, input as usize);
            let keras = (0..area * input * output).map(|place| {
                let (cell, i, o) = (
                    place / (input * output),
                    place / output % input,
                    place % output,
                );
                values[(o * input + i) * area + cell]
            });
            let keras = keras.collect();
            (vec![height, width, input as i64, output as i64], keras)
        }
        [output, input] => {
            let (output, input) = (output as usize, input as usize);
            let keras = (0..input * output).map(|p| values[p % output * input + p / output]);
            (vec![input as i64, output as i64], keras.collect())
        }
        _ => (shape.to_vec(), values),
    }
}

/// Centre and half-width of the uniform distribution of the tensor called `name`.
fn distribution(name: &str, shape: &[i64]) -> (f32, f32) {
    let (_, centre, spread) = RULES
        .iter()
        .find(|(end, ..)| name.ends_with(end))
        .unwrap_or_else(|| panic!("no rule for the tensor `{name}`"));
    let spread = match *spread {
        Absolute(spread) => spread,
        Gain(gain) => gain * (6.0 / fan_in(name, shape) as f64).sqrt(),
    };
    (*centre as f32, spread as f32)
}

/// Inputs summed into one output: of the transposed 2x2 convolution of stride 2, its input channels
/// alone.
fn fan_in(name: &str, shape: &[i64]) -> i64 {
    if name.ends_with("conv5_mask.weight") {
        shape[0]
    } else {
        shape[1..].iter().product()
    }
}

/// Like `hashed_unit`, but odd under a half turn of the `POOLED_CELLS` that vary fastest.
fn odd_unit(seed: u64, index: u64) -> f32 {
    let cell = index % POOLED_CELLS;
    let opposite = POOLED_CELLS - 1 - cell;
    let unit = hashed_unit(seed, index - cell + cell.min(opposite));
    match cell.cmp(&opposite) {
        std::cmp::Ordering::Less => unit,
        std::cmp::Ordering::Equal => 0.0,
        std::cmp::Ordering::Greater => -unit,
    }
}

/// A uniform value in [-1, 1).
fn hashed_unit(seed: u64, index: u64) -> f32 {
    let top = splitmix64(seed, index + 1) >> 40;
    (top as i32 - (1 << 23)) as f32 / (1 << 23) as f32
}

/// FNV-1a of the name.
fn fnv1a(name: &str) -> u64 {
    name.bytes().fold(FNV_OFFSET, |value, byte| {
        (value ^ u64::from(byte)).wrapping_mul(FNV_PRIME)
    })
}

/// The `step`-th value of splitmix64 started at `seed`.
fn splitmix64(seed: u64, step: u64) -> u64 {
    let z = seed.wrapping_add(step.wrapping_mul(GOLDEN_GAMMA));
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
