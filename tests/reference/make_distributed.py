#!/usr/bin/env python3
"""Writes tests/fixtures/distributed: the network of make_wrappers.py as `torch.distributed` saves it.

Usage, in an environment of requirements.txt:

    .venv/bin/python tests/reference/make_distributed.py

`fully_shard` (FSDP2) and tensor parallelism keep parameters as `DTensor`, of which each process holds a part:

    one_process.pth        the state dict of a `fully_shard`ed network in a world of one process, whose part is the whole
    replicated.pth         the first of two processes, each of which holds all
    full_state_dict.pth    the first of two processes, gathered by `get_model_state_dict`, as the program advises
    sharded.pth            the first of two processes, which holds every tensor's first half
    partial.pth            the first of two processes, whose tensors are still to be summed
    checkpoint/            what `torch.distributed.checkpoint.save` writes: `.metadata` and `__0_0.distcp`

and `network.safetensors`, what went in. Values are seeded. The processes talk through a file, by gloo.
"""

import json
import pathlib
import shutil
import tempfile
import warnings

import torch
import torch.distributed
import torch.distributed.checkpoint
from safetensors.torch import save_file
from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor, Partial, Replicate, distribute_tensor

FOLDER = pathlib.Path(__file__).resolve().parent.parent / "fixtures" / "distributed"

# Names of torchvision's network, and shapes with an even first side.
PARAMETERS = {
    "backbone.body.conv1.weight": (2, 3, 1, 1),
    "backbone.body.layer1.0.conv1.weight": (4, 2, 1, 1),
    "backbone.fpn.inner_blocks.0.0.weight": (2, 2, 1, 1),
    "rpn.head.cls_logits.weight": (2, 2, 1, 1),
    "roi_heads.box_predictor.cls_score.weight": (4, 4),
    "roi_heads.mask_predictor.mask_fcn_logits.weight": (4, 2, 1, 1),
}
BUFFER = "backbone.body.bn1.running_mean"


class Part(torch.nn.Module):
    """A module that only has parts."""


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
    module, last = owner(BUFFER)
    module.register_buffer(last, torch.rand(2))
    return root


def process(rank, world, meeting):
    """What one of `world` processes saves; those that meet in a file are a world."""
    warnings.simplefilter("ignore")
    store = torch.distributed.FileStore(meeting, world)
    torch.distributed.init_process_group("gloo", store=store, rank=rank, world_size=world)
    mesh = init_device_mesh("cpu", (world,))
    sharded = fully_shard(network(), mesh=mesh)
    gathered = get_model_state_dict(sharded, options=StateDictOptions(full_state_dict=True, cpu_offload=True))
    state = network().state_dict()
    replicated = {name: distribute_tensor(tensor, mesh, [Replicate()]) for name, tensor in state.items()}
    partial = {name: DTensor.from_local(tensor, mesh, [Partial()]) for name, tensor in state.items()}
    if rank == 0 and world == 1:
        torch.save({"model": sharded.state_dict(), "epoch": 3}, FOLDER / "one_process.pth")
    elif rank == 0:
        torch.save(sharded.state_dict(), FOLDER / "sharded.pth")
        torch.save(replicated, FOLDER / "replicated.pth")
        torch.save(partial, FOLDER / "partial.pth")
        torch.save(gathered, FOLDER / "full_state_dict.pth")
    torch.distributed.barrier()
    torch.distributed.destroy_process_group()


def main():
    warnings.simplefilter("ignore")
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    save_file(network().state_dict(), FOLDER / "network.safetensors")
    for world in (1, 2):
        with tempfile.TemporaryDirectory() as folder:
            torch.multiprocessing.spawn(process, (world, str(pathlib.Path(folder) / "meeting")), nprocs=world)
    torch.distributed.checkpoint.save({"model": network().state_dict()}, checkpoint_id=FOLDER / "checkpoint")
    (FOLDER / "versions.json").write_text(json.dumps({"torch": torch.__version__}, indent=2) + "\n")
    for file in sorted(FOLDER.rglob("*")):
        if file.is_file():
            print(file.stat().st_size, file.relative_to(FOLDER))


if __name__ == "__main__":
    main()
