"""Fixtures of the operators that are native code here: what torchvision's own give, on small inputs with awkward cases.

Writes `tests/fixtures/ops/ops.safetensors`. A tensor is called `<operator>.<case>.<argument>`; `expected`, and names
that start with it, are results. Plain numbers are int64 or float64, as Python holds them; everything else is float32
unless said otherwise. Boxes are x1, y1, x2, y2; sizes are (height, width).

    roi_align.<case>           features [1, C, h, w], rois [N, 4], spatial_scale, output_size (sampling ratio 2,
                               aligned=False) -> expected [N, C, output_size, output_size]
    nms.<case>                 boxes [N, 4], scores [N], iou_threshold -> expected, int64 indices of the kept, in order
    batched_nms.<case>         boxes, scores, groups int64 [N], iou_threshold -> expected. Up to 1000 boxes torchvision
                               shifts each group's boxes apart (`few`), above that it goes group by group (`many`);
                               in `rounded_by_the_shift` the two methods give different answers
    decode.<case>              deltas [N, 4 * K], boxes [N, 4], weights [4] -> expected [N, K, 4]
    clip.<case>                boxes, image_size int64 [2] -> expected
    remove_small.<case>        boxes, min_size -> expected, int64 indices
    paste.<case>               masks [N, 28, 28], boxes [N, 4], image_size -> expected [N, H, W]. No box is wholly
                               outside the image: there torchvision fails, and it clips its boxes before
    anchors.<case>             padded_size, feature_sizes int64 [L, 2], sizes int64 [L], ratios [3] -> expected [A, 4],
                               level after level
    level_mapper.<case>        boxes, levels int64 [2] (lowest, highest) -> expected int64, 0 is the lowest level
    transform.<case>           image uint8 [H, W, 3], min_size, max_size -> expected [1, 3, H', W'], expected_size int64
                               [2], without the padding; means and deviations are ImageNet's
    resize_boxes.<case>        boxes, from_size, to_size -> expected
    topk.<case>                values, k -> expected, int64 indices as torch.topk takes them on a CPU where values are
                               equal; expected_values is the part of the answer that torch specifies
"""

import math
import zlib

import numpy as np
import torch
from torchvision import ops
from torchvision.models.detection._utils import BoxCoder
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.roi_heads import paste_masks_in_image
from torchvision.models.detection.transform import GeneralizedRCNNTransform, resize_boxes
from torchvision.ops.poolers import LevelMapper

from fixtures import Writer

IMAGE_MEAN = [0.485, 0.456, 0.406]
IMAGE_STD = [0.229, 0.224, 0.225]
SAMPLING_RATIO = 2
MASK_SIZE = 28


def main():
    torch.set_num_threads(1)
    writer = Writer.from_arguments(__doc__.splitlines()[0])
    makers = [
        roi_align_cases,
        nms_cases,
        batched_nms_cases,
        decode_cases,
        clip_cases,
        remove_small_cases,
        paste_cases,
        anchors_cases,
        level_mapper_cases,
        transform_cases,
        resize_boxes_cases,
        topk_cases,
    ]
    tensors = {}
    for maker in makers:
        operator = maker.__name__.removesuffix("_cases")
        # Each operator has a seed of its own, so that a new case of one leaves the others as they are.
        random = torch.Generator().manual_seed(zlib.crc32(operator.encode()))
        for case, arguments in maker(random):
            tensors |= {f"{operator}.{case}.{name}": as_array(value) for name, value in arguments.items()}
    writer.tensors("ops/ops.safetensors", tensors, {"sampling_ratio": str(SAMPLING_RATIO)})
    writer.exit()


def as_array(value):
    """The array of a tensor or of plain numbers, of which one alone becomes an array of one."""
    return value.numpy() if isinstance(value, torch.Tensor) else np.atleast_1d(np.array(value))


def random_boxes(random, count, height, width, smallest=1.0):
    """Boxes of all sizes and shapes in an image, as a float32 tensor."""
    extent = torch.tensor([width, height], dtype=torch.float32)
    size = smallest + torch.rand(count, 2, generator=random) ** 2 * (extent - smallest)
    corner = torch.rand(count, 2, generator=random) * (extent - size)
    return torch.cat([corner, corner + size], dim=1)


# In cells of a map 13 high and 23 wide; the maps of some cases are smaller.
AWKWARD_ROIS = [
    [3.2, 2.1, 17.9, 9.4],  # inside
    [0.0, 0.0, 23.0, 13.0],  # the whole map
    [-4.0, 3.0, 5.0, 8.0],  # over the left border
    [18.5, 9.5, 26.0, 16.0],  # over the corner at the far end
    [-30.0, -20.0, 60.0, 40.0],  # far larger than the map
    [30.0, 20.0, 41.0, 29.0],  # wholly outside
    [-12.0, -9.0, -2.0, -3.0],  # wholly outside before the origin
    [7.3, 4.4, 7.3, 4.4],  # a point, taken as one cell wide and high
    [7.3, 4.4, 7.3, 9.0],  # no width
    [7.31, 4.42, 7.58, 4.51],  # smaller than a cell
    [22.0, 12.0, 24.0, 14.0],  # between the last cell's centre and the border
    [9.0, 6.0, 5.0, 3.0],  # corners swapped
]


def roi_align_cases(random):
    for case, channels, size, scale, output_size in [
        ("three_channels", 3, (13, 23), 1 / 4, 7),
        ("eight_channels", 8, (13, 23), 1 / 8, 7),
        ("mask_size", 5, (11, 19), 1 / 16, 14),
        ("twenty_channels", 20, (13, 23), 1 / 32, 7),
        ("one_row", 5, (1, 23), 1 / 32, 7),
    ]:
        features = torch.randn(1, channels, *size, generator=random)
        rois = torch.tensor(AWKWARD_ROIS) / scale
        arguments = {"features": features, "rois": rois, "spatial_scale": scale, "output_size": output_size}
        expected = ops.roi_align(features, [rois], output_size, scale, SAMPLING_RATIO, aligned=False)
        yield case, {**arguments, "expected": expected}


def nms_cases(random):
    boxes = random_boxes(random, 200, 90, 160)
    scores = torch.rand(200, generator=random)
    yield "distinct", nms_case(boxes, scores, 0.5)
    yield "tied_scores", nms_case(boxes, (scores * 8).round() / 8, 0.3)
    yield "all_scores_equal", nms_case(boxes, torch.full((200,), 0.5), 0.7)
    yield "equal_boxes", nms_case(boxes[:5].repeat(4, 1), torch.rand(20, generator=random), 0.5)
    # Overlaps of 1/2, 1/3 and 3/5: a box at the threshold stays.
    side = torch.tensor(
        [[0.0, 0, 12, 10], [4, 0, 16, 10], [0, 20, 12, 30], [6, 20, 18, 30], [0, 40, 12, 50], [3, 40, 15, 50]]
    )
    yield "overlap_of_exactly_one_half", nms_case(side, torch.tensor([0.9, 0.8, 0.7, 0.6, 0.5, 0.4]), 0.5)
    yield "overlap_just_over", nms_case(side, torch.tensor([0.9, 0.8, 0.7, 0.6, 0.5, 0.4]), 0.49)
    # The float32 overlap is compared with the float64 threshold. In float32 0.7 is less than in float64, 0.3 is more.
    for case, cut in (("overlap_of_seven_tenths", 7.0), ("overlap_of_three_tenths", 3.0)):
        nested = torch.tensor([[0.0, 0.0, 10.0, 10.0], [0.0, 0.0, 10.0, cut]])
        yield case, nms_case(nested, torch.tensor([0.9, 0.8]), cut / 10)
    flat = torch.tensor([[5.0, 5, 5, 9], [5, 5, 5, 9], [1, 1, 8, 8], [5, 5, 5, 5]])
    yield "boxes_without_area", nms_case(flat, torch.tensor([0.5, 0.6, 0.7, 0.8]), 0.5)
    yield "none", nms_case(torch.zeros(0, 4), torch.zeros(0), 0.5)


def nms_case(boxes, scores, threshold):
    expected = ops.nms(boxes, scores, threshold)
    return {"boxes": boxes, "scores": scores, "iou_threshold": threshold, "expected": expected}


def batched_nms_cases(random):
    for case, count, groups in [
        ("few", 400, 5),
        ("at_the_switch", 1000, 5),
        ("many", 1001, 5),
        ("many_tied", 1100, 3),
        ("none", 0, 1),
    ]:
        boxes = random_boxes(random, count, 60, 100)
        scores = torch.rand(count, generator=random)
        if case in ("few", "many_tied"):
            scores = (scores * 16).round() / 16
        group = torch.randint(groups, (count,), generator=random)
        yield case, batched_nms_case(boxes, scores, group)
    # Which of these lie above the threshold depends on how the shift of the group rounds the coordinates: with few pairs
    # the shift decides, with many there is none.
    yield "rounded_by_the_shift", close_pairs_case(random, 90)
    yield "not_rounded_above_the_switch", close_pairs_case(random, 510)


def close_pairs_case(random, pairs):
    """Pairs that overlap by a half, give or take a thousandth, each pair a group of its own."""
    first = random_boxes(random, pairs, 800, 1333, smallest=30.0)
    step = (first[:, 2] - first[:, 0]) / 3 * (1 + 2e-3 * (torch.rand(pairs, generator=random) - 0.5))
    second = first + torch.stack([step, step * 0, step, step * 0], dim=1)
    scores = torch.rand(2 * pairs, generator=random)
    return batched_nms_case(torch.cat([first, second]), scores, torch.arange(pairs).repeat(2))


def batched_nms_case(boxes, scores, groups):
    expected = ops.batched_nms(boxes, scores, groups, 0.5)
    return {"boxes": boxes, "scores": scores, "groups": groups, "iou_threshold": 0.5, "expected": expected}


def decode_cases(random):
    boxes = random_boxes(random, 12, 300, 500)
    boxes[3] = torch.tensor([40.0, 30.0, 40.0, 55.0])
    clamp = math.log(1000 / 16)
    for case, weights, classes in [("rpn", (1.0, 1.0, 1.0, 1.0), 1), ("box_head", (10.0, 10.0, 5.0, 5.0), 3)]:
        deltas = torch.randn(12, 4 * classes, generator=random) * torch.tensor(weights).repeat(classes) * 0.5
        # At the clamp, above it and far below.
        deltas[0, 2], deltas[0, 3] = clamp * weights[2], clamp * weights[3] * 1.01
        deltas[1, 2], deltas[1, 3] = 80.0 * weights[2], -80.0 * weights[3]
        expected = BoxCoder(weights).decode(deltas, [boxes])
        yield case, {"deltas": deltas, "boxes": boxes, "weights": list(weights), "expected": expected}


def clip_cases(random):
    boxes = random_boxes(random, 20, 200, 300) * 2 - 120
    yield "all_sides", {"boxes": boxes, "image_size": (97, 151), "expected": ops.clip_boxes_to_image(boxes, (97, 151))}


def remove_small_cases(_):
    boxes = torch.tensor(
        [
            [0.0, 0, 1, 1],
            [2, 2, 2, 9],
            [2, 2, 9, 2],
            [3, 3, 3.001, 9],
            [3, 3, 3.002, 9],
            [5, 5, 4, 9],
            [0, 0, 0.001, 0.001],
            [0, 0, 0.01, 5],
            [8, 8, 8.01, 9],
        ]
    )
    for case, min_size in [("rpn", 1e-3), ("box_head", 1e-2)]:
        yield case, {"boxes": boxes, "min_size": min_size, "expected": ops.remove_small_boxes(boxes, min_size)}


def paste_cases(random):
    y, x = torch.meshgrid(torch.linspace(-1, 1, MASK_SIZE), torch.linspace(-1, 1, MASK_SIZE), indexing="ij")
    slanted = torch.sigmoid(6 * (0.7 - (x - 0.2) ** 2 - 1.7 * (y + 0.1) ** 2 + 0.8 * x * y))
    boxes = torch.tensor([
        [4.0, 3.0, 32.0, 31.0],  # as many pixels as cells
        [5.3, 7.8, 50.6, 21.4],  # sub-pixel, larger
        [10.2, 10.9, 17.1, 15.3],  # smaller
        [-13.4, -6.7, 20.2, 14.9],  # over the corner at the origin
        [40.5, 30.5, 88.0, 70.0],  # over the far corner
        [-20.0, -30.0, 100.0, 80.0],  # larger than the image
        [20.4, 20.6, 20.4, 20.6],  # a point
        [30.0, 8.0, 30.2, 33.0],  # thinner than a pixel
        [0.0, 0.0, 61.0, 43.0],  # the whole image
        [-0.6, -0.4, 8.7, 9.2],  # expanded sides truncate towards 0
        [52.7, 33.1, 60.99, 42.99],
    ])  # fmt: skip
    noise = torch.rand(len(boxes), MASK_SIZE, MASK_SIZE, generator=random)
    masks = (slanted + 0.3 * (noise - 0.5)).clamp(0, 1)
    yield "awkward_boxes", paste_case(masks, boxes, (43, 61))
    yield "tall_image", paste_case(masks[:4], boxes[:4], (70, 25))


def paste_case(masks, boxes, image_size):
    expected = paste_masks_in_image(masks[:, None], boxes, image_size)[:, 0]
    return {"masks": masks, "boxes": boxes, "image_size": image_size, "expected": expected}


def anchors_cases(_):
    v1, compact = [32, 64, 128, 256, 512], [16, 32, 64, 128, 256]
    # Of an odd grid P6 takes every other cell, rounded up, so that its stride is not 64: padded size // cells.
    for case, sizes, padded in [
        ("v1", v1, (96, 160)),
        ("compact", compact, (64, 96)),
        ("single_cell", compact, (32, 32)),
    ]:
        grids = [(padded[0] // stride, padded[1] // stride) for stride in (4, 8, 16, 32)]
        grids.append(((grids[-1][0] + 1) // 2, (grids[-1][1] + 1) // 2))
        ratios = (0.5, 1.0, 2.0)
        generator = AnchorGenerator(tuple((size,) for size in sizes), (ratios,) * len(sizes))
        image = ImageList(torch.zeros(1, 3, *padded), [padded])
        (expected,) = generator(image, [torch.zeros(1, 1, *grid) for grid in grids])
        arguments = {"padded_size": padded, "feature_sizes": grids, "sizes": sizes, "ratios": ratios}
        yield case, {**arguments, "expected": expected}


def level_mapper_cases(random):
    sides = torch.tensor(
        [
            0.0,
            1,
            55.9,
            56,
            56.1,
            111.9,
            111.9999,
            111.99997,  # levels change here, and at 223.99994, only by the epsilon of the mapping
            112,
            112.0001,
            223.99,
            223.99994,
            224,
            224.01,
            447.9,
            447.9999,
            448,
            448.5,
            896,
            2000,
        ]
    )
    squares = torch.stack([sides * 0 + 3, sides * 0 + 5, sides + 3, sides + 5], dim=1)
    slender = torch.stack([sides * 0, sides * 0, sides * 2, sides / 2], dim=1)
    boxes = torch.cat([squares, slender, random_boxes(random, 60, 800, 1333)])
    expected = LevelMapper(2, 5)([boxes])
    yield "p2_to_p5", {"boxes": boxes, "levels": (2, 5), "expected": expected}


def transform_cases(random):
    for case, size, min_size, max_size in [
        ("enlarged", (23, 31), 40, 72),
        ("shrunk", (97, 61), 40, 72),
        ("long_bound_enlarged", (11, 37), 40, 72),
        ("long_bound_shrunk", (33, 131), 40, 72),
        ("unchanged", (32, 64), 32, 64),
        # 97 * (50 / 97) is a little less than 50 in float64, and sizes are rounded down: the side becomes 49.
        ("scale_rounds_below", (97, 121), 50, 72),
    ]:
        image = torch.randint(256, (*size, 3), generator=random, dtype=torch.uint8)
        transform = GeneralizedRCNNTransform(min_size, max_size, IMAGE_MEAN, IMAGE_STD).eval()
        images, _ = transform([image.permute(2, 0, 1).float() / 255])
        arguments = {"image": image, "min_size": min_size, "max_size": max_size}
        yield case, {**arguments, "expected": images.tensors, "expected_size": images.image_sizes[0]}


def resize_boxes_cases(random):
    boxes = random_boxes(random, 20, 800, 1067)
    sizes = (800, 1067), (121, 161)
    arguments = {"boxes": boxes, "from_size": sizes[0], "to_size": sizes[1]}
    yield "to_the_original", {**arguments, "expected": resize_boxes(boxes, *sizes)}


def topk_cases(random):
    for case, count, k, steps in [
        ("distinct", 500, 40, None),
        ("tied", 500, 40, 20),
        ("tied_at_the_cut", 3000, 600, 50),
        ("most_taken", 1200, 1000, 60),
        ("all_equal", 100, 10, 1),
        ("all_taken", 30, 30, 7),
    ]:
        values = torch.rand(count, generator=random)
        values = values if steps is None else (values * steps).floor() / steps
        expected_values, expected = values[None].topk(k, dim=1)
        yield case, {"values": values, "k": k, "expected": expected[0], "expected_values": expected_values[0]}


if __name__ == "__main__":
    main()
