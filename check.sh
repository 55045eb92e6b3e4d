#!/usr/bin/env bash
# Builds everything with warnings as errors and runs every test. On a bare Debian 12 it installs what it needs (root or sudo).
# --full adds the long ones: sanitizers, fuzzing, more seeds.
set -euo pipefail
cd "$(dirname "$0")"

full=0
for argument in "$@"; do
  case "$argument" in
    --full) full=1 ;;
    *) echo "usage: ./check.sh [--full]" >&2; exit 2 ;;
  esac
done

cmake/install-packages.sh --tests --peers
cmake --preset release -DCOPPICE_TESTS=ON -DCOPPICE_WERROR=ON
cmake --build --preset release
ctest --test-dir build/release --output-on-failure

if [ "$full" = 1 ]; then
  cmake --preset asan -DCOPPICE_TESTS=ON -DCOPPICE_FUZZERS=ON
  cmake --build --preset asan
  ctest --test-dir build/asan --output-on-failure
  test/fuzz/run.sh build/asan 60
  inputs=test/Integration/Inputs
  build/release/bin/compose-plans 3000 1000 $inputs/hf-llama $inputs/hf-qwen2 $inputs/hf-qwen3 $inputs/hf-mistral $inputs/hf-phi3 \
    preset:tiny preset:tiny-uneven
  for texts in "--count 10000" --all-characters; do # skipped without the package `tokenizers`
    # shellcheck disable=SC2086
    python3 test/reference/compare_tokenizers.py build/release/bin/encode-texts test/runtime/tokenizer/Inputs $texts
  done
fi
