#!/bin/sh
# Puts the pinned versions of requirements.txt into the git-ignored .venv, the first time and when that file changes.
set -eu
cd "$(dirname "$0")"
venv=../../.venv
if ! cmp -s requirements.txt "$venv/requirements.txt"; then
    python3 -m venv "$venv" || { echo "python3 -m venv failed; on Debian: apt-get install python3-venv" >&2; exit 1; }
    "$venv/bin/pip" install --quiet --requirement requirements.txt
    cp requirements.txt "$venv/requirements.txt"
fi
