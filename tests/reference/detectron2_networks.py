"""detectron2's Mask R-CNN with FPN, filled from the formula, as files that its own programs write.

detectron2 is run from its source (commit 02b5c4e, Apache 2.0), which need not be compiled: nothing here asks for
`detectron2._C`. It is no part of this repository. In an environment with the versions of
`detectron2-requirements.txt`:

    export DETECTRON2=/path/to/its/source
"""

import os
import pathlib
import pickle
import sys

import numpy as np
import torch

import formula

sys.path.insert(0, os.environ.get("DETECTRON2", ""))
try:
    from detectron2.checkpoint import DetectionCheckpointer
    from detectron2.config import get_cfg
    from detectron2.modeling import build_model
    from detectron2.solver import build_lr_scheduler, build_optimizer
except ImportError as error:
    sys.exit(f"{error}: set DETECTRON2 to the source of detectron2, and see {__file__} for what it needs")

CONFIGS = pathlib.Path(os.environ["DETECTRON2"]) / "configs" / "COCO-InstanceSegmentation"

# The configuration of each network in detectron2's model zoo.
NETWORKS = {
    "r50": "mask_rcnn_R_50_FPN_3x.yaml",
    "r101": "mask_rcnn_R_101_FPN_3x.yaml",
    "x101": "mask_rcnn_X_101_32x8d_FPN_3x.yaml",
}

# The formula's first convolution takes numbers of order one. ResNets here are given bytes less their mean, of some 60.
STEM_SCALE = np.float32(1 / 52)
# A sum over 33 blocks grows further than one over 16, for which the formula was made.
DEEP_RESIDUAL_SCALE = np.float32(0.8)
DEEP_GROUPED_RESIDUAL_SCALE = np.float32(0.6)


def config(network):
    """The network's configuration in the model zoo, for the processor."""
    cfg = get_cfg()
    cfg.merge_from_file(CONFIGS / NETWORKS[network])
    cfg.MODEL.DEVICE = "cpu"
    return cfg


def build(cfg):
    """The network of this configuration, filled from the formula."""
    model = build_model(cfg).eval()
    weights = fill({name: tuple(tensor.shape) for name, tensor in model.state_dict().items()})
    model.load_state_dict({name: torch.from_numpy(values) for name, values in weights.items()}, strict=True)
    return model


def fill(shapes):
    """Weights from the formula by detectron2's names: each tensor is filled as torchvision's of the same meaning.

    Three are special. The background's bias moves from the first to the last place of `cls_score.bias`, the stem is
    scaled down where the network is given bytes, and so are the residual branches of deep networks.
    """
    deep = "backbone.bottom_up.res4.6.conv1.weight" in shapes
    outputs, inputs = shapes["backbone.bottom_up.res2.0.conv2.weight"][:2]
    grouped = inputs != outputs
    weights = {name: formula.fill(canonical_name(name), shape) for name, shape in shapes.items()}
    bias = weights["roi_heads.box_predictor.cls_score.bias"]
    bias[[0, -1]] = bias[[-1, 0]]
    if not grouped:
        weights["backbone.bottom_up.stem.conv1.weight"] *= STEM_SCALE
    if deep:
        for name in weights:
            if name.endswith("conv3.norm.weight"):
                weights[name] *= DEEP_GROUPED_RESIDUAL_SCALE if grouped else DEEP_RESIDUAL_SCALE
    return weights


def canonical_name(name):
    """torchvision's name of a tensor of detectron2's."""
    parts = name.split(".")
    match parts:
        case ["backbone", "bottom_up", "stem", "conv1", *rest]:
            return f"backbone.body.{norm('1', rest)}"
        case ["backbone", "bottom_up", stage, block, "shortcut", *rest]:
            parameter = ["1", *rest[1:]] if rest[0] == "norm" else ["0", *rest]
            return f"backbone.body.layer{int(stage[3:]) - 1}.{block}.downsample.{'.'.join(parameter)}"
        case ["backbone", "bottom_up", stage, block, conv, *rest]:
            return f"backbone.body.layer{int(stage[3:]) - 1}.{block}.{norm(conv[4:], rest)}"
        case ["backbone", lateral_or_output, parameter]:
            blocks = "inner_blocks" if lateral_or_output.startswith("fpn_lateral") else "layer_blocks"
            return f"backbone.fpn.{blocks}.{int(lateral_or_output[-1]) - 2}.0.{parameter}"
        case ["proposal_generator", "rpn_head", layer, parameter]:
            layers = {"conv": "conv.0.0", "objectness_logits": "cls_logits", "anchor_deltas": "bbox_pred"}
            return f"rpn.head.{layers[layer]}.{parameter}"
        case ["roi_heads", "box_head", fc, parameter]:
            return f"roi_heads.box_head.fc{int(fc[2:]) + 5}.{parameter}"
        case ["roi_heads", "mask_head", layer, parameter] if layer.startswith("mask_fcn"):
            return f"roi_heads.mask_head.{int(layer[8:]) - 1}.0.{parameter}"
        case ["roi_heads", "mask_head", layer, parameter]:
            layers = {"deconv": "conv5_mask", "predictor": "mask_fcn_logits"}
            return f"roi_heads.mask_predictor.{layers[layer]}.{parameter}"
        case _:
            return name


def norm(number, rest):
    """The convolution's parameter, or that of the norm which detectron2 keeps inside of it."""
    return f"bn{number}.{rest[1]}" if rest[0] == "norm" else f"conv{number}.{rest[0]}"


def write_zoo(model, path, protocol):
    """A file as those of the model zoo: arrays in a plain pickle."""
    arrays = {name: tensor.numpy() for name, tensor in model.state_dict().items()}
    with open(path, "wb") as file:
        pickle.dump({"model": arrays, "__author__": "formula"}, file, protocol)


def write_trainer(model, cfg, directory, name):
    """What a trainer leaves in its output directory after a step: the checkpoint `name`.pth and `config.yaml`."""
    model.train()
    optimizer = build_optimizer(cfg, model)
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter) if parameter.requires_grad else None
    scheduler = build_lr_scheduler(cfg, optimizer)
    optimizer.step()
    scheduler.step()
    model.eval()
    checkpointer = DetectionCheckpointer(model, str(directory), optimizer=optimizer, scheduler=scheduler)
    checkpointer.save(name, iteration=0)
    (pathlib.Path(directory) / "config.yaml").write_text(cfg.dump())
