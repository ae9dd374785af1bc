"""The built program beside Matterport's on full-size networks and images: one command, outside CI.

    compare_matterport.py [--program target/release/maskrcnn] [--files DIRECTORY] [NETWORK ...]

NETWORK is `r50` or `r101`; both without any. Needs what `matterport_networks.py` says. Each network is filled by the
formula and saved by Keras as HDF5; Matterport's code and the program run on three pictures: tall, wide, and larger than
the resize's limit. The program must find the same objects in the same order: boxes, which both round to whole pixels,
equal, or off by one where the unrounded edge lies within 1e-3 of a half; scores within 1e-4; masks that overlap by
0.99; at least 30 objects of several classes in each picture. Exit status 1 when it does not.

`--files` keeps what was made in a directory, and takes what is there. References are made on the machine that compares.
"""

import argparse
import json
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
from pycocotools import mask as coco_mask

import make_matterport
from matterport_networks import NETWORKS

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
EDGE, SCORE, OVERLAP = 1e-3, 1e-4, 0.99
LEAST_DETECTIONS, LEAST_CLASSES = 30, 3
THREADS = 2


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("networks", nargs="*", default=list(NETWORKS), metavar="NETWORK")
    parser.add_argument("--program", type=pathlib.Path, default=REPOSITORY / "target/release/maskrcnn")
    parser.add_argument("--files", type=pathlib.Path, help="keep the references in this directory, or take them from it")
    arguments = parser.parse_args()
    failures = 0
    with tempfile.TemporaryDirectory() as temporary:
        directory = (arguments.files or pathlib.Path(temporary)).resolve()
        for network in arguments.networks:
            if not (directory / network / "3.npz").exists():
                make_matterport.write_full(network, directory / network)
        print("network picture    found classes  unequal edges (undecided)    scores  overlap")
        for network in arguments.networks:
            failures += compare(network, arguments.program.resolve(), directory / network)
    sys.exit(1 if failures else 0)


def compare(network, program, folder):
    """Prints a line for each picture; returns how many missed a bar."""
    failures = 0
    for number, (_, width, height) in enumerate(make_matterport.FULL_PICTURES, 1):
        expected = np.load(folder / f"{number}.npz")
        missed, line = describe(expected, segment(program, folder, number), height, width)
        failures += bool(missed)
        print(f"{network:7} {width}x{height:<6} {line}  {', '.join(missed)}", flush=True)
    return failures


def segment(program, folder, number):
    """What the program finds in a picture, without being told from which score on: its report's detections."""
    with tempfile.TemporaryDirectory() as output:
        words = [program, "-w", folder / "mask_rcnn_formula.h5", "--json-only", "--threads", str(THREADS), "-q"]
        subprocess.run([*words, folder / f"{number}.png"], cwd=output, check=True)
        return json.loads((pathlib.Path(output) / "out" / f"{number}.json").read_text())["detections"]


def describe(expected, found, height, width):
    """(the bars that were missed, figures in a line)"""
    labels = expected["labels"].tolist()
    missed = []
    if len(labels) < LEAST_DETECTIONS or len(set(labels)) < LEAST_CLASSES:
        missed.append("too few to compare")
    counted = f"{len(labels):7} {len(set(labels)):7}"
    ids = categories()
    if [each["category_id"] for each in found] != [ids[label - 1] for label in labels]:
        return [*missed, f"other detections, or in another order ({len(found)})"], counted
    edges = np.array([[x, y, x + width, y + height] for x, y, width, height in (each["bbox"] for each in found)])
    apart = np.abs(edges - expected["boxes"])
    undecided = (apart == 1) & (np.abs(expected["unrounded"] % 1 - 0.5) <= EDGE)
    unequal = int(((apart > 0) & ~undecided).sum())
    score = np.abs(np.array([each["score"] for each in found]) - expected["scores"].astype(float)).max()
    masks = np.unpackbits(expected["masks"], axis=1, count=height * width).reshape(-1, height, width).astype(bool)
    decoded = [coco_mask.decode(each["segmentation"]).astype(bool) for each in found]
    overlap = min(iou(one, other) for one, other in zip(decoded, masks, strict=True))
    bars = [(unequal == 0, "boxes"), (score <= SCORE, "scores"), (overlap >= OVERLAP, "masks")]
    missed += [name for holds, name in bars if not holds]
    return missed, f"{counted} {unequal:14} {int(undecided.sum()):11} {score:9.2e} {overlap:8.5f}"


def categories():
    """COCO's numbers: 1 to 90 without the ten that no class has."""
    unused = {12, 26, 29, 30, 45, 66, 68, 69, 71, 83}
    return [number for number in range(1, 91) if number not in unused]


def iou(one, other):
    """Intersection over union; 1 of two empty masks."""
    union = np.logical_or(one, other).sum()
    return np.logical_and(one, other).sum() / union if union else 1.0


if __name__ == "__main__":
    main()
