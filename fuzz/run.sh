#!/usr/bin/env bash
# Fuzzes one target: fuzz/run.sh TARGET [SECONDS]. The corpus grows in fuzz/corpus/TARGET, what is found is put into
# fuzz/artifacts/TARGET. Seeds are the fixtures of the tests. Needs `cargo install cargo-fuzz` and `make setup`.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
target=$1 seconds=${2:-60}
fixtures=tests/fixtures seeds=fuzz/corpus/$target
mkdir -p "$seeds"

case $target in
  checkpoint) cp $fixtures/checkpoints/*.{pth,pkl,safetensors} $fixtures/checkpoints/refused/* "$seeds" ;;
  pickle)
    cp fuzz/seeds/pickle/* "$seeds"
    for file in $fixtures/checkpoints/{,refused/}*.zip.pth; do
      unzip -p "$file" '*/data.pkl' > "$seeds/$(basename "$file")" 2> /dev/null || rm "$seeds/$(basename "$file")"
    done
    ;;
  numpy) cp $fixtures/checkpoints/{,refused/}*.pkl "$seeds" ;;
  wrapper)
    for file in $fixtures/wrappers/{,foreign/}*.{pth,ckpt,pt}; do
      { printf '\0'; unzip -p "$file" '*/data.pkl'; } > "$seeds/$(basename "$file")" 2> /dev/null || rm "$seeds/$(basename "$file")"
    done
    ;;
  hdf5) find $fixtures/hdf5 -name '*.h5' -size -64k -exec cp {} "$seeds" \; ;;
  image) cp $fixtures/images/* "$seeds" ;;
  unixfs) find $fixtures/ipfs/blocks -size -4k -exec cp {} "$seeds" \; ;;
  iexec) cp fuzz/seeds/iexec/* "$seeds" ;;
  address)
    cp fuzz/seeds/address/* "$seeds"
    while read -r root _; do printf 'ipfs://%s/a/b.jpg' "$root" > "$seeds/$root"; done < $fixtures/ipfs/roots.txt
    ;;
esac
if [ -d "$fixtures/regressions/$target" ]; then
  cp "$fixtures/regressions/$target"/* "$seeds"
fi

export LIBTORCH=${LIBTORCH:-$PWD/.libtorch}
export LD_LIBRARY_PATH=$LIBTORCH/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
options=(-max_total_time="$seconds" -timeout=10 -rss_limit_mb=4096 -max_len=65536 -print_final_stats=1)
words=${target/wrapper/pickle}
if [ -f "fuzz/dictionaries/$words.dict" ]; then
  options+=(-dict="fuzz/dictionaries/$words.dict")
fi
# Without a sanitizer: the code is safe Rust, whose own checks are on, and libtorch is not built for one.
exec cargo fuzz run -s none "$target" -- "${options[@]}"
