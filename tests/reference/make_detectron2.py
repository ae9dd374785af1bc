"""What detectron2 computes, stage by stage, for its Mask R-CNNs with FPN filled from the formula.

Usage: `make_detectron2.py` writes the fixtures, `make_detectron2.py --check` compares with the committed ones, and
`make_detectron2.py --full DIRECTORY` writes all that `compare_detectron2.py` compares. `detectron2_networks.py` says
what it needs.

Writes `tests/fixtures/parity/detectron2-r50-{1,2,3}.safetensors`, `parity/detectron2-r50.tsv` (of each tensor
its name, the one that the formula knows it by, and its shape), `parity/detectron2-config.yaml` (what its trainer writes
beside it), `parity/detectron2-trainer.pth` (what the trainer leaves of an R50-FPN of few channels after a step, with the
optimizer's momentum), `parity/detectron2-trainer.safetensors` (its weights) and `ops/detectron2.safetensors`. The first
are those of `make_parity.py`, and differ from them in this:

- Everything is as torchvision would have it: channels of `input` are red, green, blue; the background is the first class
  of `class_logits`, and has zeros in `box_regression` and in `mask_logits`; classes of `detections.labels` are counted from 1.
- `proposal_scores` are logits.
- `repeat` int64 [1]: the network was given `image` with each pixel repeated so often along both sides.
- `masks.bits` are those of the first detections, as many as there are.

Operators, one prefix a case:

    resize_bytes.N.       image uint8 [H, W, 3], expected uint8 [H', W', 3]: Pillow's bilinear
    shortest_edge.N.      min_size, max_size int64 [1], sizes int64 [n, 2] (height, width), expected int64 [n, 2]
    roi_align.N.          features [1, C, H, W], rois [n, 4], spatial_scale float64 [1], output_size int64 [1], expected
                          [n, C, s, s]: aligned, as many samples as a bin has cells
    level_mapper.N.       boxes [n, 4], levels int64 [2] (first, last), expected int64 [n], from 0
    paste.N.              masks [n, 28, 28], boxes [n, 4], image_size int64 [2], expected [n, H, W]: probabilities
"""

import argparse
import itertools
import pathlib
import sys
import tempfile

import numpy as np
import torch
from PIL import Image

import detectron2_networks as networks
import fixtures
import make_parity
from comparison import LEAST_DETECTIONS
from detectron2.data import transforms
from detectron2.engine import DefaultPredictor
from detectron2.layers import ROIAlign
from detectron2.layers.mask_ops import _do_paste_mask
from detectron2.modeling.poolers import assign_boxes_to_levels
from detectron2.structures import Boxes
from stages import LEVELS

# With one thread the order of every sum is fixed.
THREADS = 1
PROTOCOLS = {"r50": 2, "r101": 4, "x101": 5}
# Of the full comparison's masks, which then cover most of their boxes.
MASK_BIAS = 2.0
# Masks of large pictures would make large files.
FIXTURE_MASKS = 6
KEPT = make_parity.Kept(sample_size=800, first_rows=32, box_rois_per_level=1, box_rois=4, mask_rois=1)

# (photo or None for the collage, width, height, how often each pixel is repeated): larger than they come out, smaller,
# and so long that the second bound governs.
PICTURES = [("dog1.jpg", 160, 120, 1), ("person1.jpg", 97, 137, 7), ("astronaut.png", 360, 90, 4)]
# Of each size the first of the photos, their collage and the mirrored ones that shows enough and says the same however it
# is computed.
FULL_SIZES = [(512, 384), (1600, 900), (403, 611)]
# How far neighbours' scores are apart at least: what scores move by between one thread and two. Where no picture has that,
# a fifth of it.
FULL_GAPS = [5e-5, 1e-5]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="compare with the committed files, write nothing")
    parser.add_argument("--full", type=pathlib.Path, help="write the full comparison's files to this directory instead")
    arguments = parser.parse_args()
    torch.set_num_threads(THREADS)
    if arguments.full:
        for network in networks.NETWORKS:
            write_full(network, arguments.full)
        return
    writer = fixtures.Writer(arguments.check)
    writer.tensors("ops/detectron2.safetensors", operators(), {})
    trainer(writer)
    with tempfile.TemporaryDirectory() as directory:
        cfg, model = networks.config("r50"), networks.build(networks.config("r50"))
        shapes = {name: tensor.shape for name, tensor in model.state_dict().items()}
        lines = (
            f"{name}\t{networks.canonical_name(name)}\t{','.join(map(str, shape))}\n" for name, shape in shapes.items()
        )
        writer.text("parity/detectron2-r50.tsv", "".join(lines))
        writer.text("parity/detectron2-config.yaml", cfg.dump())
        weights = pathlib.Path(directory) / "r50.pkl"
        networks.write_zoo(model, weights, PROTOCOLS["r50"])
        predictor = load(cfg, weights)
        for number, (photo, width, height, repeat) in enumerate(PICTURES, 1):
            pixels = make_parity.picture(photo, width, height)
            found = run(predictor, repeated(pixels, repeat))
            if reason := unsteady(predictor, repeated(pixels, repeat), found, 0):
                sys.exit(f"picture {number} is no use, choose another: {reason}")
            description = f"{photo or 'collage of the example photos'}, {width}x{height}, {repeat} times as large"
            metadata = {"network": "detectron2 R50-FPN", "picture": description}
            tensors = fixture(found, pixels, repeat, FIXTURE_MASKS, KEPT)
            writer.tensors(f"parity/detectron2-r50-{number}.safetensors", tensors, metadata)
    writer.exit()


def trainer(writer):
    """A trainer's checkpoint of a network of few channels, by detectron2's own optimizer and checkpointer."""
    cfg = networks.config("r50")
    cfg.MODEL.RESNETS.STEM_OUT_CHANNELS = cfg.MODEL.RESNETS.RES2_OUT_CHANNELS = 4
    cfg.MODEL.RESNETS.WIDTH_PER_GROUP = 2
    cfg.MODEL.FPN.OUT_CHANNELS = cfg.MODEL.ROI_MASK_HEAD.CONV_DIM = 8
    cfg.MODEL.ROI_BOX_HEAD.FC_DIM = 6
    cfg.MODEL.ROI_HEADS.NUM_CLASSES = 3
    torch.manual_seed(7)
    model = networks.build_model(cfg)
    with torch.no_grad():
        # No weight is 0, so that no momentum is.
        for tensor in model.state_dict().values():
            tensor.normal_()
    with tempfile.TemporaryDirectory() as directory:
        networks.write_trainer(model, cfg, directory, "trainer")
        saved = pathlib.Path(directory) / "trainer.pth"
        target = fixtures.FIXTURES / "parity" / "detectron2-trainer.pth"
        if not writer.check:
            target.write_bytes(saved.read_bytes())
    committed = torch.load(target, weights_only=False)
    buffers = [state["momentum_buffer"] for state in committed["optimizer"]["state"].values()]
    if not buffers or not all(buffer.all() for buffer in buffers):
        sys.exit(f"{target}: no momentum")
    if committed["model"].keys() != model.state_dict().keys():
        sys.exit(f"{target}: other weights than this network's")
    description = "detectron2 R50-FPN of few channels, after a step of its trainer"
    writer.tensors("parity/detectron2-trainer.safetensors", committed["model"], {"network": description})


def write_full(network, directory):
    """One network as the model zoo and as a trainer would write it, and what it finds on full-size pictures."""
    directory = directory / network
    (directory / "output").mkdir(parents=True, exist_ok=True)
    cfg = networks.config(network)
    model = with_whole_masks(networks.build(cfg))
    zoo = directory / "model_final_formula.pkl"
    networks.write_zoo(model, zoo, PROTOCOLS[network])
    # Its configuration lies beside it, and must not lie beside the other.
    networks.write_trainer(model, cfg, directory / "output", "model_final")
    del model
    predictor = load(cfg, zoo)
    for number, (width, height) in enumerate(FULL_SIZES, 1):
        path = directory / f"{number}.safetensors"
        for gap, photo, mirrored in itertools.product(FULL_GAPS, [None, *make_parity.PHOTO_NAMES], [False, True]):
            pixels = make_parity.picture(photo, width, height)
            pixels = np.ascontiguousarray(pixels[:, ::-1]) if mirrored else pixels
            found = run(predictor, pixels)
            name = f"{path}: {photo or 'collage'}{', mirrored' * mirrored}, {width}x{height}"
            if reason := unsteady(predictor, pixels, found, gap):
                print(f"{name}: passed over: {reason}", flush=True)
                continue
            fixtures.save_file(fixture(found, pixels, 1, None, make_parity.Kept()), path, {"picture": name})
            print(f"{name}: {len(found['scores'])} detections", flush=True)
            break
        else:
            sys.exit(f"{path}: no picture of {width}x{height} is of use")


def with_whole_masks(model):
    """The model with halved logits of masks, and masks that cover most of their boxes.

    The formula's masks are specks of a few pixels, where those of a trained network are of one piece: a single pixel that
    rounding decides would be some hundredths of such a speck.
    """
    predictor = model.roi_heads.mask_head.predictor
    with torch.no_grad():
        predictor.weight *= 0.5
        predictor.bias *= 0.5
        predictor.bias += MASK_BIAS
    return model


def load(cfg, weights):
    """detectron2's own predictor, which reads the weights from their file."""
    cfg = cfg.clone()
    cfg.MODEL.WEIGHTS = str(weights)
    cfg.DATASETS.TEST = ()
    return DefaultPredictor(cfg)


def repeated(pixels, times):
    return np.ascontiguousarray(pixels.repeat(times, 0).repeat(times, 1))


def run(predictor, pixels):
    """Runs the predictor on [H, W, 3] uint8 pixels, red first; returns its stages as `stages.run` does, as above."""
    model, stages, handles = predictor.model, {}, []
    heads = model.roi_heads

    def watch(module, observe):
        handles.append(module.register_forward_hook(lambda _, inputs, output: observe(inputs, output)))

    def watch_method(owner, name, observe):
        method = getattr(owner, name)

        def observing(*arguments, **keywords):
            output = method(*arguments, **keywords)
            observe(output)
            return output

        setattr(owner, name, observing)

    def keep_input(images):
        stages["input"] = images.tensor[0][[2, 1, 0]].clone()
        stages["image_size"] = torch.tensor(images.image_sizes[0])

    def keep_features(names):
        return lambda _, features: stages.update(
            {name: feature[0].clone() for name, feature in zip(names, features.values(), strict=True)}
        )

    def keep_rpn_head(_, output):
        for level, objectness, deltas in zip(LEVELS, *output, strict=True):
            stages[f"objectness.{level}"] = objectness[0].clone()
            stages[f"deltas.{level}"] = deltas[0].clone()

    def keep_anchors(_, output):
        stages.update({f"anchors.{level}": anchors.tensor for level, anchors in zip(LEVELS, output, strict=True)})

    def keep_proposals(_, output):
        ((proposals,), _) = output
        stages["proposals"] = proposals.proposal_boxes.tensor.clone()
        stages["proposal_scores"] = proposals.objectness_logits.clone()

    def keep_pooled(kind, pooler):
        def observe(inputs, output):
            _, boxes = inputs
            stages[f"{kind}_pool"] = output.clone()
            stages[f"{kind}_levels"] = assign_boxes_to_levels(boxes, pooler.min_level, pooler.max_level, 224, 4)

        return observe

    def keep_box_predictor(_, output):
        logits, deltas = output
        stages["class_logits"] = logits.roll(1, 1)
        stages["box_regression"] = torch.cat([torch.zeros_like(deltas[:, :4]), deltas], 1)

    def keep_detections(output):
        (instances,), _ = output
        stages["boxes_resized"] = instances.pred_boxes.tensor.clone()
        stages["labels"] = instances.pred_classes + 1

    def keep_mask_logits(_, logits):
        stages["mask_logits"] = torch.cat([torch.zeros_like(logits[:, :1]), logits], 1)

    def keep_mask_probabilities(_, output):
        (instances,), _ = output
        stages["mask_probabilities"] = instances.pred_masks[:, 0].clone()

    watch_method(model, "preprocess_image", keep_input)
    watch(model.backbone.bottom_up, keep_features(["c2", "c3", "c4", "c5"]))
    watch(model.backbone, keep_features(LEVELS))
    watch(model.proposal_generator.rpn_head, keep_rpn_head)
    watch(model.proposal_generator.anchor_generator, keep_anchors)
    watch(model.proposal_generator, keep_proposals)
    watch(heads.box_pooler, keep_pooled("box", heads.box_pooler))
    watch(heads.box_predictor, keep_box_predictor)
    watch_method(heads.box_predictor, "inference", keep_detections)
    watch(heads.mask_pooler, keep_pooled("mask", heads.mask_pooler))
    watch(heads.mask_head.predictor, keep_mask_logits)
    watch(heads, keep_mask_probabilities)
    try:
        instances = predictor(pixels[:, :, ::-1])["instances"]
    finally:
        for handle in handles:
            handle.remove()
        del model.preprocess_image, heads.box_predictor.inference
    stages["boxes"] = instances.pred_boxes.tensor
    stages["scores"] = instances.scores
    stages["masks"] = instances.pred_masks
    return stages


def unsteady(predictor, pixels, found, gap):
    """Why a picture, in which `found` was found, says nothing of another program: because detectron2 does not agree with
    itself about it. With two threads and without oneDNN it must find the same objects in the same order, and masks that
    overlap by 0.99; neighbours' scores must be `gap` apart. None when it does. What moves is printed: the tolerances of the
    tests stand on it."""
    if len(found["scores"]) < LEAST_DETECTIONS:
        return f"{len(found['scores'])} detections"
    gaps = (found["scores"][:-1] - found["scores"][1:]).min().item()
    if gaps < gap:
        return f"neighbours' scores {gaps:.0e} apart"
    for way in ("two threads", "no oneDNN"):
        torch.set_num_threads(2 if way == "two threads" else THREADS)
        with torch.backends.mkldnn.flags(enabled=way != "no oneDNN"):
            other = run(predictor, pixels)
        torch.set_num_threads(THREADS)
        if not torch.equal(found["labels"], other["labels"]):
            return f"with {way} other objects, or in another order"
        apart = {name: (found[name] - other[name]).abs().max().item() for name in ("boxes", "scores")}
        both = (found["masks"] & other["masks"]).flatten(1).sum(1) / (found["masks"] | other["masks"]).flatten(1).sum(1)
        overlap = both.nan_to_num(1).min().item()
        classes, count = len(set(found["labels"].tolist())), len(found["labels"])
        print(
            f"{count} detections of {classes} classes, neighbours {gaps:.1e} apart; with {way}: "
            f"boxes {apart['boxes']:.1e}, scores {apart['scores']:.1e}, mask IoU {overlap:.4f}",
            flush=True,
        )
        if overlap < 0.99:
            return f"with {way} a mask that overlaps by {overlap:.4f} alone"
    return None


def fixture(found, pixels, repeat, masks, kept):
    """`make_parity.fixture`, with the first so many masks."""
    found = {**found, "masks": found["masks"][:masks]}
    return {**make_parity.fixture(found, pixels, kept), "repeat": np.array([repeat])}


def operators():
    """The operators' cases."""
    random = np.random.default_rng(5)
    cases = {}
    photo = make_parity.load_photo("chelsea.png", 61, 43)
    sizes = [(43, 100), (90, 61), (17, 23), (129, 122), (1, 1), (200, 9), (43, 60)]
    for number, (height, width) in enumerate(sizes):
        resize = transforms.ResizeTransform(43, 61, height, width)
        expected = np.ascontiguousarray(resize.apply_image(photo))
        cases |= {f"resize_bytes.{number}.image": photo, f"resize_bytes.{number}.expected": expected}
    noise = random.integers(0, 256, (90, 7, 3), dtype=np.uint8)
    expected = np.asarray(Image.fromarray(noise).resize((31, 13), Image.Resampling.BILINEAR))
    cases |= {"resize_bytes.noise.image": noise, "resize_bytes.noise.expected": expected}

    for number, (shortest, longest) in enumerate([(800, 1333), (352, 544), (1024, 2048)]):
        sizes = np.concatenate([random.integers(1, 3000, (60, 2)), [[3, 2000], [800, 1333], [600, 999], [97, 137]]])
        shape = transforms.ResizeShortestEdge.get_output_shape
        expected = [shape(int(h), int(w), shortest, longest) for h, w in sizes]
        kept = [index for index, sides in enumerate(expected) if min(sides) > 0]
        cases |= {
            f"shortest_edge.{number}.min_size": np.array([shortest]),
            f"shortest_edge.{number}.max_size": np.array([longest]),
            f"shortest_edge.{number}.sizes": sizes[kept],
            f"shortest_edge.{number}.expected": np.array(expected)[kept],
        }

    features = random.standard_normal((1, 5, 20, 27)).astype(np.float32)
    rois = boxes(random, 40, 27 * 16, 20 * 16)
    rois[0], rois[1], rois[2] = [10, 10, 10.5, 300], [0, 0, 432, 320], [50, 40, 50, 90]
    for number, (scale, size) in enumerate([(1 / 16, 7), (1 / 8, 14), (1 / 4, 2)]):
        indexed = torch.cat([torch.zeros(len(rois), 1), torch.from_numpy(rois)], 1)
        pooled = ROIAlign((size, size), scale, 0, aligned=True)(torch.from_numpy(features), indexed)
        cases |= {
            f"roi_align.{number}.features": features,
            f"roi_align.{number}.rois": rois,
            f"roi_align.{number}.spatial_scale": np.array([scale]),
            f"roi_align.{number}.output_size": np.array([size]),
            f"roi_align.{number}.expected": pooled.numpy(),
        }

    sided = np.array([[3, 4, 3 + w, 4 + h] for w in (0, 1, 55.9, 112, 224, 448, 1000) for h in (1, 112, 224, 448)])
    mapped = np.concatenate([sided, boxes(random, 60, 1300, 800)]).astype(np.float32)
    cases |= {
        "level_mapper.0.boxes": mapped,
        "level_mapper.0.levels": np.array([2, 5]),
        "level_mapper.0.expected": assign_boxes_to_levels([Boxes(torch.from_numpy(mapped))], 2, 5, 224, 4).numpy(),
    }

    height, width = 37, 53
    masks = random.random((9, 28, 28), dtype=np.float32)
    pasted = boxes(random, 9, width, height)
    pasted[0], pasted[1], pasted[2] = [-20, -3.5, 30, 90], [12, 12.25, 13, 40], [0, 0, width, height]
    tensors = torch.from_numpy(masks)[:, None], torch.from_numpy(pasted)
    expected, _ = _do_paste_mask(*tensors, height, width, skip_empty=False)
    cases |= {
        "paste.0.masks": masks,
        "paste.0.boxes": pasted,
        "paste.0.image_size": np.array([height, width]),
        "paste.0.expected": expected.numpy(),
    }
    return cases


def boxes(random, count, width, height):
    """Boxes inside of a picture: float32 [count, 4]."""
    x, y = np.sort(random.random((count, 2)) * width, 1), np.sort(random.random((count, 2)) * height, 1)
    return np.stack([x[:, 0], y[:, 0], x[:, 1], y[:, 1]], 1).astype(np.float32)


if __name__ == "__main__":
    sys.exit(main())
