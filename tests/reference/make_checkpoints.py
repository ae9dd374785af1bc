#!/usr/bin/env python3
"""Writes tests/fixtures/checkpoints: small checkpoints from PyTorch itself, what is in them, and hostile ones.

Usage: tests/reference/make.sh, or this script in the environment that it makes.

Every object is written as `<name>.zip.pth` (torch.save's archive) and `<name>.legacy.pth` (its older stream). Its
tensors, as fp32 and row-major, are in `<name>.safetensors`, written by the safetensors package. The files under
`refused/` must be refused; none of them is ever loaded here, and what they would run is harmless. Seeded: a second run
writes the same tensors. Legacy files are keyed by addresses, and TorchScript's name their run, so the bytes of those
differ.
"""

import argparse
import builtins
import io
import os
import pathlib
import pickle
import posix
import zipfile
from collections import OrderedDict

import numpy
import torch
from safetensors.torch import save_file

FOLDER = pathlib.Path(__file__).resolve().parent.parent / "fixtures" / "checkpoints"
REFUSED = FOLDER / "refused"


def save(folder, name, obj, protocol=2):
    torch.save(obj, folder / f"{name}.zip.pth", pickle_protocol=protocol)
    torch.save(obj, folder / f"{name}.legacy.pth", pickle_protocol=protocol, _use_new_zipfile_serialization=False)


def expect(name, tensors):
    """Integer tensors are kept as they are: they can be listed, not taken."""
    plain = {}
    for key, tensor in tensors.items():
        tensor = tensor.detach()
        plain[key] = (tensor.float() if tensor.is_floating_point() else tensor).contiguous().clone()
    save_file(plain, FOLDER / f"{name}.safetensors", metadata={"name": name})


def dtypes():
    values = torch.randn(2, 3, dtype=torch.float64)
    floats = (torch.float64, torch.float32, torch.float16, torch.bfloat16)
    tensors = {str(dtype).removeprefix("torch."): values.to(dtype) for dtype in floats}
    tensors |= {
        "counter": torch.tensor(7),
        "bytes": torch.arange(5, dtype=torch.uint8),
        "flags": torch.tensor([True, False, True]),
        "wide": torch.tensor([1, 2**40], dtype=torch.int64),
        "u16": torch.tensor([[1, 65535]], dtype=torch.uint16),  # rebuilt by _rebuild_tensor_v3
        "empty": torch.zeros(0, 4),
        "scalar": torch.tensor(-2.5),
        "infinite": torch.tensor([float("inf"), float("-inf"), -0.0]),
    }
    return tensors


def strided():
    base = torch.randn(4, 5, 6)
    images = torch.randn(2, 3, 4, 5)
    return {
        "base": base,
        "slice": base[1:3, 2:, 1::2],
        "transposed": base.transpose(0, 2),
        "row": base[3, 4],
        "element": base[2, 1, 5],
        "expanded": base[:1, :, 2:3].expand(3, 5, 2),
        "channels_last": images.to(memory_format=torch.channels_last),
        "half_transposed": images.half().permute(3, 1, 0, 2),
        "double_diagonal": torch.randn(4, 4, dtype=torch.float64).diagonal(),
        "empty_slice": base[4:, :, 1:3],
        "shared_flat": images.flatten(),
        "shared_again": images,
    }


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = torch.nn.Conv2d(3, 5, (2, 3))
        self.bn = torch.nn.BatchNorm2d(5)
        self.head = torch.nn.Linear(5, 7, bias=False)


def net():
    net = Net()
    with torch.no_grad():
        net.bn.running_mean.normal_()
        net.bn.running_var.uniform_(0.5, 2)
        net.bn.num_batches_tracked.fill_(11)
    return net


def training(model):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.02, momentum=0.9)
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    return {
        "epoch": 3,
        "model": model.state_dict(),
        "model_ema": {key: value * 2 for key, value in model.state_dict().items()},
        "optimizer": optimizer.state_dict(),
        "lr_scheduler": torch.optim.lr_scheduler.MultiStepLR(optimizer, [16, 22]).state_dict(),
        "best": 0.5,
        "done": False,
        "none": None,
        "big": 1 << 80,
        "negative": -(1 << 40),
        "note": "ünïcode",
        "raw": b"\x00\xff",
        "flags": {1, 2},
        "frozen": frozenset({3}),
        "buffer": bytearray(b"xyz"),
        "history": [(1, 0.9), (2, 0.8)],
        "size": torch.Size([4, 5]),
        "device": torch.device("cpu"),
        "complex": 1 + 2j,
    }


class Calls:
    """Pickles as a call of `function(*arguments)`."""

    def __init__(self, function, *arguments):
        self.function, self.arguments = function, arguments

    def __reduce__(self):
        return self.function, self.arguments


class Attributes:
    """Pickles as an object whose attributes are set."""

    def __init__(self):
        self.payload = Calls(os.system, "true")


def refused():
    weight = torch.ones(2, 3)
    save(REFUSED, "os_system", {"weight": weight, "x": Calls(os.system, "true")})
    save(REFUSED, "os_system_protocol_4", {"weight": weight, "x": Calls(os.system, "true")}, protocol=4)
    save(REFUSED, "posix_system", {"weight": weight, "x": Calls(posix.system, "true")})
    save(REFUSED, "eval", OrderedDict(weight=weight, x=Calls(builtins.eval, "1 + 1")))
    save(REFUSED, "eval_protocol_5", OrderedDict(weight=weight, x=Calls(builtins.eval, "1 + 1")), protocol=5)
    save(REFUSED, "getattr", {"weight": weight, "x": Calls(getattr, "", "join")})
    save(REFUSED, "named_only", {"weight": weight, "x": os.system})
    save(REFUSED, "attributes", {"weight": weight, "x": Attributes()})
    save(REFUSED, "namespace", {"model": {"weight": weight}, "args": argparse.Namespace(lr=0.02)})
    save(REFUSED, "numpy_scalar", {"weight": weight, "loss": numpy.float64(0.5)})
    save(REFUSED, "whole_module", net())
    save(REFUSED, "quantised", {"weight": torch.quantize_per_tensor(weight, 0.1, 0, torch.qint8)})
    save(REFUSED, "sparse", {"weight": weight.to_sparse()})
    save(REFUSED, "complex", {"weight": weight.to(torch.complex64)})
    save(REFUSED, "negated", {"weight": weight.to(torch.complex64).conj().imag})
    save(REFUSED, "float8", {"weight": weight.to(torch.float8_e4m3fn)})
    save(REFUSED, "meta", {"weight": torch.empty(2, 3, device="meta")})
    save(REFUSED, "expanded", {"weight": torch.ones(1, 3).expand(5, 3)})
    save(REFUSED, "tensor_alone", weight)
    save(REFUSED, "list", [weight])
    save(REFUSED, "nothing", {"epoch": 1})
    save(REFUSED, "two_models", {"generator": {"weight": weight}, "discriminator": {"weight": weight}})
    save(REFUSED, "integer_name", {0: weight, "weight": weight})
    torch.jit.save(torch.jit.script(torch.nn.Linear(2, 3)), REFUSED / "torchscript.zip.pth")
    (REFUSED / "plain_pickle.pkl").write_bytes(pickle.dumps({"weight": [1.0, 2.0]}, protocol=4))
    (REFUSED / "plain_os_system.pkl").write_bytes(pickle.dumps(Calls(os.system, "true"), protocol=4))

    archive = io.BytesIO()
    torch.save({"weight": weight}, archive)
    repack(archive, REFUSED / "compressed.zip.pth", "archive/", zipfile.ZIP_DEFLATED)


def repack(source, target, folder, compression=zipfile.ZIP_STORED):
    """Packs an archive again as somebody would who unpacked it: another order, no alignment, plain headers."""
    with zipfile.ZipFile(source) as source, zipfile.ZipFile(target, "w") as target:
        target.writestr(zipfile.ZipInfo(folder), b"")
        for entry in sorted(source.infolist(), key=lambda entry: entry.filename, reverse=True):
            name = folder + entry.filename.partition("/")[2]
            target.writestr(zipfile.ZipInfo(name), source.read(entry), compression)


def main():
    torch.manual_seed(20240)
    REFUSED.mkdir(parents=True, exist_ok=True)

    for name, tensors in (("dtypes", dtypes()), ("strided", strided())):
        save(FOLDER, name, tensors)
        expect(name, tensors)

    model = net()
    save(FOLDER, "module", model.state_dict())
    expect("module", model.state_dict())
    for protocol in (3, 4, 5):
        save(FOLDER, f"module_protocol_{protocol}", model.state_dict(), protocol)

    # The folder within the archive is called like the file; see crates/maskrcnn/src/checkpoint/torch/zip.rs for why this long.
    torch.save(model.state_dict(), FOLDER / "twenty_one_characters.pth")

    parameters = dict(model.named_parameters())
    parameters["attributed"] = torch.nn.Parameter(torch.randn(3, 2))
    parameters["attributed"].group = "decay"  # rebuilt by _rebuild_parameter_with_state
    parameters["tensor_with_attribute"] = torch.randn(2, 5)
    parameters["tensor_with_attribute"].note = "x"  # rebuilt by _rebuild_from_type_v2
    save(FOLDER, "parameters", parameters)
    expect("parameters", parameters)

    state = training(net())
    save(FOLDER, "training", state)
    save(FOLDER, "training_protocol_4", state, protocol=4)
    expect("training", state["model"])
    save(FOLDER, "nested", {"meta": {"epoch": 12, "time": "now"}, "state_dict": state["model"]})
    expect("nested", state["model"])

    repack(FOLDER / "module.zip.pth", FOLDER / "repacked.zip.pth", "some/folder/")
    refused()
    for file in sorted(FOLDER.rglob("*.*")):
        print(file.stat().st_size, file.relative_to(FOLDER))


if __name__ == "__main__":
    main()
