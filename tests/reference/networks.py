"""The two networks of the parity fixtures, ready to run on one image at a time."""

import pathlib

import torch
from torchvision.models import resnet50
from torchvision.models.detection import MaskRCNN
from torchvision.models.detection._utils import overwrite_eps
from torchvision.models.detection.backbone_utils import _resnet_fpn_extractor
from torchvision.ops.misc import FrozenBatchNorm2d

import compact
import formula

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
PHOTOS = REPOSITORY / "examples" / "photos"
COMPACT_WEIGHTS = REPOSITORY / "weights" / "compact.safetensors"

COCO_SLOTS = 91


def build_v1():
    """torchvision's `maskrcnn_resnet50_fpn` as it is with the COCO_V1 weights, filled from the formula.

    The constructor function itself cannot be asked for that without downloading weights: given none it takes trainable
    batch norms, whose epsilon `overwrite_eps` leaves at 1e-5. These are the lines it runs with weights.
    """
    backbone = _resnet_fpn_extractor(resnet50(weights=None, norm_layer=FrozenBatchNorm2d), trainable_layers=3)
    model = MaskRCNN(backbone, num_classes=COCO_SLOTS).eval()
    overwrite_eps(model, 0.0)
    weights = {
        name: torch.from_numpy(formula.fill(name, tuple(tensor.shape))) for name, tensor in model.state_dict().items()
    }
    model.load_state_dict(weights, strict=True)
    return model


def build_compact():
    """The compact model with the weights of the repository."""
    model, _ = compact.load(COMPACT_WEIGHTS)
    return model
