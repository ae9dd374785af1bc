"""Matterport's Mask R-CNN, filled from the formula, as a file that its own training would write.

Matterport's code is run from its source, in akTwelve's port to TensorFlow 2 (https://github.com/akTwelve/Mask_RCNN,
commit d9f01dc, MIT). It is no part of this repository. In an environment (Python 3.11) with the versions of
`matterport-requirements.txt`:

    export MATTERPORT=/path/to/its/source
"""

import os
import pathlib
import re
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# One way to compute everything: the plain kernels.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")

import numpy as np
import tensorflow as tf
from tensorflow import keras

import formula

# With one thread the order of every sum is fixed.
tf.config.threading.set_intra_op_parallelism_threads(1)
tf.config.threading.set_inter_op_parallelism_threads(1)

# What NumPy 1.24 took away and Matterport's code still uses.
np.bool = bool

sys.path.insert(0, os.environ.get("MATTERPORT", ""))
try:
    import mrcnn.model as modellib
    from mrcnn import utils
    from mrcnn.config import Config
except ImportError as error:
    sys.exit(f"{error}: set MATTERPORT to the source of Matterport's Mask R-CNN, and see {__file__}")

# The formula's first convolution takes numbers of order one. This one is given bytes less their mean, of some 60.
STEM_SCALE = np.float32(1 / 52)
# A sum over 33 blocks grows further than one over 16, for which the formula was made.
DEEP_RESIDUAL_SCALE = np.float32(0.6)
# Added to the biases of dy, dx, dh, dw, which are in units of 0.1, 0.1, 0.2 and 0.2: boxes are smaller than what they
# start from, and lie to the left and above. So few are cut off at the right or lower edge of the square. One that is
# ends at exactly 1, and there the last bit of its other edge decides whether `crop_and_resize` finds its last samples
# inside, or takes zeros: in Matterport's own code, too, such a box has other features with other kernels.
PROPOSAL_SHIFTS = np.float32([-4.0, -4.0, -2.0, -2.0])
DETECTION_SHIFTS = np.float32([-1.0, -1.0, -0.5, -0.5])
# Behind norms regions differ less than the formula expects: larger weights tell their classes apart, and the background
# is given less of a lead.
BACKGROUND_SHIFT = np.float32(-3.0)


class Full(Config):
    """As for COCO."""

    NAME = "formula"
    GPU_COUNT = 1
    IMAGES_PER_GPU = 1
    NUM_CLASSES = 81
    FORMULA_CLASS_GAIN = 3.5
    FORMULA_BACKGROUND_SHIFT = BACKGROUND_SHIFT


class Full50(Full):
    BACKBONE = "resnet50"
    FORMULA_CLASS_GAIN = 2.0


class Own50(Full50):
    """As people train it for classes of their own, of which the file has no names."""

    NUM_CLASSES = 1 + 4
    # Few classes leave the background most of its lead, and sure ones more alike.
    FORMULA_CLASS_GAIN = 1.2
    FORMULA_BACKGROUND_SHIFT = np.float32(-10.0)


class Small(Full50):
    """For small pictures."""

    IMAGE_MIN_DIM = 192
    IMAGE_MAX_DIM = 256
    FORMULA_CLASS_GAIN = 4.5
    RPN_ANCHOR_SCALES = (8, 16, 32, 64, 128)
    PRE_NMS_LIMIT = 2000
    POST_NMS_ROIS_INFERENCE = 300


NETWORKS = {"r101": Full, "r50": Full50, "r50-own": Own50}


def build(config):
    """The network of this configuration, filled from the formula."""
    model = modellib.MaskRCNN(mode="inference", config=config, model_dir="/nonexistent")
    tensors = [
        (weight, fill(tensor_name(layer, weight), tuple(weight.shape), config))
        for outer in model.keras_model.layers
        for layer in getattr(outer, "layers", [outer])
        for weight in layer.weights
    ]
    keras.backend.batch_set_value(tensors)
    return model


def tensor_name(layer, weight):
    """The name as a file has it: `conv1/kernel:0`."""
    return f"{layer.name}/{weight.name.split('/')[-1]}"


def weights(model):
    """Name and shape of each tensor, in the order of the layers."""
    return {
        tensor_name(layer, weight): tuple(weight.shape)
        for outer in model.keras_model.layers
        for layer in getattr(outer, "layers", [outer])
        for weight in layer.weights
    }


def fill(name, shape, config):
    """The tensor `name` from the formula, by torchvision's name and shape for it, in Keras's order.

    Special are: the stem, scaled down because it is given bytes; the residual branches of deep networks; the
    classifier; and the biases of the deltas.
    """
    canonical = canonical_name(name)
    axes = canonical_axes(name, shape)
    if axes is None:
        values = formula.fill(canonical, shape)
    else:
        ordered = [shape[axis] for axis in axes]
        if canonical.endswith("fc6.weight"):
            # Whose columns are torchvision's, flattened: the formula's rule depends on it.
            flat = formula.fill(canonical, (ordered[0], int(np.prod(ordered[1:]))))
            values = flat.reshape(ordered)
        else:
            values = formula.fill(canonical, tuple(ordered))
        values = values.transpose(np.argsort(axes))
    if name == "conv1/kernel:0":
        values = values * STEM_SCALE
    if config.BACKBONE == "resnet101" and re.fullmatch(r"bn\d\w_branch2c/gamma:0", name):
        values = values * DEEP_RESIDUAL_SCALE
    if name == "mrcnn_class_logits/kernel:0":
        values = values * np.float32(config.FORMULA_CLASS_GAIN)
    if name == "mrcnn_class_logits/bias:0":
        values[0] += config.FORMULA_BACKGROUND_SHIFT
    if name == "rpn_bbox_pred/bias:0":
        values = values + np.resize(PROPOSAL_SHIFTS, values.shape)
    if name == "mrcnn_bbox_fc/bias:0":
        values = values + np.resize(DETECTION_SHIFTS, values.shape)
    return np.ascontiguousarray(values, np.float32)


def canonical_axes(name, shape):
    """Which of Keras's axes each of torchvision's is; none for tensors of one axis."""
    if len(shape) == 4:
        # [height, width, input, output], but of the deconvolution [height, width, output, input].
        return (3, 2, 0, 1)
    return (1, 0) if len(shape) == 2 else None


NORM = {"gamma": "weight", "beta": "bias", "moving_mean": "running_mean", "moving_variance": "running_var"}
CONV = {"kernel": "weight", "bias": "bias"}
LAYERS = {
    "conv1": "backbone.body.conv1",
    "bn_conv1": "backbone.body.bn1",
    **{f"fpn_c{i}p{i}": f"backbone.fpn.inner_blocks.{i - 2}.0" for i in range(2, 6)},
    **{f"fpn_p{i}": f"backbone.fpn.layer_blocks.{i - 2}.0" for i in range(2, 6)},
    "rpn_conv_shared": "rpn.head.conv.0.0",
    "rpn_class_raw": "rpn.head.cls_logits",
    "rpn_bbox_pred": "rpn.head.bbox_pred",
    "mrcnn_class_conv1": "roi_heads.box_head.fc6",
    "mrcnn_class_bn1": "roi_heads.box_head.fc6.1",
    "mrcnn_class_conv2": "roi_heads.box_head.fc7",
    "mrcnn_class_bn2": "roi_heads.box_head.fc7.1",
    "mrcnn_class_logits": "roi_heads.box_predictor.cls_score",
    "mrcnn_bbox_fc": "roi_heads.box_predictor.bbox_pred",
    **{f"mrcnn_mask_conv{i}": f"roi_heads.mask_head.{i - 1}.0" for i in range(1, 5)},
    **{f"mrcnn_mask_bn{i}": f"roi_heads.mask_head.{i - 1}.1" for i in range(1, 5)},
    "mrcnn_mask_deconv": "roi_heads.mask_predictor.conv5_mask",
    "mrcnn_mask": "roi_heads.mask_predictor.mask_fcn_logits",
}


def canonical_name(name):
    """The name by which the formula knows a tensor: torchvision's, where it has such a tensor."""
    layer, parameter = name.split("/")
    parameter = parameter.removesuffix(":0")
    match = re.fullmatch(r"(res|bn)(\d)(\w)_branch(1|2[abc])", layer)
    if match:
        kind, stage, block, branch = match.groups()
        block = f"backbone.body.layer{int(stage) - 1}.{ord(block) - ord('a')}"
        if branch == "1":
            layer = f"{block}.downsample.{0 if kind == 'res' else 1}"
        else:
            layer = f"{block}.{'conv' if kind == 'res' else 'bn'}{'abc'.index(branch[1]) + 1}"
    else:
        layer = LAYERS[layer]
    return f"{layer}.{(NORM | CONV)[parameter]}"
