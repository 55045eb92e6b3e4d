#!/usr/bin/env bash
# Installs what the build needs on Debian 12, as root or through sudo. Quick when all is there.
# --tests: what the tests need; --peers: the libraries that bench-gemm compares with.
# usage: cmake/install-packages.sh [--tests] [--peers]
set -euo pipefail

packages=(g++ cmake ninja-build ccache git
          clang-22 lld-22 llvm-22-dev llvm-22-tools libmlir-22-dev mlir-22-tools
          nlohmann-json3-dev libcli11-dev libssl-dev libpcre2-dev libutf8proc-dev libeigen3-dev)
for argument in "$@"; do
  case "$argument" in
    --tests) packages+=(libgtest-dev libgmock-dev python3 python3-numpy clang-format-22 libclang-rt-22-dev) ;;
    --peers) packages+=(libdnnl-dev libopenblas-pthread-dev) ;;
    *) echo "unknown argument '$argument': expected --tests or --peers" >&2; exit 2 ;;
  esac
done

missing=()
for package in "${packages[@]}"; do
  dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
done
[ ${#missing[@]} -eq 0 ] && exit 0

sudo=()
if [ "$(id -u)" != 0 ]; then
  command -v sudo >/dev/null || { echo "need root or sudo to install: ${missing[*]}" >&2; exit 1; }
  sudo=(sudo)
fi
echo "installing: ${missing[*]}" >&2
"${sudo[@]}" apt-get update -q >&2
DEBIAN_FRONTEND=noninteractive "${sudo[@]}" apt-get install -y -q --no-install-recommends "${missing[@]}" >&2
