#!/usr/bin/env bash
# Assembles ./.libtorch, the libtorch that tch links to, from PyTorch's wheels on the Python package index.
#
# Why wheels: they are pinned by sha256, they come from a registry that mirrors everywhere, and only the CPU part of
# them is kept (the CUDA kernels, some gigabytes, are never fetched). Needs python3 with pip, a C compiler, and 3 GB
# of free disk while it works; keeps about 380 MB.
#
# A LIBTORCH of your own (CUDA or not) wins: the script then checks that it is there and does nothing else.
#
#   scripts/libtorch.sh            make ./.libtorch, or say that it is there already
#   scripts/libtorch.sh --check    only say whether it is there (exit 1 when not)
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
target="$root/.libtorch"
downloads="$root/.libtorch-downloads"

# tch 0.26 is generated from the operators of libtorch 2.13.0. `libtorch_cpu.so` of this wheel is linked against the
# CUDA runtime and CUPTI, so those two small libraries come along; nothing calls them on a CPU.
version=2.13.0
# name==version | file | sha256
wheels=(
  "torch==$version|torch-2.13.0-cp311-cp311-manylinux_2_28_x86_64.whl|60fcdcb2f3876e21146cb4524ef06397d727ca9ad5f020818547e25075fe3cb7"
  "nvidia-cuda-runtime==13.0.96|nvidia_cuda_runtime-13.0.96-py3-none-manylinux2014_x86_64.manylinux_2_17_x86_64.whl|7f82250d7782aa23b6cfe765ecc7db554bd3c2870c43f3d1821f1d18aebf0548"
  "nvidia-cuda-cupti==13.0.85|nvidia_cuda_cupti-13.0.85-py3-none-manylinux_2_25_x86_64.whl|4eb01c08e859bf924d222250d2e8f8b8ff6d3db4721288cf35d14252a4d933c8"
)
libraries=(libtorch.so libtorch_cpu.so libc10.so libgomp.so.1 libcudart.so.13 libcupti.so.13)

say() { printf 'libtorch: %s\n' "$*" >&2; }
fail() { say "$*"; exit 1; }

# Prints what keeps folder $1 from being a libtorch, nothing when it is one.
lacking() {
  local library
  for library in "${libraries[@]}"; do
    [ -s "$1/lib/$library" ] || { echo "lib/$library"; return; }
  done
  [ -s "$1/licenses/libtorch-LICENSE.txt" ] || { echo "licenses"; return; }
  [ -f "$1/include/torch/csrc/api/include/torch/torch.h" ] || { echo "include/torch"; return; }
  [ "$(cat "$1/build-version" 2>/dev/null)" = "$version" ] || echo "build-version $version"
}

if [ -n "${LIBTORCH:-}" ] && [ "$(realpath -m "$LIBTORCH")" != "$target" ]; then
  [ -e "$LIBTORCH/lib/libtorch_cpu.so" ] ||
    fail "LIBTORCH is set to \`$LIBTORCH\`, which holds no lib/libtorch_cpu.so; mend it, or unset LIBTORCH to have ./.libtorch made"
  say "using your LIBTORCH, $LIBTORCH"
  exit 0
fi

missing=$(lacking "$target")
if [ -z "$missing" ]; then
  [ "${1:-}" = --check ] && say "$version is in place"
  exit 0
fi
[ "${1:-}" = --check ] && fail "not assembled: $missing is missing in .libtorch; run scripts/libtorch.sh"

[ "$(uname -s)-$(uname -m)" = Linux-x86_64 ] ||
  fail "these wheels are for Linux on x86-64, this is $(uname -s) on $(uname -m); set LIBTORCH to a libtorch $version of your own"
command -v python3 >/dev/null || fail "python3 is missing; on Debian: apt-get install python3-pip"
python3 -m pip --version >/dev/null 2>&1 || fail "pip is missing for python3; on Debian: apt-get install python3-pip"
compiler=${CC:-cc}
command -v "$compiler" >/dev/null || fail "a C compiler (\`$compiler\`) is missing; on Debian: apt-get install build-essential"
free=$(df -Pk "$root" | awk 'NR == 2 { print int($4 / 1024) }')
[ "$free" -ge 3000 ] || fail "needs 3000 MB of free disk in $root, found $free MB"

mkdir -p "$downloads"

# One download at a time into one place: two builds of the same checkout wait for each other.
exec 9>"$downloads/lock"
if command -v flock >/dev/null; then
  flock -n 9 || { say "another libtorch.sh is at work here; waiting"; flock 9; }
  [ -z "$(lacking "$target")" ] && exit 0
fi

is_right() { [ -f "$1" ] && [ "$(sha256sum "$1" | cut -d' ' -f1)" = "$2" ]; }

# pip draws the progress line (bytes, rate, time left) on a terminal. A wheel that is whole stays, so that a second run
# fetches only what is missing; and from 25.1 on, pip goes on where a connection broke. An older one fetches a newer one for
# this folder alone.
pip=(python3 -m pip)
if ! "${pip[@]}" download --help 2>/dev/null | grep -q -- --resume-retries; then
  if [ ! -d "$downloads/pip" ]; then
    printf 'pip==25.3 --hash=sha256:9655943313a94722b7774661c21049070f6bbb0a1516bf02f7c8d5d9201514cd\n' >"$downloads/requirement.txt"
    python3 -m pip install --quiet --no-deps --require-hashes --disable-pip-version-check --root-user-action=ignore \
      --target "$downloads/pip.part" -r "$downloads/requirement.txt" >&2 ||
      fail "could not fetch a pip that resumes downloads; run the same command again (is the package index reachable?)"
    mv "$downloads/pip.part" "$downloads/pip"
  fi
  pip=(env PYTHONPATH="$downloads/pip" python3 -m pip)
fi
count=0
for wheel in "${wheels[@]}"; do
  IFS='|' read -r requirement file sha256 <<<"$wheel"
  count=$((count + 1))
  if is_right "$downloads/$file" "$sha256"; then
    say "[$count/${#wheels[@]}] $requirement is here already"
    continue
  fi
  rm -f "$downloads/$file"
  say "[$count/${#wheels[@]}] fetching $requirement"
  # --platform and --python-version pin the one file, whatever Python runs this; its code is never imported.
  printf '%s --hash=sha256:%s\n' "$requirement" "$sha256" >"$downloads/requirement.txt"
  "${pip[@]}" download --no-deps --only-binary=:all: --require-hashes --disable-pip-version-check --retries 10 \
    --resume-retries 20 --python-version 3.11 --implementation cp --abi cp311 --abi none \
    --platform manylinux_2_28_x86_64 --platform manylinux_2_25_x86_64 --platform manylinux2014_x86_64 \
    -r "$downloads/requirement.txt" -d "$downloads" >&2 ||
    fail "could not fetch $requirement; run the same command again to go on from here (is the package index reachable?)"
  is_right "$downloads/$file" "$sha256" ||
    fail "$file is not the pinned file: expected sha256 $sha256, found $(sha256sum "$downloads/$file" 2>/dev/null | cut -d' ' -f1 || true)"
done

say "unpacking"
staging="$downloads/staging"
rm -rf "$staging"
mkdir -p "$staging/lib"
python3 - "$downloads" "$staging" "${wheels[@]}" <<'PYTHON'
"""Unpacks just the headers and libraries that a CPU program links to; the rest of the wheels stays packed."""
import os, shutil, sys, zipfile

downloads, staging, *wheels = sys.argv[1:]
keep = {
    "torch/lib/libtorch_cpu.so", "torch/lib/libc10.so", "torch/lib/libgomp.so.1",
    "nvidia/cu13/lib/libcudart.so.13", "nvidia/cu13/lib/libcupti.so.13",
}
# The licences that go wherever the libraries go: a text for each wheel, with those of what is compiled into it.
licences = os.path.join(staging, "licenses")
os.makedirs(licences)
for wheel in wheels:
    product = "libtorch" if wheel.startswith("torch") else wheel.split("==")[0]
    licence = os.path.join(licences, f"{product}-LICENSE.txt")
    with zipfile.ZipFile(os.path.join(downloads, wheel.split("|")[1])) as archive:
        for entry in archive.infolist():
            name = entry.filename
            if name in keep:
                keep.remove(name)
                target = os.path.join(staging, "lib", os.path.basename(name))
            elif name.startswith("torch/include/") and not entry.is_dir():
                target = os.path.join(staging, name[len("torch/"):])
            elif ".dist-info/licenses/" in name and not entry.is_dir():
                with open(licence, "ab") as out:
                    out.write(f"==== {name.split('.dist-info/licenses/')[1]}\n\n".encode() + archive.read(entry) + b"\n")
                continue
            else:
                continue
            os.makedirs(os.path.dirname(target), exist_ok=True)
            with archive.open(entry) as source, open(target, "wb") as out:
                shutil.copyfileobj(source, out, 1 << 20)
    if not os.path.exists(licence):
        sys.exit(f"libtorch: no licence in the wheel of {product}")
if keep:
    sys.exit(f"libtorch: not found in the wheels: {', '.join(sorted(keep))}")
PYTHON

# The wheel's own libtorch.so pulls in the CUDA kernels; this one names the CPU library and nothing else.
"$compiler" -shared -o "$staging/lib/libtorch.so" -x c /dev/null -Wl,--no-as-needed -L"$staging/lib" \
  -Wl,-rpath-link,"$staging/lib" -l:libtorch_cpu.so -l:libc10.so -Wl,-rpath,'$ORIGIN'
if command -v strip >/dev/null; then
  strip -s "$staging/lib/libtorch_cpu.so" # 438 MB to 349 MB
fi
echo "$version" >"$staging/build-version"

missing=$(lacking "$staging")
[ -z "$missing" ] || fail "the wheels unpacked without $missing; please report this with the output above"
rm -rf "$target"
mv "$staging" "$target"
rm -rf "$downloads"
say "$version is in .libtorch ($(du -sm "$target" | cut -f1) MB)"
