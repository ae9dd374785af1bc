#!/usr/bin/env python3
"""Writes tests/fixtures/wrappers: one small network as training scripts and libraries save it.

Usage, in an environment of wrappers-requirements.txt (not that of make.sh, which has none of these libraries):

    python3 -m venv .venv-wrappers && .venv-wrappers/bin/pip install -r tests/reference/wrappers-requirements.txt
    .venv-wrappers/bin/python tests/reference/make_wrappers.py

The network has tensors of torchvision's maskrcnn_resnet50_fpn under their own names, few of them and with short axes:
it is for reading, not for running. `network.safetensors` has them as its state dict does, `averages.safetensors` twice
as large, where a file has averages of the weights beside them. Learning rates are 0, so that optimizers have momentum
and the weights stay what they are. `foreign/` has what people hand over by mistake, and `versions.json` says what wrote
all this. Everything is seeded; libraries put times and addresses into their files, so a second run writes other bytes.
"""

import argparse
import datetime
import enum
import inspect
import json
import os
import pathlib
import shutil
import sys
import tempfile
import types
import warnings
import zipfile

import accelerate
import lightning
import lightning.pytorch.callbacks
import numpy
import omegaconf
import safetensors
import torch
import torch.distributed
import torchvision
from safetensors.torch import save_file
from torch.distributed.algorithms._checkpoint.checkpoint_wrapper import checkpoint_wrapper
from torch.distributed.fsdp import FullyShardedDataParallel
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

FOLDER = pathlib.Path(__file__).resolve().parent.parent / "fixtures" / "wrappers"
FOREIGN = FOLDER / "foreign"

VERSIONS = {
    module.__name__: module.__version__
    for module in (accelerate, lightning, numpy, safetensors, torch, torchvision)
} | {"omegaconf": omegaconf.version.__version__, "python": sys.version.split()[0]}

# Names of torchvision's network, and shapes that only the names' readers need to like.
PARAMETERS = {
    "backbone.body.conv1.weight": (2, 3, 1, 1),
    "backbone.body.bn1.weight": (2,),
    "backbone.body.bn1.bias": (2,),
    "backbone.body.layer1.0.conv1.weight": (2, 2, 1, 1),
    "backbone.body.layer3.5.conv3.weight": (2, 2, 1, 1),
    "backbone.fpn.inner_blocks.0.0.weight": (2, 2, 1, 1),
    "backbone.fpn.inner_blocks.0.0.bias": (2,),
    "rpn.head.conv.0.0.weight": (2, 2, 1, 1),
    "rpn.head.cls_logits.weight": (3, 2, 1, 1),
    "rpn.head.bbox_pred.weight": (12, 2, 1, 1),
    "roi_heads.box_head.fc6.weight": (4, 2),
    "roi_heads.box_predictor.cls_score.weight": (3, 4),
    "roi_heads.box_predictor.cls_score.bias": (3,),
    "roi_heads.box_predictor.bbox_pred.weight": (12, 4),
    "roi_heads.mask_predictor.conv5_mask.weight": (2, 2, 2, 2),
    "roi_heads.mask_predictor.mask_fcn_logits.weight": (3, 2, 1, 1),
}
BUFFERS = {"backbone.body.bn1.running_mean": (2,), "backbone.body.bn1.running_var": (2,)}


class Part(torch.nn.Module):
    """A module that only has parts; its output is the sum of all parameters, so that each gets a gradient."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + sum(parameter.sum() for parameter in self.parameters())


def network():
    """The network, each time with the same values."""
    torch.manual_seed(20240)
    root = Part()

    def owner(name):
        *path, last = name.split(".")
        module = root
        for part in path:
            if not hasattr(module, part):
                module.add_module(part, Part())
            module = getattr(module, part)
        return module, last

    for name, shape in PARAMETERS.items():
        module, last = owner(name)
        module.register_parameter(last, torch.nn.Parameter(torch.randn(shape)))
    for name, shape in BUFFERS.items():
        module, last = owner(name)
        module.register_buffer(last, torch.rand(shape) + 0.5)
    # Buffers that a state dict leaves out, and that a module saved whole has all the same.
    root.rpn.head.register_buffer("scratch", torch.zeros(3), persistent=False)
    return root


def averages(model):
    """The averages of the weights: twice the weights."""
    averaged = AveragedModel(model, use_buffers=True)
    with torch.no_grad():
        for tensor in list(averaged.module.parameters()) + list(averaged.module.buffers()):
            tensor.mul_(2)
    return averaged


def trained(model, optimizer=torch.optim.SGD, **options):
    """An optimizer after a step that changed nothing, with its state."""
    optimizer = optimizer(model.parameters(), lr=0.0, **(options or {"momentum": 0.9}))
    model(torch.zeros(1)).sum().backward()
    optimizer.step()
    return optimizer


def save(name, obj, folder=FOLDER, **options):
    torch.save(obj, folder / name, **options)


def references_train():
    """torchvision references/detection/train.py and references/classification/train.py, their `checkpoint = {…}`."""
    model = network()
    optimizer = trained(model, momentum=0.9, weight_decay=1e-4)
    scheduler = torch.optim.lr_scheduler.MultiStepLR(optimizer, milestones=[16, 22], gamma=0.1)
    args = argparse.Namespace(
        data_path="/datasets/coco", dataset="coco", model="maskrcnn_resnet50_fpn", device="cuda", epochs=26, lr=0.02,
        lr_steps=[16, 22], output_dir=pathlib.Path("."), amp=True, weights=None,
    )
    checkpoint = {
        "model": model.state_dict(), "optimizer": optimizer.state_dict(), "lr_scheduler": scheduler.state_dict(),
        "args": args, "epoch": 25, "scaler": torch.amp.GradScaler("cpu").state_dict(),
    }
    save("references_detection.pth", checkpoint)
    save("references_detection.legacy.pth", checkpoint, _use_new_zipfile_serialization=False)
    checkpoint["model_ema"] = averages(model).state_dict()
    save("references_classification.pth", checkpoint, pickle_protocol=5)


class Size(enum.Enum):
    SMALL = 1


class Lit(lightning.LightningModule):
    """A network under an attribute, and beside it a loss that has a buffer."""

    def __init__(self, attribute, model, **settings):
        super().__init__()
        self.save_hyperparameters(ignore=["model"])
        self.add_module(attribute, model)
        self.criterion = torch.nn.BCEWithLogitsLoss(pos_weight=torch.ones(3))
        self.attribute = attribute

    def training_step(self, batch, index):
        return getattr(self, self.attribute)(torch.zeros(1)).sum()

    def configure_optimizers(self):
        optimizer = torch.optim.AdamW(getattr(self, self.attribute).parameters(), lr=0.0, weight_decay=0.0)
        return [optimizer], [torch.optim.lr_scheduler.StepLR(optimizer, 1)]


def lightning_checkpoints(folder):
    """A Trainer's own files after a step: with settings of many types, with another attribute's name, with averages."""

    def fit(name, module, callbacks):
        trainer = lightning.Trainer(
            max_steps=1, accelerator="cpu", logger=False, enable_progress_bar=False, enable_model_summary=False,
            default_root_dir=folder, callbacks=callbacks,
        )
        trainer.fit(module, torch.utils.data.DataLoader(torch.zeros(1)))
        trainer.save_checkpoint(FOLDER / name)

    settings = {
        "config": omegaconf.OmegaConf.create({"backbone": {"depth": 50}, "anchors": [32, 64]}),
        "paths": [pathlib.Path("/data")], "options": argparse.Namespace(lr=0.1), "size": Size.SMALL,
        "mean": numpy.array([0.5, 0.25]), "scale": numpy.float64(2.0), "dtype": torch.float32,
    }
    checkpointing = lightning.pytorch.callbacks.ModelCheckpoint(dirpath=folder)
    fit("lightning.ckpt", Lit("model", network(), **settings), [checkpointing])
    # The network is compiled and has another attribute's name.
    fit("lightning_detector.ckpt", Lit("detector", torch.compile(network(), backend="eager")), [checkpointing])
    averaging = lightning.pytorch.callbacks.EMAWeightAveraging(decay=0.5)
    fit("lightning_averages.ckpt", Lit("model", network()), [checkpointing, averaging])
    # Averages that a module holds itself, in the same dict.
    module = Lit("model", network())
    module.ema_model = averages(module.model)
    fit("lightning_two.ckpt", module, [checkpointing])


def wrapped():
    """State dicts of modules that wrap modules."""
    model = network()
    save("compiled.pth", torch.compile(model).state_dict())
    part = network()
    part.backbone = torch.compile(part.backbone)
    save("compiled_part.pth", part.state_dict())
    save("data_parallel.pth", torch.nn.DataParallel(network()).state_dict())
    averaged = AveragedModel(network(), multi_avg_fn=get_ema_multi_avg_fn(0.5))
    averaged.update_parameters(network())
    save("averaged_model.pth", averaged.state_dict())

    store = torch.distributed.HashStore()
    torch.distributed.init_process_group("gloo", store=store, rank=0, world_size=1)
    parallel = torch.nn.parallel.DistributedDataParallel
    save("ddp.pth", parallel(network()).state_dict())
    save("ddp_compiled.pth", {"state_dict": torch.compile(parallel(network())).state_dict(), "epoch": 3})
    # DDP around each part by itself.
    parts = network()
    for name, child in list(parts.named_children()):
        setattr(parts, name, parallel(child))
    save("ddp_parts.pth", parts.state_dict())
    # A single block behind activation checkpointing, whose own state_dict hides the wrapper and whose parameters' and
    # buffers' names do not when they are asked of torch.nn.Module.
    block = network()
    block.roi_heads.box_head = checkpoint_wrapper(block.roi_heads.box_head)
    save("activation_checkpointing.pth", {name: tensor.detach() for name, tensor in members(block)})
    # FSDP's state_dict hides its wrapper; what iterates over parameters (DeepSpeed, hand-written savers) does not.
    sharded = network()
    sharded.backbone.body = FullyShardedDataParallel(sharded.backbone.body, use_orig_params=True, device_id=torch.device("cpu"))
    sharded.roi_heads = FullyShardedDataParallel(sharded.roi_heads, use_orig_params=True, device_id=torch.device("cpu"))
    sharded = FullyShardedDataParallel(sharded, use_orig_params=True, device_id=torch.device("cpu"))
    save("fsdp_state_dict.pth", {"model": dict(sharded.state_dict())})
    with FullyShardedDataParallel.summon_full_params(sharded):
        tensors = {name: tensor.detach().clone() for name, tensor in members(sharded)}
    save("fsdp_named_parameters.pth", {"step": 10, "module": tensors})
    torch.distributed.destroy_process_group()


def members(module):
    """Parameters and persistent buffers under their full names, wrappers and all."""
    scratch = "scratch"
    for prefix, child in module.named_modules():
        for name, tensor in {**child._parameters, **child._buffers}.items():
            if tensor is not None and name != scratch and "_flat_param" not in name:
                yield f"{prefix}.{name}" if prefix else name, tensor


def accelerated(folder):
    """accelerate: the folder of `save_state`, and `save_model` in shards, as safetensors and as pickles."""
    accelerator = accelerate.Accelerator(cpu=True)
    model = network()
    model, optimizer = accelerator.prepare(model, trained(model))
    accelerator.save_state(folder / "state")
    shutil.copy(folder / "state" / "model.safetensors", FOLDER / "accelerate.safetensors")
    shutil.copy(folder / "state" / "optimizer.bin", FOREIGN / "accelerate_optimizer.bin")
    accelerator.save({"model": accelerator.get_state_dict(model), "step": 7}, FOLDER / "accelerate.bin")
    for name, safe in (("shards", True), ("pickled_shards", False)):
        target = FOLDER / name
        shutil.rmtree(target, ignore_errors=True)
        accelerator.save_model(model, target, max_shard_size=600, safe_serialization=safe)


def scored():
    """A state dict among counters and scores."""
    state = {
        "iteration": 90000, "best_score": numpy.float64(0.378), "history": [(1, numpy.float32(0.2)), (2, 0.3)],
        "loss": torch.tensor(0.25), "when": datetime.datetime(2024, 1, 31, 12, 30), "duration": datetime.timedelta(hours=1),
        "rng": numpy.random.RandomState(7).get_state(), "classes": ("crack", "rust"), "net": network().state_dict(),
    }
    save("scores.pt", state)


def whole():
    """Modules that were saved whole, and what torch.jit makes of them."""
    model = network()
    save("whole.pth", model)
    save("whole.legacy.pth", model, _use_new_zipfile_serialization=False)
    save("whole_data_parallel.pth", {"epoch": 5, "net": torch.nn.DataParallel(model), "optimizer": trained(model, torch.optim.Adam, eps=1e-8)})
    save("whole_torchvision.pth", torchvision_module())

    class Script(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x

    def script(module):
        copy = Script()
        for name, parameter in module.named_parameters(recurse=False):
            copy.register_parameter(name, parameter)
        for name, buffer in module.named_buffers(recurse=False):
            if name != "scratch":
                copy.register_buffer(name, buffer)
        for name, child in module.named_children():
            copy.add_module(name, script(child))
        return copy

    torch.jit.save(torch.jit.script(script(model)), FOLDER / "script.pt")
    torch.jit.save(torch.jit.trace(script(model), torch.zeros(1)), FOLDER / "traced.pt")
    torch.jit.save(torch.jit.freeze(torch.jit.script(script(model)).eval()), FOREIGN / "frozen.pt")


def torchvision_module():
    """torchvision's own network on a ResNet-18, saved whole, with every parameter cut down to its first elements."""
    backbone = torchvision.models.detection.backbone_utils.resnet_fpn_backbone(
        backbone_name="resnet18", weights=None, norm_layer=torch.nn.BatchNorm2d
    )
    model = torchvision.models.detection.MaskRCNN(backbone, num_classes=3)
    for tensor in list(model.parameters()) + list(model.buffers()):
        tensor.data = tensor.data[tuple(slice(0, 1) for _ in tensor.shape)].clone()
    return model


def foreign():
    """What people hand over by mistake."""
    resnet = torchvision.models.resnet18()
    small = {name: tensor.flatten()[:1].clone() for name, tensor in resnet.state_dict().items()}
    save("classifier.pth", {"state_dict": {f"module.{name}": tensor for name, tensor in small.items()}}, FOREIGN)
    model = network()
    save("optimizer.pt", trained(model).state_dict(), FOREIGN)
    # A DetectionModel of Ultralytics is pickled whole, by a class of that path.
    tasks = types.ModuleType("ultralytics.nn.tasks")
    tasks.DetectionModel = type("DetectionModel", (torch.nn.Module,), {"__module__": "ultralytics.nn.tasks"})
    sys.modules["ultralytics"], sys.modules["ultralytics.nn"] = types.ModuleType("ultralytics"), types.ModuleType("ultralytics.nn")
    sys.modules["ultralytics.nn.tasks"] = tasks
    yolo = tasks.DetectionModel()
    yolo.model = torch.nn.Sequential(torch.nn.Sequential())
    yolo.model[0].conv = torch.nn.Conv2d(3, 2, 1)
    save("yolo.pt", {"epoch": -1, "best_fitness": None, "model": yolo, "ema": None, "train_args": {"imgsz": 640}}, FOREIGN)
    # Stable-Baselines3: a zip of state dicts.
    policy = {"mlp_extractor.policy_net.0.weight": torch.ones(2, 2), "action_net.weight": torch.ones(2, 2)}
    save("policy.pth", policy, FOREIGN)
    with zipfile.ZipFile(FOREIGN / "stable_baselines3.zip", "w") as archive:
        archive.writestr("data", "{}")
        archive.write(FOREIGN / "policy.pth", "policy.pth")
        archive.writestr("_stable_baselines3_version", "2.7.0")
    save("two_networks.pth", {"first": model.state_dict(), "second": model.state_dict()}, FOREIGN)


def main():
    warnings.simplefilter("ignore")
    os.environ.setdefault("MASTER_ADDR", "127.0.0.1")
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOREIGN.mkdir(parents=True)
    model = network()
    expected = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    save_file(expected, FOLDER / "network.safetensors")
    save_file({name: 2 * tensor for name, tensor in expected.items()}, FOLDER / "averages.safetensors")
    save_file({name: tensor.clone() for name, tensor in torchvision_module().state_dict().items()}, FOLDER / "whole_torchvision.safetensors")
    torch.manual_seed(20240)
    references_train()
    with tempfile.TemporaryDirectory() as folder:
        lightning_checkpoints(folder)
        wrapped()
        accelerated(pathlib.Path(folder))
    scored()
    whole()
    foreign()
    (FOLDER / "versions.json").write_text(json.dumps(VERSIONS, indent=2, sort_keys=True) + "\n")
    total = 0
    for file in sorted(FOLDER.rglob("*.*")):
        if file.is_file():
            total += file.stat().st_size
            print(file.stat().st_size, file.relative_to(FOLDER))
    print(total, "bytes")


if __name__ == "__main__":
    main()
