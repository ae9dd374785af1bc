"""The built program beside Matterport's on full-size networks and images: one command, outside CI.

    compare_matterport.py [--program target/release/maskrcnn] [--files DIRECTORY] [NETWORK ...]

NETWORK is `r50`, `r101` or `r50-own`, which has four classes of its own; all without any. The last is run with names
(`--labels`) and without. Needs what `matterport_networks.py` says. Each network is filled by the
formula and saved by Keras as HDF5; Matterport's code and the program run on three pictures: tall, wide, and larger than
the resize's limit. The program must find the same objects in the same order: boxes, which both round to whole pixels,
equal, or off by one where the unrounded edge lies within 1e-3 of a half; scores within 1e-4; masks that overlap by
0.99; at least 30 objects of several classes in each picture. Exit status 1 when it does not.

`--files` keeps what was made in a directory, and takes what is there if these scripts made it as they are now. References
are made on the machine that compares.
"""

import pathlib
import tempfile

import numpy as np
from PIL import Image

import comparison
import make_matterport
from matterport_networks import NETWORKS

EDGE, SCORE = 1e-3, 1e-4
COCO_CLASSES = 80


def main():
    parser = comparison.parser(__doc__, NETWORKS)
    parser.add_argument("--files", type=pathlib.Path, help="keep the references in this directory, or take them from it")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        directory = (arguments.files or pathlib.Path(temporary)).resolve()
        for network in arguments.networks:
            if not comparison.are_kept(directory / network):
                make_matterport.write_full(network, directory / network)
                comparison.keep(directory / network)
        table = comparison.Table(arguments)
        for network in arguments.networks:
            compare(network, arguments.program.resolve(), directory / network, table)
    table.exit()


def compare(network, program, folder, table):
    """Adds a row for each picture and way of naming the classes."""
    for number, (_, width, height) in enumerate(make_matterport.FULL_PICTURES, 1):
        expected = np.load(folder / f"{number}.npz")
        pixels = np.asarray(Image.open(folder / f"{number}.png"))
        for names, words in namings(network, folder):
            # Without being told from which score on.
            found = comparison.segment(program, folder / "mask_rcnn_formula.h5", pixels, *words)
            missed, figures = describe(expected, found, height, width, categories(network))
            if names and [each["label"] for each in found] != [names[label - 1] for label in expected["labels"]]:
                missed.append("names")
            table.add(f"{network} named" if words else network, f"{width}x{height}", missed, figures)


def namings(network, folder):
    """Names of the classes, or none where they are not compared, and the words by which the program learns them."""
    count = NETWORKS[network].NUM_CLASSES - 1
    if count == COCO_CLASSES:
        return [(None, [])]
    names = [f"thing {number}" for number in range(1, count + 1)]
    file = folder / "names.txt"
    file.write_text("".join(f"{name}\n" for name in names))
    return [([f"class {number}" for number in range(1, count + 1)], []), (names, ["--labels", file])]


def describe(expected, found, height, width, ids):
    """(the bars that were missed, figures); `ids` are the numbers of the classes in a report."""
    missed, counted = comparison.same_objects(found, [ids[label - 1] for label in expected["labels"]])
    if len(found) != len(expected["labels"]):
        return missed, counted
    apart = np.abs(comparison.edges(found) - expected["boxes"])
    undecided = (apart == 1) & (np.abs(expected["unrounded"] % 1 - 0.5) <= EDGE)
    unequal = int(((apart > 0) & ~undecided).sum())
    score = comparison.score_apart(found, expected["scores"])
    overlap = comparison.least_overlap(found, comparison.unpacked(expected["masks"], height, width))
    bars = [(unequal == 0, "boxes"), (score <= SCORE, "scores"), (overlap >= comparison.OVERLAP, "masks")]
    missed += [name for holds, name in bars if not holds]
    return missed, [*counted, f"{unequal} ({int(undecided.sum())})", f"{score:.2e}", f"{overlap:.5f}"]


def categories(network):
    """The numbers of a network's classes: COCO's are 1 to 90 without the ten that no class has."""
    count = NETWORKS[network].NUM_CLASSES - 1
    if count != COCO_CLASSES:
        return list(range(1, count + 1))
    unused = {12, 26, 29, 30, 45, 66, 68, 69, 71, 83}
    return [number for number in range(1, 91) if number not in unused]


if __name__ == "__main__":
    main()
