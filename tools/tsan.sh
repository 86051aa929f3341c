#!/usr/bin/env bash
# Looks for data races: builds with ThreadSanitizer and runs the tests in which threads meet. A
# report fails its test. Usage: tools/tsan.sh [quick | kernels]
#
# The kernels are not looked into, which make up most of the time: who works on what is the matter of
# the loops around them. quick: the tests of the pool, the scheduler and its mailboxes alone; kernels:
# these with the kernels, for a change in how work is handed out (ten times as long).
set -euo pipefail
cd "$(dirname "$0")/.."
build=build-tsan
kernels=OFF
# pool; turns; scheduler and mailboxes; the store of prefixes
tests=(base_test chat_test sched_test snapshot_test)
targets=("${tests[@]}")
case ${1:-all} in
quick) ;;
kernels)
    build=build-tsan-kernels
    kernels=ON
    ;;
all)
    # the server over HTTP, the hub, batches, what is kept, pulls
    units=(http_test http_access_test http_trace_test hub_test batch_test archive_test
        transfer_test store_test)
    # the program: all of it at once, batches, pulls, many clients
    tests+=("${units[@]}" serve_test batch_command_test pull_test load)
    targets+=("${units[@]}" hearth pty load)
    ;;
*) echo "tsan.sh: '$1', expected quick or kernels" && exit 2 ;;
esac
cmake -S . -B $build -G Ninja -DCMAKE_BUILD_TYPE=Debug -DCMAKE_C_FLAGS_DEBUG="-O1 -g" \
    -DHEARTH_SANITIZE=thread -DHEARTH_SANITIZE_KERNELS=$kernels >/dev/null
cmake --build $build -j "$(nproc)" -t "${targets[@]}" -- --quiet
pattern=$(IFS='|' && echo "${tests[*]}")
TSAN_OPTIONS="suppressions=$PWD/tools/tsan_suppressions.txt history_size=4 ${TSAN_OPTIONS:-}" \
    ctest --test-dir $build --output-on-failure --no-tests=error -R "^($pattern)\$"
