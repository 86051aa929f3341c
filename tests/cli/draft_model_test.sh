#!/usr/bin/env bash
# A draft model changes no answer: generate, run and the server, by option and by Modelfile.
set -u
. "$(dirname "$0")/support.bash"
unset HEARTH_HOST OLLAMA_HOST OLLAMA_ORIGINS OTEL_EXPORTER_OTLP_ENDPOINT
tiny=$data/golden/gguf/llama32-bf16.gguf
other=$data/golden/hf/qwen2
server=

# json FIELD: of the output
json() {
    python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))[sys.argv[2]])' "$tmp/out" "$1"
}
trap '[ -z "$server" ] || kill -9 "$server"; rm -rf "$tmp"' EXIT

rc 0 "$hearth" quantize "$tiny" "$tmp/small.gguf" q4_0

# the same tokens, greedily and not, and guesses were made
for temp in 0 0.9; do
    set -- "$hearth" generate "$tiny" --json --temp $temp --seed 5 -n 60 --ignore-eos \
        --tokens 5,9,200,31
    rc 0 "$@" --draft 0
    same "$(json drafted_tokens)" 0
    want=$(json tokens)
    for with in "$tiny" "$tmp/small.gguf"; do
        rc 0 "$@" --draft-model "$with" --draft-max 4
        same "$(json tokens)" "$want"
        rc 0 "$@" --draft-model "$with" --draft 0
        same "$(json tokens)" "$want"
        same "$(json drafted_tokens)" 0
    done
done
rc 0 "$hearth" run "$tiny" --no-chat --temp 0 -n 30 --seed 1 --draft 0 "a b c"
want=$out
rc 0 "$hearth" run "$tiny" --no-chat --temp 0 -n 30 --seed 1 --draft-model "$tiny" "a b c"
same "$out" "$want"

# what cannot be
rc 2 "$hearth" generate "$tiny" --draft-model "$other" --prompt a
has "$err" "^hearth: --draft-model: draft model: token [0-9]+ (is|of) .*expected models of one vocab"
rc 1 "$hearth" generate "$tiny" --draft-model "$tmp/none.gguf" --prompt a
has "$err" "^hearth: --draft-model: model '.*/none.gguf': no such file"
rc 2 "$hearth" generate "$tiny" --draft-max 65 --prompt a
rc 1 "$hearth" serve --port 0 --draft-model nobody
has "$err" "^hearth: --draft-model: model 'nobody' not found"

# a Modelfile's DRAFT; one of another vocabulary is passed over
rc 0 "$hearth" quantize "$other" "$tmp/other.gguf" f16
printf 'FROM %s\n' "$tiny" >"$tmp/plain"
printf 'FROM %s\nDRAFT %s\nPARAMETER draft_num_predict 6\n' "$tiny" "$tmp/small.gguf" >"$tmp/drafted"
printf 'FROM %s\nDRAFT %s\n' "$tiny" "$tmp/other.gguf" >"$tmp/odd"
printf 'FROM %s\n' "$tmp/small.gguf" >"$tmp/small"
for name in plain drafted odd small; do
    rc 0 "$hearth" create $name -f "$tmp/$name"
done
set -- --json --temp 0 -n 40 --ignore-eos --tokens 7,300,4
rc 0 "$hearth" generate plain "$@" --draft 0
want=$(json tokens)
rc 0 "$hearth" generate drafted "$@"
same "$(json tokens)" "$want"
rc 0 "$hearth" generate odd "$@"
same "$(json tokens)" "$want"
has "$err" "'odd' runs without its draft model: draft model: token"

down() {
    kill -TERM "$server"
    wait "$server"
    server=
}

# ask MODEL OPTIONS: the answer's text
ask() {
    curl -sS -m 60 "$url/api/generate" -d "{\"model\":\"$1\",\"prompt\":\"a b c\",\"raw\":true,
        \"stream\":false,\"options\":{\"temperature\":0,\"num_predict\":60$2}}" >"$tmp/out"
    json response
}

# metric NAME MODEL
metric() {
    curl -sS -m 60 "$url/metrics" | sed -n "s/^$1{model_name=\"$2:latest\"} //p"
}

up --port 0
want=$(ask plain "")
same "$(ask drafted "")" "$want"
same "$(ask odd "")" "$want"
[ "$(metric hearth_weight_bytes drafted)" -gt "$(metric hearth_weight_bytes plain)" ] ||
    fail "the draft's weights are not counted"
[ "$(metric hearth_kv_cache_bytes drafted)" -gt "$(metric hearth_kv_cache_bytes plain)" ] ||
    fail "the draft's cache is not counted"
same "$(ask drafted ',"draft_num_predict":0')" "$want"
alone=$(metric hearth_weight_bytes plain)
small=$(ask small "")
same "$(curl -sS -m 60 "$url/api/generate" -d '{"model":"plain","prompt":"a","options":{"draft_num_predict":65}}')" \
    '{"error":"option \"draft_num_predict\": 65, expected 0 (off) to 64"}'
down
has "$(cat "$tmp/log")" "model 'odd' runs without its draft model"

# the server's draft model, for all that it fits
up --port 0 --draft-model small --draft-max 3
same "$(ask plain "")" "$want"
[ "$(metric hearth_weight_bytes plain)" -gt "$alone" ] || fail "no draft model beside 'plain'"
same "$(ask small "")" "$small"
down
has "$(cat "$tmp/log")" "model 'small' runs without the draft model: .* not smaller"
up --port 0 --draft 0 --draft-model small
same "$(ask plain "")" "$want"
same "$(metric hearth_drafted_tokens_total plain)" 0
down
finish
