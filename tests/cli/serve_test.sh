#!/usr/bin/env bash
# hearth serve and hearth key: addresses, keys, TLS, signals, and the documents of the API.
set -u
. "$(dirname "$0")/support.bash"
unset HEARTH_HOST OLLAMA_HOST OLLAMA_ORIGINS OTEL_EXPORTER_OTLP_ENDPOINT
server=

# down WANT SIGNAL: its exit code
down() {
    local got=0
    kill "-$2" "$server"
    wait "$server" || got=$?
    server=
    same "$got" "$1"
}
trap '[ -z "$server" ] || kill -9 "$server"; rm -rf "$tmp"' EXIT

get() {
    curl -sS -m 60 "$@"
}

rc 0 "$hearth" docs api
cmp -s "$tmp/out" "$source_dir/docs/api.md" ||
    fail "docs/api.md is not what 'hearth docs api' prints: build/hearth docs api > docs/api.md"
rc 0 "$hearth" docs openapi
python3 - "$tmp/out" <<'END' || fail "docs openapi"
import json, re, sys
d = json.load(open(sys.argv[1]))
assert d["openapi"].startswith("3.1.")
for path, methods in d["paths"].items():
    names = re.findall(r"\{(\w+)\}", path)
    for m in methods.values():
        assert [p["name"] for p in m.get("parameters", [])] == names, path
        ref = m["responses"]["default"]["$ref"].split("/")[-1]
        assert ref in d["components"]["responses"], ref
END

# what makes no sense
rc 2 "$hearth" serve --host 'a b'
has "$err" "^hearth: address 'a b', expected HOST"
rc 2 "$hearth" serve --port 0 --host 0.0.0.0
has "$err" "can be reached by others and there is no API key"
rc 2 "$hearth" serve --port 0 --tls-cert "$tmp/none"
has "$err" "expected both or none"
rc 2 "$hearth" serve --port 0 --log xml
has "$err" "--log: 'xml', expected text, json or off"

# the usual way
up --port 0
case $url in http://127.0.0.1:[1-9]*) ;; *) fail "url $url" ;; esac
same "$(get "$url/")" "Ollama is running"
same "$(get -o /dev/null -w '%{http_code} %{size_download}' -I "$url/")" "200 0"
same "$(get "$url/health")" '{"status":"ok"}'
same "$(get "$url/readyz")" "ok"
has "$(get "$url/metrics")" '^hearth_ready 1$'
same "$(get "$url/api/none")" '{"error":"no such path"}'
same "$(get -o /dev/null -w '%{http_code}' -H 'Host: evil.example.com' "$url/")" 403
# hearth fit, over HTTP: the same words, the same answer
rc 0 "$hearth" fit llama3.2 --tier workstation24 --ctx 2048 --all --json
same "$(get "$url/api/fit?tier=workstation24&ctx=2048&all=true&model=llama3.2")" "$out"
has "$(get "$url/api/fit?ram=16G&bandwidth=50&gpu=24G")" '"computes": false'
has "$(get "$url/api/fit")" 'measured on this machine'
same "$(get -w '%{http_code}' "$url/api/fit?ram=none")" \
    "{\"error\":\"ram: 'none', expected a size such as 16G\"}400"
same "$(get -o /dev/null -w '%{http_code}' "$url/api/fit?model=nonsense&tier=laptop16")" 404
# the port is taken
rc 1 "$hearth" serve --port "${url##*:}"
has "$err" "the port is taken; Ollama or another hearth may be running"
down 0 TERM
has "$(cat "$tmp/log")" ' 404 .*"GET /api/none" req_'

# the address from the environment, Ollama's name for it too; ours counts more
OLLAMA_HOST=127.0.0.1:0 up
has "$url" '^http://127\.0\.0\.1:'
down 0 INT
HEARTH_HOST=127.0.0.2:0 OLLAMA_HOST=127.0.0.1:0 up --log json
has "$url" '^http://127\.0\.0\.2:'
get "$url/nothing" >/dev/null
down 0 TERM
python3 - "$tmp/log" <<'END' || fail "log lines"
import json, sys
lines = [json.loads(l) for l in open(sys.argv[1]) if l.startswith("{")]
assert len(lines) == 1 and lines[0]["status"] == 404 and lines[0]["path"] == "/nothing", lines
END

# keys
rc 2 "$hearth" key add
rc 2 "$hearth" key add a --scope everything
has "$err" "scope 'everything', expected infer, read, models or admin"
rc 0 "$hearth" key list
same "$out" ""
rc 0 "$hearth" key add reader --scope read --rpm 1000
reader=$out
has "$reader" '^hearth_[0-9a-f]{64}$'
rc 2 "$hearth" key add reader
rc 0 "$hearth" key add worker --concurrent 3
worker=$out
rc 0 "$hearth" key list
has "$out" '^reader +read +1000 +- '
has "$out" '^worker +infer,read +- +3 '
grep -q "${reader#hearth_}" "$HEARTH_HOME/keys.json" && fail "the key is in the file"
up --port 0 --host 0.0.0.0
url=http://127.0.0.1:${url##*:}
code() { get -o /dev/null -w '%{http_code}' "$@"; }
same "$(code "$url/health")" 200
same "$(code "$url/metrics")" 401
same "$(code -H "Authorization: Bearer $reader" "$url/metrics")" 200
same "$(code -H "x-api-key: $worker" "$url/metrics")" 200
rc 0 "$hearth" key rm worker
for _ in $(seq 200); do
    [ "$(code -H "x-api-key: $worker" "$url/metrics")" = 401 ] && break
    sleep 0.05
done
same "$(code -H "x-api-key: $worker" "$url/metrics")" 401
down 0 TERM
rc 1 "$hearth" key rm worker
has "$err" "key 'worker' not found"
up --port 0 --no-auth
same "$(code "$url/metrics")" 200
down 0 TERM
echo '{"keys": 7}' >"$tmp/keys.json"
rc 3 "$hearth" serve --port 0 --keys "$tmp/keys.json"
has "$err" "keys.json: no array 'keys'"
rm "$HEARTH_HOME/keys.json"

# TLS
openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -addext \
    subjectAltName=IP:127.0.0.1 -keyout "$tmp/key.pem" -out "$tmp/cert.pem" 2>/dev/null
up --port 0 --tls-cert "$tmp/cert.pem" --tls-key "$tmp/key.pem"
has "$url" '^https://'
same "$(get --cacert "$tmp/cert.pem" "$url/")" "Ollama is running"
down 0 TERM
echo nonsense >"$tmp/key.pem"
rc 1 "$hearth" serve --port 0 --tls-cert "$tmp/cert.pem" --tls-key "$tmp/key.pem"
has "$err" "TLS"

finish
