#!/usr/bin/env bash
# usage: run.sh BUILD SECONDS: runs each fuzz target of a build (COPPICE_FUZZERS=ON, clang), the runtime's and the compiler's, for so many
# seconds, from fresh seeds; fails at the first finding.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
build=${1:?build folder}
seconds=${2:?seconds for each target}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 "$here/make_seeds.py" "$work/seeds"
if [ -x "$build/bin/fuzz-make-seeds" ]; then
  "$build/bin/fuzz-make-seeds" "$work/seeds"
fi
found=0
for target in "$build"/bin/fuzz-*; do
  name=$(basename "$target")
  [ "$name" = fuzz-make-seeds ] || [ ! -x "$target" ] && continue
  found=1
  mkdir -p "$work/corpus/$name" "$work/seeds/$name"
  echo "+ $name, $seconds s"
  if ! "$target" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -max_len=65536 \
      -artifact_prefix="$build/" -print_final_stats=1 "$work/corpus/$name" "$work/seeds/$name" >"$work/log" 2>&1; then
    tail -n 40 "$work/log"
    echo "$name: found a failing input, saved in $build" >&2
    exit 1
  fi
  grep -E "stat::number_of_executed_units" "$work/log"
done
[ "$found" = 1 ] || { echo "no fuzz targets in $build/bin: configure with -DCOPPICE_FUZZERS=ON and clang" >&2; exit 1; }
