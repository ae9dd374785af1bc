"""Writes what the comparison runs on: a 640x480 photo, and v1 in the form that users have, a .pth file, its numbers from the
formula of the parity fixtures.

usage: prepare.py PHOTO WEIGHTS
"""

import pathlib
import sys

import torch
from PIL import Image

REPOSITORY = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY / "tests" / "reference"))
import networks

photo, weights = map(pathlib.Path, sys.argv[1:])
picture = Image.open(REPOSITORY / "examples" / "photos" / "dog1.jpg").convert("RGB")
picture.resize((640, 480), Image.Resampling.BICUBIC).save(photo)
if not weights.exists():
    torch.save(networks.build_v1().state_dict(), weights)
