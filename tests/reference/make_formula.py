"""Checksums of the formula's tensors, by which the Rust form of the formula is held to the Python one.

Writes `tests/fixtures/parity/formula.tsv` for torchvision's `maskrcnn_resnet50_fpn`, and `{network}.tsv` for each of its
relatives: a line for each tensor with its name, its shape, and the sum over the elements of (index + 1) times the
element's bits, modulo 2^64, in hexadecimal. Counters of batches have no sides, and are 0.
"""

import numpy as np

import networks
from fixtures import Writer


def main():
    writer = Writer.from_arguments(__doc__.splitlines()[0])
    for network, file in [("v1", "formula"), *((name, name) for name in networks.RELATIVES)]:
        tensors = networks.build(network).state_dict()
        writer.text(f"parity/{file}.tsv", "".join(line(name, tensor.numpy()) for name, tensor in tensors.items()))
    writer.exit()


def line(name, values):
    """Name, shape and checksum of a tensor."""
    return f"{name}\t{','.join(map(str, values.shape))}\t{checksum(values):016x}\n"


def checksum(values):
    """A sum in which each bit and each place of the tensor counts."""
    bits = values.reshape(-1).astype(np.float32).view(np.uint32).astype(np.uint64)
    return int((bits * np.arange(1, bits.size + 1, dtype=np.uint64)).sum(dtype=np.uint64))


if __name__ == "__main__":
    main()
