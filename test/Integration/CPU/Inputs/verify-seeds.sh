#!/usr/bin/env bash
# usage: verify-seeds.sh MODEL "SEED ..." PRUNE-FLAG...
# Prunes MODEL.mlir with each seed and verifies it; prints verify's last lines.
set -euo pipefail
model=$1 seeds=$2
shift 2
for seed in $seeds; do
  coppice prune "$model.mlir" "$@" --seed "$seed" -o "$model.pruned.mlir"
  coppice verify "$model.pruned.mlir" --batch 3 --seq $((11 + 3 * seed)) --seed "$seed" | tail -n 1
done
