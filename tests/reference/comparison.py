"""What the comparisons of the built program with its peers share: running it, and measuring how far apart they are."""

import argparse
import json
import pathlib
import subprocess
import tempfile

import numpy as np
from PIL import Image
from pycocotools import mask as coco_mask

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
# The least overlap of two masks, and what a picture has to show to be of use.
OVERLAP = 0.99
LEAST_DETECTIONS, LEAST_CLASSES = 30, 3
THREADS = 2


def parser(description, networks):
    """The arguments of every comparison: the networks, all of them without any, and the program."""
    arguments = argparse.ArgumentParser(description=description.splitlines()[0])
    arguments.add_argument("networks", nargs="*", default=list(networks), metavar="NETWORK")
    arguments.add_argument("--program", type=pathlib.Path, default=REPOSITORY / "target/release/maskrcnn")
    return arguments


def segment(program, weights, pixels, *words):
    """What the program finds in a picture, [H, W, 3] uint8: the detections of its report."""
    with tempfile.TemporaryDirectory() as folder:
        Image.fromarray(pixels).save(pathlib.Path(folder) / "picture.png")
        command = [program, "-w", weights, "--json-only", "--threads", str(THREADS), "-q", *words, "picture.png"]
        subprocess.run(command, cwd=folder, check=True)
        return json.loads((pathlib.Path(folder) / "out" / "picture.json").read_text())["detections"]


def same_objects(found, categories):
    """(what keeps the lists from being compared, or was too little; counts in words): `categories` is what was expected."""
    missed = []
    if len(categories) < LEAST_DETECTIONS or len(set(categories)) < LEAST_CLASSES:
        missed.append("too few to compare")
    if [each["category_id"] for each in found] != categories:
        missed.append(f"other detections, or in another order ({len(found)})")
    return missed, f"{len(categories):7} {len(set(categories)):7}"


def edges(found):
    """x1, y1, x2, y2 of each detection, float64 [N, 4]."""
    return np.array([[x, y, x + width, y + height] for x, y, width, height in (each["bbox"] for each in found)])


def score_apart(found, scores):
    """The largest difference of scores."""
    return np.abs(np.array([each["score"] for each in found]) - np.asarray(scores, float)).max()


def least_overlap(found, masks):
    """The least intersection over union of masks, of which there are as many: bool [N, H, W]."""
    decoded = (coco_mask.decode(each["segmentation"]).astype(bool) for each in found)
    return min(iou(one, other) for one, other in zip(decoded, masks, strict=True))


def iou(one, other):
    """Intersection over union; 1 of two empty masks."""
    union = np.logical_or(one, other).sum()
    return np.logical_and(one, other).sum() / union if union else 1.0


def unpacked(bits, height, width):
    """Masks that `np.packbits` packed row by row: bool [N, H, W]."""
    return np.unpackbits(bits, axis=1, count=height * width).reshape(-1, height, width).astype(bool)
