"""Weights of torchvision's full-size networks from a formula, so that none need be stored.

Every element is a function of its tensor's name, shape and flat index, computed alike here and in
`tests/common/formula.rs`, bit for bit:

    seed  = FNV-1a, 64 bits, of the name's UTF-8 bytes
    hash  = splitmix64's finaliser of seed + (index + 1) * 0x9E3779B97F4A7C15      (modulo 2^64)
    unit  = (top 24 bits of hash - 2^23) / 2^23            exact in float32, in [-1, 1)
    value = centre + spread * unit                         two float32 operations, each rounded, not fused

`centre` and `spread` follow from the tensor's role: the first rule of RULES whose end the name has. For the weights of
layers the spread is a gain on He's uniform bound, `gain * sqrt(6 / fan_in)` in float64, rounded to float32 at the end.
In a basic block (ResNet-18 and ResNet-34) the second norm is the last, and has the role of a `bn3`.
Two tensors are special:

- `box_head.fc6.weight`, which v2 calls `box_head.5.weight`, is odd under a half turn of its 7x7 cells: a cell past the
  middle one takes the negated value of the cell opposite, and the middle one is 0. It thus answers to the structure of
  a region and not to its mean, which in a random network is much the same everywhere and would give all regions the
  same class.
- `box_predictor.cls_score.bias` has BACKGROUND_BIAS added (in float32) to class 0, so that most regions are background.

The constants are empirical: with them the activations on photos are of order one at every stage, and the detections are
many, of varied class and size, with scores from 0.05 to 1.
"""

import math

import numpy as np

FNV_OFFSET = 0xCBF29CE484222325
FNV_PRIME = 0x100000001B3
GOLDEN_GAMMA = 0x9E3779B97F4A7C15
MASK_64 = (1 << 64) - 1

POOLED_CELLS = 7 * 7
BACKGROUND_BIAS = 11.5

# The first fully connected layer of the box head, in v1 and in v2.
ODD = ("box_head.fc6.weight", "box_head.5.weight")

ABSOLUTE = False
GAIN = True

# (end of the name, centre, spread, whether the spread is absolute or a gain on He's bound)
RULES = [
    # Frozen batch norms. Negative biases make the units sparse, which keeps far places of an image distinct. The
    # residual branch (bn3) is kept small, or the sums would grow from block to block.
    ("bn1.weight", 1.3, 0.3, ABSOLUTE),
    ("bn1.bias", -0.5, 0.3, ABSOLUTE),
    ("bn2.weight", 1.3, 0.3, ABSOLUTE),
    ("bn2.bias", -0.5, 0.3, ABSOLUTE),
    ("bn3.weight", 0.2, 0.08, ABSOLUTE),
    ("bn3.bias", 0.0, 0.2, ABSOLUTE),
    ("downsample.1.weight", 0.8, 0.2, ABSOLUTE),
    ("downsample.1.bias", -0.2, 0.2, ABSOLUTE),
    # The norms of v2's pyramid and heads. Sparse units in the box head keep regions distinct, too.
    *((f"box_head.{i}.1.weight", 1.0, 0.3, ABSOLUTE) for i in range(4)),
    *((f"box_head.{i}.1.bias", -0.5, 0.3, ABSOLUTE) for i in range(4)),
    (".1.weight", 1.0, 0.3, ABSOLUTE),
    (".1.bias", -0.2, 0.2, ABSOLUTE),
    ("running_mean", 0.0, 0.2, ABSOLUTE),
    ("running_var", 1.0, 0.4, ABSOLUTE),
    # Feature pyramid. The gains of the outputs bring the levels to about the same size, so that each has proposals.
    ("inner_blocks.0.0.weight", 0.0, 0.5, GAIN),
    ("inner_blocks.1.0.weight", 0.0, 0.4, GAIN),
    ("inner_blocks.2.0.weight", 0.0, 0.3, GAIN),
    ("inner_blocks.3.0.weight", 0.0, 0.2, GAIN),
    ("layer_blocks.0.0.weight", 0.0, 0.4, GAIN),
    ("layer_blocks.1.0.weight", 0.0, 0.55, GAIN),
    ("layer_blocks.2.0.weight", 0.0, 0.9, GAIN),
    ("layer_blocks.3.0.weight", 0.0, 2.0, GAIN),
    # Heads.
    ("rpn.head.cls_logits.weight", 0.0, 0.5, GAIN),
    ("rpn.head.bbox_pred.weight", 0.0, 0.2, GAIN),
    ("box_head.fc6.weight", 0.0, 1.2, GAIN),
    ("box_head.fc6.bias", -0.5, 0.5, ABSOLUTE),
    ("box_head.5.weight", 0.0, 2.3, GAIN),
    ("box_head.5.bias", -1.5, 0.5, ABSOLUTE),
    ("box_head.fc7.weight", 0.0, 1.2, GAIN),
    ("box_head.fc7.bias", -0.5, 0.3, ABSOLUTE),
    ("box_predictor.cls_score.weight", 0.0, 3.0, GAIN),
    ("box_predictor.bbox_pred.weight", 0.0, 0.5, GAIN),
    # Every other layer: the backbone's convolutions, the RPN's first, the mask head, and biases.
    ("weight", 0.0, 1.0, GAIN),
    ("bias", 0.0, 0.1, ABSOLUTE),
]


def fill(name, shape, basic_blocks=False):
    """The float32 array of `shape` for the tensor called `name`; `basic_blocks` says of which kind its network's are."""
    index = np.arange(math.prod(shape), dtype=np.uint64)
    if name.endswith(ODD):
        units = odd_units(name, index)
    else:
        units = hashed_units(name, index)
    role = name.replace(".bn2.", ".bn3.") if basic_blocks else name
    centre, spread = distribution(role, shape)
    values = np.float32(centre) + np.float32(spread) * units
    if name.endswith("box_predictor.cls_score.bias"):
        values[0] += np.float32(BACKGROUND_BIAS)
    return values.reshape(shape)


def distribution(name, shape):
    """Centre and half-width of the uniform distribution of the tensor called `name`."""
    for end, centre, spread, kind in RULES:
        if name.endswith(end):
            return centre, spread * math.sqrt(6.0 / fan_in(name, shape)) if kind is GAIN else spread
    raise ValueError(f"no rule for the tensor `{name}`")


def fan_in(name, shape):
    """Inputs summed into one output: of the transposed 2x2 convolution of stride 2, its input channels alone."""
    return shape[0] if name.endswith("conv5_mask.weight") else math.prod(shape[1:])


def odd_units(name, index):
    """Like `hashed_units`, but odd under a half turn of the POOLED_CELLS that vary fastest."""
    cell = index % np.uint64(POOLED_CELLS)
    opposite = np.uint64(POOLED_CELLS - 1) - cell
    sign = np.sign(opposite.astype(np.int64) - cell.astype(np.int64)).astype(np.float32)
    return sign * hashed_units(name, index - cell + np.minimum(cell, opposite))


def hashed_units(name, index):
    """Uniform float32 values in [-1, 1), one for each element of the uint64 array `index`."""
    top = splitmix64(fnv1a(name), index + np.uint64(1)) >> np.uint64(40)
    return (top.astype(np.int32) - np.int32(1 << 23)).astype(np.float32) / np.float32(1 << 23)


def fnv1a(name):
    """FNV-1a of the name, 64 bits."""
    value = FNV_OFFSET
    for byte in name.encode():
        value = ((value ^ byte) * FNV_PRIME) & MASK_64
    return value


def splitmix64(seed, step):
    """The `step`-th value of splitmix64 started at `seed`; `step` is a uint64 array."""
    z = np.uint64(seed) + step * np.uint64(GOLDEN_GAMMA)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))
