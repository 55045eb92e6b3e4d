#!/usr/bin/env bash
# usage: verify-plans.sh MODEL
# Verifies MODEL.mlir dense and pruned; prints a line for each.
set -euo pipefail
model=$1
verify() {
  coppice verify "$1" --batch 3 --seq 19 --isa avx2 > "$model.txt"
  echo "$(grep -o 'fast kernels [0-9]*/[0-9]*' "$model.txt") $(tail -n 1 "$model.txt")"
}
verify "$model.mlir"
coppice prune "$model.mlir" --static-m 0.34 --static-nk 0.5 --seed 3 -o "$model.pruned.mlir"
verify "$model.pruned.mlir"
