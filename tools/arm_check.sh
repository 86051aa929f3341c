#!/usr/bin/env bash
# Cross-compiles the kernels and their tests for AArch64 and runs them under qemu-user, on CPUs with
# and without the instructions that have tables of their own.
#
# usage: tools/arm_check.sh [-j JOBS] [-o FOLDER] [-O LEVEL] [-t "TEST ..."] [-c "CPU[:FEATURE,...] ..."]
# A test is the name of a file in tests/unit that needs only src/base and src/kernel; a CPU is one
# of `qemu-aarch64 -cpu help`, with features that HEARTH_CPU_DISABLE switches off. Objects stay in
# the folder (default build-arm) for the next time, so another optimization level (default 2, which
# compiles for minutes; 0 does not) needs another folder.
#
# Needs gcc-aarch64-linux-gnu, libc6-dev-arm64-cross and qemu-user (Debian). cmocka is replaced by
# tests/unit/arm/cmocka.h, since there is no cross package.
set -euo pipefail
cd "$(dirname "$0")/.."
jobs=2 out=build-arm level=2
tests="kernel_mul_test kernel_rows_test"
cpus="max max:i8mm cortex-a76 cortex-a53"
while getopts j:o:O:t:c: option; do
    case $option in
    j) jobs=$OPTARG ;;
    o) out=$OPTARG ;;
    O) level=$OPTARG ;;
    t) tests=$OPTARG ;;
    c) cpus=$OPTARG ;;
    *) sed -n 's/^# usage/usage/p' "$0" >&2 && exit 2 ;;
    esac
done
cc="aarch64-linux-gnu-gcc -Wall -Wextra -Werror"
objs=()
for f in src/base/*.c src/kernel/*.c; do
    grep -q "^$f:" src/needs_library.txt || objs+=("$out/${f#src/}")
done
objs=("${objs[@]/%.c/.o}")
# the Makefile's rule for a bare compiler, with the flags of tools/isa_flags.txt
make -s -j "$jobs" CC="$cc" ARCH=aarch64 ENGINE_BUILD="$out" ENGINE_OPT="-O$level" "${objs[@]}"
for t in $tests; do
    $cc -std=c17 -O2 -g -D_GNU_SOURCE -ffp-contract=off -fno-math-errno -Isrc -Itests/unit/arm \
        -Itests/unit -static -o "$out/$t" "tests/unit/$t.c" "${objs[@]}" -lm -lpthread
done
# shellcheck disable=SC2016,SC2086 # words of the lists; the inner shell's own variables
for t in $tests; do printf "$t %s\n" $cpus; done | xargs -P "$jobs" -L 1 sh -c '
    cpu=${2%%:*} off=${2#"$cpu"}
    result=$(HEARTH_CPU_DISABLE=${off#:} qemu-aarch64 -cpu "$cpu" "$0/$1" 2>&1)
    status=$?
    printf "== %s on %s\n%s\n" "$1" "$2" "$result"
    exit $status' "$out"
