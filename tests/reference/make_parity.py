"""Parity fixtures: what torchvision computes, stage by stage, for the v1 network, its relatives, and the compact one.

Writes `tests/fixtures/parity/{network}-{n}.safetensors` and `compact-photos.json`. Metadata: versions, `network`,
`picture` (what the image is) and, for the compact network, the sha256 of its weights.

`image` is the input, uint8 [H, W, 3]. A large stage `s` is a sample: `s.shape` (int64, with the batch axis of 1 where
torchvision has one), `s.index` (int64, flat, row-major) and `s.value` (float32). Boxes are x1, y1, x2, y2.

    input                        sample, [1, 3, H', W']; `image_size` int64 [2], (height, width) without the padding
    c2..c5, p2..p6               samples, [1, C, h, w]
    objectness.p2..p6            samples, [1, 3, h, w], logits
    deltas.p2..p6                samples, [1, 12, h, w]
    anchors.p2..p6               samples, [h * w * 3, 4]
    proposals, proposal_scores   all: [R, 4] in resized pixels, [R] as probabilities
    box_pool.roi                 int64 [8], the proposals whose pooled features are kept: of each level up to two
    box_pool.level, .value       int64 [8] (0 is P2), float32 [8, C, 7, 7]
    class_logits, box_regression samples, [R, K], [R, 4 * K]; `.first` holds the first rows whole
    detections.boxes_resized     [N, 4], resized pixels
    detections.boxes             [N, 4], pixels of `image`
    detections.scores, .labels   [N] float32, [N] int64
    mask_pool.roi, .level        int64 [2], detections of different levels where there are
    mask_pool.value              [2, C, 14, 14]
    mask_logits                  sample, [N, K, 28, 28]
    mask_probabilities           [N, 28, 28], of each detection's class
    masks.bits                   uint8 [N, ceil(H * W / 8)]: each mask flattened row by row, the first pixel in the
                                 highest bit (numpy.packbits)

Of v1's relatives less is kept, half the pooled features and a third of a sample: what they share with v1 is held to
v1's fixtures.
"""

import dataclasses
import hashlib
import json

import numpy as np
import torch

import compact
import networks
import stages
from fixtures import Writer
from pictures import PHOTO_NAMES, load_photo, picture  # noqa: F401: make_detectron2.py takes load_photo from here
from samples import sample

# With one thread the order of every sum is fixed.
THREADS = 1


@dataclasses.dataclass
class Kept:
    """How much of the stages goes into a fixture."""

    sample_size: int = 1280
    first_rows: int = 64
    box_rois_per_level: int = 2
    box_rois: int = 8
    mask_rois: int = 2


OF_RELATIVES = Kept(sample_size=400, first_rows=16, box_rois_per_level=1, box_rois=4, mask_rois=1)

# (photo or None for the collage, width, height). The networks resize to 800 (at most 1333) and 352 (at most 544): the
# third of each is so long that the second bound governs, and the compact one is then made smaller. The fourth is so low that
# the scale of the pooling, read off the height before the padding, is another than that of the padded image.
PICTURES = {
    "v1": [("dog1.jpg", 160, 120), ("person1.jpg", 97, 137), ("astronaut.png", 71, 181)],
    "v2": [("dog1.jpg", 160, 120), (None, 97, 137)],
    "trained": [("dog1.jpg", 160, 120)],
    "resnet18": [("dog1.jpg", 160, 120)],
    "resnext50_32x4d": [("person1.jpg", 97, 137)],
    "wide_resnet50_2": [("dog1.jpg", 160, 120)],
    "compact": [(None, 320, 240), ("person1.jpg", 213, 300), (None, 560, 180), (None, 560, 22)],
}


def main():
    torch.set_num_threads(THREADS)
    writer = Writer.from_arguments(__doc__.splitlines()[0])
    write_network(writer, "v1", {}, Kept())
    for network in [*networks.RELATIVES, "trained"]:
        write_network(writer, network, {}, OF_RELATIVES)
    digest = hashlib.sha256(networks.COMPACT_WEIGHTS.read_bytes()).hexdigest()
    write_network(writer, "compact", {"weights_sha256": digest}, Kept())
    write_photos(writer)
    writer.exit()


def write_network(writer, network, metadata, kept):
    """The fixtures of one network, one for each of its pictures."""
    model = networks.build(network)
    for number, (photo, width, height) in enumerate(PICTURES[network], 1):
        pixels = picture(photo, width, height)
        name = f"parity/{network}-{number}.safetensors"
        description = f"{photo or 'collage of the example photos'}, {width}x{height}"
        metadata = {**metadata, "network": network, "picture": description}
        writer.tensors(name, fixture(stages.run(model, pixels), pixels, kept), metadata)


def write_photos(writer):
    """What the compact network finds on the example photos."""
    model, labels = compact.load(networks.COMPACT_WEIGHTS)
    found = {name: compact.segment(model, labels, networks.PHOTOS / name) for name in PHOTO_NAMES}
    writer.json("parity/compact-photos.json", found, compare_photos)


def fixture(found, pixels, kept):
    """The tensors of a fixture, from the stages that were seen."""
    tensors = {"image": pixels, "image_size": found["image_size"].numpy()}
    batched = ["input", "c2", "c3", "c4", "c5", *stages.LEVELS]
    batched += [f"{kind}.{level}" for kind in ("objectness", "deltas") for level in stages.LEVELS]
    for name in batched:
        tensors |= sample(name, found[name][None].numpy(), kept.sample_size)
    plain = [f"anchors.{level}" for level in stages.LEVELS] + ["class_logits", "box_regression", "mask_logits"]
    for name in plain:
        tensors |= sample(name, found[name].numpy(), kept.sample_size)
    for name in ("proposals", "proposal_scores", "mask_probabilities"):
        tensors[name] = found[name].numpy()
    for name in ("class_logits", "box_regression"):
        tensors[f"{name}.first"] = found[name][: kept.first_rows].numpy()
    for name in ("boxes_resized", "boxes", "scores", "labels"):
        tensors[f"detections.{name}"] = found[name].numpy()
    tensors |= pooled(found, "box", kept.box_rois_per_level, kept.box_rois)
    tensors |= pooled(found, "mask", 1, kept.mask_rois)
    tensors["masks.bits"] = np.packbits(found["masks"].flatten(1).numpy(), axis=1)
    return tensors


def pooled(found, kind, per_level, count):
    """The pooled features of some regions: the first `per_level` of each level, then the first others."""
    levels = found[f"{kind}_levels"].numpy()
    rank_in_level = [int((levels[:roi] == level).sum()) for roi, level in enumerate(levels)]
    order = sorted(range(len(levels)), key=lambda roi: (rank_in_level[roi] >= per_level, roi))
    rois = np.array(sorted(order[:count]), np.int64)
    return {
        f"{kind}_pool.roi": rois,
        f"{kind}_pool.level": levels[rois],
        f"{kind}_pool.value": found[f"{kind}_pool"][rois].numpy(),
    }


def compare_photos(committed, made):
    """What differs between two runs on the photos: 0.01 pixels, 1e-4 of score or 0.1 % of area are too much."""
    differences = []
    for name, detections in committed.items():
        found = made.get(name, [])
        if [detection["label"] for detection in detections] != [detection["label"] for detection in found]:
            differences.append(f"{name}: other detections")
            continue
        for number, (old, new) in enumerate(zip(detections, found)):
            box = max(abs(a - b) for a, b in zip(old["box_xyxy"], new["box_xyxy"]))
            if box > 0.01 or abs(old["score"] - new["score"]) > 1e-4 or abs(old["area"] / new["area"] - 1) > 1e-3:
                differences.append(f"{name}: detection {number} moved: {json.dumps([old, new])}")
    return differences


if __name__ == "__main__":
    main()
