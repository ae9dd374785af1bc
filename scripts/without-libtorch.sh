#!/usr/bin/env bash
# Proves that the pure crates need no libtorch: neither they nor anything that they depend on is tch.
# `make test-pure` builds and tests them where there is none.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

for crate in detections intake; do
  # On a line of its own, so that a tree that cannot be made is an error.
  tree=$(${CARGO:-cargo} tree --locked --edges all --prefix none -p "$crate")
  found=$(grep -E '^(tch|torch-sys|maskrcnn) ' <<<"$tree" || true)
  [ -z "$found" ] || { printf '%s depends on %s\n' "$crate" "$found" >&2; exit 1; }
done
echo "detections and intake need no libtorch"
