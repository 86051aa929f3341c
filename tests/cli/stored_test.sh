#!/usr/bin/env bash
# What the server keeps: responses that later ones go on from, files, and batches that survive a
# kill -9 of the server.
set -u
. "$(dirname "$0")/support.bash"
export HEARTH_THREADS=1

start() {
    up --port 0 --log off --drain 0
    [ -n "$url" ] || finish
}
trap 'kill -9 $server 2>/dev/null; rm -rf "$tmp"' EXIT

# ask WANT METHOD PATH [JSON]: the body in $out
ask() {
    local want=$1 got
    got=$(curl -s -o "$tmp/out" -w '%{http_code}' -X "$2" "$url$3" ${4:+-d "$4"})
    out=$(cat "$tmp/out")
    [ "$got" = "$want" ] || fail "$2 $3: $got, expected $want: $out"
}
# field NAME: the first value of that name in $out
field() { grep -o "\"$1\": *[^,}]*" <<<"$out" | head -1 | sed 's/^[^:]*: *//; s/^"//; s/"$//'; }

start
m='"model":"hearth-nano","temperature":0,"max_output_tokens":12'

ask 200 POST /v1/responses "{$m,\"input\":\"Hello\"}"
tokens=$(field input_tokens)
ask 200 POST /v1/responses/input_tokens "{$m,\"input\":\"Hello\"}"
same "$(field input_tokens)" "$tokens"

# one turn, and the next on top of it is what both together are
ask 200 POST /v1/responses "{$m,\"input\":\"Hello\"}"
first=$(field id)
text=$(field text)
same "$(field store)" true
ask 200 GET "/v1/responses/$first"
same "$(field text)" "$text"
ask 200 POST /v1/responses "{$m,\"input\":\"And more?\",\"previous_response_id\":\"$first\"}"
second=$(field id)
chained=$(field text)
ask 200 POST /v1/responses "{$m,\"store\":false,\"input\":[{\"role\":\"user\",\"content\":\"Hello\"},{\"role\":\"assistant\",\"content\":\"$text\"},{\"role\":\"user\",\"content\":\"And more?\"}]}"
same "$(field text)" "$chained"
ask 404 GET "/v1/responses/$(field id)"
ask 200 GET "/v1/responses/$second/input_items?order=asc"
same "$(grep -o '"text":"[^"]*"' <<<"$out" | tr '\n' ' ')" "\"text\":\"Hello\" \"text\":\"$text\" \"text\":\"And more?\" "
ask 200 GET "/v1/responses/$second/input_items?limit=1"
same "$(field has_more)" true
ask 400 POST "/v1/responses/$second/cancel"
ask 400 GET "/v1/responses/$second/input_items?limit=x"
ask 404 POST /v1/responses "{$m,\"input\":\"x\",\"previous_response_id\":\"resp_none\"}"
ask 400 POST /v1/responses "{$m,\"input\":\"x\",\"background\":true,\"store\":false}"
ask 501 POST /v1/responses "{$m,\"input\":\"x\",\"conversation\":\"c\"}"

# in the background: it comes to the same; cancelled: it stops; the server killed: it is told
ask 200 POST /v1/responses "{$m,\"input\":\"Hello\",\"background\":true}"
same "$(field status)" in_progress
later=$(field id)
for _ in $(seq 1000); do
    ask 200 GET "/v1/responses/$later"
    [ "$(field status)" = in_progress ] || break
    sleep 0.05
done
same "$(field status) $(field text)" "completed $text"
ask 200 POST "/v1/responses/$later/cancel"
same "$(field status)" completed
endless='"model":"hearth-nano","ignore_eos":true,"max_output_tokens":1900,"background":true,"input":"Hi"'
ask 200 POST /v1/responses "{$endless}"
later=$(field id)
ask 400 POST /v1/responses "{$m,\"input\":\"x\",\"previous_response_id\":\"$later\"}"
ask 200 POST "/v1/responses/$later/cancel"
same "$(field status)" cancelled
ask 200 GET "/v1/responses/$later"
same "$(field status)" cancelled
ask 400 POST /v1/responses "{$m,\"input\":\"x\",\"max_output_tokens\":0}"

# the stream says the same
curl -sN "$url/v1/responses" -d "{$m,\"input\":\"Hello\",\"stream\":true}" >"$tmp/stream"
same "$(grep -c '^event: response.completed$' "$tmp/stream")" 1
out=$(grep '"response.output_text.done"' "$tmp/stream")
same "$(field text)" "$text"
same "$(tail -n 2 "$tmp/stream" | head -1)" 'data: [DONE]'

# a conversation that is too long, cut when that is asked for
long=$(for i in $(seq 120); do printf '{"role":"user","content":"%s"},{"role":"assistant","content":"yes"},' "$(printf 'word %.0s' {1..40})"; done)
ask 400 POST /v1/responses "{$m,\"input\":[$long{\"role\":\"user\",\"content\":\"Last\"}]}"
has "$out" context_length_exceeded
ask 200 POST /v1/responses "{$m,\"truncation\":\"auto\",\"input\":[$long{\"role\":\"user\",\"content\":\"Last\"}]}"
[ "$(field truncated_items)" -gt 0 ] || fail "truncation: not told"

ask 200 DELETE "/v1/responses/$first"
ask 404 GET "/v1/responses/$first"
ask 404 POST /v1/responses "{$m,\"input\":\"x\",\"previous_response_id\":\"$second\"}"

# a file comes back as it was
for i in $(seq 60); do
    printf '{"custom_id":"c%d","method":"POST","url":"/v1/completions","body":{"model":"hearth-nano","max_tokens":20,"ignore_eos":true,"prompt":"%d"}}\n' "$i" "$i"
done >"$tmp/in.jsonl"
curl -s "$url/v1/files" -F purpose=batch -F "file=@$tmp/in.jsonl" >"$tmp/out"
out=$(cat "$tmp/out")
file=$(field id)
same "$(field filename)" in.jsonl
same "$(field bytes)" "$(stat -c %s "$tmp/in.jsonl")"
curl -s "$url/v1/files/$file/content" | cmp -s - "$tmp/in.jsonl" || fail "files: other bytes came back"
ask 400 POST /v1/files '{}'
ask 404 GET /v1/files/..%2fhearth.db/content

# a batch that the server's death does not end
ask 200 POST /v1/batches "{\"input_file_id\":\"$file\",\"endpoint\":\"/v1/completions\",\"completion_window\":\"24h\"}"
batch=$(field id)
ask 200 POST /v1/responses "{$endless}"
lost=$(field id)
sleep 0.3
kill -9 $server
wait $server 2>/dev/null
start
ask 200 GET "/v1/responses/$lost"
same "$(field status)" failed
for _ in $(seq 3000); do
    ask 200 GET "/v1/batches/$batch"
    [ "$(field status)" = completed ] && break
    sleep 0.1
done
same "$(field status)" completed
same "$(field completed)" 60
output=$(field output_file_id)
curl -s "$url/v1/files/$output/content" >"$tmp/answers"
same "$(grep -o '"custom_id":"c[0-9]*"' "$tmp/answers" | sort -u | wc -l)" 60
same "$(wc -l <"$tmp/answers")" 60
ask 400 POST "/v1/batches/$batch/cancel"
ask 200 GET /v1/batches
same "$(field has_more)" false
ask 400 POST /v1/batches "{\"input_file_id\":\"$file\",\"endpoint\":\"/v1/models\",\"completion_window\":\"24h\"}"
ask 404 POST /v1/batches '{"input_file_id":"file-none","endpoint":"/v1/completions","completion_window":"24h"}'
ask 200 DELETE "/v1/files/$file"
ask 404 GET "/v1/files/$file"

# told to stop, the server keeps what there is of a background response
ask 200 POST /v1/responses "{$endless}"
late=$(field id)
kill $server
wait $server || fail "serve: exit $?"
start
ask 200 GET "/v1/responses/$late"
same "$(field status)" cancelled
kill $server
wait $server || fail "serve: exit $?"
finish
