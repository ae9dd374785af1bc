"""What a torchvision Mask R-CNN computes for one image, stage by stage, seen by hooks on its own modules."""

import contextlib

import torch

LEVELS = ["p2", "p3", "p4", "p5", "p6"]


def run(model, pixels, dtype=torch.float32):
    """Runs `model` on a [H, W, 3] uint8 array; returns a dict of the stages' tensors, without the batch axis.

    - `input` [3, H', W'], normalised, resized and padded; `image_size` (height, width) before padding
    - `c2`..`c5`, `p2`..`p6` [C, h, w]
    - `objectness.p2`.. [3, h, w], `deltas.p2`.. [12, h, w], `anchors.p2`.. [h * w * 3, 4]
    - `proposals` [R, 4], `proposal_scores` [R]: what `filter_proposals` returns
    - `box_pool` [R, C, 7, 7], `box_levels` [R] (0 is P2), `class_logits` [R, K], `box_regression` [R, 4 * K]
    - `boxes_resized` [N, 4], in the resized image; `boxes` [N, 4], in the image's own pixels; `scores`, `labels` [N]
    - `mask_pool` [N, C, 14, 14], `mask_levels` [N], `mask_logits` [N, K, 28, 28]
    - `mask_probabilities` [N, 28, 28], of each detection's own class; `pasted` [N, H, W], the same in the image's own
      pixels; `masks` [N, H, W] boolean
    """
    forget_pooling_scales(model)
    stages = {}
    image = torch.from_numpy(pixels).permute(2, 0, 1).to(dtype) / 255
    with torch.inference_mode(), observed(model, stages):
        (output,) = model([image])
    stages["boxes"] = output["boxes"]
    stages["pasted"] = output["masks"][:, 0]
    stages["masks"] = stages["pasted"] > 0.5
    return stages


def forget_pooling_scales(model):
    """Undoes MultiScaleRoIAlign's memory of the scales it inferred from the first image it saw."""
    for pool in (model.roi_heads.box_roi_pool, model.roi_heads.mask_roi_pool):
        pool.scales = None
        pool.map_levels = None


@contextlib.contextmanager
def observed(model, stages):
    """While this context lasts, `model` copies the results of its stages into the dict `stages`."""
    with contextlib.ExitStack() as stack:

        def watch(module, observe):
            """Calls `observe(inputs, output)` after each forward pass of `module`."""
            handle = module.register_forward_hook(lambda _, inputs, output: observe(inputs, output))
            stack.callback(handle.remove)

        def watch_method(owner, name, observe):
            """Calls `observe(output)` after each call of `owner.name`."""
            method = getattr(owner, name)

            def observing(*arguments):
                output = method(*arguments)
                observe(output)
                return output

            setattr(owner, name, observing)
            stack.callback(delattr, owner, name)

        def keep(name, tensor):
            stages[name] = tensor.clone()

        def keep_input(_, output):
            images, _ = output
            keep("input", images.tensors[0])
            stages["image_size"] = torch.tensor(images.image_sizes[0])

        def keep_features(names):
            def observe(_, features):
                for name, feature in zip(names, features.values(), strict=True):
                    keep(name, feature[0])

            return observe

        def keep_rpn_head(_, output):
            for level, objectness, deltas in zip(LEVELS, *output, strict=True):
                keep(f"objectness.{level}", objectness[0])
                keep(f"deltas.{level}", deltas[0])

        def keep_anchors(_, output):
            counts = [stages[f"objectness.{level}"].numel() for level in LEVELS]
            for level, anchors in zip(LEVELS, output[0].split(counts), strict=True):
                keep(f"anchors.{level}", anchors)

        def keep_proposals(output):
            (proposals,), (scores,) = output
            keep("proposals", proposals)
            keep("proposal_scores", scores)

        def keep_pooled(kind, pool):
            def observe(inputs, output):
                _, rois, _ = inputs
                keep(f"{kind}_pool", output)
                keep(f"{kind}_levels", pool.map_levels(rois))

            return observe

        def keep_box_predictor(_, output):
            class_logits, box_regression = output
            keep("class_logits", class_logits)
            keep("box_regression", box_regression)

        def keep_detections(output):
            for name, (tensor,) in zip(("boxes_resized", "scores", "labels"), output, strict=True):
                keep(name, tensor)

        def keep_mask_probabilities(_, output):
            (result,), _ = output
            keep("mask_probabilities", result["masks"][:, 0])

        heads = model.roi_heads
        watch(model.transform, keep_input)
        watch(model.backbone.body, keep_features(["c2", "c3", "c4", "c5"]))
        watch(model.backbone, keep_features(LEVELS))
        watch(model.rpn.head, keep_rpn_head)
        watch(model.rpn.anchor_generator, keep_anchors)
        watch_method(model.rpn, "filter_proposals", keep_proposals)
        watch(heads.box_roi_pool, keep_pooled("box", heads.box_roi_pool))
        watch(heads.box_predictor, keep_box_predictor)
        watch_method(heads, "postprocess_detections", keep_detections)
        watch(heads.mask_roi_pool, keep_pooled("mask", heads.mask_roi_pool))
        watch(heads.mask_predictor, lambda _, logits: keep("mask_logits", logits))
        watch(heads, keep_mask_probabilities)
        yield
