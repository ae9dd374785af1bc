#!/usr/bin/env python3
"""Writes tests/fixtures/foreign: small files of other programs that people hand over, by those programs themselves.

    make_foreign.py yolo onnx    in an environment of foreign-requirements.txt
    make_foreign.py keras        in an environment of matterport-requirements.txt

`yolo` writes `yolo.pt`, a network of Ultralytics of few channels as `YOLO(…).save` leaves it; what its training leaves
has the same class under `model` or `ema`. `onnx` writes a convolution as a `.onnx` that says it is PyTorch's exporter's,
and one that does not say whose it is; `keras` a convolution as a `.tflite` and as a `.keras` archive. The files hold no
code of these libraries: names of classes, settings and numbers. Ultralytics is AGPL, and neither it nor its published
weights are part of this repository.
"""

import os
import pathlib
import sys
import tempfile

FOLDER = pathlib.Path(__file__).resolve().parent.parent / "fixtures" / "foreign"


def yolo():
    """Two convolutions and a head, of few channels."""
    import torch
    import yaml
    from ultralytics import YOLO

    torch.manual_seed(0)
    layers = {
        "nc": 2,
        "reg_max": 1,
        "scale": "n",
        "scales": {"n": [1.0, 1.0, 1024]},
        "backbone": [[-1, 1, "Conv", [8, 3, 2]], [-1, 1, "Conv", [8, 3, 2]]],
        "head": [[[1], 1, "Detect", ["nc"]]],
    }
    with tempfile.TemporaryDirectory() as folder:
        description = pathlib.Path(folder) / "yolo.yaml"
        description.write_text(yaml.safe_dump(layers))
        YOLO(description, task="detect").save(FOLDER / "yolo.pt")


def onnx():
    """A graph of one convolution."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    import numpy as np

    shape = (2, 3, 1, 1)
    weight = numpy_helper.from_array(np.arange(6, dtype=np.float32).reshape(shape), "backbone.body.conv1.weight")
    node = helper.make_node("Conv", ["image", weight.name], ["features"])
    tensor = lambda name, channels: helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, channels, 8, 8])
    graph = helper.make_graph([node], "main_graph", [tensor("image", 3)], [tensor("features", 2)], [weight])
    for name, producer, version in (("pytorch.onnx", "pytorch", "2.13.0"), ("nameless.onnx", "", "")):
        model = helper.make_model(graph, producer_name=producer, producer_version=version)
        onnx.checker.check_model(model)
        onnx.save(model, FOLDER / name)


def keras():
    """One convolution, as TensorFlow converts it."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import tensorflow as tf

    tf.keras.utils.set_random_seed(0)
    model = tf.keras.Sequential([tf.keras.layers.Conv2D(2, 1, input_shape=(8, 8, 3), name="conv1")])
    (FOLDER / "converted.tflite").write_bytes(tf.lite.TFLiteConverter.from_keras_model(model).convert())
    model.save(FOLDER / "archive.keras")


def main():
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name in sys.argv[1:]:
        {"yolo": yolo, "onnx": onnx, "keras": keras}[name]()
    for file in sorted(FOLDER.iterdir()):
        print(file.stat().st_size, file.name)


if __name__ == "__main__":
    main()
