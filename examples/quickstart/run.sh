#!/usr/bin/env bash
# usage: run.sh [DIRECTORY]     import, prune by a plan, verify, compile, measure. Expects the tools on PATH.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
directory=${1:-$(mktemp -d)}
cd "$directory"

coppice import preset:demo -o demo.mlir
coppice prune demo.mlir --plan "$here/plan.mlir" -o pruned.mlir
coppice plan show pruned.mlir
coppice verify pruned.mlir --seq 8 --batch 2
coppice compile demo.mlir -o dense.coppice
coppice compile pruned.mlir -o pruned.coppice
coppice-run bench pruned.coppice --dense dense.coppice --phase prefill,decode --seq 64 --max-seconds 2
