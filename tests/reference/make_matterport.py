"""What Matterport's Mask R-CNN computes, stage by stage, filled from the formula.

Usage: `make_matterport.py` writes the fixtures, `make_matterport.py --check` compares with the committed ones, and
`make_matterport.py --full DIRECTORY` writes all that `compare_matterport.py` compares. `matterport_networks.py` says
what it needs.

Writes `tests/fixtures/parity/matterport-{1,2,3}.safetensors`, `parity/matterport.tsv` (of each tensor its name, the one
that the formula knows it by, and the shape that goes with that), `parity/matterport-blueprint.json` (what the network
for small pictures has otherwise than Matterport's defaults), `parity/matterport-full.json` (what ResNet-50 of Matterport's
defaults finds in the last picture, whose scores are the furthest apart; masks and their areas are pycocotools'; no
probability is nearer to a half than 4e-5 where one pixel is more than a hundredth of its mask) and
`ops/matterport.safetensors`. The first are those of `make_parity.py`, but for what `matterport_stages.py` says, and
without `proposal_scores`, which Matterport does not keep; `image_size` is the size of the square's part that is the image, `detections.boxes_resized` are the boxes in
normalised coordinates, and `detections.unrounded` float64 [N, 4] those in pixels before they are rounded.

Operators, one prefix a case:

    zoom_bytes.N.         image uint8 [H, W, 3], expected uint8 [H', W', 3]: scikit-image's, cut to bytes
    square.N.             min_size, max_size int64 [1], sizes int64 [n, 2] (height, width), expected int64 [n, 2]
    paste.N.              masks [n, 28, 28], boxes [n, 4], image_size int64 [2], expected uint8 [n, H, W]
    suppress.N.           boxes [n, 4], scores [n], threshold [1], most int64 [1], expected int64 [k]
    crop_and_resize.N.    features [H, W, C], boxes [n, 4] normalised, expected [n, s, s, C]
    level_mapper.N.       boxes [n, 4] normalised, input_size int64 [2], expected int64 [n], from 0
    decode.N.             boxes, deltas [n, 4], expected [n, 4]
"""

import argparse
import json
import pathlib

import matterport_networks as networks
import matterport_stages as stages
import numpy as np
import tensorflow as tf
from matterport_networks import modellib, utils
from PIL import Image
from pycocotools import mask as coco_mask

import fixtures
from pictures import load_photo, picture
from samples import sample

# (photo or None for the collage, width, height): two that are enlarged, one so long that it is made smaller.
PICTURES = [("dog1.jpg", 160, 120), ("person1.jpg", 97, 137), ("astronaut.png", 360, 90)]
FULL_PICTURES = [(None, 403, 611), ("dog1.jpg", 640, 480), (None, 1600, 900)]

SAMPLE_SIZE = 800
BLUEPRINT = {
    "transform": {"min_size": 192, "max_size": 256},
    "rpn": {"anchor_sizes": [8, 16, 32, 64, 128], "pre_nms_top_n": 2000, "post_nms_top_n": 300},
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="compare with the committed files, write nothing")
    parser.add_argument("--full", type=pathlib.Path, help="write the full comparison's files to this directory instead")
    parser.add_argument("--network", choices=networks.NETWORKS, help="of the full comparison this network alone")
    arguments = parser.parse_args()
    if arguments.full:
        for network in [arguments.network] if arguments.network else networks.NETWORKS:
            write_full(network, arguments.full / network)
        return
    writer = fixtures.Writer(arguments.check)
    writer.tensors("ops/matterport.safetensors", operators(), {})
    model = networks.build(networks.Small())
    lines = []
    for name, shape in networks.weights(model).items():
        axes = networks.canonical_axes(name, shape)
        shape = shape if axes is None else [shape[axis] for axis in axes]
        lines.append(f"{name}\t{networks.canonical_name(name)}\t{','.join(map(str, shape))}\n")
    writer.text("parity/matterport.tsv", "".join(lines))
    writer.text("parity/matterport-blueprint.json", json.dumps(BLUEPRINT, indent=1) + "\n")
    for number, (photo, width, height) in enumerate(PICTURES, 1):
        pixels = picture(photo, width, height)
        description = f"{photo or 'collage of the example photos'}, {width}x{height}"
        metadata = {"network": "Matterport ResNet-50, for small pictures", "picture": description}
        writer.tensors(f"parity/matterport-{number}.safetensors", fixture(stages.run(model, pixels), pixels), metadata)
    writer.text("parity/matterport-full.json", full_json())
    writer.exit()


def full_json():
    """What ResNet-50 of Matterport's defaults finds in the last picture."""
    found = stages.run(networks.build(networks.Full50()), picture(*PICTURES[-1]))
    masks = [coco_mask.encode(np.asfortranarray(mask, np.uint8)) for mask in found["masks"]]
    found = {name: found[name].tolist() for name in ("labels", "boxes", "scores")}
    found["masks"] = [{"size": mask["size"], "counts": mask["counts"].decode()} for mask in masks]
    found["areas"] = [int(coco_mask.area(mask)) for mask in masks]
    return json.dumps(found) + "\n"


def write_full(network, directory):
    """One network as Keras saves it, and what it finds on full-size pictures."""
    directory.mkdir(parents=True, exist_ok=True)
    model = networks.build(networks.NETWORKS[network]())
    model.keras_model.save_weights(str(directory / "mask_rcnn_formula.h5"))
    for number, (photo, width, height) in enumerate(FULL_PICTURES, 1):
        pixels = picture(photo, width, height)
        Image.fromarray(pixels).save(directory / f"{number}.png")
        found = stages.run(model, pixels)
        kept = ("boxes", "unrounded", "scores", "labels")
        arrays = {name: np.ascontiguousarray(found[name]) for name in kept}
        arrays["masks"] = np.packbits(found["masks"].reshape(len(found["labels"]), height * width), axis=1)
        np.savez(directory / f"{number}.npz", **arrays)
        classes = len(set(found["labels"]))
        print(f"{network} {number}: {width}x{height}, {len(found['labels'])} detections of {classes} classes", flush=True)


def fixture(found, pixels):
    """The tensors of a fixture, from the stages that were seen."""
    top, left, bottom, right = found["window"]
    tensors = {"image": pixels, "image_size": np.array([bottom - top, right - left], np.int64)}
    batched = ["input", "c2", "c3", "c4", "c5", *stages.LEVELS]
    batched += [f"{kind}.{level}" for kind in ("objectness", "deltas") for level in stages.LEVELS]
    for name in batched:
        tensors |= sample(name, found[name][None], SAMPLE_SIZE)
    for name in [f"anchors.{level}" for level in stages.LEVELS] + ["class_logits", "box_regression"]:
        tensors |= sample(name, found[name], SAMPLE_SIZE)
    for name in ("proposals", "mask_probabilities"):
        tensors[name] = found[name].astype(np.float32)
    for name in ("class_logits", "box_regression"):
        tensors[f"{name}.first"] = found[name][:16]
    tensors["detections.boxes_resized"] = found["boxes_normalised"]
    for name in ("boxes", "unrounded", "scores", "labels"):
        tensors[f"detections.{name}"] = found[name]
    for kind, rois in (("box", [0, 1, 2, len(found["proposals"]) // 2]), ("mask", [0])):
        tensors[f"{kind}_pool.roi"] = np.array(rois, np.int64)
        tensors[f"{kind}_pool.value"] = found[f"{kind}_pool"][rois]
    masks = found["masks"]
    tensors["masks.bits"] = np.packbits(masks.reshape(len(masks), -1), axis=1)
    return tensors


def evaluated(tensor):
    """The values of a tensor of Matterport's graphs, which TensorFlow evaluates lazily."""
    with tf.compat.v1.Session() as session:
        return session.run(tensor)


def operators():
    """The operators' cases."""
    random = np.random.default_rng(6)
    cases = {}
    photo = load_photo("chelsea.png", 61, 43)
    bright = photo // 2 + 100
    for number, (image, height, width) in enumerate(
        [(photo, 86, 122), (photo, 43, 61), (photo, 100, 142), (photo, 17, 24), (bright, 59, 84), (bright, 7, 90)]
    ):
        resized = utils.resize(image, (height, width), preserve_range=True).astype(np.uint8)
        cases |= {f"zoom_bytes.{number}.image": image, f"zoom_bytes.{number}.expected": resized}

    for number, (least, most) in enumerate([(800, 1024), (192, 256), (1024, 1024)]):
        sizes = np.concatenate([random.integers(1, 1600, (24, 2)), [[800, 1024], [97, 137], [1024, 1024], [333, 800]]])
        expected, kept = [], []
        for height, width in sizes:
            try:
                _, window, *_ = utils.resize_image(
                    np.zeros((height, width, 3), np.uint8), min_dim=least, max_dim=most, mode="square"
                )
            except ZeroDivisionError:
                continue
            expected.append([window[2] - window[0], window[3] - window[1]])
            kept.append([height, width])
        cases |= {
            f"square.{number}.min_size": np.array([least]),
            f"square.{number}.max_size": np.array([most]),
            f"square.{number}.sizes": np.array(kept),
            f"square.{number}.expected": np.array(expected),
        }

    height, width = 41, 57
    masks = random.random((9, 28, 28), dtype=np.float32)
    masks[3] = 0.5 + masks[3] / 2
    corners = np.array(
        [[0, 0, 57, 41], [3, 4, 31, 32], [10, 2, 11, 40], [5, 5, 50, 9], [20, 20, 22, 21], [1, 0, 57, 41],
         [7, 3, 40, 33], [30, 10, 56, 37], [2, 38, 55, 41]], np.int32
    )
    pasted = [utils.unmold_mask(mask, [y1, x1, y2, x2], (height, width)) for mask, (x1, y1, x2, y2) in zip(masks, corners)]
    cases |= {
        "paste.0.masks": masks,
        "paste.0.boxes": corners.astype(np.float32),
        "paste.0.image_size": np.array([height, width]),
        "paste.0.expected": np.array(pasted).astype(np.uint8),
    }

    for number, (count, threshold, most) in enumerate([(80, 0.7, 1000), (200, 0.3, 20), (120, 0.5, 100)]):
        some = boxes(random, count)
        some[5], some[6] = some[4], 0
        scores = np.round(random.random(count, dtype=np.float32), 2)  # many are equal
        kept = evaluated(tf.image.non_max_suppression(stages.xyxy(some), scores, most, threshold))
        cases |= {
            f"suppress.{number}.boxes": some,
            f"suppress.{number}.scores": scores,
            f"suppress.{number}.threshold": np.float32([threshold]),
            f"suppress.{number}.most": np.array([most]),
            f"suppress.{number}.expected": kept.astype(np.int64),
        }

    features = random.standard_normal((16, 21, 3), dtype=np.float32)
    rois = boxes(random, 24)
    rois[:5] = [[0, 0, 1, 1], [0, 0, 0, 0], [0.3, 0.2, 1, 1], [0.1, 0.7, 0.2, 1], [-0.2, 0.1, 1.3, 0.6]]
    for number, size in enumerate([7, 14, 2]):
        pooled = tf.image.crop_and_resize(features[None], stages.xyxy(rois), np.zeros(len(rois), np.int32), (size, size))
        cases |= {
            f"crop_and_resize.{number}.features": features,
            f"crop_and_resize.{number}.boxes": rois,
            f"crop_and_resize.{number}.expected": evaluated(pooled),
        }

    sided = np.float32([[0, 0, w, h] for w in np.linspace(0, 1, 11) for h in (0.02, 0.11, 0.22, 0.3, 0.62, 1)])
    for number, side in enumerate([1024, 256]):
        mapped = np.concatenate([sided, boxes(random, 60)])
        cases |= {
            f"level_mapper.{number}.boxes": mapped,
            f"level_mapper.{number}.input_size": np.array([side, side]),
            f"level_mapper.{number}.expected": levels(mapped, side),
        }

    deltas = random.standard_normal((40, 4), dtype=np.float32)
    some = boxes(random, 40)
    decoded = modellib.apply_box_deltas_graph(tf.constant(stages.xyxy(some)), tf.constant(stages.xyxy(deltas)))
    cases |= {"decode.0.boxes": some, "decode.0.deltas": deltas, "decode.0.expected": stages.xyxy(evaluated(decoded))}
    return cases


def levels(some, side):
    """The levels that `PyramidROIAlign` pools boxes from: each level's features are its number."""
    maps = [tf.fill((1, 2, 2, 1), float(level)) for level in range(4)]
    meta = modellib.compose_image_meta(0, (side, side, 3), (side, side, 3), (0, 0, side, side), 1, [])
    inside = np.clip(some, 0, 1)
    pool = modellib.PyramidROIAlign((1, 1))
    pooled = pool.call([tf.constant(stages.xyxy(inside)[None]), tf.constant(meta[None], tf.float32), *maps])
    return evaluated(pooled)[0, :, 0, 0, 0].astype(np.int64)


def boxes(random, count):
    """Boxes inside of the unit square: float32 [count, 4]."""
    x, y = np.sort(random.random((count, 2)), 1), np.sort(random.random((count, 2)), 1)
    return np.stack([x[:, 0], y[:, 0], x[:, 1], y[:, 1]], 1).astype(np.float32)


if __name__ == "__main__":
    main()
