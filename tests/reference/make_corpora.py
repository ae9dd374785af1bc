"""Writes beside each image of `fixtures/corpora` that Pillow reads what Pillow makes of it: `NAME.expected.png`.

The images are others'; `fixtures/corpora/README.md` says whose. Many are damaged on purpose, and what Pillow makes of one is
not always right: the test names the images where it is not, or where ours are refused, and why.
"""

import resource
import warnings
from pathlib import Path

from PIL import Image

from make_images import expected

CORPORA = Path(__file__).resolve().parent.parent / "fixtures" / "corpora"
TEXTS = {".md", ".txt"}


def main():
    warnings.simplefilter("ignore")
    # Some of the damaged files ask for all the memory there is.
    resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))
    for path in sorted(CORPORA.rglob("*.expected.png")):
        path.unlink()
    for path in sorted(CORPORA.glob("*/*")):
        if path.suffix in TEXTS:
            continue
        try:
            with Image.open(path) as image:
                image.load()  # the first frame, whole
            pixels = expected(path)
        except (OSError, SyntaxError, ValueError, MemoryError, Image.DecompressionBombError, EOFError, TypeError, KeyError):
            continue
        pixels.info.clear()
        pixels.save(f"{path}.expected.png", optimize=True)


if __name__ == "__main__":
    main()
