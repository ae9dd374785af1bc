#!/usr/bin/env python3
"""Writes tests/fixtures/checkpoints/arrays-*.pkl: NumPy arrays as NumPy itself pickles them, and what is in them.

    make_pickles.py             # in an environment with NumPy and safetensors, by hand; once with each NumPy

Files are called by NumPy's major version and the pickle's protocol, for the modules' names changed with NumPy 2 (1.26.4
and 2.4.6 wrote the committed ones) and the way of writing with each protocol. The form is that of detectron2's model
zoo: arrays under `model`, beside a text. Their values, as fp32 and row-major, are in `arrays.safetensors`. Those below
`refused/` have arrays of what is no number. Seeded: a second run writes the same.
"""

import pathlib
import pickle

import numpy as np
from safetensors.numpy import save_file

FOLDER = pathlib.Path(__file__).resolve().parent.parent / "fixtures" / "checkpoints"


def arrays():
    random = np.random.default_rng(9)
    values = random.standard_normal((3, 4, 5))
    images = random.standard_normal((2, 3, 4, 5)).astype(np.float32)
    return {
        "float64": values,
        "float32": values.astype(np.float32),
        "float16": values.astype(np.float16),
        "big_endian": values.astype(">f4"),
        "big_endian_double": np.asfortranarray(values.astype(">f8")),
        "fortran": np.asfortranarray(images),
        "transposed": images.transpose(0, 2, 3, 1),
        "turned": images.transpose(1, 3, 0, 2),
        "slice": images[:, 1:, ::2, 1::3],
        "reversed": images[0, 0, ::-1],
        "scalar": np.array(-2.5, np.float32),
        "empty": np.zeros((0, 4), np.float32),
        "all_bytes": np.frombuffer(bytes(range(256)) * 2, np.float16)[np.r_[0:30, 33:62, 130:150]],
        "infinite": np.array([np.inf, -np.inf, -0.0], np.float32),
        "counter": np.array(7),
        "bytes": np.arange(256, dtype=np.uint8),
        "flags": np.array([True, False, True]),
        "u16": np.array([[1, 65535]], np.uint16),
        "wide": np.array([1, -(2**40)], ">i8"),
    }


def refused():
    return {
        "objects": np.array(["a", None, 1.5], object),
        "records": np.zeros(2, [("x", "f4"), ("y", "i4")]),
        "complex_numbers": np.ones((2, 2), np.complex64),
        "texts": np.array(["weight", "bias"]),
        "times": np.array(["2020-01-01"], "M8[D]"),
    }


def main():
    version = np.__version__.split(".")[0]
    for protocol in range(2, 6):
        content = {"model": arrays(), "__author__": "formula", "score": np.float64(0.5), "matching_heuristics": True}
        write(FOLDER / f"arrays-numpy{version}-protocol{protocol}.pkl", content, protocol)
    for name, array in refused().items():
        write(FOLDER / "refused" / f"{name}.pkl", {"model": {"weight": np.ones((2, 3), np.float32), name: array}}, 4)
    plain = {}
    for name, array in arrays().items():
        array = array.astype(np.float32) if array.dtype.kind == "f" else array.astype(array.dtype.newbyteorder("="))
        plain[name] = np.ascontiguousarray(array).reshape(array.shape)
    save_file(plain, FOLDER / "arrays.safetensors", metadata={"name": "arrays"})


def write(path, content, protocol):
    with open(path, "wb") as file:
        pickle.dump(content, file, protocol)


if __name__ == "__main__":
    main()
