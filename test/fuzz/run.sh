#!/usr/bin/env bash
# usage: run.sh BUILD SECONDS: runs each fuzzer of the compiler's readers for so long, from fresh seeds.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
build=$(cd "$1" && pwd)
work=$build/fuzz
python3 "$here/make_seeds.py" "$work"
for name in huggingface_config llama2c; do
  "$build/bin/fuzz-$name" -max_total_time="$2" -max_len=65536 -timeout=10 -rss_limit_mb=2048 -verbosity=0 -print_funcs=0 \
    -artifact_prefix="$work/" "$work/$name"
done
