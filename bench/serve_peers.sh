#!/bin/bash
# Hearth's server beside llama-server on one GGUF, in turn, with serve_compare.py.
#
#   bench/serve_peers.sh LLAMA_SERVER MODEL.gguf [ROUNDS [STREAMS [serve_compare's options]]]
#
# LLAMA_SERVER is the program (its libraries beside it are found). Each round starts each server
# afresh, the other one first in every second round, and prints serve_compare.py's lines and the
# server's peak of memory. Both get as many threads as there are cores, which the client shares.
# llama-server gets what it needs for 64 streams of 320 tokens: as many slots over one cache.
set -euo pipefail
[ $# -ge 2 ] || { sed -n '2,9s/^# \{0,1\}//p' "$0"; exit 2; }
llama=$(realpath "$1") model=$(realpath "$2") rounds=${3:-2} streams=${4:-1,4,16,64}
shift $(($# < 4 ? $# : 4))
here=$(dirname "$(realpath "$0")") hearth=${HEARTH:-$(dirname "$(realpath "$0")")/../build/hearth}
threads=$(nproc) port=${PORT:-18080}
HEARTH_HOME=$(mktemp -d)
export HEARTH_HOME
server=
trap '[ -z "$server" ] || kill "$server"; rm -rf "$HEARTH_HOME"' EXIT
echo "FROM $model" > "$HEARTH_HOME/Modelfile"
"$hearth" create model -f "$HEARTH_HOME/Modelfile" > "$HEARTH_HOME/create.log" 2>&1

# measure NAME COMMAND... [its server's log is left in the temporary folder]
measure() {
    local name=$1
    shift
    "$@" > "$HEARTH_HOME/$name.log" 2>&1 &
    server=$!
    for _ in $(seq 240); do
        curl -sf "http://127.0.0.1:$port/health" > /dev/null && break
        sleep 0.5
    done
    echo "== $name"
    python3 "$here/serve_compare.py" --url "http://127.0.0.1:$port" --model model \
        --vocab "${VOCAB:-100000}" --streams "$streams" "${options[@]}" || true
    grep VmHWM "/proc/$server/status" || true
    kill "$server"
    wait "$server" || true
    server=
}

ours() { measure hearth "$hearth" serve -t "$threads" -p "$port" --log off; }
theirs() {
    measure llama-server env LD_LIBRARY_PATH="$(dirname "$llama")" "$llama" -m "$model" \
        -t "$threads" -tb "$threads" -c 20480 -np 64 -kvu -fa on --host 127.0.0.1 --port "$port"
}

options=("$@")
for round in $(seq "$rounds"); do
    if ((round % 2)); then ours; theirs; else theirs; ours; fi
done
