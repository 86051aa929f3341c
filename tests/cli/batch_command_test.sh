#!/usr/bin/env bash
# hearth batch: many requests from a file, in order, taken up after kill -9.
set -u
. "$(dirname "$0")/support.bash"
export HEARTH_THREADS=1
n=16
for i in $(seq $n); do
    printf '{"custom_id":"c%d","method":"POST","url":"/v1/chat/completions","body":{"model":"other","temperature":0,"max_tokens":%d,"ignore_eos":true,"messages":[{"role":"user","content":"Say %d"}]}}\n' "$i" $((i % 7 * 4 + 1)) "$i"
done >"$tmp/in"

ids() { grep -o '"custom_id":"[^"]*"' "$1" | cut -d'"' -f4 | tr '\n' ' '; }
contents() { grep -o '"custom_id":"[^"]*"\|"content":"[^"]*"' "$1"; }
all=$(seq -f 'c%.0f' $n | tr '\n' ' ')

rc 0 "$hearth" batch "$tmp/in" "$tmp/answers" --model hearth-nano
same "$(ids "$tmp/answers")" "$all"
same "$(grep -c '"status_code":200' "$tmp/answers")" $n
[ -e "$tmp/answers.journal" ] && fail "batch: a journal is left"
cp "$tmp/answers" "$tmp/before"
rc 0 "$hearth" batch "$tmp/in" "$tmp/answers" --model hearth-nano
cmp -s "$tmp/answers" "$tmp/before" || fail "batch: what was answered is asked again"
has "$err" "^hearth: $n of $n lines were answered before$"

# one after another, and as they come: the answers are the same
rc 0 "$hearth" batch "$tmp/in" "$tmp/one" --model hearth-nano --concurrent 1
same "$(contents "$tmp/one")" "$(contents "$tmp/answers")"
rc 0 "$hearth" batch "$tmp/in" "$tmp/loose" --model hearth-nano --unordered
same "$(contents "$tmp/loose" | sort)" "$(contents "$tmp/answers" | sort)"

# killed at any moment
for pause in 0.05 0.1 0.15 0.2; do
    "$hearth" batch "$tmp/in" "$tmp/killed" --model hearth-nano --concurrent 4 2>"$tmp/err" &
    sleep $pause
    kill -9 $! 2>/dev/null
    wait $! 2>/dev/null
done
printf '{"id":"batch_req_half a li' >>"$tmp/killed"
rc 0 "$hearth" batch "$tmp/in" "$tmp/killed" --model hearth-nano
same "$(contents "$tmp/killed")" "$(contents "$tmp/answers")"

# lines that fail are answers with an error, and told
rc 1 "$hearth" batch "$tmp/in" "$tmp/failed" --model nobody
has "$err" "^hearth: batch: $n of $n lines failed, as '$tmp/failed' tells$"
same "$(grep -c '"status_code":404' "$tmp/failed")" $n

# what is no batch is refused before anything is asked
echo '{"custom_id":"x"}' >"$tmp/bad"
rc 3 "$hearth" batch "$tmp/bad" "$tmp/none" --model hearth-nano
has "$err" "line 1: url '', expected /v1/chat/completions"
[ -e "$tmp/none" ] && fail "batch: an output of a batch that was refused"
rc 2 "$hearth" batch "$tmp/in" "$tmp/in" --model hearth-nano
rc 1 "$hearth" batch "$tmp/absent" "$tmp/none"
rc 2 "$hearth" batch "$tmp/in"
finish
