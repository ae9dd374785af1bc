#!/usr/bin/env bash
# Runs the jq recipe of docs/output.md: it joins reports, and refuses two images with one id.
# Brings jq along from Debian's packages where it is missing, as root.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

command -v jq >/dev/null || { apt-get update -qq && apt-get install --yes -qq jq >/dev/null; }

# From the opening quote of `jq -s '` to the closing one.
filter=$(sed -n "/jq -s '/,/' /p" docs/output.md | tr '\n' ' ' | sed "s/.*jq -s '//; s/'.*//")
[ -n "$filter" ] || { echo "recipes: docs/output.md has no jq recipe" >&2; exit 1; }

report() { # ID SHA256
  printf '{"image": {"id": %s, "sha256": "%s"}, "detections": [{"image_id": %s}]}\n' "$1" "$2" "$1"
}
# `a` twice: the same image, done by two runs.
joined=$({ report 7 a; report 9 b; report 7 a; } | jq -c -s "$filter")
[ "$joined" = '[{"image_id":7},{"image_id":9},{"image_id":7}]' ] ||
  { echo "recipes: the jq recipe gives $joined" >&2; exit 1; }
if { report 7 a; report 7 b; } | jq -c -s "$filter" >/dev/null 2>&1; then
  echo "recipes: the jq recipe mixes two images with one id" >&2
  exit 1
fi
echo "recipes: ok"
