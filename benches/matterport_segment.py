"""What a Python user runs instead of `maskrcnn`: Matterport's code on the same weights, the same photo in, a picture and JSON out.

usage: matterport_segment.py WEIGHTS PHOTO OUTPUT_FOLDER
       matterport_segment.py --prepare WEIGHTS    write ResNet-101 as Keras saves it, its numbers from the formula

Run by the interpreter of MATTERPORT_PYTHON; `tests/reference/matterport_networks.py` says what that one needs, and this
needs matplotlib, ipython and pycocotools, too.
"""

import os
import pathlib
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
from PIL import Image

import report

np.bool = bool  # which NumPy 1.24 took away
sys.path.insert(0, os.environ["MATTERPORT"])


def prepare(weights):
    sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tests" / "reference"))
    import matterport_networks as networks

    networks.build(networks.NETWORKS["r101"]()).keras_model.save_weights(str(weights))


def main(weights, photo, output):
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt
    from mrcnn import visualize
    from mrcnn.config import Config
    from mrcnn.model import MaskRCNN

    class InferenceConfig(Config):
        NAME = "coco"
        NUM_CLASSES = 81
        GPU_COUNT = 1
        IMAGES_PER_GPU = 1
        DETECTION_MIN_CONFIDENCE = 0.5

    model = MaskRCNN(mode="inference", model_dir=str(output), config=InferenceConfig())
    model.load_weights(str(weights), by_name=True)
    pixels = np.asarray(Image.open(photo).convert("RGB"))
    found = model.detect([pixels])[0]
    names = [str(number) for number in range(81)]
    _, axes = plt.subplots(1, figsize=(16, 16))
    visualize.display_instances(
        pixels, found["rois"], found["masks"], found["class_ids"], names, found["scores"], ax=axes
    )
    plt.savefig(output / "matterport.png")
    masks = np.moveaxis(found["masks"], 2, 0)
    report.write(output / "matterport.json", found["class_ids"], found["scores"], found["rois"], masks)


if __name__ == "__main__":
    if sys.argv[1] == "--prepare":
        prepare(pathlib.Path(sys.argv[2]))
    else:
        main(pathlib.Path(sys.argv[1]), sys.argv[2], pathlib.Path(sys.argv[3]))
