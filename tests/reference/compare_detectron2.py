"""The built program beside detectron2 on full-size networks and images: one command, outside CI.

    compare_detectron2.py [--program target/release/maskrcnn] [--files DIRECTORY] [NETWORK ...]

NETWORK is `r50`, `r101` or `x101`; all without any. Needs what `detectron2_networks.py` says. Each network is filled by
the formula and written as the model zoo has it (a pickle of arrays, by protocol 2, 4 and 5) and as a trainer leaves it
(`.pth` with the optimizer's momentum, `config.yaml` beside it); detectron2 and the program run on three pictures: wide,
larger than the resize's limit, and tall. The program must find the same objects in the same order with both files, boxes
within 0.05 pixels, scores within 3e-4 (three times what detectron2 moves by itself between one and two threads), masks
that overlap by 0.99; at least 30 objects of several classes in each picture. Exit status 1 when it does not.

A picture is of use when detectron2 agrees with itself about it (`make_detectron2.unsteady`): of each size the first such
one is taken, and which were passed over is printed.

`--files` keeps what was made in a directory, and takes what is there. References are made on the machine that compares:
another processor's kernels may move a formula network's scores by more than the program does.
"""

import argparse
import json
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
import torch
from PIL import Image
from pycocotools import mask as coco_mask
from safetensors.numpy import load_file

import detectron2_networks as networks
import make_detectron2
from networks import REPOSITORY

BOX, SCORE, OVERLAP = 0.05, 3e-4, 0.99
LEAST_DETECTIONS, LEAST_CLASSES = make_detectron2.LEAST_DETECTIONS, 3
THREADS = 2


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("networks", nargs="*", default=list(networks.NETWORKS), metavar="NETWORK")
    parser.add_argument("--program", type=pathlib.Path, default=REPOSITORY / "target/release/maskrcnn")
    parser.add_argument("--files", type=pathlib.Path, help="keep the references in this directory, or take them from it")
    arguments = parser.parse_args()
    torch.set_num_threads(make_detectron2.THREADS)
    failures = 0
    with tempfile.TemporaryDirectory() as temporary:
        directory = (arguments.files or pathlib.Path(temporary)).resolve()
        for network in arguments.networks:
            if not (directory / network / "3.safetensors").exists():
                make_detectron2.write_full(network, directory)
        print("network file picture    found classes     boxes    scores  overlap")
        for network in arguments.networks:
            failures += compare(network, arguments.program.resolve(), directory / network)
    sys.exit(1 if failures else 0)


def compare(network, program, folder):
    """Prints a line for each file and picture; returns how many missed a bar."""
    failures = 0
    for number, (width, height) in enumerate(make_detectron2.FULL_SIZES, 1):
        expected = load_file(folder / f"{number}.safetensors")
        for kind, weights in (("zoo", "model_final_formula.pkl"), ("pth", "output/model_final.pth")):
            missed, line = describe(expected, segment(program, folder / weights, expected["image"]))
            failures += bool(missed)
            print(f"{network:7} {kind:4} {width}x{height:<6} {line}  {', '.join(missed)}", flush=True)
    return failures


def segment(program, weights, pixels):
    """What the program finds in a picture: the detections of its report."""
    with tempfile.TemporaryDirectory() as folder:
        Image.fromarray(pixels).save(pathlib.Path(folder) / "picture.png")
        words = [program, "-w", weights, "-t", "0", "--json-only", "--threads", str(THREADS), "-q", "picture.png"]
        subprocess.run(words, cwd=folder, check=True)
        return json.loads((pathlib.Path(folder) / "out" / "picture.json").read_text())["detections"]


def describe(expected, found):
    """(the bars that were missed, figures in a line)"""
    labels = expected["detections.labels"].tolist()
    missed = []
    if len(labels) < LEAST_DETECTIONS or len(set(labels)) < LEAST_CLASSES:
        missed.append("too few to compare")
    counted = f"{len(labels):7} {len(set(labels)):7}"
    ids = categories()
    if [each["category_id"] for each in found] != [ids[label - 1] for label in labels]:
        return [*missed, f"other detections, or in another order ({len(found)})"], counted
    corners = expected["detections.boxes"].astype(float)
    edges = np.array([[x, y, x + width, y + height] for x, y, width, height in (each["bbox"] for each in found)])
    box = np.abs(edges - corners).max()
    score = np.abs(np.array([each["score"] for each in found]) - expected["detections.scores"].astype(float)).max()
    height, width, _ = expected["image"].shape
    masks = np.unpackbits(expected["masks.bits"], axis=1, count=height * width).reshape(-1, height, width).astype(bool)
    decoded = [coco_mask.decode(each["segmentation"]).astype(bool) for each in found]
    overlap = min(iou(one, other) for one, other in zip(decoded, masks, strict=True))
    bars = [(box <= BOX, "boxes"), (score <= SCORE, "scores"), (overlap >= OVERLAP, "masks")]
    missed += [name for holds, name in bars if not holds]
    return missed, f"{counted} {box:9.5f} {score:9.2e} {overlap:8.5f}"


def categories():
    """COCO's number of each class in detectron2's order."""
    from detectron2.data.datasets.builtin_meta import COCO_CATEGORIES

    return [category["id"] for category in COCO_CATEGORIES if category["isthing"]]


def iou(one, other):
    """Intersection over union; 1 of two empty masks."""
    union = np.logical_or(one, other).sum()
    return np.logical_and(one, other).sum() / union if union else 1.0


if __name__ == "__main__":
    main()
