"""Memory and time of the whole process beside its peer's: same weights, same 640x480 photo, a picture and JSON out.

Run it by `make bench`, on a machine that does nothing else. The two programs run in turn, and the ratio is taken pair by pair,
so that a machine whose speed drifts still gives a ratio that holds. Prints the table that the README quotes.

torchvision is always a peer. detectron2 is one where DETECTRON2_PYTHON names a Python that has what it needs and DETECTRON2
its source (`detectron2_segment.py`), and so is Matterport's code with MATTERPORT_PYTHON and MATTERPORT.
"""

import os
import pathlib
import statistics
import subprocess
import sys
import time

# Nothing large is imported here: a process inherits the peak memory of the one that starts it.
REPOSITORY = pathlib.Path(__file__).resolve().parents[1]
BENCHES = REPOSITORY / "benches"
WORK = REPOSITORY / "target" / "bench"
RESULTS = WORK / "results"
PROGRAM = REPOSITORY / "target" / "release" / "maskrcnn"
PHOTO = WORK / "photo-640x480.png"
PAIRS = int(os.environ.get("PAIRS", "7"))


def run(command):
    """Wall seconds and peak resident megabytes of one run."""
    start = time.perf_counter()
    process = subprocess.Popen([str(part) for part in command], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        sys.exit(f"{command[0]} failed with {process.returncode}")
    return seconds, usage.ru_maxrss / 1024


def networks():
    """Each network: its name, its weights, and the command of its peer up to weights, photo and folder."""
    of_torchvision = {"compact": REPOSITORY / "weights" / "compact.safetensors", "v1": WORK / "v1.pth", "v2": WORK / "v2.pth"}
    subprocess.run([sys.executable, BENCHES / "prepare.py", PHOTO, WORK], check=True)
    for network, weights in of_torchvision.items():
        yield network, weights, [sys.executable, BENCHES / "torchvision_segment.py", network]
    for network, name, extension in (("detectron2 R50-FPN", "detectron2", "pkl"), ("Matterport ResNet-101", "matterport", "h5")):
        python = os.environ.get(f"{name.upper()}_PYTHON")
        if python is None:
            print(f"{name.upper()}_PYTHON is not set: no row for {name}", file=sys.stderr)
            continue
        script, weights = BENCHES / f"{name}_segment.py", WORK / f"{name}.{extension}"
        if not weights.exists():
            subprocess.run([python, script, "--prepare", weights], check=True, stdout=subprocess.DEVNULL)
        yield network, weights, [python, script]


def compare(network, weights, peer):
    """One row of the table: medians of both, and the median of the ratios of the pairs."""
    ours = [PROGRAM, "--quiet", "--threshold", "0.5", "--output", RESULTS, "--weights", weights, PHOTO]
    theirs = [*peer, weights, PHOTO, RESULTS]
    run(ours), run(theirs)  # once for the page cache
    pairs = [(run(ours), run(theirs)) for _ in range(PAIRS)]
    cells = [network]
    for figure, unit in ((0, "s"), (1, "MB")):
        our, their = [a[figure] for a, _ in pairs], [b[figure] for _, b in pairs]
        ratio = statistics.median(b / a for a, b in zip(our, their))
        digits = 2 if unit == "s" else 0
        cells += [f"{statistics.median(our):.{digits}f} {unit}", f"{statistics.median(their):.{digits}f} {unit}", f"{ratio:.1f}x"]
    return cells


def main():
    RESULTS.mkdir(parents=True, exist_ok=True)
    header = ["network", "time", "peer", "ratio", "peak memory", "peer", "ratio"]
    print("| " + " | ".join(header) + " |")
    print("|" + "---|" * len(header))
    for network in networks():
        print("| " + " | ".join(compare(*network)) + " |", flush=True)
    print(f"\nMedians of {PAIRS} pairs on {os.cpu_count()} cores.")


if __name__ == "__main__":
    main()
