#!/usr/bin/env bash
# Builds every fuzz target with clang, ASan and UBSan and runs each for SECS seconds on one core,
# two at a time. New inputs go to build-fuzz/corpus; a finding stops with its file's name.
# Usage: tools/fuzz.sh SECS [target...]
set -euo pipefail
cd "$(dirname "$0")/.."
secs=$1
shift
cmake -S . -B build-fuzz -G Ninja -DCMAKE_C_COMPILER=clang -DHEARTH_FUZZ=ON \
    -DCMAKE_BUILD_TYPE=Debug -DCMAKE_C_FLAGS_DEBUG="-O1 -g" -DHEARTH_SANITIZE=address,undefined >/dev/null
cmake --build build-fuzz -j "$(nproc)" -- --quiet
targets=("$@")
[ ${#targets[@]} -gt 0 ] || for f in tests/fuzz/*_fuzz.c; do targets+=("$(basename "$f" .c)"); done
[ -d /dev/shm ] && export TMPDIR=/dev/shm # some targets read files
run() {
    mkdir -p "build-fuzz/corpus/$1"
    local dict=()
    [ -f "tests/fuzz/$1.dict" ] && dict=("-dict=tests/fuzz/$1.dict")
    "build-fuzz/tests/fuzz/$1" -max_total_time="$2" -timeout=20 -rss_limit_mb=4096 "${dict[@]}" \
        -artifact_prefix="build-fuzz/$1-" "build-fuzz/corpus/$1" "tests/fuzz/corpus/$1" \
        >"build-fuzz/$1.log" 2>&1 || { tail -40 "build-fuzz/$1.log"; echo "FINDING in $1"; return 1; }
    grep -E 'Done|stat::|cov:' "build-fuzz/$1.log" | tail -1 | sed "s/^/$1: /"
}
export -f run
printf '%s\n' "${targets[@]}" | xargs -P "$(nproc)" -I{} bash -c "run {} $secs"
