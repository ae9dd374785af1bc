"""Which epsilon torchvision's norms have after each way of making a network, and what a file of it shows.

Prints the table of weights/README.md: for each way the class and the epsilon of the backbone's norms and of those in
pyramid and heads, and whether `state_dict()` has their counters (`num_batches_tracked`), the only trace of them in a
file. torchvision's own constructors run; only the download of weights is replaced, by fresh networks' weights.
"""

import torchvision
from torch import nn
from torchvision.models import ResNet50_Weights, ResNet101_Weights, resnet
from torchvision.models._api import WeightsEnum
from torchvision.models.detection import (
    MaskRCNN,
    MaskRCNN_ResNet50_FPN_V2_Weights,
    MaskRCNN_ResNet50_FPN_Weights,
    maskrcnn_resnet50_fpn,
    maskrcnn_resnet50_fpn_v2,
)
from torchvision.models.detection.backbone_utils import resnet_fpn_backbone
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor
from torchvision.models.detection.mask_rcnn import MaskRCNNPredictor
from torchvision.ops.misc import FrozenBatchNorm2d

COCO = MaskRCNN_ResNet50_FPN_Weights.COCO_V1
COCO_V2 = MaskRCNN_ResNet50_FPN_V2_Weights.COCO_V1
IMAGENET = ResNet50_Weights.IMAGENET1K_V1


def not_downloaded(weights, *_, **__):
    """The state dict that stands in for the one of these weights."""
    if weights is COCO:
        return maskrcnn_resnet50_fpn(weights=None, weights_backbone=IMAGENET).state_dict()
    if weights is COCO_V2:
        return maskrcnn_resnet50_fpn_v2(weights=None, weights_backbone=None).state_dict()
    return getattr(resnet, "resnet101" if isinstance(weights, ResNet101_Weights) else "resnet50")().state_dict()


WeightsEnum.get_state_dict = not_downloaded


def fine_tuned():
    """torchvision's tutorial: COCO's weights, predictors for other classes."""
    model = maskrcnn_resnet50_fpn(weights=COCO)
    model.roi_heads.box_predictor = FastRCNNPredictor(1024, 2)
    model.roi_heads.mask_predictor = MaskRCNNPredictor(256, 256, 2)
    return model


def loaded_into(model):
    """COCO's file, loaded into a network that was made otherwise."""
    model.load_state_dict(COCO.get_state_dict())
    return model


def on(backbone, **arguments):
    """v1's heads on a backbone."""
    return MaskRCNN(resnet_fpn_backbone(backbone_name=backbone, **arguments), num_classes=91)


WAYS = {
    "`maskrcnn_resnet50_fpn(weights=COCO_V1)`": lambda: maskrcnn_resnet50_fpn(weights=COCO),
    "the same, all layers trainable": lambda: maskrcnn_resnet50_fpn(weights=COCO, trainable_backbone_layers=5),
    "the same, with predictors for other classes (the tutorial)": fine_tuned,
    "`maskrcnn_resnet50_fpn()`: ImageNet's backbone": lambda: maskrcnn_resnet50_fpn(num_classes=2),
    "the same, COCO_V1's file loaded into it": lambda: loaded_into(maskrcnn_resnet50_fpn()),
    "`maskrcnn_resnet50_fpn(weights_backbone=None)`": lambda: maskrcnn_resnet50_fpn(weights_backbone=None),
    "the same, COCO_V1's file loaded into it ": lambda: loaded_into(maskrcnn_resnet50_fpn(weights_backbone=None)),
    '`resnet_fpn_backbone("resnet50", ImageNet)`': lambda: on("resnet50", weights=IMAGENET),
    '`resnet_fpn_backbone("resnet101", ImageNet)`': lambda: on("resnet101", weights=ResNet101_Weights.IMAGENET1K_V1),
    "the same, `norm_layer=BatchNorm2d`": lambda: on("resnet101", weights=None, norm_layer=nn.BatchNorm2d),
    "`maskrcnn_resnet50_fpn_v2(weights=COCO_V1)`": lambda: maskrcnn_resnet50_fpn_v2(weights=COCO_V2),
    "`maskrcnn_resnet50_fpn_v2(weights_backbone=ImageNet)`": lambda: maskrcnn_resnet50_fpn_v2(
        weights_backbone=IMAGENET
    ),
    "`maskrcnn_resnet50_fpn_v2()`": lambda: maskrcnn_resnet50_fpn_v2(),
}


def main():
    print(f"torchvision {torchvision.__version__}\n")
    print("| made by | backbone's norms | epsilon | counters | other norms |")
    print("|---|---|---|---|---|")
    for way, make in WAYS.items():
        model = make()
        body = norms(model.backbone.body)
        others = norms(model) - body
        ((kind, epsilon),) = body
        counters = any(
            name.startswith("backbone.body.") and name.endswith(".num_batches_tracked") for name in model.state_dict()
        )
        rest = ", ".join(f"`{kind}` {epsilon:g}" for kind, epsilon in sorted(others)) or "none"
        if others:
            rest += ", with counters" if "roi_heads.box_head.0.1.num_batches_tracked" in model.state_dict() else ""
        elif any("fpn" in name and name.endswith(".1.weight") for name in model.state_dict()):
            rest = "the same"
        print(f"| {way.strip()} | `{kind}` | {epsilon:g} | {'yes' if counters else 'no'} | {rest} |")


def norms(module):
    """The kinds of batch norms in a module, with their epsilons."""
    kinds = (FrozenBatchNorm2d, nn.BatchNorm2d)
    return {(type(norm).__name__, norm.eps) for norm in module.modules() if isinstance(norm, kinds)}


if __name__ == "__main__":
    main()
