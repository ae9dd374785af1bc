"""Writes what the comparison runs on: a 640x480 photo, and v1 and v2 in the form that users have, .pth files, their numbers from
the formula of the parity fixtures.

usage: prepare.py PHOTO FOLDER
"""

import pathlib
import sys

import torch
from PIL import Image

REPOSITORY = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY / "tests" / "reference"))
import networks

photo, folder = map(pathlib.Path, sys.argv[1:])
picture = Image.open(REPOSITORY / "examples" / "photos" / "dog1.jpg").convert("RGB")
picture.resize((640, 480), Image.Resampling.BICUBIC).save(photo)
for name, build in (("v1", networks.build_v1), ("v2", networks.build_v2)):
    weights = folder / f"{name}.pth"
    if not weights.exists():
        torch.save(build().state_dict(), weights)
