#!/usr/bin/env bash
# Ollama's routes without its clients: prompts that are rendered and not answered, embeddings by
# models that generate.
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
up --port 0 --ctx 128

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
# embeddings by a model that generates: those of the program, of length 1 or as they are
printf 'the sky is blue' >"$tmp/text"
rc_in_file() { "$hearth" embed "$@" <"$tmp/text"; }
rc_in_file "$tiny" --json >"$tmp/one" || fail "embed"
rc_in_file "$tiny" --json --no-normalize >"$tmp/raw" || fail "embed --no-normalize"
rc_in_file "$tiny" --json --pooling last --threads 1 >"$tmp/last" || fail "embed --pooling last"
cmp -s "$tmp/one" "$tmp/last" || fail "the default is not the last token's state"
rc_in_file "$tiny" --json --pooling mean >"$tmp/mean" || fail "embed --pooling mean"
cmp -s "$tmp/one" "$tmp/mean" && fail "the mean is the last token's state"
python3 - "$url" "$tmp" <<'END' || fail "embeddings"
import base64, json, math, struct, sys, threading, urllib.error, urllib.request
url, tmp = sys.argv[1:]
one, raw = (json.load(open(f"{tmp}/{n}")) for n in ("one", "raw"))

def post(path, body):
    q = urllib.request.Request(url + path, json.dumps(body).encode())
    try:
        with urllib.request.urlopen(q, timeout=60) as r:
            return r.status, json.loads(r.read())
    except urllib.error.HTTPError as e:
        return e.code, json.loads(e.read())

def near(a, b):
    return len(a) == len(b) and max(abs(x - y) for x, y in zip(a, b)) < 1e-6

text = "the sky is blue"
status, a = post("/api/embed", {"model": "own", "input": text})
assert status == 200, a
assert near(a["embeddings"][0], one["embedding"]) and a["prompt_eval_count"] == one["tokens"], a
assert abs(sum(x * x for x in a["embeddings"][0]) - 1) < 1e-5
status, a = post("/api/embeddings", {"model": "own", "prompt": text})
assert status == 200 and near(a["embedding"], raw["embedding"])
assert abs(sum(x * x for x in a["embedding"]) - 1) > 1e-3  # it is not scaled
status, a = post("/v1/embeddings", {"model": "own", "input": [text, "b"], "encoding_format": "base64"})
assert status == 200 and len(a["data"]) == 2, a
v = base64.b64decode(a["data"][0]["embedding"])
assert near(struct.unpack(f"<{len(v) // 4}f", v), one["embedding"])
status, a = post("/api/embed", {"model": "own", "input": [text, "b", text], "dimensions": 8})
e = a["embeddings"]
assert len(e) == 3 and len(e[0]) == 8 and e[0] == e[2] != e[1], a
many = ["text " + str(i) * (i % 9 + 1) for i in range(150)]  # read in common steps
e = post("/api/embed", {"model": "own", "input": many})[1]["embeddings"]
assert len(e) == 150
for i in (0, 1, 63, 64, 149):
    assert post("/api/embed", {"model": "own", "input": many[i]})[1]["embeddings"] == [e[i]], i
# a text that is too long: cut, or refused
long = {"model": "own", "input": "word " * 500}
status, a = post("/api/embed", long)
assert status == 200 and a["prompt_eval_count"] == 128, a
status, a = post("/api/embed", {**long, "truncate": False})
assert status == 400 and "128" in a["error"], a
assert post("/v1/embeddings", {"model": "own", "input": long["input"]})[0] == 400
# beside answers, and each the same as alone
want = {t: post("/api/embed", {"model": "own", "input": t})[1]["embeddings"] for t in "abcdefgh"}
got = {}
def ask(t):
    got[t] = post("/api/embed", {"model": "own", "input": t})[1]["embeddings"]
def chat():
    post("/api/generate", {"model": "own", "prompt": "x", "stream": False, "options": {"num_predict": 60}})
threads = [threading.Thread(target=chat) for _ in range(4)]
threads += [threading.Thread(target=ask, args=(t,)) for t in want]
[t.start() for t in threads], [t.join() for t in threads]
assert got == want
# it was not made for embeddings: it ranks nothing
assert post("/api/rerank", {"model": "own", "query": "a", "documents": ["b"]})[0] == 400
END
kill -TERM "$server"
wait "$server"
server=
finish
