"""The JSON that the peers' programs write: what a Python user would keep of the objects."""

import json

import numpy as np
from pycocotools import mask as coco_mask


def write(path, labels, scores, boxes, masks):
    """Each object with its class, score, box as the peer has it, and mask as compressed run lengths."""
    rows = [
        {"category_id": int(label), "score": float(score), "bbox": box.tolist(),
         "segmentation": coco_mask.encode(np.asfortranarray(np.asarray(mask).astype(np.uint8)))["counts"].decode()}
        for label, score, box, mask in zip(labels, scores, boxes, masks)
    ]
    path.write_text(json.dumps(rows))
