#!/usr/bin/env bash
# Many clients at once (load.c): load_test.sh HEARTH LOAD [SIZE], SIZE small (default), sanitized or
# full. full is what the numbers in docs/server.md are from.
set -u
hearth=$1
load=$2
case ${3:-small} in
small) sizes=(-s 200 -i 1000 -w 2 -t 12 -m 1500) ;;
sanitized) sizes=(-s 60 -i 300 -w 2 -t 8 -m 0) ;; # a sanitizer's own memory is not to be bounded
full) sizes=(-s 1000 -i 10000 -w 16 -t 32 -m 2500) ;;
*) echo "load_test.sh: size '$3', expected small, sanitized or full" && exit 2 ;;
esac
tmp=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill -9 "$server"; rm -rf "$tmp"' EXIT
unset HEARTH_MODELS HEARTH_THREADS HEARTH_CTX HEARTH_HOST OLLAMA_HOST HEARTH_MEMORY \
    OTEL_EXPORTER_OTLP_ENDPOINT
ulimit -Sn "$(ulimit -Hn)"
HEARTH_HOME=$tmp/home OLLAMA_MODELS=$tmp/no-ollama "$hearth" serve --port 0 --log off 2>"$tmp/log" &
server=$!
url=
for _ in $(seq 600); do
    url=$(sed -n 's/^hearth: listening on //p' "$tmp/log")
    [ -n "$url" ] || ! kill -0 "$server" 2>/dev/null && break
    sleep 0.05
done
[ -n "$url" ] || { cat "$tmp/log" && exit 1; }
failed=0
"$load" "${sizes[@]}" -p "$server" "${url##*:}" hearth-nano || failed=1
kill -TERM "$server"
rc=0
wait "$server" || rc=$?
server=
[ "$rc" -eq 0 ] || { echo "serve: exit $rc: $(cat "$tmp/log")" && failed=1; }
exit $failed
