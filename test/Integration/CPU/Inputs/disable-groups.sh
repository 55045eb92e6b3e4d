#!/usr/bin/env bash
# usage: disable-groups.sh DIRECTORY GROUP,..
# Compiles DIRECTORY/dense.mlir with the groups skipped to skip.coppice; its
# logits must be those of dense.coppice with the groups disabled, and others
# than those of the dense model.
set -euo pipefail
cd "$1"
tokens=1,17,3,99,42,17,8
{
  echo 'prune.plan @skipped {'
  tr ',' '\n' <<< "$2" | sed 's/.*/  prune.skip "&"/'
  echo '}'
} > skip.plan.mlir
rm -rf skip.coppice
coppice prune dense.mlir --plan skip.plan.mlir -o skip.mlir
coppice compile skip.mlir -o skip.coppice
coppice-run logits dense.coppice --tokens $tokens --all -o dense.npy
coppice-run logits dense.coppice --tokens $tokens --all --disable "$2" -o disabled.npy
coppice-run logits skip.coppice --tokens $tokens --all -o skip.npy
cmp disabled.npy skip.npy
if cmp -s dense.npy disabled.npy; then
  echo "disabling $2 changed nothing" >&2
  exit 1
fi
