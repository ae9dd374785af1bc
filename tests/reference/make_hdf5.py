#!/usr/bin/env python3
"""Writes tests/fixtures/hdf5: small models' weights as Keras and h5py write them.

Usage, with Python 3.11 in an environment of hdf5-requirements.txt:

    python3.11 -m venv .venv-hdf5 && .venv-hdf5/bin/pip install -r tests/reference/hdf5-requirements.txt
    .venv-hdf5/bin/python tests/reference/make_hdf5.py

`keras_*.h5` are of Keras itself, by `save_weights` and `save`, of a model that is nested as Matterport's is. The others
are of h5py, laid out as `save_weights` lays them out, in each way that HDF5 has of storing groups, attributes and
datasets. Beside each NAME.h5 is NAME.safetensors with every weight as h5py reads it, under its name in `weight_names`.
`refused/` has files that must not be read, and `many_names.h5` more names than an attribute holds. Keras numbers what
it names and adds random state, so a second run may write other bytes of those files.
"""

import os
import pathlib
import shutil

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import h5py
import numpy
import tensorflow as tf
from safetensors.numpy import save_file
from tensorflow import keras

FOLDER = pathlib.Path(__file__).resolve().parent.parent / "fixtures" / "hdf5"
REFUSED = FOLDER / "refused"

random = numpy.random.default_rng(9)


def array(*shape, dtype="<f4"):
    """Numbers that float16 holds."""
    return (random.integers(-64, 64, shape) / 8).astype(dtype)


# The weights of most files: a layer, the name of a weight, its value.
WEIGHTS = {
    "conv1": {"conv1/kernel:0": array(3, 3, 2, 4), "conv1/bias:0": array(4)},
    "bn_conv1": {"bn_conv1/gamma:0": array(4), "bn_conv1/moving_mean:0": array(4)},
    "activation_1": {},
    "rpn_model": {
        "rpn_conv_shared/kernel:0": array(3, 3, 4, 5),
        "rpn_class_raw/kernel:0": array(1, 1, 5, 6),
    },
}


def text(names):
    """A list of names as Keras 2 writes it: fixed-length bytes; of none, float64 without elements."""
    return numpy.array([name.encode() for name in names]) if names else []


def lay_out(group, weights=WEIGHTS, names=text, **options):
    """Lays weights out below a group, as `save_weights_to_hdf5_group` of Keras does."""
    group.attrs["layer_names"] = names(list(weights))
    group.attrs["backend"] = b"tensorflow"
    group.attrs["keras_version"] = b"2.15.0"
    for layer, values in weights.items():
        below = group.create_group(layer, track_order=options.pop("track_order", None))
        below.attrs["weight_names"] = names(list(values))
        for name, value in values.items():
            below.create_dataset(name, data=value, **options)


def write(name, weights=WEIGHTS, file_options=None, **options):
    with h5py.File(FOLDER / f"{name}.h5", "w", **(file_options or {})) as file:
        lay_out(file, weights, **options)
    expect(name)


def names_of(group, list_name):
    """`load_attributes_from_hdf5_group` of Keras."""
    if list_name in group.attrs:
        found = group.attrs[list_name]
    else:
        found, number = [], 0
        while f"{list_name}{number}" in group.attrs:
            found.extend(group.attrs[f"{list_name}{number}"])
            number += 1
    return [name.decode() if isinstance(name, bytes) else str(name) for name in found]


def expect(name, below=None):
    """Writes what h5py reads."""
    tensors = {}
    with h5py.File(FOLDER / f"{name}.h5", "r") as file:
        group = file[below] if below else file
        for layer in names_of(group, "layer_names"):
            for weight in names_of(group[layer], "weight_names"):
                value = group[layer][weight][()]
                called = weight if "/" in weight else f"{layer}/{weight}"
                assert called not in tensors, called
                tensors[called] = numpy.array(value.astype(value.dtype.newbyteorder("=")), order="C")
    save_file(tensors, FOLDER / f"{name}.safetensors")


class Anchors(keras.layers.Layer):
    """A variable of no name of its own, as Matterport's training mode has one."""

    def __init__(self, **options):
        super().__init__(**options)
        self.anchors = tf.Variable(array(1, 3, 4), trainable=False)

    def call(self, inputs):
        return inputs + 0 * tf.reduce_sum(self.anchors)


def model():
    """Of the parts that Matterport's network has: a nested model, layers by time, norms, a variable."""
    layers = keras.layers
    inner = keras.Input((None, None, 4), name="input_rpn_feature_map")
    shared = layers.Conv2D(5, 3, padding="same", name="rpn_conv_shared")(inner)
    raw = layers.Conv2D(6, 1, name="rpn_class_raw")(shared)
    deltas = layers.Conv2D(4, 1, name="rpn_bbox_pred")(shared)
    rpn = keras.Model(inner, [raw, deltas], name="rpn_model")

    image = keras.Input((8, 8, 3), name="input_image")
    x = layers.ZeroPadding2D(3)(image)
    x = layers.Conv2D(4, 7, strides=2, name="conv1")(x)
    x = layers.BatchNormalization(name="bn_conv1")(x, training=False)
    x = Anchors(name="anchors")(x)
    logits, boxes = rpn(x)
    heads = layers.Reshape((1, 4, 4, 4), name="roi")(x)
    heads = layers.TimeDistributed(layers.Conv2D(2, 1), name="mrcnn_mask_conv1")(heads)
    heads = layers.TimeDistributed(layers.BatchNormalization(), name="mrcnn_mask_bn1")(heads)
    heads = layers.TimeDistributed(layers.Flatten(), name="flatten")(heads)
    heads = layers.TimeDistributed(layers.Dense(3), name="mrcnn_class_logits")(heads)
    return keras.Model(image, [logits, boxes, heads], name="mask_rcnn")


def keras_files():
    keras.utils.set_random_seed(9)
    network = model()
    network.save_weights(FOLDER / "keras_save_weights.h5")
    expect("keras_save_weights")
    network.compile("adam", loss="mse")
    network.train_on_batch(array(1, 8, 8, 3), [tf.zeros_like(out) for out in network(array(1, 8, 8, 3))])
    network.save(FOLDER / "keras_save.h5")
    expect("keras_save", "model_weights")
    network.save_weights(REFUSED / "keras_3.weights.h5")


def h5py_files():
    write("earliest", file_options={"libver": "earliest"})
    write("latest", file_options={"libver": "latest"})
    write("v108", file_options={"libver": ("v108", "v108")})
    write("track_order", file_options={"libver": "latest", "track_order": True}, track_order=True)
    write("user_block", file_options={"userblock_size": 1024})
    write("variable_length", names=lambda names: numpy.array(names, dtype=h5py.string_dtype()))
    many = {f"layer_{i}": {f"layer_{i}/kernel:0": array(2)} for i in range(40)}
    many["rpn_model"] = {f"part_{i}/bias:0": array(1) for i in range(40)}
    write("dense", many, file_options={"libver": "latest"})
    write("old_many", many)
    with h5py.File(FOLDER / "dense_attributes.h5", "w", libver="latest") as file:
        for number in range(30):
            file.attrs[f"note_{number}"] = number
        lay_out(file)
    expect("dense_attributes")

    # Nothing walks through groups, so a group may hold itself.
    with h5py.File(FOLDER / "group_in_itself.h5", "w") as file:
        lay_out(file)
        file["conv1/conv1/conv1"] = file["conv1"]
    expect("group_in_itself")

    packed = {"chunks": (2, 2, 2, 3), "compression": "gzip", "shuffle": True, "fletcher32": True}
    for libver in ["earliest", "latest"]:
        with h5py.File(FOLDER / f"chunked_{libver}.h5", "w", libver=libver) as file:
            lay_out(file, {"conv1": {"conv1/kernel:0": array(5, 4, 3, 7)}}, **packed)
            group = file["conv1"]
            # The ways of finding chunks: one chunk, an array of fixed and of growing length, a tree.
            more = {
                "single:0": {"data": array(3, 4), "chunks": (3, 4), "compression": "gzip"},
                "plain:0": {"data": array(5, 7), "chunks": (2, 3)},
                "fixed:0": {"data": array(9, 5), "chunks": (2, 2), "compression": "gzip"},
                "extensible:0": {"data": array(50, 3), "chunks": (2, 3), "maxshape": (None, 3)},
                "tree:0": {"data": array(7, 9), "chunks": (2, 2), "maxshape": (None, None), "shuffle": True},
                "large:0": {"data": array(2, 2), "chunks": (4, 4), "maxshape": (None, None)},
            }
            for name, options in more.items():
                group.create_dataset(name, **options)
            # Space for all chunks at once, without an index.
            plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
            plist.set_chunk((2, 2))
            plist.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
            space = h5py.h5s.create_simple((3, 5))
            dataset = h5py.h5d.create(group.id, b"implicit:0", h5py.h5t.IEEE_F32LE, space, plist)
            dataset.write(h5py.h5s.ALL, h5py.h5s.ALL, array(3, 5))
            group.attrs["weight_names"] = text(["conv1/kernel:0", *more, "implicit:0"])
        expect(f"chunked_{libver}")

    kinds = ["<f4", ">f4", "<f8", ">f8", "<f2", ">f2", "<i8", ">i4", "<i2", "i1", "u1", ">u2", "<u4"]
    types = {f"types/{number}:0": array(2, 3, dtype=kind) for number, kind in enumerate(kinds)}
    types["types/scalar:0"] = numpy.float32(1.5)
    types["types/empty:0"] = numpy.zeros((0, 3), numpy.float32)
    write("types", {"types": types})

    with h5py.File(FOLDER / "stored.h5", "w") as file:
        file.attrs["layer_names"] = text(["a"])
        group = file.create_group("a")
        plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        plist.set_layout(h5py.h5d.COMPACT)
        space = h5py.h5s.create_simple((2, 3))
        dataset = h5py.h5d.create(group.id, b"compact:0", h5py.h5t.IEEE_F32LE, space, plist)
        dataset.write(h5py.h5s.ALL, h5py.h5s.ALL, array(2, 3))
        group.create_dataset("unwritten:0", (2, 2), "<f4")
        group.create_dataset("filled:0", (2, 2), ">f4", fillvalue=2.5)
        partly = group.create_dataset("partly:0", (4, 4), "<f4", fillvalue=-1.5, chunks=(2, 2))
        partly[1, 1] = 3
        group["bytes:0"] = numpy.arange(4, dtype=numpy.int8)
        file["named"] = numpy.dtype("<f4")
        group.create_dataset("committed:0", data=array(3), dtype=file["named"])
        names = ["compact:0", "unwritten:0", "filled:0", "partly:0", "bytes:0", "committed:0"]
        group.attrs["weight_names"] = text(names)
    expect("stored")

    # As Keras cuts a list of more than 64512 bytes (`save_attributes_to_hdf5_group`).
    names = [f"{'a_name_that_is_long_' * 4}{number}/gamma:0" for number in range(900)]
    with h5py.File(FOLDER / "many_names.h5", "w") as file:
        file.attrs["layer_names"] = text(["model"])
        group = file.create_group("model")
        for number, part in enumerate(numpy.array_split(text(names), 2)):
            group.attrs[f"weight_names{number}"] = part
        for name in names[::300] + names[-1:]:
            group[name] = array(1)
    # Only some are there, so that the file stays small: the test asks which is missing first.


def refused(name, change, weights=WEIGHTS, **options):
    """A good file, then changed."""
    with h5py.File(REFUSED / f"{name}.h5", "w", **options) as file:
        lay_out(file, weights)
        if change:
            change(file)


def replaced(name="conv1/kernel:0", layer="conv1", **options):
    """A change that puts another dataset in the place of one."""

    def change(file):
        del file[layer][name]
        file[layer].create_dataset(name, **options)

    return change


def refused_files():
    kernel = WEIGHTS["conv1"]["conv1/kernel:0"]

    def drop(*names):
        def change(file):
            for name in names:
                del file.attrs[name]

        return change

    refused("no_layer_names", drop("layer_names"))
    refused("no_weight_names", lambda file: file["conv1"].attrs.pop("weight_names"))
    refused("missing_dataset", lambda file: file["conv1"].pop("conv1/kernel:0"))
    refused("missing_layer", lambda file: file.pop("conv1"))
    refused("object_dtype", replaced(data=["a", "b"], dtype=h5py.string_dtype()))
    refused("strings", replaced(data=numpy.array([b"a", b"b"])))
    refused("compound", replaced(data=numpy.zeros(2, "c8")))
    refused("booleans", replaced(data=numpy.zeros(2, bool)))
    refused("null", replaced(data=h5py.Empty("f4")))
    refused("group", lambda file: (file["conv1"].pop("conv1/bias:0"), file["conv1"].create_group("conv1/bias:0")))
    refused("external_data", replaced(shape=(2, 2), dtype="f4", external=[("/etc/passwd", 0, 16)]))
    refused("lzf", replaced(data=kernel, chunks=kernel.shape, compression="lzf"))
    refused("scale_offset", replaced(data=kernel, chunks=kernel.shape, scaleoffset=2))
    refused("huge", replaced(shape=(1 << 40, 1 << 10), dtype="f4", chunks=(1 << 20, 1 << 4)))
    refused("huge_contiguous", replaced(shape=(1 << 38,), dtype="f4"))
    refused("many_chunks", replaced(shape=(1 << 20,), dtype="f4", chunks=(1,)))
    refused("large_chunk", replaced(shape=(2,), maxshape=(None,), dtype="f4", chunks=(1 << 28,)))
    refused("bomb", replaced(data=numpy.zeros(32 << 20, "f4"), chunks=(1 << 20,), compression=9))

    def virtual(file):
        del file["conv1"]["conv1/kernel:0"]
        layout = h5py.VirtualLayout(shape=(4,), dtype="f4")
        layout[:] = h5py.VirtualSource("/etc/passwd", "a", shape=(4,))
        file["conv1"].create_virtual_dataset("conv1/kernel:0", layout)

    refused("virtual", virtual, libver="latest")

    def links(first, second):
        def change(file):
            del file["conv1"]
            file["conv1"] = first
            file["circle"] = second

        return change

    for libver in ["earliest", "latest"]:
        circle = links(h5py.SoftLink("/circle"), h5py.SoftLink("/conv1"))
        refused(f"soft_links_{libver}", circle, libver=libver)
    refused("external_link", links(h5py.ExternalLink("/etc/passwd", "a"), h5py.SoftLink("/conv1")))
    refused("theano", lambda file: file.attrs.__setitem__("backend", b"theano"))
    refused("numbers_for_names", lambda file: file.attrs.__setitem__("layer_names", [1, 2]))
    refused("upwards", lambda file: file.attrs.__setitem__("layer_names", text(["../conv1"])))
    same_names = {"a": {"conv/kernel:0": array(1)}, "b": {"conv/kernel:0": array(1)}}
    refused("same_names", None, same_names)
    refused("twice", lambda file: file.attrs.__setitem__("layer_names", text(["conv1", "conv1"])))

    def many_names(file):
        """Names that all lead to one dataset, with as large an attribute as there may be."""
        group = file.create_group("many")
        group.create_dataset("0", data=array(2, dtype="i1"), chunks=(1,)).attrs["a"] = numpy.zeros(64000, "i1")
        for number in range(1, 300):
            group[str(number)] = group["0"]
        group.attrs["weight_names"] = text([str(number) for number in range(300)])
        file.attrs["layer_names"] = text(["many"])

    refused("many_names_of_one", many_names)

    def odd_float(file):
        kind = h5py.h5t.IEEE_F16LE.copy()
        kind.set_fields(15, 8, 7, 0, 8)
        kind.set_ebias(120)
        del file["conv1"]["conv1/bias:0"]
        space = h5py.h5s.create_simple((4,))
        h5py.h5d.create(file["conv1"]["conv1"].id, b"bias:0", kind, space)

    refused("odd_float", odd_float)


def main():
    shutil.rmtree(FOLDER, ignore_errors=True)
    REFUSED.mkdir(parents=True)
    h5py_files()
    refused_files()
    keras_files()


if __name__ == "__main__":
    main()
