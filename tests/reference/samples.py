"""A few elements of a large array, for a small fixture."""

import zlib

import numpy as np


def sample(name, values, size):
    """Shape, flat indices and values of up to `size` elements of an array and of its corners."""
    corners = np.ravel_multi_index(np.array(list(np.ndindex((2,) * values.ndim))).T * last(values), values.shape)
    random = np.random.default_rng(zlib.crc32(name.encode()))
    drawn = random.choice(values.size, min(size, values.size), replace=False)
    index = np.unique(np.concatenate([corners, drawn])).astype(np.int64)
    shape = np.array(values.shape, np.int64)
    return {f"{name}.shape": shape, f"{name}.index": index, f"{name}.value": values.reshape(-1)[index]}


def last(values):
    """The greatest index along each axis, as a column."""
    return np.array(values.shape)[:, None] - 1
