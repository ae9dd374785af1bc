#!/bin/sh
# venv.sh [PEER]: puts the pinned versions of requirements.txt into the git-ignored .venv, the first time and when that file
# changes; those of PEER-requirements.txt into .venv-PEER.
set -eu
cd "$(dirname "$0")"
venv=../../.venv${1:+-$1}
requirements=${1:+$1-}requirements.txt
if ! cmp -s "$requirements" "$venv/requirements.txt"; then
    "${PYTHON:-python3}" -m venv "$venv" || { echo "python3 -m venv failed; on Debian: apt-get install python3-venv" >&2; exit 1; }
    "$venv/bin/pip" install --quiet --requirement "$requirements"
    cp "$requirements" "$venv/requirements.txt"
fi
