#!/usr/bin/env bash
# Puts the program where a system looks for programs, and its libraries where the program looks for them.
#
#   scripts/install.sh PREFIX            into PREFIX/bin, PREFIX/lib/maskrcnn and PREFIX/share; DESTDIR goes in front
#   scripts/install.sh --remove PREFIX   takes it away again
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

fail() { printf 'install: %s\n' "$*" >&2; exit 1; }
remove=
[ "${1:-}" = --remove ] && { remove=1; shift; }
prefix=${DESTDIR:-}$(realpath -m "${1:?usage: scripts/install.sh [--remove] PREFIX}")

bin=$prefix/bin/maskrcnn
libraries=$prefix/lib/maskrcnn
manual=$prefix/share/man/man1/maskrcnn.1
bash=$prefix/share/bash-completion/completions/maskrcnn
zsh=$prefix/share/zsh/site-functions/_maskrcnn
fish=$prefix/share/fish/vendor_completions.d/maskrcnn.fish
licences=$prefix/share/doc/maskrcnn

if [ -n "$remove" ]; then
  rm -f "$bin" "$manual" "$bash" "$zsh" "$fish"
  rm -rf "$libraries" "$licences"
  printf 'install: %s is removed\n' "$bin" >&2
  exit 0
fi

# Without the checkout among the places where it looks for libraries.
export MASKRCNN_INSTALLED=1
${CARGO:-cargo} build --release --locked --bin maskrcnn >&2
pages=$(mktemp -d)
trap 'rm -rf "$pages"' EXIT
source=$(realpath "${LIBTORCH:-.libtorch}")
LD_LIBRARY_PATH=$source/lib ${CARGO:-cargo} run --release --locked --quiet --example manual -- "$pages" >&2

mkdir -p "$prefix" 2>/dev/null && [ -w "$prefix" ] || fail "cannot write to $prefix; name another with PREFIX=, or be root"
install -D --mode=755 target/release/maskrcnn "$bin"
strip --strip-all "$bin" 2>/dev/null || true # smaller, where there is a strip
rm -rf "$libraries"
for library in "$source"/lib/*.so*; do
  install -D --mode=755 "$library" "$libraries/$(basename "$library")"
done
install -D --mode=644 "$pages/maskrcnn.1" "$manual"
install -D --mode=644 "$pages/maskrcnn.bash" "$bash"
install -D --mode=644 "$pages/_maskrcnn" "$zsh"
install -D --mode=644 "$pages/maskrcnn.fish" "$fish"
install -D --mode=644 LICENSE "$licences/LICENSE"
# A libtorch of the user's own may have none beside it.
for licence in crates/detections/src/picture/font/*LICENSE*.txt "$source"/licenses/*LICENSE.txt; do
  [ -f "$licence" ] || continue
  install -D --mode=644 "$licence" "$licences/$(basename "$licence")"
done
if [ -z "${DESTDIR:-}" ]; then
  "$bin" --version >/dev/null || fail "the program does not start from $bin"
fi
printf 'install: %s\n' "$bin" >&2
