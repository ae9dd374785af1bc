"""What Matterport's Mask R-CNN computes for one image, stage by stage, by outputs of its own graph."""

import numpy as np
from tensorflow import keras

from matterport_networks import modellib

LEVELS = ["p2", "p3", "p4", "p5", "p6"]


def run(model, pixels):
    """Runs `model` on a [H, W, 3] uint8 array; returns a dict of the stages' arrays, as torchvision would have them.

    Channels come first, boxes are x1, y1, x2, y2 in Matterport's normalised coordinates, deltas dx, dy, dw, dh, and
    those of the RPN already times their standard deviations. `objectness` is the logit of the foreground less that of
    the background. `boxes` are in the image's own pixels.
    """
    molded, metas, windows = model.mold_inputs([pixels])
    anchors = model.get_anchors(molded[0].shape)[None]
    names = {f"c{i + 2}": layer for i, layer in enumerate(last_blocks(model))}
    names |= {level: f"fpn_{level}" for level in LEVELS}
    names |= {
        "rpn_class": "rpn_class",
        "rpn_bbox": "rpn_bbox",
        "proposals": "ROI",
        "box_pool": "roi_align_classifier",
        "class_logits": "mrcnn_class_logits",
        "box_regression": "mrcnn_bbox",
        "detections": "mrcnn_detection",
        "mask_pool": "roi_align_mask",
        "masks": "mrcnn_mask",
    }
    outputs = [model.keras_model.get_layer(layer).output for layer in names.values()]
    # The logits of the RPN, which the graph of inference leaves out.
    rpn = model.keras_model.get_layer("rpn_model")
    first = len(rpn._inbound_nodes) - len(LEVELS)
    outputs += [rpn.get_output_at(first + index)[0] for index in range(len(LEVELS))]
    function = keras.backend.function(model.keras_model.inputs, outputs)
    values = [values[0] for values in function([molded, metas, anchors])]
    found = dict(zip(names, values))
    found["rpn_class_logits"] = np.concatenate(values[len(names) :])

    stages = {"input": chw(molded[0].astype(np.float32)), "window": windows[0], "anchors": xyxy(anchors[0])}
    for name in [f"c{i}" for i in range(2, 6)] + LEVELS:
        stages[name] = chw(found[name])
    logits = found["rpn_class_logits"]
    objectness = logits[:, 1] - logits[:, 0]
    deltas = xyxy(found["rpn_bbox"] * model.config.RPN_BBOX_STD_DEV.astype(np.float32))
    start = 0
    ratios = len(model.config.RPN_ANCHOR_RATIOS)
    for level in LEVELS:
        height, width = found[level].shape[:2]
        end = start + height * width * ratios
        stages[f"objectness.{level}"] = chw(objectness[start:end].reshape(height, width, ratios))
        stages[f"deltas.{level}"] = chw(deltas[start:end].reshape(height, width, 4 * ratios))
        stages[f"anchors.{level}"] = stages["anchors"][start:end]
        start = end
    stages["rpn_class"] = found["rpn_class"]
    stages["proposals"] = xyxy(found["proposals"])
    stages["box_pool"] = found["box_pool"].transpose(0, 3, 1, 2)
    stages["class_logits"] = found["class_logits"]
    stages["box_regression"] = xyxy(found["box_regression"]).reshape(len(found["proposals"]), -1)

    detections = found["detections"]
    rois, labels, scores, masks = model.unmold_detections(
        detections, found["masks"], pixels.shape, molded[0].shape, windows[0]
    )
    # Those that have an area in the image; Matterport drops the others last of all.
    kept = kept_by_unmolding(model, detections, pixels.shape, molded[0].shape, windows[0])
    assert len(kept) == len(rois) and np.array_equal(detections[kept, 5], scores)
    stages["boxes_normalised"] = xyxy(detections[kept, :4])
    stages["unrounded"] = unrounded(stages["boxes_normalised"], pixels.shape, molded[0].shape, windows[0])
    stages["boxes"] = xyxy(rois).astype(np.float32)
    stages["scores"] = scores
    stages["labels"] = labels.astype(np.int64)
    stages["mask_pool"] = found["mask_pool"][kept].transpose(0, 3, 1, 2)
    stages["mask_probabilities"] = found["masks"][kept, :, :, labels]
    stages["masks"] = masks.transpose(2, 0, 1).astype(bool)
    return stages


def last_blocks(model):
    """The layers that end the backbone's four stages."""
    deepest = "w" if model.config.BACKBONE == "resnet101" else "f"
    return ["res2c_out", "res3d_out", f"res4{deepest}_out", "res5c_out"]


def chw(values):
    """[H, W, C] to [C, H, W]."""
    return np.ascontiguousarray(values.transpose(2, 0, 1))


def xyxy(values):
    """y before x in the last axis to x before y."""
    return np.ascontiguousarray(values[..., [1, 0, 3, 2]])


def kept_by_unmolding(model, detections, image_shape, square_shape, window):
    """Which detections `unmold_detections` keeps: it is given each alone, with a mask of zeros."""
    kept = []
    for index, detection in enumerate(detections):
        if detection[4] > 0:
            mask = np.zeros((1, 2, 2, model.config.NUM_CLASSES), np.float32)
            rois, *_ = model.unmold_detections(detection[None], mask, image_shape, square_shape, window)
            if len(rois):
                kept.append(index)
    return np.array(kept, np.int64)


def unrounded(boxes, image_shape, square_shape, window):
    """The edges in the image's pixels before they are rounded, in float64."""
    y1, x1, y2, x2 = (float(edge) for edge in window)
    height, width = square_shape[0] - 1, square_shape[1] - 1
    shift = np.array([x1 / width, y1 / height] * 2)
    scale = np.array([(x2 - 1 - x1) / width, (y2 - 1 - y1) / height] * 2)
    sides = np.array([image_shape[1] - 1, image_shape[0] - 1] * 2)
    return (boxes.astype(np.float64) - shift) / scale * sides + [0, 0, 1, 1]
