"""Writes tests/fixtures/rle.json: masks, and what pycocotools makes of them.

Usage: tests/reference/make.sh, or this script in the environment that it makes.

A mask is stored as run lengths row by row (off first), which is neither COCO's order nor its code; `counts` is
pycocotools' compressed string and `area` its area.
"""

import json
from pathlib import Path

import numpy as np
from pycocotools import mask as coco

OUT = Path(__file__).parents[1] / "fixtures" / "rle.json"


def masks():
    random = np.random.default_rng(7)
    for height, width in ((1, 1), (1, 9), (9, 1), (5, 8), (21, 13)):
        off = np.zeros((height, width), bool)
        yield f"empty {width}x{height}", off
        yield f"full {width}x{height}", ~off
        for name, at in (("first", (0, 0)), ("last", (-1, -1)), ("top right", (0, -1)), ("bottom left", (-1, 0))):
            one = off.copy()
            one[at] = True
            yield f"{name} pixel of {width}x{height}", one
    for name, at in (
        ("first column", np.s_[:, 0]),
        ("last column", np.s_[:, -1]),
        ("first row", np.s_[0]),
        ("last row", np.s_[-1]),
        ("inside", np.s_[3:9, 4:23]),
        ("touching the left edge", np.s_[3:9, :5]),
        ("touching the right edge", np.s_[3:9, 20:]),
        ("touching the top edge", np.s_[:4, 6:9]),
        ("touching the bottom edge", np.s_[11:, 6:9]),
        ("columns", np.s_[:, ::2]),
        ("odd columns", np.s_[:, 1::2]),
        ("rows", np.s_[::2]),
        ("odd rows", np.s_[1::2]),
        ("grid", np.s_[::3, ::4]),
    ):
        mask = np.zeros((17, 29), bool)
        mask[at] = True
        yield name, mask
    for density in (0.02, 0.1, 0.3, 0.5, 0.7, 0.9, 0.98):
        for height, width in ((11, 37), (37, 11)):
            yield f"random {density} of {width}x{height}", random.random((height, width)) < density
    # Runs beyond 2^15 and 2^20 take more characters, and their differences change sign.
    large = np.zeros((701, 1999), bool)
    large[100:640, 150:170] = True
    large[:, 900:1400] = True
    large[3, 1990] = True
    yield "large runs", large
    yield "large runs inverted", ~large
    y, x = np.mgrid[0:480, 0:640]
    yield "ellipse", ((x - 260) / 210) ** 2 + ((y - 300) / 130) ** 2 < 1


def runs(mask):
    flat = np.concatenate([[False], mask.ravel()])
    edges = np.flatnonzero(flat[1:] != flat[:-1])
    return np.diff(np.concatenate([[0], edges, [mask.size]])).tolist()


def main():
    cases = []
    for name, mask in masks():
        rle = coco.encode(np.asfortranarray(mask.astype(np.uint8)))
        assert (coco.decode(rle).astype(bool) == mask).all()
        counts, area = rle["counts"].decode("ascii"), int(coco.area(rle))
        height, width = mask.shape
        cases.append({"name": name, "height": height, "width": width, "runs": runs(mask), "counts": counts, "area": area})
    OUT.write_text("[\n" + ",\n".join(json.dumps(case) for case in cases) + "\n]\n")


main()
