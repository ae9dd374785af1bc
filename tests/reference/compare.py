#!/usr/bin/env python3
"""The built program beside all of its peers on full-size networks and images: one command, outside CI.

    compare.py [--program target/release/maskrcnn] [--files DIRECTORY] [PEER[=NETWORK,…] …]

PEER is `torchvision`, `detectron2` or `matterport`; all without any. Runs `compare_PEER.py`, whose docstring says what is
compared and which networks there are, in an environment of the peer's own: `.venv`, `.venv-detectron2` and
`.venv-matterport` in the repository, made of the requirement files here (gigabytes, the first time). detectron2 and
Matterport's code are run from a checkout that DETECTRON2 or MATTERPORT names, or else from one in `.peers`, which git
fetches by commit. A peer that cannot be had is a row that fails, and the others are compared all the same.

`--files` keeps the peers' references in a directory, and takes what is there if the scripts made it as they are now.
Ends with one table; exit status 1 when a row failed. Needs Python 3.11 or later; Matterport's TensorFlow needs 3.11, as
`python3` or `python3.11`.
"""

import argparse
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
REPOSITORY = HERE.parents[1]
COLUMNS = ["peer", "network", "picture", "found", "classes", "boxes", "scores", "overlap", ""]

# The sources that are run as they are: the variable that names a checkout, where it is published, and which commit.
SOURCES = {
    "detectron2": (
        "DETECTRON2",
        "https://github.com/facebookresearch/detectron2",
        "02b5c4e295e990042a714712c21dc79b731e8833",
    ),
    "matterport": (
        "MATTERPORT",
        "https://github.com/akTwelve/Mask_RCNN",
        "d9f01dcd83b1e90e5ea0b4b6d5ba753770e114ac",
    ),
}
PEERS = ["torchvision", *SOURCES]


class Missing(Exception):
    """What keeps a peer from being run."""


def main():
    arguments = parse()
    rows = []
    for peer, networks in arguments.peers:
        print(f"== {peer}", flush=True)
        try:
            rows += compare(peer, networks, arguments)
        except Missing as missing:
            print(missing, flush=True)
            rows.append([peer, *[""] * (len(COLUMNS) - 2), str(missing)])
    print("== all")
    widths = [max(map(len, column)) for column in zip(COLUMNS[:-1], *(row[:-1] for row in rows))]
    for row in [COLUMNS, *rows]:
        print(*(f"{cell:{width}}" for cell, width in zip(row, widths)), row[-1])
    failed = sum(row[-1] != "ok" for row in rows)
    print(f"{len(rows) - failed} of {len(rows)} rows hold")
    sys.exit(1 if failed else 0)


def parse():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("peers", nargs="*", type=wanted, default=[(peer, []) for peer in PEERS], metavar="PEER[=NETWORK,…]")
    parser.add_argument("--program", type=pathlib.Path, default=built())
    parser.add_argument("--files", type=pathlib.Path, help="keep the references in this directory, or take them from it")
    return parser.parse_args()


def wanted(word):
    """(a peer, its networks or none for all)"""
    peer, _, networks = word.partition("=")
    if peer not in PEERS:
        raise argparse.ArgumentTypeError(f"`{peer}` is none of {', '.join(PEERS)}")
    return peer, networks.split(",") if networks else []


def built():
    """The program where cargo puts it."""
    return pathlib.Path(os.environ.get("CARGO_TARGET_DIR", REPOSITORY / "target")) / "release" / "maskrcnn"


def compare(peer, networks, arguments):
    """The rows of one peer's comparison, the last of which says so when it broke off."""
    environment = os.environ | source(peer)
    command = [python(peer), HERE / f"compare_{peer}.py", "--program", arguments.program.resolve(), *networks]
    if arguments.files and peer in SOURCES:
        command += ["--files", arguments.files / peer]
    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder) / "rows.tsv"
        file.touch()
        status = subprocess.run([*command, "--rows", file], env=environment, cwd=HERE).returncode
        rows = [[peer, *line.split("\t")] for line in file.read_text().splitlines()]
    if status and all(row[-1] == "ok" for row in rows):
        rows.append([peer, *[""] * (len(COLUMNS) - 2), f"broke off with exit status {status}"])
    return rows


def python(peer):
    """The interpreter of the peer's environment, which is made if need be."""
    own = [] if peer == "torchvision" else [peer]
    environment = os.environ.copy()
    if peer == "matterport":
        environment["PYTHON"] = shutil.which("python3.11") or "python3"
    if subprocess.run([HERE / "venv.sh", *own], env=environment).returncode:
        raise Missing(f"the environment of {peer} could not be made")
    return REPOSITORY / "-".join([".venv", *own]) / "bin" / "python"


def source(peer):
    """The variable that names the peer's source, which is fetched if it names none; nothing where it is a package."""
    if peer not in SOURCES:
        return {}
    variable, address, commit = SOURCES[peer]
    if os.environ.get(variable):
        return {variable: str(pathlib.Path(os.environ[variable]).resolve())}
    folder = REPOSITORY / ".peers" / peer
    git = ["git", "-C", folder]
    fetched = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True) if folder.exists() else None
    if not fetched or fetched.stdout.strip() != commit:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        fetch = ["fetch", "--quiet", "--depth", "1", address, commit]
        for words in (["init", "--quiet"], fetch, ["checkout", "--quiet", "FETCH_HEAD"]):
            if subprocess.run([*git, *words]).returncode:
                shutil.rmtree(folder)
                raise Missing(f"{address} cannot be fetched: set {variable} to a checkout of its commit {commit[:7]}")
    return {variable: str(folder)}


if __name__ == "__main__":
    main()
