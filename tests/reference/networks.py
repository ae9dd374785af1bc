"""The networks of the parity fixtures, ready to run on one image at a time."""

import pathlib

import torch
from torchvision.models import resnet50
from torchvision.models.detection import MaskRCNN, maskrcnn_resnet50_fpn, maskrcnn_resnet50_fpn_v2
from torchvision.models.detection._utils import overwrite_eps
from torchvision.models.detection.backbone_utils import _resnet_fpn_extractor, resnet_fpn_backbone
from torchvision.ops.misc import FrozenBatchNorm2d

import compact
import formula

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
PHOTOS = REPOSITORY / "examples" / "photos"
COMPACT_WEIGHTS = REPOSITORY / "weights" / "compact.safetensors"

COCO_SLOTS = 91

# Blocks in the longest layer of ResNet-50.
MOST_BLOCKS = 6

# The networks beside v1 that the formula fills and the fixtures show: v2, and v1 with other backbones.
RELATIVES = ["v2", "resnet18", "resnext50_32x4d", "wide_resnet50_2"]


def build_v1():
    """torchvision's `maskrcnn_resnet50_fpn` as it is with the COCO_V1 weights, filled from the formula.

    The constructor function itself cannot be asked for that without downloading weights: given none it takes trainable
    batch norms, whose epsilon `overwrite_eps` leaves at 1e-5. These are the lines it runs with weights.
    """
    backbone = _resnet_fpn_extractor(resnet50(weights=None, norm_layer=FrozenBatchNorm2d), trainable_layers=3)
    model = MaskRCNN(backbone, num_classes=COCO_SLOTS).eval()
    overwrite_eps(model, 0.0)
    return fill(model)


def build_v2():
    """torchvision's `maskrcnn_resnet50_fpn_v2`, all of whose norms are trained."""
    return fill(maskrcnn_resnet50_fpn_v2(weights=None, weights_backbone=None).eval())


def build_trained():
    """`maskrcnn_resnet50_fpn` trained from nothing, so that its norms have an epsilon of 1e-5, with weak channels.

    In every fourth channel of the backbone's norms the variance is a ten-thousandth of the formula's, and the gain a
    hundredth: without an epsilon they would be as strong as the others.
    """
    model = fill(maskrcnn_resnet50_fpn(weights=None, weights_backbone=None).eval())
    for name, tensor in model.backbone.body.state_dict().items():
        if name.endswith("running_var"):
            tensor[::4] *= 1e-4
        elif tensor.dim() == 1 and name.endswith("weight"):
            tensor[::4] *= 1e-2
    return model


def build_resnet(backbone):
    """v1's heads on another of torchvision's ResNets with frozen norms, as its documentation makes them."""
    backbone = resnet_fpn_backbone(backbone_name=backbone, weights=None)
    return fill(MaskRCNN(backbone, num_classes=COCO_SLOTS).eval())


def fill(model):
    """The model with all its tensors from the formula, but for counters of batches.

    In a layer of more blocks than ResNet-50's layers have, such as the third of ResNet-101, the last norms' gains are
    made smaller, so that the sum over its blocks grows no further than there.
    """
    tensors = model.state_dict()
    basic_blocks = "backbone.body.layer1.0.conv3.weight" not in tensors
    for name, tensor in tensors.items():
        if tensor.is_floating_point():
            tensor.copy_(torch.from_numpy(formula.fill(name, tuple(tensor.shape), basic_blocks)))
    for layer in ("layer1", "layer2", "layer3", "layer4"):
        blocks = model.backbone.body[layer]
        if len(blocks) > MOST_BLOCKS:
            for block in blocks:
                block.bn3.weight.data *= (MOST_BLOCKS / len(blocks)) ** 0.5
    return model


def build(network):
    """The network of this name: `v1`, `v2`, `trained`, `compact`, or torchvision's name for a backbone of v1."""
    special = {"v1": build_v1, "v2": build_v2, "trained": build_trained, "compact": build_compact}
    return special[network]() if network in special else build_resnet(network)


def build_compact():
    """The compact model with the weights of the repository."""
    model, _ = compact.load(COMPACT_WEIGHTS)
    return model
