#!/usr/bin/env bash
# usage: export-import.sh PRUNED.mlir DIRECTORY [EXPORT-FLAG...]
# Exports PRUNED.mlir to DIRECTORY/checkpoint and imports that again: the logits
# of both programs must be the same bits.
set -euo pipefail
pruned=$1 directory=$2
shift 2
rm -rf "$directory" && mkdir "$directory"
coppice export "$pruned" -o "$directory/checkpoint" "$@"
coppice import "$directory/checkpoint" -o "$directory/back.mlir"
for name in pruned back; do
  module=$directory/back.mlir
  [ $name = pruned ] && module=$pruned
  coppice compile "$module" --isa avx2 --max-rows 16 --max-context 32 -o "$directory/$name.coppice"
  coppice-run logits "$directory/$name.coppice" --tokens 1,17,3,9,42,17,8,2,77 --all -o "$directory/$name.npy"
done
cmp "$directory/pruned.npy" "$directory/back.npy"
echo "same bits"
