#!/usr/bin/env bash
# Packs what a machine with an NVIDIA GPU needs to check our kernels there: coppice-run, bundles for the GPU and their oracles, and run.sh, which
# says first whether kernels are right and then how long they take. Nothing is built there; weights are generated there, from a seed.
#
# usage: benchmarks/gpu-check.sh [-o FOLDER] [--build FOLDER] [--chips LIST] [--only LIST]
#   -o FOLDER       where to pack, and FOLDER.tar.gz beside it [gpu-check]
#   --build FOLDER  a built tree [build/release]
#   --chips LIST    comma-separated: code for these [sm_90,sm_80]
#   --only LIST     comma-separated names of bundles, such as dense-bf16,times/dense [all]
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
out=gpu-check build=$root/build/release chips=sm_90,sm_80 only=
while [ $# -gt 0 ]; do
  case "$1" in
    -o) out=$2; shift 2 ;;
    --build) build=$2; shift 2 ;;
    --chips) chips=$2; shift 2 ;;
    --only) only=$2; shift 2 ;;
    *) sed -n '2,9s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
  esac
done
if [ -e "$out" ] && [ ! -e "$out/run.sh" ]; then
  echo "gpu-check: error: expected '$out' to be a pack or not to exist" >&2
  exit 1
fi
coppice=$build/bin/coppice
[ -x "$coppice" ] || { echo "gpu-check: error: expected $coppice: build first, or say --build" >&2; exit 1; }

cmake --build "$build" --target coppice-run-portable > /dev/null
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
pack=$work/pack
mkdir -p "$pack"/{right,times,machines}
cp "$build/bin/coppice-run-portable" "$pack/coppice-run"
cp "$root"/benchmarks/machines/{a100,h100,h200}.json "$pack/machines"
git -C "$root" rev-parse HEAD > "$pack/commit" 2> /dev/null || echo unknown > "$pack/commit"
target=cuda:${chips//,/,cuda:}

quietly() { "$@" > "$work/log" 2>&1 || { cat "$work/log" >&2; exit 1; }; }

# family NAME MODEL FLAGS..: $work/NAME.mlir
family() {
  local name=$1 model=$2
  shift 2
  if [ $# -eq 0 ]; then cp "$model" "$work/$name.mlir"; else quietly "$coppice" prune "$model" "$@" -o "$work/$name.mlir"; fi
}

wanted() { [ -z "$only" ] || [[ ",$only," == *",$1,"* ]]; }

limits=(--max-batch 4 --max-context 96 --max-rows 384)
right() {
  wanted "$1" || return 0
  family "$@"
  quietly "$coppice" compile "$work/$1.mlir" --target "$target" --force "${limits[@]}" -o "$pack/right/$1.gpu"
  quietly "$coppice" compile "$work/$1.mlir" --oracle --round-like "$pack/right/$1.gpu" "${limits[@]}" -o "$pack/right/$1.oracle"
  echo "packed right/$1" >&2
}
timed() {
  # What is timed is timed beside dense.
  wanted "times/$1" || { [ "$1" = dense ] && [[ "$only" == *times/* ]]; } || return 0
  family "$@"
  quietly "$coppice" compile "$work/$1.mlir" --target "$target" --force --max-batch 4 --max-context 2048 --max-rows 2048 -o "$pack/times/$1.gpu"
  echo "packed times/$1" >&2
}

for dtype in bf16 f16 f32; do
  quietly "$coppice" import preset:tiny --dtype $dtype -o "$work/tiny.$dtype"
done
quietly "$coppice" import preset:tiny-uneven -o "$work/uneven"
for dtype in bf16 f16 f32; do
  right dense-$dtype "$work/tiny.$dtype"
  right dynamic-n-$dtype "$work/tiny.$dtype" --dynamic-n 0.5 --group 16
done
right static-m "$work/uneven" --static-m 0.5
right static-nk "$work/uneven" --static-nk 0.5
right low-rank "$work/tiny.bf16" --low-rank 0.5
right 2of4 "$work/tiny.bf16" --nm 2:4
right dynamic-m "$work/uneven" --dynamic-m 0.5
right dynamic-k "$work/tiny.bf16" --dynamic-k 0.5 --group 16
right blocks "$work/tiny.bf16" --window-blocks 1 --sink-blocks 1 --top-blocks 1 --block 16
right threshold "$work/tiny.f32" --attention-threshold 0.1 --block 32
right activations "$work/tiny.f32" --activation-sparsity 0.5
quietly "$coppice" import preset:llama-3.2-1b -o "$work/1b"
timed dense "$work/1b"
timed static-m "$work/1b" --static-m 0.5
timed static-nk "$work/1b" --static-nk 0.5
timed low-rank "$work/1b" --low-rank 0.5
timed dynamic-m "$work/1b" --dynamic-m 0.5
timed dynamic-n "$work/1b" --dynamic-n 0.5
timed blocks "$work/1b" --sparse-attention 0.5

cat > "$pack/run.sh" <<'RUN'
#!/usr/bin/env bash
# usage: run.sh [--dry-run]: results in results/, a table on stdout. Exit code 0: all kernels are right, and all could be timed.
cd "$(dirname "$0")" || exit 1
dry=0
case "${1:-}" in
  "") ;;
  --dry-run) dry=1 ;;
  *) sed -n '2s/^# //p' "$0" >&2; exit 2 ;;
esac
if [ $dry = 1 ]; then
  # All that can be known without a GPU: files are whole, and this machine starts the program.
  failed=0
  for bundle in right/* times/*; do
    [ -d "$bundle" ] || continue
    if ./coppice-run info "$bundle" > /dev/null; then echo "ready $bundle"; else failed=1; fi
  done
  [ $failed = 0 ] && echo "dry run: $(ls right | grep -c '\.gpu$') comparisons, $(ls times | grep -c '\.gpu$') bundles to time, commit $(cat commit)"
  exit $failed
fi
mkdir -p results
name=$(nvidia-smi --query-gpu=name --format=csv,noheader 2> /dev/null | head -1)
echo "GPU: ${name:-unknown}, commit $(cat commit)"
wrong=0
printf '%-18s %-8s %12s %s\n' right verdict 'logits error' 'what is wrong'
for gpu in right/*.gpu; do
  [ -d "$gpu" ] || continue
  n=$(basename "$gpu" .gpu)
  if ./coppice-run verify "$gpu" "right/$n.oracle" --batch 4 --seq 90 --json results/verify.jsonl > "results/$n.log" 2>&1; then verdict=holds; else verdict=WRONG; wrong=1; fi
  printf '%-18s %-8s %12s %s\n' "$n" $verdict "$(awk '$1 == "logits" {print $2; exit}' "results/$n.log")" "$(grep -m1 -E 'error:|beyond' "results/$n.log" | head -c 160)"
done
case "$name" in *H200*) machine=h200 ;; *A100*) machine=a100 ;; *) machine=h100 ;; esac
for gpu in times/*.gpu; do
  [ -d "$gpu" ] || continue
  n=$(basename "$gpu" .gpu)
  [ "$n" = dense ] && continue
  echo "== $n"
  ./coppice-run bench "$gpu" --dense times/dense.gpu --machine machines/$machine.json --phase prefill,decode --seq 512 --batch 1,4 --max-seconds 4 \
    --force --json results/bench.jsonl 2> "results/bench-$n.log" || { tail -3 "results/bench-$n.log"; wrong=1; }
done
exit $wrong
RUN
chmod +x "$pack/run.sh"
rm -rf "$out"
mkdir -p "$(dirname "$out")"
mv "$pack" "$out"
tar -C "$(dirname "$out")" -czf "$out.tar.gz" "$(basename "$out")"
bytes=$(stat -c %s "$out.tar.gz")
echo "packed $out.tar.gz, $((bytes / 1000000)) MB"
[ "$bytes" -lt 60000000 ] || { echo "gpu-check: error: expected less than 60 MB" >&2; exit 1; }
