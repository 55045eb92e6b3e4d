#!/usr/bin/env bash
# usage: disable-cross.sh MODEL.mlir DIRECTORY GROUP COMPARE [TOLERANCE]
# The hidden dimension changes between `embed` and layers.0.attn. Compares the
# logits with GROUP disabled with those of the plan that also skips it, by
# `COMPARE a.npy b.npy TOLERANCE`; they must be others than with GROUP.
set -euo pipefail
model=$1 directory=$2 group=$3 compare=$4 tolerance=${5:-}
rm -rf "$directory" && mkdir "$directory"
plan() {
  echo 'prune.plan @p {'
  echo '  prune.keep "embed" hidden = #prune.set<[0:32] of 44>'
  echo '  prune.keep "layers.*.*" hidden = #prune.set<[0:16, 20:36] of 44>'
  echo "  $1"
  echo '}'
}
plan '' > "$directory/all.plan.mlir"
plan "prune.skip \"$group\"" > "$directory/skip.plan.mlir"
for name in all skip; do
  coppice prune "$model" --plan "$directory/$name.plan.mlir" -o "$directory/$name.mlir"
  coppice compile "$directory/$name.mlir" --isa host -o "$directory/$name.coppice"
  coppice-run logits "$directory/$name.coppice" --tokens 1,17,3 --all -o "$directory/$name.npy"
done
coppice-run logits "$directory/all.coppice" --tokens 1,17,3 --all --disable "$group" -o "$directory/off.npy"
$compare "$directory/off.npy" "$directory/skip.npy" $tolerance
if cmp -s "$directory/off.npy" "$directory/all.npy"; then
  echo "disabling $group changed nothing" >&2
  exit 1
fi
