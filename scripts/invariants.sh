#!/usr/bin/env bash
# The invariants of ARCHITECTURE.md that a search can check and clippy.toml cannot. Prints each line that breaks one; exit 1
# when there is any. scripts/architecture.py checks who may import whom.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

broken=0
# forbid WHAT PATTERN PATHSPEC...: no line of these tracked files may match, comments aside.
forbid() {
  local what=$1 pattern=$2 found
  shift 2
  found=$(git grep -nE --untracked "$pattern" -- "$@" | grep -vE '^[^:]+:[0-9]+: *//' || true)
  if [ -n "$found" ]; then
    printf 'invariant broken: %s\n%s\n' "$what" "$found"
    broken=1
  fi
}

network=crates/maskrcnn/src
forbid 'families are asked about only in family' '\bFamily::(Compact|TorchvisionV[12]|Detectron2|Matterport)\b' \
  crates src ":!$network/family"
forbid 'nothing above the pipeline crosses frames' 'to_original' crates src ":!$network/detector"
forbid 'unsafe code stands only where tensors, files and slices share memory, and where the environment is set' \
  '\bunsafe\b' crates src ":!$network/nn/host.rs" ":!$network/checkpoint/bytes.rs" :!src/environment.rs
# Words in quotation marks stay in one line, so that a search finds them.
forbid 'lines of code have at most 100 columns' '^[^"]{101,}$' '*.rs'

[ "$broken" = 0 ] && echo "invariants hold"
exit "$broken"
