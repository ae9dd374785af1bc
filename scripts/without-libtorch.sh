#!/usr/bin/env bash
# Proves that the pure crates need no libtorch: neither they nor anything that they depend on is tch.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

for crate in detections intake; do
  found=$(${CARGO:-cargo} tree --locked --edges all --prefix none -p "$crate" | grep -E '^(tch|torch-sys|maskrcnn) ' || true)
  [ -z "$found" ] || { printf '%s depends on %s\n' "$crate" "$found" >&2; exit 1; }
done
echo "detections and intake need no libtorch"
