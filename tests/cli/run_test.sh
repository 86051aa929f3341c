#!/usr/bin/env bash
# hearth run without a terminal: prompts from arguments, from a pipe, from both, from nobody.
set -u
. "$(dirname "$0")/support.bash"
llama=$data/golden/gguf/llama32-bf16.gguf
short=(-n 8 --temp 0)

rc 0 "$hearth" run "$llama" "${short[@]}" "Hello you"
answer=$out
[ -n "$answer" ] || fail "run: no answer"
same "$err" ""
grep -q $'\x1b' "$tmp/out" && fail "run: an escape code in a pipe"
same "$(tail -c 1 "$tmp/out" | od -An -tx1 | tr -d ' ')" 0a
rc 0 "$hearth" run "$llama" "${short[@]}" Hello you
same "$out" "$answer"
in=$'Hello you\n'
rc_in 0 "$hearth" run "$llama" "${short[@]}"
same "$out" "$answer"
in=$'Hello\n'
rc_in 0 "$hearth" run "$llama" "${short[@]}" you # the piped text comes first
same "$out" "$answer"
in='you'
rc_in 0 "$hearth" run "$llama" "${short[@]}" Hello
[ "$out" != "$answer" ] || fail "run: the order of pipe and prompt does not matter"

# nobody says anything: a greeting
rc 0 "$hearth" run "$llama" "${short[@]}" 'Hello! Who are you?'
greeting=$out
rc 0 "$hearth" run "$llama" "${short[@]}"
same "$out" "$greeting"
got=0
"$hearth" run "$llama" "${short[@]}" >"$tmp/out" 2>"$tmp/err" <&- || got=$?
same "$got" 0
same "$(tr -d '\0' <"$tmp/out")" "$greeting"

# what changes the answer, and what must not
rc 0 "$hearth" run "$llama" "${short[@]}" --system "Be brief." "Hello you"
[ "$out" != "$answer" ] || fail "run: --system changed nothing"
rc 0 "$hearth" run "$llama" "${short[@]}" --threads 1 "Hello you"
same "$out" "$answer"
rc 0 "$hearth" run "$llama" "${short[@]}" --no-chat "Hello you"
[ "$out" != "$answer" ] || fail "run: --no-chat changed nothing"
raw=$out
rc 0 "$hearth" generate "$llama" "${short[@]}" --prompt "Hello you"
same "$raw" "$out"
echo 'Q: {{ messages[0].content }} A:' >"$tmp/t.jinja"
rc 0 "$hearth" run "$llama" "${short[@]}" --template "$tmp/t.jinja" you
templated=$out
rc 0 "$hearth" run "$llama" "${short[@]}" --no-chat 'Q: you A:'
same "$templated" "$out"
# what is thought aloud is no part of the answer: a pipe gets the answer alone
printf '%s' '{{ messages[0].content }}<think>' >"$tmp/t.jinja"
rc 0 "$hearth" run "$llama" "${short[@]}" --template "$tmp/t.jinja" you
same "$out" ''
has "$err" '^Thinking\.\.\.$'
has "$err" '^\.\.\.done thinking\.$'
echo '{% if %}' >"$tmp/t.jinja"
rc 3 "$hearth" run "$llama" --template "$tmp/t.jinja" x
has "$err" '^hearth: chat template: '
rc 2 "$hearth" run "$llama" --think maybe x
has "$err" "^hearth: --think: 'maybe', expected on or off$"

rc 0 "$hearth" run "$llama" "${short[@]}" --verbose "Hello you"
same "$out" "$answer"
for line in 'total duration' 'load duration' 'prompt eval rate' 'eval count: +8 token' 'eval rate: .*tokens/s' 'draft count: +[0-9]+ token'; do
    has "$err" "^$line"
done
rc 0 "$hearth" run "$llama" "${short[@]}" --logprobs 2 "Hello you"
same "$(wc -l <<<"$err")" 8

# guessing ahead changes nothing but the speed
long=(-n 60 --temp 0.5 --seed 3 --ignore-eos --verbose)
rc 0 "$hearth" run "$llama" "${long[@]}" --draft 0 "one two one two one two"
plain=$out
has "$err" '^draft count: +0 token\(s\), 0 accepted$'
for n in 1 15 64; do
    rc 0 "$hearth" run "$llama" "${long[@]}" --draft $n "one two one two one two"
    same "$out" "$plain"
done
rc 2 "$hearth" run "$llama" --draft 65 x
has "$err" "^hearth: --draft: '65', expected an integer from 0 to 64$"

# a stop text ends the answer and is not told
first=${answer:2:1}
rc 0 "$hearth" run "$llama" "${short[@]}" --stop "$first" "Hello you"
[ "${out/"$first"/}" = "$out" ] || fail "run: the stop text was told"

# a full context is told, or shifted when asked to
rc 1 "$hearth" run "$llama" --ctx 48 --temp 0 --ignore-eos "Hello you"
has "$err" '^hearth: the context of 48 tokens is full'
rc 0 "$hearth" run "$llama" --ctx 48 --temp 0 --ignore-eos --context-shift -n 100 "Hello you"
rc 1 "$hearth" run "$llama" --ctx 16 "$(printf 'word %.0s' {1..100})"
has "$err" 'the context holds 16$'

# a reader that leaves ends the program
{ "$hearth" run "$llama" --ignore-eos -n 2000 x 2>"$tmp/err"; echo $? >"$tmp/code"; } | head -c 10 >/dev/null
same "$(cat "$tmp/code")" 1
has "$(cat "$tmp/err")" '^hearth: cannot write to standard output$'
finish
