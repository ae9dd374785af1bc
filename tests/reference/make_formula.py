"""Checksums of the formula's tensors, by which the Rust form of the formula is held to the Python one.

Writes `tests/fixtures/parity/formula.tsv`, a line for each tensor of torchvision's `maskrcnn_resnet50_fpn`: its name,
its shape, and the sum over the elements of (index + 1) times the element's bits, modulo 2^64, in hexadecimal.
"""

import numpy as np

import formula
import networks
from fixtures import Writer


def main():
    writer = Writer.from_arguments(__doc__.splitlines()[0])
    shapes = {name: tuple(tensor.shape) for name, tensor in networks.build_v1().state_dict().items()}
    lines = (f"{name}\t{','.join(map(str, shape))}\t{checksum(name, shape):016x}\n" for name, shape in shapes.items())
    writer.text("parity/formula.tsv", "".join(lines))
    writer.exit()


def checksum(name, shape):
    """A sum in which each bit and each place of the tensor counts."""
    bits = formula.fill(name, shape).reshape(-1).view(np.uint32).astype(np.uint64)
    return int((bits * np.arange(1, bits.size + 1, dtype=np.uint64)).sum(dtype=np.uint64))


if __name__ == "__main__":
    main()
