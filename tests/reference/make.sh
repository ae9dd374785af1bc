#!/bin/sh
# Makes every fixture that comes from Python's side; `make.sh --check` compares with the committed ones instead.
set -eu
cd "$(dirname "$0")"
venv=$PWD/../../.venv
./venv.sh
status=0
run() {
    echo "$1"
    "$venv/bin/python" "$@" || status=1
}
for script in make_formula.py make_ops.py make_parity.py; do
    run "$script" "$@"
done
for script in make_images.py make_corpora.py make_rle.py make_callback.py; do
    run "$script"
done
if [ "${1:-}" = --check ]; then
    # These write the same bytes each time.
    git diff --exit-code --stat -- ../fixtures/images ../fixtures/corpora ../fixtures/rle.json \
        ../fixtures/callback.json || status=1
    # make_checkpoints.py is left out: legacy files hold addresses, so that each run gives other bytes for the same tensors.
else
    run make_checkpoints.py
fi
run check_report.py
exit $status
