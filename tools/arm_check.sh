#!/usr/bin/env bash
# Cross-compiles the kernels and their tests for AArch64 and runs them under qemu-user, with and
# without the dot product instructions. Needs gcc-aarch64-linux-gnu, libc6-dev-arm64-cross and
# qemu-user (Debian). cmocka is replaced by tests/unit/arm/cmocka.h, since there is no cross package.
set -euo pipefail
cd "$(dirname "$0")/.."
out=${1:-build-arm}
mkdir -p "$out"
cc=aarch64-linux-gnu-gcc
flags="-std=c17 -O2 -g -D_GNU_SOURCE -DHEARTH_ENGINE_ONLY -ffp-contract=off -fno-math-errno -Wall -Wextra
    -Isrc -Itests/unit/arm -Itests/unit"
objs=()
for f in src/base/*.c src/kernel/*.c; do
    grep -q "^$f:" src/needs_library.txt && continue
    o=$out/$(basename "$f" .c).o
    extra=$(sed -n 's/^\([a-z0-9_]*\) aarch64: /\1 /p' tools/isa_flags.txt | while read -r suffix rest; do
        case $f in *_"$suffix".c) echo "$rest" ;; esac
    done)
    # shellcheck disable=SC2086
    $cc $flags $extra -c -o "$o" "$f"
    objs+=("$o")
done
for t in kernel_mul_test kernel_rows_test; do
    # shellcheck disable=SC2086
    $cc $flags -static -o "$out/$t" "tests/unit/$t.c" "${objs[@]}" -lm -lpthread
    for cpu in max cortex-a53; do
        echo "== $t on $cpu"
        qemu-aarch64 -cpu $cpu "$out/$t"
    done
done
