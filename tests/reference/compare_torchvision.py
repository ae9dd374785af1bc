"""The built program beside torchvision on full-size networks and images: one command, outside CI.

    .venv/bin/python tests/reference/compare_torchvision.py [--program target/release/maskrcnn] [NETWORK ...]

NETWORK is `v1`, `v2`, `trained` (norms that have an epsilon), or a backbone of torchvision's, such as `resnet101`; some
of each kind without any. Each is filled by the formula, saved with `torch.save` as torchvision's training script does,
and run by both on three pictures made of the example photos: wide, tall, and larger than the resize's limit. Of each size
the first picture is taken in which torchvision's own scores of neighbours are 5e-5 apart, or that in which they are the
furthest apart; those passed over are printed. The program must find the same objects in the same order, boxes within
0.05 pixels, scores within 1e-4, and masks that overlap by 0.99; at least 30 objects of several classes in each picture.
Exit status 1 when it does not. Both programs run on this machine: another processor's kernels may move a formula
network's scores by more than the program does.
"""

import itertools
import pathlib
import sys
import tempfile
import time

import numpy as np
import torch

import comparison
import make_parity
import networks
import stages
from comparison import LEAST_DETECTIONS

NETWORKS = ["v2", "resnet18", "resnet34", "resnet101", "resnext50_32x4d", "wide_resnet50_2", "trained", "v1"]

# (width, height)
SIZES = [(640, 427), (375, 500), (2100, 1500)]
# A photo of examples/photos, or None for the collage of all.
PHOTOS = [None, "dog1.jpg", "person1.jpg", "astronaut.png", "dog2.jpg", "chelsea.png"]
# The least difference of neighbouring scores: two programs that round differ by nearly as much.
GAP = 5e-5

BOX, SCORE = 0.05, 1e-4
MASK_BIAS = 2.0


def main():
    parser = comparison.parser(__doc__, NETWORKS)
    arguments = parser.parse_args()
    torch.set_num_threads(comparison.THREADS)
    table = comparison.Table(arguments)
    for network in arguments.networks:
        with tempfile.TemporaryDirectory() as folder:
            compare(network, arguments.program.resolve(), pathlib.Path(folder), table)
    table.exit()


def compare(network, program, folder, table):
    """Adds a row for each picture."""
    model = tempered(networks.build(network))
    torch.save(model.state_dict(), folder / "weights.pth")
    for width, height in SIZES:
        name = f"{width}x{height}"
        pixels, expected, seconds = decided(model, width, height, f"{network:16} {name:10}")
        start = time.monotonic()
        found = comparison.segment(program, folder / "weights.pth", pixels, "-t", "0")
        times = f"torchvision {seconds:.1f} s, program {time.monotonic() - start:.1f} s"
        table.add(network, name, *describe(expected, found), times)


def decided(model, width, height, what):
    """The first picture of this size whose detections torchvision puts in an order with some certainty; where there is
    none, the one with the most. Says nothing of the program."""
    pictures = []
    for photo, is_mirrored in itertools.product(PHOTOS, (False, True)):
        pixels = make_parity.picture(photo, width, height)
        pixels = np.ascontiguousarray(pixels[:, ::-1]) if is_mirrored else pixels
        start = time.monotonic()
        expected = stages.run(model, pixels)
        seconds = time.monotonic() - start
        scores = expected["scores"].double()
        gap = (scores[:-1] - scores[1:]).min().item() if len(scores) > 1 else 0.0
        name = f"{photo or 'the collage'}{', mirrored' * is_mirrored}: {len(scores)} objects, {gap:.1e} apart"
        if len(scores) >= LEAST_DETECTIONS:
            pictures.append((gap, name, (pixels, expected, seconds)))
            if gap >= GAP:
                break
        print(f"{what} passed over {name}", flush=True)
    if not pictures:
        sys.exit(f"{what}: no picture shows {LEAST_DETECTIONS} objects")
    gap, name, picture = max(pictures, key=lambda each: each[0])
    print(f"{what} {name}", flush=True)
    return picture


def tempered(model):
    """The model with halved logits of classes and masks, and masks that cover most of their boxes.

    The formula's logits reach far beyond those of a trained network. With them torchvision's own scores are off by up to
    8e-5 (against float64), too near the bar for a comparison of two programs that both round. And its masks are specks of
    a few pixels, where those of a trained network are of one piece: a single pixel that rounding decides would be some
    hundredths of such a speck.
    """
    predictors = (model.roi_heads.box_predictor.cls_score, model.roi_heads.mask_predictor.mask_fcn_logits)
    with torch.no_grad():
        for layer in predictors:
            layer.weight *= 0.5
            layer.bias *= 0.5
        predictors[1].bias += MASK_BIAS
    return model


def describe(expected, found):
    """(the bars that were missed, figures)"""
    missed, counted = comparison.same_objects(found, expected["labels"].tolist())
    if len(found) != len(expected["labels"]):
        return missed, counted
    box = np.abs(comparison.edges(found) - expected["boxes"].double().numpy()).max()
    score = comparison.score_apart(found, expected["scores"])
    overlap = comparison.least_overlap(found, expected["pasted"].numpy() > 0.5)
    bars = [(box <= BOX, "boxes"), (score <= SCORE, "scores"), (overlap >= comparison.OVERLAP, "masks")]
    missed += [name for holds, name in bars if not holds]
    return missed, [*counted, f"{box:.5f}", f"{score:.2e}", f"{overlap:.5f}"]


if __name__ == "__main__":
    main()
