"""What the comparisons of the built program with its peers share: running it, and measuring how far apart they are."""

import argparse
import hashlib
import json
import pathlib
import subprocess
import sys
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
    arguments.add_argument("--rows", type=pathlib.Path, help="add the table's rows to this file, with tabs between cells")
    return arguments


class Table:
    """Rows of figures, a picture each, printed as they come; and whether any missed a bar."""

    # The detections and their classes, and how far apart they are. Of boxes it is pixels; Matterport's, which are whole,
    # count the unequal edges, and in brackets those that rounding could not decide.
    COLUMNS = {"network": 16, "picture": 10, "found": 6, "classes": 8, "boxes": 10, "scores": 10, "overlap": 9}

    def __init__(self, arguments):
        self.file, self.failures = arguments.rows, 0
        print(*(f"{name:{width}}" for name, width in self.COLUMNS.items()))

    def add(self, network, picture, missed, figures, note=""):
        """A row: the bars that were missed, and the figures as far as they could be had."""
        self.failures += bool(missed)
        cells = [network, picture, *figures, *[""] * (len(self.COLUMNS) - 2 - len(figures))]
        verdict = ", ".join(missed) or "ok"
        print(*(f"{cell:{width}}" for cell, width in zip(cells, self.COLUMNS.values())), verdict, note, flush=True)
        if self.file:
            with open(self.file, "a") as file:
                file.write("\t".join([*cells, verdict]) + "\n")

    def exit(self):
        """Ends the program: status 1 when a row missed a bar."""
        sys.exit(1 if self.failures else 0)


def are_kept(folder):
    """Whether a folder has all references of a network, made by these scripts as they are now and by no older ones."""
    stamp = folder / "scripts.sha256"
    return stamp.exists() and stamp.read_text() == scripts_digest()


def keep(folder):
    """Notes that all references of a network are in a folder."""
    (folder / "scripts.sha256").write_text(scripts_digest())


def scripts_digest():
    """A digest of the scripts here that references are made by: all that were imported, but for the comparison itself."""
    files = {getattr(module, "__file__", None) for name, module in sys.modules.items() if name not in (__name__, "__main__")}
    here = pathlib.Path(__file__).parent
    paths = sorted(path for path in map(pathlib.Path, filter(None, files)) if path.resolve().parent == here.resolve())
    digest = hashlib.sha256()
    for path in paths:
        digest.update(path.read_bytes())
    return digest.hexdigest() + "\n"


def segment(program, weights, pixels, *words):
    """What the program finds in a picture, [H, W, 3] uint8: the detections of its report."""
    with tempfile.TemporaryDirectory() as folder:
        Image.fromarray(pixels).save(pathlib.Path(folder) / "picture.png")
        command = [program, "-w", weights, "--json-only", "--threads", str(THREADS), "-q", *words, "picture.png"]
        subprocess.run(command, cwd=folder, check=True)
        return json.loads((pathlib.Path(folder) / "out" / "picture.json").read_text())["detections"]


def same_objects(found, categories):
    """(what keeps the lists from being compared, or was too little; figures): `categories` is what was expected."""
    missed = []
    if len(categories) < LEAST_DETECTIONS or len(set(categories)) < LEAST_CLASSES:
        missed.append("too few to compare")
    if [each["category_id"] for each in found] != categories:
        missed.append(f"other detections, or in another order ({len(found)})")
    return missed, [str(len(categories)), str(len(set(categories)))]


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
