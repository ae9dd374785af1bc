"""Peak memory and time of the program on images of 100 megapixels, the most that it reads, of each format and kind of pixels.

Run by hand, after `make build` and `tests/reference/venv.sh`: `.venv/bin/python benches/image_memory.py`. Makes the images
in a temporary directory (3 GB are free there, then) and prints a table: megabytes and seconds of the whole process with the
embedded network, without and with the picture drawn. Images are a photo, enlarged; `noise` is what no format can compress.
"""

import os
import sys
import tempfile
import time
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


def images():
    """Name and writer of each image, which is made when it is asked for."""
    photo = Image.open(ROOT / "examples" / "photos" / "dog2.jpg").convert("RGB").resize((SIDE, SIDE), Image.BICUBIC)
    rgba = photo.copy()
    rgba.putalpha(200)

    def wide(image):
        return np.asarray(image).astype(np.uint16) * 257

    def noise(path):
        Image.fromarray(np.random.default_rng(1).integers(0, 256, (SIDE, SIDE, 3), np.uint8)).save(path, compress_level=1)

    yield "jpeg.jpg", lambda path: photo.save(path)
    yield "jpeg-progressive.jpg", lambda path: photo.save(path, progressive=True, subsampling="4:4:4")
    yield "jpeg-cmyk-progressive.jpg", lambda path: photo.convert("CMYK").save(path, progressive=True)
    yield "png-grey.png", lambda path: photo.convert("L").save(path, compress_level=1)
    yield "png-rgb.png", lambda path: photo.save(path, compress_level=1)
    yield "png-rgba.png", lambda path: rgba.save(path, compress_level=1)
    yield "png-noise.png", noise
    yield "gif.gif", lambda path: photo.quantize(64).save(path)
    yield "bmp.bmp", lambda path: photo.save(path)
    yield "webp-lossy.webp", lambda path: photo.save(path, method=0)
    yield "webp-lossy-alpha.webp", lambda path: rgba.save(path, method=0)
    yield "webp-lossless.webp", lambda path: photo.save(path, lossless=True, method=0, quality=0)
    yield "tiff-rgb.tif", lambda path: photo.save(path, compression="tiff_lzw")
    yield "tiff-rgba-16.tif", lambda path: tifffile.imwrite(
        path, wide(rgba), compression="deflate", photometric="rgb", extrasamples=["unassalpha"], rowsperstrip=100
    )


def main():
    Image.MAX_IMAGE_PIXELS = None
    print(f"{'image':28} {'MB on disk':>10} {'MB, JSON':>10} {'s':>6} {'MB, drawn':>10} {'s':>6}")
    with tempfile.TemporaryDirectory() as folder:
        for name, write in images():
            path = Path(folder) / name
            write(path)
            size = path.stat().st_size / 1e6
            (json, json_time), (drawn, drawn_time) = (
                peak(*options, "-o", Path(folder) / "out", path) for options in (["--json-only"], [])
            )
            print(f"{name:28} {size:10.1f} {json:10.0f} {json_time:6.1f} {drawn:10.0f} {drawn_time:6.1f}", flush=True)
            path.unlink()


if __name__ == "__main__":
    main()
