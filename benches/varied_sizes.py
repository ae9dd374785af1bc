"""Memory of one run over photos of ever new sizes: `make bench-memory`.

    python benches/varied_sizes.py [PROGRAM] [COUNT]

Makes COUNT (1,000) photos of random sizes (120 to 900 pixels a side, always the same ones) of those in examples/photos, has
the program segment all of them, and prints how much memory it held resident after every tenth of them.
"""

import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).resolve().parent.parent


def make_photos(folder: Path, count: int) -> list[Path]:
    """The photos, named in their order."""
    names = sorted((ROOT / "examples/photos").glob("*.[jp][pn]g"))
    sources = [Image.open(name).convert("RGB") for name in names]
    chance = random.Random(7)
    paths = []
    for number in range(count):
        size = (chance.randint(120, 900), chance.randint(120, 900))
        paths.append(folder / f"{number:04}.jpg")
        sources[number % len(sources)].resize(size).save(paths[-1], quality=85)
    return paths


def resident(process: int) -> int:
    """Memory that a process holds, in MB; 0 when it is gone."""
    try:
        lines = Path(f"/proc/{process}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) // 1024 for line in lines if line.startswith("VmRSS")), 0)


def main() -> None:
    program = sys.argv[1] if len(sys.argv) > 1 else ROOT / "target/release/maskrcnn"
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 1000
    with tempfile.TemporaryDirectory() as folder:
        photos = make_photos(Path(folder), count)
        command = [program, "--json-only", "--output", Path(folder) / "out", *photos]
        run = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        start, done = time.monotonic(), 0
        for _ in run.stdout:
            done += 1
            if done % max(count // 10, 1) == 0:
                print(f"after {done:5} photos: {resident(run.pid):4} MB", flush=True)
        if run.wait() != 0:
            sys.exit("the program failed")
        print(f"{count} photos in {time.monotonic() - start:.0f} s")


main()
