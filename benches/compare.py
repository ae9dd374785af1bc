"""Memory and time of the whole process beside torchvision's: same weights, same 640x480 photo, a picture and JSON out.

Run it by `make bench`, on a machine that does nothing else. The two programs run in turn, and the ratio is taken pair by pair,
so that a machine whose speed drifts still gives a ratio that holds. Prints the table that the README quotes.
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
WEIGHTS = {"compact": REPOSITORY / "weights" / "compact.safetensors", "v1": WORK / "v1.pth"}
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


def compare(network, weights):
    """One row of the table: medians of both, and the median of the ratios of the pairs."""
    ours = [PROGRAM, "--quiet", "--output", RESULTS, "--weights", weights, PHOTO]
    theirs = [sys.executable, BENCHES / "torchvision_segment.py", network, weights, PHOTO, RESULTS]
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
    subprocess.run([sys.executable, BENCHES / "prepare.py", PHOTO, WEIGHTS["v1"]], check=True)
    header = ["network", "time", "torchvision", "ratio", "peak memory", "torchvision", "ratio"]
    print("| " + " | ".join(header) + " |")
    print("|" + "---|" * len(header))
    for network, weights in WEIGHTS.items():
        print("| " + " | ".join(compare(network, weights)) + " |", flush=True)
    print(f"\nMedians of {PAIRS} pairs on {os.cpu_count()} cores.")


if __name__ == "__main__":
    main()
