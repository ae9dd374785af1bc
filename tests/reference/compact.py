"""The compact model as torchvision runs it: EfficientNet-Lite0, torchvision's pyramid, RPN and heads.

As a program, prints what it detects on photos, in the layout of `tests/fixtures/parity/compact-photos.json`:

    compact.py WEIGHTS.safetensors IMAGE...
"""

import json
import pathlib
import sys
from collections import OrderedDict

import numpy as np
import torch
from PIL import Image
from pycocotools import mask as coco_mask
from safetensors import safe_open
from torch import nn
from torch.nn import functional as F
from torchvision.models.detection import MaskRCNN
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
from torchvision.models.detection.mask_rcnn import MaskRCNNHeads, MaskRCNNPredictor
from torchvision.models.detection.rpn import RPNHead
from torchvision.ops import FeaturePyramidNetwork
from torchvision.ops.feature_pyramid_network import LastLevelMaxPool

# EfficientNet-Lite0's stages: expansion, kernel, output channels, blocks, stride of the first block.
STAGES = [
    (1, 3, 16, 1, 1),
    (6, 3, 24, 2, 2),
    (6, 5, 40, 2, 2),
    (6, 3, 80, 3, 2),
    (6, 5, 112, 3, 1),
    (6, 5, 192, 4, 2),
    (6, 3, 320, 1, 1),
]
# The stages whose outputs are C2..C5, and their channels.
FEATURE_STAGES = (1, 2, 4, 6)
FEATURE_CHANNELS = [STAGES[stage][2] for stage in FEATURE_STAGES]

POOLED_SIZE = 7
MASK_LAYERS = 4


class InvertedResidual(nn.Module):
    """1x1 expansion, depthwise k x k, linear 1x1 projection; the batch norms are folded into the convolutions."""

    def __init__(self, in_channels, out_channels, expansion, kernel, stride):
        super().__init__()
        hidden = in_channels * expansion
        self.expand = nn.Conv2d(in_channels, hidden, 1) if expansion != 1 else None
        self.depthwise = nn.Conv2d(hidden, hidden, kernel, stride, kernel // 2, groups=hidden)
        self.project = nn.Conv2d(hidden, out_channels, 1)
        self.has_skip = stride == 1 and in_channels == out_channels

    def forward(self, x):
        y = x if self.expand is None else F.relu6(self.expand(x))
        y = self.project(F.relu6(self.depthwise(y)))
        return x + y if self.has_skip else y


class EfficientNetLite0(nn.Module):
    """The backbone's body: returns C2..C5 under the keys "0".."3", as torchvision's pyramid wants them."""

    def __init__(self):
        super().__init__()
        channels = 32
        self.stem = nn.Conv2d(3, channels, 3, 2, 1)
        self.stages = nn.ModuleList()
        for expansion, kernel, out_channels, blocks, stride in STAGES:
            stage = nn.Sequential()
            for block in range(blocks):
                stage.append(InvertedResidual(channels, out_channels, expansion, kernel, stride if block == 0 else 1))
                channels = out_channels
            self.stages.append(stage)

    def forward(self, x):
        x = F.relu6(self.stem(x))
        features = OrderedDict()
        for number, stage in enumerate(self.stages):
            x = stage(x)
            if number in FEATURE_STAGES:
                features[str(len(features))] = x
        return features


class Backbone(nn.Module):
    """The body and the feature pyramid on it, P6 by max pooling."""

    def __init__(self, channels):
        super().__init__()
        self.body = EfficientNetLite0()
        self.fpn = FeaturePyramidNetwork(FEATURE_CHANNELS, channels, LastLevelMaxPool())
        self.out_channels = channels

    def forward(self, x):
        return self.fpn(self.body(x))


def build(config):
    """The model that the `config` of the weights file describes, with torchvision's initial weights."""
    channels, classes, hidden = config["channels"], config["num_classes"], config["box_hidden"]
    sizes = tuple((size,) for size in config["anchor_sizes"])
    ratios = tuple(config["aspect_ratios"])
    return MaskRCNN(
        Backbone(channels),
        num_classes=None,
        min_size=config["min_size"],
        max_size=config["max_size"],
        image_mean=config["image_mean"],
        image_std=config["image_std"],
        rpn_anchor_generator=AnchorGenerator(sizes, (ratios,) * len(sizes)),
        rpn_head=RPNHead(channels, len(ratios)),
        rpn_pre_nms_top_n_test=config["rpn_pre_nms_top_n"],
        rpn_post_nms_top_n_test=config["rpn_post_nms_top_n"],
        rpn_nms_thresh=config["rpn_nms_thresh"],
        box_head=TwoMLPHead(channels * POOLED_SIZE**2, hidden),
        box_predictor=FastRCNNPredictor(hidden, classes),
        box_score_thresh=config["box_score_thresh"],
        box_nms_thresh=config["box_nms_thresh"],
        box_detections_per_img=config["detections_per_image"],
        mask_head=MaskRCNNHeads(channels, (channels,) * MASK_LAYERS, 1),
        mask_predictor=MaskRCNNPredictor(channels, channels, classes),
    ).eval()


def load(path):
    """The model with the weights of a file, widened to float32, and its class names."""
    with safe_open(path, "pt") as file:
        metadata = file.metadata()
        tensors = {name: file.get_tensor(name).float() for name in file.keys()}
    model = build(json.loads(metadata["config"]))
    model.load_state_dict(tensors, strict=True)
    return model, json.loads(metadata["labels"])


def encode_rle(mask):
    """The compressed COCO run lengths of a [H, W] boolean array."""
    rle = coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))
    return {"size": [int(side) for side in rle["size"]], "counts": rle["counts"].decode()}


def segment(model, labels, path):
    """The detections on one photo, as plain data."""
    pixels = np.array(Image.open(path).convert("RGB"))
    with torch.inference_mode():
        output = model([torch.from_numpy(pixels).permute(2, 0, 1).float() / 255])[0]
    masks = (output["masks"][:, 0] > 0.5).numpy()
    return [
        {
            "label": labels[label],
            "score": round(score, 5),
            "box_xyxy": [round(side, 3) for side in box],
            "area": int(mask.sum()),
            "segmentation": encode_rle(mask),
        }
        for label, score, box, mask in zip(
            output["labels"].tolist(), output["scores"].tolist(), output["boxes"].tolist(), masks
        )
    ]


def main():
    weights, *photos = sys.argv[1:]
    model, labels = load(weights)
    print(json.dumps({pathlib.Path(photo).name: segment(model, labels, photo) for photo in photos}, indent=1))


if __name__ == "__main__":
    main()
