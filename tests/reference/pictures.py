"""The pictures that networks are run on, made of the example photos."""

import pathlib

import numpy as np
from PIL import Image

PHOTOS = pathlib.Path(__file__).resolve().parents[2] / "examples" / "photos"

PHOTO_NAMES = [
    "dog1.jpg",
    "dog2.jpg",
    "grace_hopper_517x606.jpg",
    "person1.jpg",
    "astronaut.png",
    "chelsea.png",
]


def picture(photo, width, height):
    """The pixels of a photo, or of the collage of all, scaled to width x height: uint8 [height, width, 3]."""
    if photo is None:
        return collage(width, height)
    return load_photo(photo, width, height)


def load_photo(photo, width, height):
    image = Image.open(PHOTOS / photo).convert("RGB")
    return np.array(image.resize((width, height), Image.Resampling.BICUBIC))


def collage(width, height):
    """All photos side by side: in one row where the picture is long, else in two."""
    rows = 1 if width > 2 * height else 2
    columns = len(PHOTO_NAMES) // rows
    x_edges = [round(width * column / columns) for column in range(columns + 1)]
    y_edges = [round(height * row / rows) for row in range(rows + 1)]
    pixels = np.empty((height, width, 3), np.uint8)
    for number, photo in enumerate(PHOTO_NAMES):
        row, column = divmod(number, columns)
        top, bottom, left, right = y_edges[row], y_edges[row + 1], x_edges[column], x_edges[column + 1]
        pixels[top:bottom, left:right] = load_photo(photo, right - left, bottom - top)
    return pixels
