#!/usr/bin/env bash
# Makes target/dist/maskrcnn-VERSION-x86_64-linux.tar.gz: the program with libtorch beside it, to be unpacked anywhere. The
# same build gives the same bytes: no times, no owners.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

version=$(sed -n '/^\[workspace.package\]/,/^\[/s/^version = "\(.*\)"/\1/p' Cargo.toml)
name=maskrcnn-$version-x86_64-linux
folder=target/dist
rm -rf "$folder"
mkdir -p "$folder"
scripts/install.sh "$folder/$name"
install --mode=644 README.md CHANGELOG.md "$folder/$name/share/doc/maskrcnn/"
tar -c -C "$folder" --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner "$name" | gzip -n >"$folder/$name.tar.gz"
rm -rf "${folder:?}/$name"
printf 'dist: %s (%d MB)\n' "$folder/$name.tar.gz" "$(($(stat -c %s "$folder/$name.tar.gz") >> 20))" >&2
