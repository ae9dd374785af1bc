#!/usr/bin/env python3
"""Has the program read a full-size network out of each wrapper, and compares what it finds.

Usage: in the environment of make_wrappers.py, with the program built:

    .venv-wrappers/bin/python tests/reference/check_wrappers.py target/release/maskrcnn

The network is torchvision's maskrcnn_resnet50_fpn filled by formula.py. It is saved as a state dict, and then by
torchvision's training script, by PyTorch Lightning, compiled, in parallel, with averages beside it, whole and as
TorchScript. The reports must be the same as the state dict's to the last digit but for the file's name and digest.
Nothing is committed: each file has 180 MB or more.
"""

import argparse
import json
import pathlib
import subprocess
import sys
import tempfile

import lightning
import torch
import torchvision

from networks import build_v1

PHOTO = pathlib.Path(__file__).resolve().parents[2] / "examples" / "photos" / "dog1.jpg"


class Lit(lightning.LightningModule):
    def __init__(self, model):
        super().__init__()
        self.detector = model
        self.criterion = torch.nn.BCEWithLogitsLoss(pos_weight=torch.ones(3))
        self.save_hyperparameters({"args": argparse.Namespace(lr=0.1)})

    def training_step(self, batch, index):
        return sum(parameter.sum() for parameter in self.parameters())

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.0, momentum=0.9)


def fit(model, path):
    trainer = lightning.Trainer(max_steps=1, accelerator="cpu", logger=False, enable_progress_bar=False,
                                enable_model_summary=False, enable_checkpointing=False)
    trainer.fit(Lit(model), torch.utils.data.DataLoader(torch.zeros(1)))
    trainer.save_checkpoint(path)


def savers(model):
    state = model.state_dict
    averaged = torch.optim.swa_utils.AveragedModel
    optimizer = torch.optim.Adam(model.parameters(), lr=0.0)
    sum(parameter.sum() for parameter in model.parameters()).backward()
    optimizer.step()
    args = argparse.Namespace(model="maskrcnn_resnet50_fpn", output_dir=pathlib.Path("."))
    yield "references.pth", lambda path: torch.save(
        {"model": state(), "optimizer": optimizer.state_dict(), "args": args, "epoch": 3}, path)
    yield "legacy.pth", lambda path: torch.save(state(), path, _use_new_zipfile_serialization=False)
    yield "lightning.ckpt", lambda path: fit(model, path)
    yield "compiled.pth", lambda path: torch.save(torch.compile(model).state_dict(), path)
    yield "parallel.pth", lambda path: torch.save(torch.nn.DataParallel(model).state_dict(), path)
    yield "averaged.pth", lambda path: torch.save({"model": state(), "model_ema": averaged(model).state_dict()}, path)
    yield "whole.pth", lambda path: torch.save(model, path)
    yield "whole.legacy.pth", lambda path: torch.save(model, path, _use_new_zipfile_serialization=False)
    yield "script.pt", lambda path: torch.jit.save(torch.jit.script(model), path)


def report(program, weights, folder):
    run = subprocess.run([program, "-v", "-t", "0", "--json-only", "-o", folder, "-w", weights, PHOTO],
                         capture_output=True, text=True)
    if run.returncode:
        return None, run.stderr.strip()
    report = json.loads((folder / f"{PHOTO.stem}.json").read_text())
    report.pop("model")
    place = [line for line in run.stderr.splitlines() if line.startswith("weights of ")]
    return report, place[0] if place else "the whole file"


def main():
    program = pathlib.Path(sys.argv[1]).resolve()
    torch.set_num_threads(2)
    model = build_v1()
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        torch.save(model.state_dict(), folder / "bare.pth")
        bare, _ = report(program, folder / "bare.pth", folder)
        print(len(bare["detections"]), "detections;", "torch", torch.__version__, "torchvision", torchvision.__version__)
        for name, save in savers(model):
            save(folder / name)
            found, place = report(program, folder / name, folder)
            same = found == bare
            failed += not same
            print("same " if same else "OTHER", name, place)
            (folder / name).unlink()
    sys.exit(failed > 0)


if __name__ == "__main__":
    main()
