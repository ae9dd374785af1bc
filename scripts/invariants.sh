#!/usr/bin/env bash
# The invariants of ARCHITECTURE.md that a search can check. Prints each line that breaks one; exit 1 when there is any.
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

forbid 'tch appears only in checkpoint, nn and model' '\btch::' \
  src ':!src/checkpoint' ':!src/nn' ':!src/model' ':!src/error.rs'
forbid 'the program sees only the public face of the library' '\b(tch|rayon|safetensors)::' src/bin
forbid 'the library has no clock and no randomness' '\b(Instant|SystemTime|rand)::' src ':!src/bin' ':!src/checkpoint/tests'
forbid 'the environment is read only in the program'\''s cli.rs and iexec.rs' '\benv::(var|vars|var_os)\b' \
  src ':!src/bin/maskrcnn/cli.rs' ':!src/bin/maskrcnn/iexec.rs'
forbid 'families are asked about only in family' '\bFamily::(Compact|TorchvisionV1)\b' src ':!src/family'
forbid 'render and report never see a tensor' '\b(tch|Tensor|nn|model|family)::' src/render src/report.rs
forbid 'nothing above the pipeline crosses frames' 'to_original' src ':!src/model'
forbid 'unsafe code stands only where tensors, files and slices share memory' '\bunsafe\b' \
  src ':!src/nn/memory.rs' ':!src/checkpoint/bytes.rs' ':!src/bin/maskrcnn/environment.rs'
forbid 'the environment is changed in one place' '\benv::(set_var|remove_var)\b' src ':!src/bin/maskrcnn/environment.rs'
forbid 'elementary functions come from ops/elementary' '\.(exp|exp2|log2|log10|powf|sin|cos|tan|tanh)\(' \
  src/model/*.rs src/nn src/ops ':!src/ops/elementary.rs'

[ "$broken" = 0 ] && echo "invariants hold"
exit "$broken"
