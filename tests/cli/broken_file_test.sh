#!/usr/bin/env bash
# A model file that changes while it is in use: answers end with an error, the program goes on, and
# the next request meets the file as it is.
set -u
. "$(dirname "$0")/support.bash"
unset HEARTH_HOST OLLAMA_HOST OLLAMA_ORIGINS OTEL_EXPORTER_OTLP_ENDPOINT
server=
trap '[ -z "$server" ] || kill -9 "$server"; rm -rf "$tmp"' EXIT

for m in one two; do
    cp "$data/golden/gguf/llama32-bf16.gguf" "$tmp/$m.gguf"
    printf 'FROM %s\n# %s\nSYSTEM %s\n' "$tmp/$m.gguf" $m $m >"$tmp/file"
    rc 0 "$hearth" create $m -f "$tmp/file"
done
cp "$tmp/one.gguf" "$tmp/whole.gguf"

up --port 0 --ctx 4096

python3 - "$url" "$tmp" "$HEARTH_HOME" <<'END' || fail "broken file: $(cat "$tmp/log")"
import glob, http.client, json, os, sys, urllib.parse
url, tmp, home = sys.argv[1:]
at = urllib.parse.urlsplit(url)
whole = open(f"{tmp}/whole.gguf", "rb").read()
blobs = [b for b in glob.glob(f"{home}/models/blobs/sha256-*") if os.path.getsize(b) == len(whole)]
assert len(blobs) == 1, blobs # both models are made of the same file
blob = blobs[0]
os.chmod(blob, 0o644)

def ask(body):
    c = http.client.HTTPConnection(at.hostname, at.port, timeout=120)
    c.request("POST", "/api/generate", json.dumps(body))
    return c.getresponse()

def short(model):
    r = ask({"model": model, "prompt": "a", "raw": True, "stream": False, "options": {"num_predict": 4}})
    return r.status, json.loads(r.read())

assert short("one")[0] == 200
r = ask({"model": "one", "prompt": "a", "raw": True, "shift": True, "options": {"num_predict": -1}})
assert json.loads(r.readline())["done"] is False
os.truncate(blob, 8192)
lines = [json.loads(l) for l in r.read().split(b"\n") if l]
assert "while it was in use" in lines[-1]["error"], lines[-1]
for model in "one", "two": # what is there now is no model, and the server says so
    status, answer = short(model)
    assert status == 500, (status, answer)
with open(blob, "r+b") as f:
    f.write(whole)
for model in "one", "two":
    status, answer = short(model)
    assert status == 200, (status, answer)
END

kill -TERM "$server"
wait "$server" || fail "serve: exit $?"
server=
finish
