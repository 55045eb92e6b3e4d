#!/usr/bin/env bash
# From a bare Debian 12 (root or sudo) to a table of measured beside predicted speedups. Builds the tools only.
set -euo pipefail
cd "$(dirname "$0")"

run() { echo "\$ $*" >&2; "$@"; }

run cmake/install-packages.sh
run cmake --preset release -DCOPPICE_TESTS=OFF >&2
run cmake --build --preset release --target coppice coppice-run coppice-opt >&2
run build/release/bin/coppice demo "$@"
