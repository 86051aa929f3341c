#!/usr/bin/env bash
# Ollama's routes where curl is enough: prompts that are rendered and not answered.
set -u
. "$(dirname "$0")/support.bash"
unset HEARTH_HOST OLLAMA_HOST OLLAMA_ORIGINS OTEL_EXPORTER_OTLP_ENDPOINT
server=
trap '[ -z "$server" ] || kill -9 "$server"; rm -rf "$tmp"' EXIT
tiny=$data/golden/gguf/llama32-bf16.gguf

printf 'FROM %s\nSYSTEM be brief\nTEMPLATE """%s"""\n' "$tiny" \
    '{{ if .System }}<s>{{ .System }}</s>{{ end }}{{ if .Prompt }}<u>{{ .Prompt }}</u>{{ end }}<a>' >"$tmp/go"
printf 'FROM %s\n' "$tiny" >"$tmp/own"
for name in go own; do
    rc 0 "$hearth" create $name -f "$tmp/$name"
done
: >"$tmp/log"
"$hearth" serve --port 0 --ctx 128 >/dev/null 2>"$tmp/log" </dev/null &
server=$!
url=
for _ in $(seq 600); do
    url=$(sed -n 's/^hearth: listening on //p' "$tmp/log")
    [ -n "$url" ] && break
    kill -0 "$server" 2>/dev/null || break
    sleep 0.05
done
[ -n "$url" ] || fail "serve: $(cat "$tmp/log")"

python3 - "$url" <<'END' || fail "rendered prompts"
import json, sys, urllib.error, urllib.request
url = sys.argv[1]

def post(path, body):
    q = urllib.request.Request(url + path, json.dumps(body).encode())
    try:
        with urllib.request.urlopen(q, timeout=60) as r:
            return r.status, json.loads(r.read())
    except urllib.error.HTTPError as e:
        return e.code, json.loads(e.read())

def rendered(path, model="go", **body):
    status, a = post(path, {"model": model, "_debug_render_only": True, **body})
    assert status == 200, (status, a)
    want = {"model", "created_at", "done", "_debug_info"}
    assert set(a) == want | {"response" if path == "/api/generate" else "message"}, a
    assert a["model"] == model and a["done"] is False, a
    assert set(a["_debug_info"]) == {"rendered_template", "image_count"}, a
    assert a["_debug_info"]["image_count"] == 0
    return a["_debug_info"]["rendered_template"]

g, c = "/api/generate", "/api/chat"
user = lambda text: {"role": "user", "content": text}
assert rendered(g, prompt="hi") == "<s>be brief</s><u>hi</u><a>"
assert rendered(g, prompt="hi", stream=True, system="x") == "<s>x</s><u>hi</u><a>"
assert rendered(g, prompt="hi", raw=True) == "hi"
assert rendered(g, prompt="hi", template="[{{ .Prompt }}]") == "[hi]"
assert rendered(c, messages=[user("hi")]) == "<s>be brief</s><u>hi</u><a>"
talk = [{"role": "system", "content": "y"}, user("a")]
assert rendered(c, messages=talk) == "<s>y</s><u>a</u><a>"
# the tokens of an earlier answer stand before the prompt
ids = post("/tokenize", {"model": "go", "content": "before", "add_special": False})[1]["tokens"]
assert rendered(g, prompt="hi", context=ids) == "before<s>be brief</s><u>hi</u><a>"
# the oldest messages go when there is no room for all, if the request says so
many = [{"role": "system", "content": "y"}] + [user("word " * 20 + str(i)) for i in range(12)]
short, long = rendered(c, messages=many, truncate=True), rendered(c, messages=many)
assert len(short) < len(long) and "<s>y</s>" in short and short.endswith("11</u><a>"), short
# the model's own template: the same as /apply-template renders
status, a = post("/apply-template", {"model": "own", "messages": talk})
assert status == 200 and rendered(c, model="own", messages=talk) == a["prompt"]
# an answer of a prompt that was rendered is that of the prompt itself
o = {"options": {"temperature": 0, "num_predict": 8}, "stream": False, "model": "go"}
text = rendered(g, prompt="hi")
assert post(g, {**o, "prompt": "hi"})[1]["response"] == post(g, {**o, "prompt": text, "raw": True})[1]["response"]
assert post(g, {"model": "go", "prompt": "x", "_debug_render_only": "yes"})[0] == 400
assert post(g, {**o, "prompt": "hi", "_debug_render_only": False})[1]["done"] is True
END
kill -TERM "$server"
wait "$server"
server=
finish
