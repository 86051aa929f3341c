#!/usr/bin/env bash
# POST /api/cancel: an answer that is cancelled by its request id ends as its dialect ends answers.
set -u
. "$(dirname "$0")/support.bash"
unset HEARTH_HOST OLLAMA_HOST OLLAMA_ORIGINS OTEL_EXPORTER_OTLP_ENDPOINT
server=
trap '[ -z "$server" ] || kill -9 "$server"; rm -rf "$tmp"' EXIT

printf 'FROM %s\nPARAMETER temperature 0\n' "$data/golden/gguf/llama32-bf16.gguf" >"$tmp/file"
rc 0 "$hearth" create tiny -f "$tmp/file"
for key in ann bob; do
    rc 0 "$hearth" key add $key --scope infer
    grep -o 'hearth_[0-9a-f]*' "$tmp/out" >"$tmp/$key"
done
rc 0 "$hearth" key add root --scope admin
grep -o 'hearth_[0-9a-f]*' "$tmp/out" >"$tmp/root"

up --port 0 --ctx 4096

python3 - "$url" "$tmp" <<'END' || fail "cancel"
import http.client, json, sys, threading, time, urllib.parse
url, tmp = sys.argv[1:]
at = urllib.parse.urlsplit(url)
keys = {k: open(f"{tmp}/{k}").read().strip() for k in ("ann", "bob", "root")}

def post(path, body, key="ann", id=None):
    c = http.client.HTTPConnection(at.hostname, at.port, timeout=60)
    h = {"Authorization": "Bearer " + keys[key], "Content-Type": "application/json"}
    if id:
        h["X-Request-Id"] = id
    c.request("POST", path, json.dumps(body), h)
    return c, c.getresponse()

def cancel(id, key="ann"):
    c, r = post("/api/cancel", {"request_id": id}, key)
    return r.status, json.loads(r.read())

def events(text):
    return [json.loads(l[6:]) for l in text.split("\n") if l.startswith("data: {")]

# long ones, which a client that does not read holds up
say = [{"role": "user", "content": "a"}]
loop = {"num_predict": -1}
cases = {
    "/api/generate": {"prompt": "a", "raw": True, "options": loop, "shift": True},
    "/api/chat": {"messages": say, "options": loop, "shift": True},
    "/v1/chat/completions": {"messages": say, "max_tokens": 1000000, "stream": True},
    "/v1/completions": {"prompt": "a", "max_tokens": 1000000, "stream": True},
    "/v1/responses": {"input": "a", "stream": True},
    "/v1/messages": {"messages": say, "max_tokens": 1000000, "stream": True},
}

def check_end(path, text):
    if path.startswith("/api/"):
        last = json.loads(text.strip().split("\n")[-1])
        assert last["done"] is True and last["done_reason"] == "cancelled", last
        assert last["eval_count"] > 0, last
    elif path == "/v1/messages":
        e = events(text)
        assert e[-1]["type"] == "message_stop" and e[-2]["type"] == "message_delta", e[-2:]
        assert e[-2]["delta"] == {"stop_reason": "max_tokens", "stop_sequence": None,
                                  "cancelled": True}, e[-2]
    elif path == "/v1/responses":
        e = events(text)[-1]
        assert e["type"] == "response.incomplete", e
        assert e["response"]["status"] == "cancelled", e
        assert text.endswith("data: [DONE]\n\n")
    else:
        last = events(text)[-1]["choices"][0]
        assert last["finish_reason"] == "length" and last["cancelled"] is True, last
        assert text.endswith("data: [DONE]\n\n")

for path, body in cases.items():
    for turn in range(3):
        c, r = post(path, {"model": "tiny", **body})
        assert r.status == 200, (path, r.status, r.read())
        id = r.getheader("X-Request-Id")
        head = r.readline().decode()
        status, told = cancel(id, "bob")
        assert status == 404, (path, status, told)
        # it may have come to its end by itself, when it is short
        status, told = cancel(id, "root" if turn == 1 else "ann")
        text = head + r.read().decode()
        c.close()
        if status == 200:
            assert told == {"request_id": id, "cancelled": 1, "requests": [
                {"method": "POST", "path": path, "model": "tiny"}]}, told
            check_end(path, text)
            break
        assert status == 404 and "is being answered" in told["error"], told
    else:
        raise AssertionError(path + " was over each time")
    assert cancel(id)[0] == 404  # it is over

# not streamed: what there was comes whole, as soon as it is cancelled
def whole(path, body, got):
    c, r = post(path, {"model": "tiny", **body}, id="mine")
    got.append((r.status, json.loads(r.read())))

for path, body in (("/api/generate", {**cases["/api/generate"], "stream": False}),
                   ("/v1/chat/completions", {"messages": say, "max_tokens": 1000000})):
    for turn in range(5):
        got = []
        t = threading.Thread(target=whole, args=(path, body, got))
        t.start()
        n = 0
        while t.is_alive() and not n:
            status, told = cancel("mine")
            n = told["cancelled"] if status == 200 else 0
            time.sleep(0.002)
        t.join()
        status, answer = got[0]
        if n and status == 200:
            if path == "/api/generate":
                assert answer["done_reason"] == "cancelled", answer
            else:
                assert answer["choices"][0]["cancelled"] is True, answer
            break
        assert not n or status == 499, (status, answer)  # before there was a model
    else:
        raise AssertionError(path + " was over each time")

for body in ({}, {"request_id": ""}, {"request_id": 5}, []):
    c, r = post("/api/cancel", body)
    assert r.status == 400, (body, r.status)
    r.read()
assert cancel("req_nobody")[0] == 404
END
kill -TERM "$server"
wait "$server"
server=
finish
