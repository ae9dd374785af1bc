"""The built program beside detectron2 on full-size networks and images: one command, outside CI.

    compare_detectron2.py [--program target/release/maskrcnn] [--files DIRECTORY] [NETWORK ...]

NETWORK is `r50`, `r101` or `x101`; all without any. Needs what `detectron2_networks.py` says. Each network is filled by
the formula and written as the model zoo has it (a pickle of arrays, by protocol 2, 4 and 5) and as a trainer leaves it
(`.pth` with the optimizer's momentum, `config.yaml` beside it); detectron2 and the program run on three pictures: wide,
larger than the resize's limit, and tall. The program must find the same objects in the same order with both files, boxes
within 0.05 pixels, scores within 3e-4 (three times what detectron2 moves by itself between one and two threads), masks
that overlap by 0.99; at least 30 objects of several classes in each picture. Exit status 1 when it does not.

A picture is of use when detectron2 agrees with itself about it (`make_detectron2.unsteady`): of each size the first such
one is taken, and which were passed over is printed.

`--files` keeps what was made in a directory, and takes what is there if these scripts made it as they are now. References
are made on the machine that compares: another processor's kernels may move a formula network's scores by more than the
program does.
"""

import pathlib
import tempfile

import numpy as np
import torch
from safetensors.numpy import load_file

import comparison
import detectron2_networks as networks
import make_detectron2

BOX, SCORE = 0.05, 3e-4


def main():
    parser = comparison.parser(__doc__, networks.NETWORKS)
    parser.add_argument("--files", type=pathlib.Path, help="keep the references in this directory, or take them from it")
    arguments = parser.parse_args()
    torch.set_num_threads(make_detectron2.THREADS)
    with tempfile.TemporaryDirectory() as temporary:
        directory = (arguments.files or pathlib.Path(temporary)).resolve()
        for network in arguments.networks:
            if not comparison.are_kept(directory / network):
                make_detectron2.write_full(network, directory)
                comparison.keep(directory / network)
        table = comparison.Table(arguments)
        for network in arguments.networks:
            compare(network, arguments.program.resolve(), directory / network, table)
    table.exit()


def compare(network, program, folder, table):
    """Adds a row for each file and picture."""
    for number, (width, height) in enumerate(make_detectron2.FULL_SIZES, 1):
        expected = load_file(folder / f"{number}.safetensors")
        for kind, weights in (("zoo", "model_final_formula.pkl"), ("pth", "output/model_final.pth")):
            found = comparison.segment(program, folder / weights, expected["image"], "-t", "0")
            table.add(f"{network} {kind}", f"{width}x{height}", *describe(expected, found))


def describe(expected, found):
    """(the bars that were missed, figures)"""
    ids = categories()
    missed, counted = comparison.same_objects(found, [ids[label - 1] for label in expected["detections.labels"]])
    if len(found) != len(expected["detections.labels"]):
        return missed, counted
    box = np.abs(comparison.edges(found) - expected["detections.boxes"].astype(float)).max()
    score = comparison.score_apart(found, expected["detections.scores"])
    height, width, _ = expected["image"].shape
    overlap = comparison.least_overlap(found, comparison.unpacked(expected["masks.bits"], height, width))
    bars = [(box <= BOX, "boxes"), (score <= SCORE, "scores"), (overlap >= comparison.OVERLAP, "masks")]
    missed += [name for holds, name in bars if not holds]
    return missed, [*counted, f"{box:.5f}", f"{score:.2e}", f"{overlap:.5f}"]


def categories():
    """COCO's number of each class in detectron2's order."""
    from detectron2.data.datasets.builtin_meta import COCO_CATEGORIES

    return [category["id"] for category in COCO_CATEGORIES if category["isthing"]]


if __name__ == "__main__":
    main()
