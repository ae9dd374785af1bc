"""Has pycocotools load the detections of tests/fixtures/report.json, as a user would, and checks what it reads.

Usage: tests/reference/make.sh, or this script in the environment that it makes.

`cargo test -p detections` shows that the program's bytes are those of that file, whose masks are ellipses.
"""

import json
from pathlib import Path

import numpy as np
from pycocotools.coco import COCO

report = json.loads((Path(__file__).parents[1] / "fixtures" / "report.json").read_text())
image = report["image"]

truth = COCO()
truth.dataset = {
    "images": [{"id": 139, "width": image["width"], "height": image["height"]}],
    "categories": [{"id": d["category_id"], "name": d["label"]} for d in report["detections"]],
    "annotations": [],
}
truth.createIndex()
results = truth.loadRes(json.loads(json.dumps(report["detections"])))

assert len(results.anns) == 3
ellipses = {1: (3, 5, 31, 20), 2: (38, 0, 12, 30)}
for entry in report["detections"]:
    annotation = results.anns[entry["id"]]
    assert annotation["label"] == entry["label"] and annotation["bbox"] == entry["bbox"]
    mask = results.annToMask(annotation)
    assert mask.shape == (image["height"], image["width"])
    assert mask.sum() == entry["area"]
    expected = np.zeros_like(mask)
    if entry["id"] in ellipses:
        left, top, width, height = ellipses[entry["id"]]
        y, x = np.mgrid[0:height, 0:width] + 0.5
        expected[top : top + height, left : left + width] = (x / width - 0.5) ** 2 + (y / height - 0.5) ** 2 <= 0.25
    assert (mask == expected).all(), entry["label"]
    print(f"{entry['label']}: {entry['area']} pixels, as expected")

try:
    truth.loadRes([{k: v for k, v in d.items() if k != "image_id"} for d in report["detections"]])
except KeyError:
    print("without image_id, pycocotools refuses the results")
