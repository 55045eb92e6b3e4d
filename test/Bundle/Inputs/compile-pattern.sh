#!/usr/bin/env bash
# usage: compile-pattern.sh PYTHON MODEL OUT DECISIONS TENSOR MAKE_PATTERN_ARGUMENT ..
# Compiles MODEL under a plan of DECISIONS, after make_pattern.py has changed its
# TENSOR of layer 0. All files are below OUT, which is made anew; says "compiled".
set -euo pipefail
python=$1 model=$2 out=$3 decisions=$4 tensor=$5
shift 5
rm -rf "$out" && mkdir -p "$out/model"
cp "$model/config.json" "$out/model"
"$python" "$(dirname "$0")/make_pattern.py" "$model/model.safetensors" "$out/model/model.safetensors" \
  "model.layers.0.mlp.$tensor.weight" "$@"
echo "prune.plan @p { $decisions }" > "$out/plan.mlir"
coppice import "$out/model" -o "$out/model.mlir" 2> /dev/null
coppice prune "$out/model.mlir" --plan "$out/plan.mlir" -o "$out/pruned.mlir"
coppice compile "$out/pruned.mlir" --isa avx2 -o "$out/pruned.coppice" 2>&1 | sed 's/^compiled .* in \([0-9]\)/compiled in \1/'
