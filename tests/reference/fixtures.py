"""Writing fixtures, or, with `--check`, comparing them with the committed ones."""

import argparse
import importlib.metadata
import json
import pathlib
import sys

import numpy as np
from safetensors import safe_open
from safetensors.numpy import save_file

FIXTURES = pathlib.Path(__file__).resolve().parents[1] / "fixtures"

# Another CPU, or another number of threads, takes other kernels. What they change is far below this share of a tensor's
# largest magnitude, and a real change of behaviour far above it.
FLOAT_TOLERANCE = 1e-3
# A pixel whose probability is next to 0.5 may fall on either side.
BITS_TOLERANCE = 1e-3

# The peers, each of which is in some environments alone.
PEERS = ["torch", "torchvision", "tensorflow-cpu", "scikit-image", "scipy", "numpy", "pillow"]
INSTALLED = {distribution.metadata["Name"] for distribution in importlib.metadata.distributions()}
VERSIONS = {name: importlib.metadata.version(name) for name in PEERS if name in INSTALLED}


class Writer:
    """Writes fixtures below `tests/fixtures`, or checks that those that are there say the same."""

    def __init__(self, check):
        self.check = check
        self.failures = []

    @classmethod
    def from_arguments(cls, description):
        """A writer as the command line asks for."""
        parser = argparse.ArgumentParser(description=description)
        parser.add_argument("--check", action="store_true", help="compare with the committed files, write nothing")
        return cls(parser.parse_args().check)

    def tensors(self, name, tensors, metadata):
        """The safetensors file `name`: torch tensors or arrays, and strings of metadata besides the versions."""
        arrays = {key: np.ascontiguousarray(value) for key, value in tensors.items()}
        path = FIXTURES / name
        if self.check:
            with safe_open(path, "np") as file:
                committed = {key: file.get_tensor(key) for key in file.keys()}
            self.report(name, compare_arrays(committed, arrays))
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            save_file(arrays, path, {**VERSIONS, **metadata})
            print(f"{name}: {path.stat().st_size / 1e6:.2f} MB")

    def json(self, name, value, compare):
        """The JSON file `name`; `compare(committed, value)` lists what differs."""
        path = FIXTURES / name
        if self.check:
            self.report(name, compare(json.loads(path.read_text()), value))
        else:
            path.write_text(json.dumps(value, indent=1) + "\n")
            print(f"{name}: {path.stat().st_size / 1e6:.2f} MB")

    def text(self, name, text):
        """The text file `name`, which must agree to the letter."""
        path = FIXTURES / name
        if self.check:
            self.report(name, [] if path.read_text() == text else ["changed"])
        else:
            path.write_text(text)
            print(f"{name}: {path.stat().st_size / 1e6:.2f} MB")

    def report(self, name, differences):
        """Prints whether the fixture `name` agrees with the committed one."""
        self.failures += differences
        print(f"{name}: {'differs' if differences else 'agrees'}")
        for difference in differences:
            print(f"  {difference}")

    def exit(self):
        """Ends the program: status 1 when a fixture differs from the committed one."""
        sys.exit(1 if self.failures else 0)


def compare_arrays(committed, made):
    """One line for each array that is missing, new or different."""
    names = sorted(committed.keys() | made.keys())
    differences = ((name, difference(committed.get(name), made.get(name), name)) for name in names)
    return [f"{name}: {text}" for name, text in differences if text]


def difference(committed, made, name):
    """What tells two arrays apart, or None."""
    if committed is None or made is None:
        return "not made any more" if made is None else "not in the committed file"
    if (committed.dtype, committed.shape) != (made.dtype, made.shape):
        return f"{committed.dtype} {committed.shape} became {made.dtype} {made.shape}"
    if committed.dtype.kind == "f" and committed.size:
        moved, allowed = np.abs(committed - made).max(), FLOAT_TOLERANCE * np.abs(committed).max()
        return f"moved by {moved:.2g}, allowed {allowed:.2g}" if not moved <= allowed else None
    if name.endswith(".bits"):
        share = np.unpackbits(committed ^ made).sum() / max(1, 8 * committed.size)
        return f"{share:.2g} of the bits changed" if share > BITS_TOLERANCE else None
    return None if np.array_equal(committed, made) else "changed"
