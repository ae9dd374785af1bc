"""What a Python user runs instead of `maskrcnn`: torchvision on the same weights, the same photo in, a picture and JSON out.

usage: torchvision_segment.py {v1,v2,compact} WEIGHTS PHOTO OUTPUT_FOLDER
"""

import pathlib
import sys

import numpy as np
import torch
from PIL import Image
from torchvision.models import resnet50
from torchvision.models.detection import MaskRCNN, maskrcnn_resnet50_fpn_v2
from torchvision.models.detection._utils import overwrite_eps
from torchvision.models.detection.backbone_utils import _resnet_fpn_extractor
from torchvision.ops.misc import FrozenBatchNorm2d
from torchvision.utils import draw_bounding_boxes, draw_segmentation_masks

import report

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tests" / "reference"))
import compact

THRESHOLD = 0.5


def build(network, weights):
    """The network as its users build it: v1 with the lines that `maskrcnn_resnet50_fpn(weights="DEFAULT")` runs."""
    if network == "compact":
        return compact.load(weights)[0]
    if network == "v2":
        model = maskrcnn_resnet50_fpn_v2(weights=None, weights_backbone=None)
        model.load_state_dict(torch.load(weights))
        return model.eval()
    backbone = _resnet_fpn_extractor(resnet50(weights=None, norm_layer=FrozenBatchNorm2d), trainable_layers=3)
    model = MaskRCNN(backbone, num_classes=91)
    overwrite_eps(model, 0.0)
    model.load_state_dict(torch.load(weights))
    return model.eval()


def main(network, weights, photo, output):
    model = build(network, weights)
    pixels = torch.from_numpy(np.asarray(Image.open(photo).convert("RGB")).copy()).permute(2, 0, 1)
    with torch.inference_mode():
        found = model([pixels.float() / 255])[0]
    keep = found["scores"] >= THRESHOLD
    boxes, masks = found["boxes"][keep], found["masks"][keep, 0] > 0.5
    picture = draw_segmentation_masks(pixels, masks, alpha=0.45) if len(masks) else pixels
    if len(boxes):
        picture = draw_bounding_boxes(picture, boxes, [f"{int(l)}" for l in found["labels"][keep]])
    Image.fromarray(picture.permute(1, 2, 0).numpy()).save(output / "torchvision.png")
    report.write(output / "torchvision.json", found["labels"][keep], found["scores"][keep], boxes, masks)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], pathlib.Path(sys.argv[4]))
