#!/usr/bin/env bash
# All tests: the release build under CTest, then everything again under ASan and UBSan. The last line
# of the output counts them. Usage: tools/test.sh BUILD
set -euo pipefail
cd "$(dirname "$0")/.."
build=$1
jobs=$(nproc)
echo "== sanitizers (address, undefined) =="
cmake -S . -B "$build-asan" -G Ninja -DCMAKE_BUILD_TYPE=Debug -DCMAKE_C_FLAGS_DEBUG="-O1 -g" \
    -DHEARTH_SANITIZE=address,undefined >/dev/null
cmake --build "$build-asan" -j "$jobs" -- --quiet
ctest --test-dir "$build-asan" --output-on-failure -j "$jobs" --no-tests=error
echo "== release =="
ctest --test-dir "$build" --output-on-failure -j "$jobs" --no-tests=error
