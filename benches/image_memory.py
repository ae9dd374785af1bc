"""Peak memory and time of the program on images of 100 megapixels, the most that it reads, of each format and kind of pixels.

Run by hand, after `make build` and `tests/reference/venv.sh`: `.venv/bin/python benches/image_memory.py`. Makes the images
in a temporary directory (3 GB are free there, then) and prints a table: megabytes and seconds of the whole process with the
embedded network, without and with the picture drawn. Images are a photo, enlarged; `noise` is what no format can compress.
A second table is of several images in one command, where the next is decoded while one is segmented and drawn.
"""

import os
import sys
import tempfile
import time
from multiprocessing import Process
from pathlib import Path

import numpy as np
import tifffile
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
PROGRAM = ROOT / "target" / "release" / "maskrcnn"
SIDE = 10_000


def peak(*args):
    """Megabytes and seconds of one run of the program."""
    start = time.monotonic()
    quiet = os.open(os.devnull, os.O_WRONLY)
    child = os.posix_spawn(PROGRAM, [PROGRAM, *map(str, args)], os.environ, file_actions=[(os.POSIX_SPAWN_DUP2, quiet, 1)])
    _, status, usage = os.wait4(child, 0)
    os.close(quiet)
    if status:
        sys.exit(f"failed on {args[-1]}")
    return usage.ru_maxrss / 1024, time.monotonic() - start


def photo():
    image = Image.open(ROOT / "examples" / "photos" / "dog2.jpg").convert("RGB")
    return image.resize((SIDE, SIDE), Image.BICUBIC)


def translucent():
    image = photo()
    image.putalpha(200)
    return image


def noise():
    return Image.fromarray(np.random.default_rng(1).integers(0, 256, (SIDE, SIDE, 3), np.uint8))


def write_tiff_of_16_bits(path):
    pixels = np.asarray(translucent()).astype(np.uint16) * 257
    tifffile.imwrite(path, pixels, compression="zlib", photometric="rgb", extrasamples=["unassalpha"], rowsperstrip=100)


IMAGES = {
    "jpeg.jpg": lambda path: photo().save(path),
    "jpeg-progressive.jpg": lambda path: photo().save(path, progressive=True, subsampling="4:4:4"),
    "jpeg-cmyk-progressive.jpg": lambda path: photo().convert("CMYK").save(path, progressive=True),
    "png-grey.png": lambda path: photo().convert("L").save(path, compress_level=1),
    "png-rgb.png": lambda path: photo().save(path, compress_level=1),
    "png-rgba.png": lambda path: translucent().save(path, compress_level=1),
    "png-noise.png": lambda path: noise().save(path, compress_level=1),
    "gif.gif": lambda path: photo().quantize(64).save(path),
    "bmp.bmp": lambda path: photo().save(path),
    "webp-lossy.webp": lambda path: photo().save(path, method=0),
    "webp-lossy-alpha.webp": lambda path: translucent().save(path, method=0),
    "webp-lossless.webp": lambda path: photo().save(path, lossless=True, method=0, quality=0),
    "tiff-rgb.tif": lambda path: photo().save(path, compression="tiff_lzw"),
    "tiff-rgba-16.tif": write_tiff_of_16_bits,
}


# What one command is given, by the names above.
SEVERAL = [
    ["jpeg.jpg"] * 2,
    ["jpeg.jpg"] * 5,
    ["png-noise.png"] * 2,
    ["jpeg-cmyk-progressive.jpg"] * 2,
    ["tiff-rgba-16.tif"] * 2,
    ["jpeg.jpg", "tiff-rgba-16.tif"],
]


def make(folder, name):
    """Writes the image in a process of its own: a child's peak counts what its parent held when it was started."""
    path = Path(folder) / name
    if not path.exists():
        maker = Process(target=IMAGES[name], args=(path,))
        maker.start()
        maker.join()
    return path


def measure(folder, paths):
    """A row: without and with the picture drawn."""
    (json, json_time), (drawn, drawn_time) = (
        peak(*options, "-o", Path(folder) / "out", *paths) for options in (["--json-only"], [])
    )
    return f"{json:10.0f} {json_time:6.1f} {drawn:10.0f} {drawn_time:6.1f}"


def main():
    Image.MAX_IMAGE_PIXELS = None
    columns = f"{'MB, JSON':>10} {'s':>6} {'MB, drawn':>10} {'s':>6}"
    with tempfile.TemporaryDirectory() as folder:
        print(f"{'image':28} {'MB on disk':>10} {columns}")
        for name in IMAGES:
            path = make(folder, name)
            print(f"{name:28} {path.stat().st_size / 1e6:10.1f} {measure(folder, [path])}", flush=True)
            if not any(name in names for names in SEVERAL):
                path.unlink()
        print(f"\n{'images of one command':50} {columns}")
        for names in SEVERAL:
            shown = " ".join(f"{names.count(name)}x {name}" for name in dict.fromkeys(names))
            print(f"{shown:50} {measure(folder, [make(folder, name) for name in names])}", flush=True)


if __name__ == "__main__":
    main()
