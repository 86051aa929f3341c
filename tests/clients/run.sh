#!/usr/bin/env bash
# Other people's clients against the program: run.sh HEARTH SOURCE FOLDER
#
# The tests are copied to FOLDER and run there, beside the packages that npm puts there once (modules
# are looked for beside the file that imports them). Without node, npm or a registry this fails;
# HEARTH_NO_NPM=1 skips it instead.
set -euo pipefail
hearth=$(realpath "$1")
source_dir=$(realpath "$2")
folder=$3

if [ "${HEARTH_NO_NPM:-}" = 1 ]; then
    echo "clients: skipped, HEARTH_NO_NPM=1"
    exit 77 # CTest's SKIP_RETURN_CODE
fi
for program in node npm; do
    command -v "$program" >/dev/null || {
        echo "clients: no $program; tools/setup.sh installs it, HEARTH_NO_NPM=1 skips this test"
        exit 1
    }
done

mkdir -p "$folder"
folder=$(realpath "$folder")
rm -rf "$folder/lib" "$folder"/*.mjs
cp -r "$source_dir"/tests/clients/. "$folder"
cd "$folder"
# a stamp, written last, so that a broken installation is made again
if ! cmp -s package.json node_modules/.installed; then
    rm -rf node_modules
    npm install --no-progress --loglevel=error || {
        echo "clients: npm install failed (HEARTH_NO_NPM=1 skips this test)"
        exit 1
    }
    cp package.json node_modules/.installed
fi

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
unset HEARTH_MODELS HEARTH_THREADS HEARTH_CTX HEARTH_HOST OLLAMA_HOST OLLAMA_ORIGINS \
    HEARTH_KEEP_ALIVE OLLAMA_KEEP_ALIVE HEARTH_MEMORY OTEL_EXPORTER_OTLP_ENDPOINT
export HEARTH_TEST_PROGRAM=$hearth HEARTH_TEST_SOURCE=$source_dir HEARTH_TEST_TMP=$tmp
rc=0
node --test --test-concurrency=2 --test-timeout=240000 "${@:4}" ./*_test.mjs || rc=$?

# every server was stopped: none lives on with a home in our folder
if grep -slzF "HEARTH_HOME=$tmp/" /proc/[0-9]*/environ 2>/dev/null; then
    echo "clients: servers above are still running"
    rc=1
fi
exit "$rc"
