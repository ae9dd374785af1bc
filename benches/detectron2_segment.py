"""What a Python user runs instead of `maskrcnn`: detectron2 on the same weights, the same photo in, a picture and JSON out.

usage: detectron2_segment.py WEIGHTS PHOTO OUTPUT_FOLDER
       detectron2_segment.py --prepare WEIGHTS    write R50-FPN as the model zoo has it, its numbers from the formula

Run by the interpreter of DETECTRON2_PYTHON; `tests/reference/detectron2_networks.py` says what that one needs, and this
needs opencv-python-headless, too.
"""

import os
import pathlib
import sys

import numpy as np
import torch
from PIL import Image

import report

sys.path.insert(0, os.environ["DETECTRON2"])
from detectron2.config import get_cfg
from detectron2.data import MetadataCatalog
from detectron2.engine import DefaultPredictor
from detectron2.utils.visualizer import Visualizer

THRESHOLD = 0.5
CONFIG = "configs/COCO-InstanceSegmentation/mask_rcnn_R_50_FPN_3x.yaml"


def prepare(weights):
    sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tests" / "reference"))
    import detectron2_networks as networks

    networks.write_zoo(networks.build(networks.config("r50")), weights, 2)


def main(weights, photo, output):
    cfg = get_cfg()
    cfg.merge_from_file(pathlib.Path(os.environ["DETECTRON2"]) / CONFIG)
    cfg.MODEL.DEVICE, cfg.MODEL.WEIGHTS = "cpu", str(weights)
    cfg.MODEL.ROI_HEADS.SCORE_THRESH_TEST = THRESHOLD
    predictor = DefaultPredictor(cfg)
    pixels = np.asarray(Image.open(photo).convert("RGB"))
    with torch.inference_mode():
        found = predictor(pixels[:, :, ::-1])["instances"]
    picture = Visualizer(pixels, MetadataCatalog.get(cfg.DATASETS.TEST[0])).draw_instance_predictions(found)
    picture.save(output / "detectron2.png")
    boxes = found.pred_boxes.tensor
    report.write(output / "detectron2.json", found.pred_classes, found.scores, boxes, found.pred_masks)


if __name__ == "__main__":
    if sys.argv[1] == "--prepare":
        prepare(pathlib.Path(sys.argv[2]))
    else:
        main(pathlib.Path(sys.argv[1]), sys.argv[2], pathlib.Path(sys.argv[3]))
