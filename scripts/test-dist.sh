#!/usr/bin/env bash
# Unpacks the tarball of scripts/dist.sh away from the checkout and segments a photo with what is in it; then installs the
# program into a folder, segments again, and removes it.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

root=$PWD
fail() { printf 'test-dist: %s\n' "$*" >&2; exit 1; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# segment PROGRAM: finds a dog with nothing of the environment and none of the checkout's libraries.
segment() {
  local program=$1 found
  found=$(ldd "$program")
  case $found in
    *"not found"* | *"$root"*) fail "$program takes libraries from elsewhere: $found" ;;
  esac
  readelf --dynamic "$program" | grep -F "$root" && fail "$program names this checkout"
  (cd "$work" && rm -rf out && env -i "$program" "$root/examples/photos/dog2.jpg") | grep -q '× dog' ||
    fail "$program finds no dog"
  [ -s "$work/out/dog2.png" ] && [ -s "$work/out/dog2.json" ] || fail "$program left no results"
}

# licences PREFIX: the program's own, those of its fonts and of its libraries are there, as they stand in the checkout.
licences() {
  local licence libtorch=${LIBTORCH:-.libtorch}
  for licence in LICENSE crates/detections/src/picture/font/*LICENSE*.txt "$libtorch"/licenses/*LICENSE.txt; do
    [ -f "$licence" ] || [ -n "${LIBTORCH:-}" ] || fail "there is no $licence"
    [ -f "$licence" ] || continue
    cmp "$licence" "$1/share/doc/maskrcnn/$(basename "$licence")" || fail "$1 has no $licence"
  done
}

make dist
tar -xz -C "$work" -f target/dist/*.tar.gz
segment "$work"/maskrcnn-*/bin/maskrcnn
licences "$work"/maskrcnn-*

make install PREFIX="$work/a prefix"
segment "$work/a prefix/bin/maskrcnn"
licences "$work/a prefix"
share="$work/a prefix/share"
grep -q '^\.TH maskrcnn' "$share/man/man1/maskrcnn.1" || fail "there is no man page"
grep -q -- --threshold "$share/bash-completion/completions/maskrcnn" || fail "there is no completion for bash"
grep -q -- --threshold "$share/zsh/site-functions/_maskrcnn" || fail "there is no completion for zsh"
grep -q -- threshold "$share/fish/vendor_completions.d/maskrcnn.fish" || fail "there is no completion for fish"
make uninstall PREFIX="$work/a prefix"
left=$(find "$work/a prefix" -type f)
[ -z "$left" ] || fail "uninstall leaves $left"
printf '1 passed, 0 failed\n'
