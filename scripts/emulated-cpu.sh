#!/usr/bin/env bash
# Runs the program on emulated processors of other makers and ages, and compares every byte it writes with what it writes
# on this one.
#
#   scripts/emulated-cpu.sh PROGRAM [PHOTO]
#
# Needs qemu-x86_64 (Debian: qemu-user, 7.2 or newer: older ones have no AVX2). A photo of 227x149 pixels takes half a
# minute a processor. Exit 1 when a byte differs, a run fails or the emulator is missing.
set -euo pipefail

program=$(realpath "${1:?usage: scripts/emulated-cpu.sh PROGRAM [PHOTO]}")
photo=$(realpath "${2:-$(dirname "${BASH_SOURCE[0]}")/../tests/fixtures/corpora/libjpeg-turbo/testorig.jpg}")

# A server of Intel's and one of AMD's, both with AVX2 and FMA and without AVX-512.
same=(Haswell EPYC)
# Has neither.
refused=Nehalem

fail() { printf 'emulated-cpu: %s\n' "$*" >&2; exit 1; }
command -v qemu-x86_64 >/dev/null || fail "qemu-x86_64 is missing; on Debian: apt-get install qemu-user"
[ -x "$program" ] || fail "\`$program\` cannot be run"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$(dirname "$photo")" # the JSON names the image as the command line does
photo=$(basename "$photo")

# segment OUTPUT COMMAND...: at a low threshold, so that many scores, boxes and masks are compared.
segment() {
  local output=$1
  shift
  # The emulator warns of each feature that it lacks; they are none that matter here.
  "$@" "$program" --deterministic --quiet --threshold 0.05 --output "$output" "$photo" 2> >(grep -v '^qemu-.*warning' >&2)
}

segment "$work/native" env
digests=$(cd "$work/native" && sha256sum -- *)
printf '%s\n' "$digests"
for cpu in "${same[@]}"; do
  start=$SECONDS
  segment "$work/$cpu" qemu-x86_64 -cpu "$cpu" || fail "the run on $cpu failed"
  found=$(cd "$work/$cpu" && sha256sum -- *)
  [ "$found" = "$digests" ] || fail "$cpu computes other bytes:"$'\n'"$found"
  printf '%s: the same bytes (%d s)\n' "$cpu" $((SECONDS - start))
done

if segment "$work/$refused" qemu-x86_64 -cpu "$refused" 2>"$work/message"; then
  fail "$refused lacks AVX2 and was not refused"
fi
grep -q 'AVX2 and FMA' "$work/message" || fail "$refused was refused for another reason: $(cat "$work/message")"
printf '%s: refused\n' "$refused"
