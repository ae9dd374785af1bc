"""How far rounding alone moves each stage: the ground for the tolerances of the parity tests.

Runs the networks of `make_parity.py` on its pictures in other ways that are as right: in float64, with two threads,
without oneDNN, and with the norms folded into the convolutions and channels last, as the program does it. For each
stage it prints the largest absolute difference to the fixtures' own way, and that as a share of the stage's root mean
square. Proposals and detections are compared pairwise, in order, as far as the lists agree.
"""

import contextlib
import copy
import itertools
import sys

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_weights
from torchvision.ops.misc import FrozenBatchNorm2d

import make_parity
import networks
import stages

# Two proposals are the same when no side differs by more (resized pixels).
SAME_BOX = 0.1


def main():
    torch.set_num_threads(make_parity.THREADS)
    for network in sys.argv[1:] or list(make_parity.PICTURES):
        model = networks.build(network)
        for number, (photo, width, height) in enumerate(make_parity.PICTURES[network], 1):
            pixels = make_parity.picture(photo, width, height)
            expected = stages.run(model, pixels)
            print(f"\n{network}-{number}: {describe(expected)}")
            for way, found in other_ways(model, pixels):
                print(f" {way}")
                report(expected, found)
                sys.stdout.flush()


def other_ways(model, pixels):
    """(name, stages) of every other way to compute the same."""
    yield "float64", stages.run(copy.deepcopy(model).double(), pixels, torch.float64)
    with threads(2):
        yield "two threads", stages.run(model, pixels)
    with torch.backends.mkldnn.flags(enabled=False):
        yield "without oneDNN", stages.run(model, pixels)
    with threads(2):
        yield "folded, channels last, two threads", stages.run(folded(model), pixels)


@contextlib.contextmanager
def threads(count):
    """With this many threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    yield
    torch.set_num_threads(before)


def folded(model):
    """A copy in channels-last order with every batch norm folded into the convolution before it."""
    model = copy.deepcopy(model)
    for owner in list(model.modules()):
        children = list(owner.named_children())
        for (_, convolution), (name, norm) in itertools.pairwise(children):
            if isinstance(norm, (FrozenBatchNorm2d, nn.BatchNorm2d)):
                fold(convolution, norm)
                setattr(owner, name, nn.Identity())
    return model.to(memory_format=torch.channels_last)


def fold(convolution, norm):
    """Makes a convolution compute what it and the norm after it did."""
    convolution.weight, convolution.bias = fuse_conv_bn_weights(
        convolution.weight, None, norm.running_mean, norm.running_var, norm.eps, norm.weight, norm.bias
    )


def describe(found):
    """The detections of one image in a line."""
    scores, labels = found["scores"], found["labels"]
    gap = (scores[:-1] - scores[1:]).min() if len(scores) > 1 else float("nan")
    on = found["mask_probabilities"].gt(0.5).float().mean(dim=(1, 2))
    levels = found["box_levels"].bincount(minlength=4).tolist()
    return (
        f"input {tuple(found['input'].shape)}, {len(found['proposals'])} proposals (levels {levels}), "
        f"{len(scores)} detections of {len(labels.unique())} classes, scores {scores[-1]:.3f} to {scores[0]:.3f} "
        f"({int((scores > 0.5).sum())} above 0.5), smallest gap {gap:.2g}, "
        f"share of mask on {on.min():.2f} to {on.max():.2f}"
    )


def report(expected, found):
    """Prints how far each stage moved."""
    names = ["input", "c2", "c3", "c4", "c5", *stages.LEVELS]
    names += [f"{kind}.{level}" for kind in ("objectness", "deltas", "anchors") for level in stages.LEVELS]
    for name in names:
        report_moved(name, expected[name], found[name])
    report_proposals(expected, found)
    report_detections(expected, found)


def report_proposals(expected, found):
    """Prints how far the proposals moved, and what the box head says of those that both lists have."""
    distance = (expected["proposals"][:, None] - found["proposals"].to(torch.float32)[None]).abs().amax(dim=2)
    nearest, partner = distance.min(dim=1)
    same = nearest < SAME_BOX
    in_order = int((partner == torch.arange(len(partner)))[same].sum())
    print(f"  proposals: {int(same.sum())} of {len(same)} found again, {in_order} at the same place in the list")
    for name in ("proposals", "proposal_scores", "class_logits", "box_regression"):
        report_moved(name, expected[name][same], found[name][partner[same]])


def report_detections(expected, found):
    """Prints how far the detections moved, if they are the same."""
    if expected["labels"].tolist() != found["labels"].tolist():
        print("  DETECTIONS DIFFER")
        return
    for name in ("boxes_resized", "boxes", "scores", "mask_logits", "mask_probabilities"):
        report_moved(name, expected[name], found[name])
    both, either = (
        mask.sum(dim=(1, 2)) for mask in (expected["masks"] & found["masks"], expected["masks"] | found["masks"])
    )
    changed = int((either - both).sum())
    filled = either > 0
    overlap = (both[filled] / either[filled]).min()
    print(f"  masks: {changed} pixels changed, least overlap {overlap:.5f}, {int((~filled).sum())} empty")


def report_moved(name, expected, found):
    """Prints the largest difference of a stage."""
    moved = (expected.double() - found.double()).abs().max()
    rms = expected.double().square().mean().sqrt()
    print(f"  {name:20} {moved:9.2e}   {moved / rms:9.2e} of the rms {rms:.3g}")


if __name__ == "__main__":
    main()
