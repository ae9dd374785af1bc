#!/bin/sh
# Makes every fixture that comes from Python's side; `make.sh --check` compares with the committed ones instead.
set -eu
cd "$(dirname "$0")"
venv=../../.venv
if ! cmp -s requirements.txt "$venv/requirements.txt"; then
    python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet --requirement requirements.txt
    cp requirements.txt "$venv/requirements.txt"
fi
status=0
for script in make_*.py; do
    echo "$script"
    "$venv/bin/python" "$script" "$@" || status=1
done
exit $status
