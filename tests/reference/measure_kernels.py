"""Whether oneDNN's kernels give the same bits for every size of the caches and every number of threads: the ground for
`--deterministic`. To be run again with every new libtorch; takes half an hour.

oneDNN cuts long sums by what it reads of the processor. Machines with other caches being out of reach, this overwrites
the sizes in its memory, in a fresh process for each pair of sizes, before the first kernel is chosen. Each convolution
of both networks (a 640x480 photo; fully connected layers are 1x1 convolutions) is then computed with several numbers of
threads. The kernels for AVX-512, of which is known that they differ, show that the overwriting has an effect.

Exit status 1 when a shape has several results with the kernels for AVX2.
"""

import collections
import ctypes
import hashlib
import os
import pathlib
import re
import struct
import subprocess
import sys

import torch

KIB = 1024
# First and second level, in KiB: Haswell and Skylake; Zen 1 to 3; Skylake servers; Zen 5; Sapphire Rapids.
CACHES = [(32, 256), (32, 512), (32, 1024), (48, 1024), (48, 2048)]
INSTRUCTION_SETS = ["AVX2", "AVX512_CORE"]
THREADS = (1, 2, 3, 4, 16)

# batch, input and output channels, kernel, stride, height, width, groups
Shape = collections.namedtuple("Shape", "n input output kernel stride height width groups")
# EfficientNet-Lite0: expansion, kernel, channels, blocks, stride
STAGES = [(1, 3, 16, 1, 1), (6, 3, 24, 2, 2), (6, 5, 40, 2, 2), (6, 3, 80, 3, 2), (6, 5, 112, 3, 1), (6, 5, 192, 4, 2),
          (6, 3, 320, 1, 1)]


def main():
    if len(sys.argv) > 1:
        print_digests(*map(int, sys.argv[1:]))
        return
    several = {}
    for instruction_set in INSTRUCTION_SETS:
        results = collections.defaultdict(set)
        for first, second in CACHES:
            environment = dict(os.environ, ONEDNN_MAX_CPU_ISA=instruction_set)
            lines = subprocess.run([sys.executable, __file__, str(first), str(second)], env=environment, check=True,
                                   stdout=subprocess.PIPE, text=True).stdout.splitlines()
            for line in lines:
                shape, digests = line.split("\t")
                results[shape].update(digests.split())
        several[instruction_set] = [shape for shape, digests in results.items() if len(digests) > 1]
        print(f"{instruction_set}: {len(results)} shapes, {len(several[instruction_set])} with several results")
        for shape in several[instruction_set]:
            print(f"  {shape}: {len(results[shape])}")
    sys.exit(1 if several["AVX2"] else 0)


def print_digests(first, second):
    """A line for each shape: the digests of its result by each number of threads, with these sizes of the caches."""
    convolve(Shape(1, 8, 8, 3, 1, 9, 9, 1), channels_last=False)  # makes oneDNN read the processor, not the caches
    overwrite_caches(first * KIB, second * KIB)
    for shape in dict.fromkeys(compact() + v1()):
        digests = []
        for threads in THREADS:
            torch.set_num_threads(threads)
            digests.append(hashlib.sha256(convolve(shape).contiguous().numpy().tobytes()).hexdigest())
        print(" ".join(map(str, shape)), " ".join(digests), sep="\t")


def overwrite_caches(first, second):
    """Overwrites the sizes of the two caches wherever this process holds them side by side."""
    size = lambda index: int(pathlib.Path(f"/sys/devices/system/cpu/cpu0/cache/index{index}/size").read_text()[:-2]) * KIB
    pattern = re.escape(struct.pack("<II", size(0), size(2)))  # 1 is the instructions'
    found = 0
    for line in pathlib.Path("/proc/self/maps").read_text().splitlines():
        span, access = line.split()[:2]
        start, end = (int(address, 16) for address in span.split("-"))
        if access.startswith("rw") and end - start < 1 << 31 and "[" not in line:
            for match in re.finditer(pattern, ctypes.string_at(start, end - start)):
                ctypes.memmove(start + match.start(), struct.pack("<II", first, second), 8)
                found += 1
    if not found:
        sys.exit("the sizes of the caches were not found in memory")


def convolve(shape, channels_last=True):
    """oneDNN's convolution of random values, [N, H, W, O] in memory."""
    random = torch.Generator().manual_seed(1)
    tensor = lambda *sides: torch.randn(sides, generator=random)
    image = tensor(shape.n, shape.height, shape.width, shape.input).permute(0, 3, 1, 2)
    weight = tensor(shape.output, shape.kernel, shape.kernel, shape.input // shape.groups).permute(0, 3, 1, 2)
    if not channels_last:
        image, weight = image.contiguous(), weight.contiguous()
    half, stride = shape.kernel // 2, shape.stride
    result = torch.ops.aten.mkldnn_convolution(image, weight, tensor(shape.output), [half] * 2, [stride] * 2, [1, 1],
                                               shape.groups)
    return result.permute(0, 2, 3, 1)


def heads(levels, channels, hidden, classes, proposals):
    """The RPN on the pyramid's levels (height, width), and both heads."""
    shapes = []
    for height, width in levels:
        shapes += [Shape(1, channels, channels, 3, 1, height, width, 1)]
        shapes += [Shape(1, channels, anchors, 1, 1, height, width, 1) for anchors in (3, 12)]
    for found in (1, 5, 37):
        shapes += [Shape(found, channels, channels, 3, 1, 14, 14, 1), Shape(found, channels, 4 * channels, 1, 1, 14, 14, 1)]
        shapes += [Shape(found, channels, classes, 1, 1, 28, 28, 1)]
    for inputs, outputs in ((49 * channels, hidden), (hidden, hidden), (hidden, classes), (hidden, 4 * classes)):
        shapes += [Shape(1, inputs, outputs, 1, 1, 1, rows, 1) for rows in proposals]
    return shapes


def compact():
    height, width = 352, 480
    shapes = [Shape(1, 3, 32, 3, 2, height, width, 1)]
    channels, rows, columns = 32, height // 2, width // 2
    for expansion, kernel, output, blocks, first_stride in STAGES:
        for block in range(blocks):
            stride, expanded = first_stride if block == 0 else 1, channels * expansion
            if expansion > 1:
                shapes.append(Shape(1, channels, expanded, 1, 1, rows, columns, 1))
            shapes.append(Shape(1, expanded, expanded, kernel, stride, rows, columns, expanded))
            rows, columns = -(-rows // stride), -(-columns // stride)
            shapes.append(Shape(1, expanded, output, 1, 1, rows, columns, 1))
            channels = output
    levels = [(height // stride, width // stride) for stride in (4, 8, 16, 32)]
    shapes += [Shape(1, c, 96, 1, 1, *level, 1) for c, level in zip((24, 40, 112, 320), levels)]
    return shapes + heads(levels + [(6, 8)], 96, 512, 21, [300])


def v1():
    levels = [(200, 272), (100, 136), (50, 68), (25, 34)]
    shapes = [Shape(1, 3, 64, 7, 2, 800, 1088, 1), Shape(1, 64, 256, 1, 1, *levels[0], 1)]
    for index, level in enumerate(levels):
        width = 64 << index
        shapes += [Shape(1, 4 * width, width, 1, 1, *level, 1), Shape(1, width, width, 3, 1, *level, 1)]
        shapes += [Shape(1, width, 4 * width, 1, 1, *level, 1), Shape(1, 4 * width, 256, 1, 1, *level, 1)]
        if index:
            above = levels[index - 1]
            shapes += [Shape(1, 2 * width, width, 1, 1, *above, 1), Shape(1, width, width, 3, 2, *above, 1)]
            shapes += [Shape(1, 2 * width, 4 * width, 1, 2, *above, 1)]
    return shapes + heads(levels + [(13, 17)], 256, 1024, 91, [300, 1000])


if __name__ == "__main__":
    main()
