#!/usr/bin/env bash
# usage: same-program.sh PRUNED.mlir BACK.mlir
# Both must compile to the same program: the same kernels, whatever they came
# from, and the same dispatches of them in the same order.
set -euo pipefail
for module in "$1" "$2"; do
  opt=prune-to-exec
  grep -q 'prune.gemm' "$module" || opt=prune-apply-plan\ --prune-to-exec
  # shellcheck disable=SC2086
  coppice-opt "$module" --$opt=max-rows=64 --mlir-print-local-scope > "$module.exec"
  # But for what a value holds of the dense one, which only the first knows, and
  # what is between two factors, which has a name in a model that has them.
  grep 'exec.dispatch' "$module.exec" | sed 's/ kept .* (%/ (%/; s/ value "[^"]*\.[a-z]\+\.[a-z]\+\.v" / /; s/%[A-Za-z0-9_.]*/%/g' > "$module.dispatches"
  sed -n '/module @kernels/,$p' "$module.exec" > "$module.kernels"
done
[ -s "$1.dispatches" ]
cmp "$1.dispatches" "$2.dispatches"
cmp "$1.kernels" "$2.kernels"
