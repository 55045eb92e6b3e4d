#!/usr/bin/env bash
# From a bare Debian 12 (root or sudo) to a table of measured beside predicted speedups. Builds the tools only.
set -euo pipefail
cd "$(dirname "$0")"

run() { echo "\$ $*" >&2; "$@"; }

run cmake/install-packages.sh --peers
run cmake --preset release -DCOPPICE_TESTS=OFF >&2
run cmake --build --preset release --target coppice coppice-run coppice-opt bench-gemm >&2
# First how the dense kernels compare with other libraries: speedups are over these.
run build/release/bin/bench-gemm --quick --dtype bf16 --rows 1,128 --max-seconds 0.5
run build/release/bin/coppice demo "$@"
