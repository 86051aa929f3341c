#!/usr/bin/env bash
# hearth run in a terminal: a conversation, its commands, Ctrl-C and Ctrl-D.
set -u
. "$(dirname "$0")/support.bash"
llama=$data/golden/gguf/llama32-bf16.gguf

# play WANT ARG...: follows the script on standard input
play() {
    local want=$1 got=0
    shift
    cat >"$tmp/script"
    "$pty" "$tmp/script" "$hearth" run "$llama" "$@" >"$tmp/shown" 2>&1 || got=$?
    shown=$(tr -d '\0\r' <"$tmp/shown")
    [ "$got" -eq "$want" ] || fail "exit $got, expected $want: run $*: $shown"
}

play 0 -n 12 --temp 0 <<'S'
see /help tells
see >>> 
type hello\r
see >>> 
type /help\r
see /clear
see >>> 
type /show parameters\r
see temp 0,
see >>> 
type /set temperature 0.5\r
see >>> 
type /set parameter top_k 3\r
see >>> 
type /show\r
see temp 0.5, top-k 3,
see >>> 
type /set top_k many\r
see hearth: --top-k: 'many', expected an integer
see >>> 
type /set ctx 5\r
see hearth: 'ctx' can only be given
see >>> 
type /set tmep 5\r
see did you mean 'temp'?
see >>> 
type /set system You are a bird.\r
see >>> 
type /show system\r
see system: You are a bird.
see >>> 
type /nonsense\r
see unknown command '/nonsense'
see >>> 
type /bye\r
end
S

# messages of several lines are one message
play 0 -n 4 --temp 0 --system S <<S
see >>> 
type """one\r
see ... 
type two"""\r
see >>> 
type three \\\r
see ... 
type four\r
see >>> 
type /save $tmp/saved.json\r
see 5 messages in
see >>> 
type /clear\r
see anew
see >>> 
type /save $tmp/clear.json\r
see 1 messages in
see >>> 
type /load $tmp/saved.json\r
see 5 messages from
see >>> 
type /load $tmp/none.json\r
see hearth: 
see >>> 
type \x04
end
S
has "$(cat "$tmp/saved.json")" '"content": "one\\ntwo"'
has "$(cat "$tmp/saved.json")" '"content": "three \\nfour"'
has "$(cat "$tmp/clear.json")" '"role": "system"'

# Ctrl-C stops the answer and not the program; at the prompt it drops the line and tells how to leave
play 0 --ignore-eos --ctx 8192 <<'S'
see >>> 
type hello\r
see hello
more 40
type \x03
see >>> 
type never sent\x03
see leaves
see >>> 
type /save /dev/null/x\r
see hearth: 
see >>> 
signal
see leaves
see >>> 
type \x04
end
S

# line editing and history, which only its owner may read
[ -f "$HEARTH_HOME/history" ] || fail "no history was kept"
same "$(stat -c %a "$HEARTH_HOME/history")" 600
has "$(cat "$HEARTH_HOME/history")" '^hello$'
play 0 -n 4 <<'S'
see >>> 
type /show infX\x7fo\r
see 512 tokens of vocabulary
see >>> 
type \x10\r
see 512 tokens of vocabulary
see >>> 
type /bye\r
end
S
cp "$HEARTH_HOME/history" "$tmp/before"
play 0 -n 4 --no-history <<'S'
see >>> 
type /show secret\r
see >>> 
type /bye\r
end
S
cmp -s "$HEARTH_HOME/history" "$tmp/before" || fail "--no-history: the history changed"

# one answer in a terminal: a prompt on the command line
play 0 -n 4 --temp 0 hello there <<'S'
end
S
[ -n "$shown" ] || fail "no answer to a prompt"
if grep -q '>>>' <<<"$shown"; then fail "a prompt was asked for"; fi
# stopped by Ctrl-C: that is a failure
play 1 --ignore-eos --ctx 8192 hello <<'S'
see e
signal
see stopped
end
S

# a model's text does not get to command the terminal: escape codes are left out there, not in a pipe
in=$'\x1b'
rc_in 0 "$hearth" tokenize "$llama" --no-special
escape=(--logit-bias "${out//[!0-9]/}=1000" -n 3 --temp 0)
rc 0 "$hearth" run "$llama" "${escape[@]}" hello
same "$out" $'\x1b\x1b\x1b'
play 0 "${escape[@]}" hello <<'S'
end
S
grep -q $'\x1b' "$tmp/shown" && fail "an escape code of the model's reached the terminal"

# thinking is dimmed, and kept in the conversation
printf '%s' '{{ messages[0].content }}<think>' >"$tmp/think.jinja"
TERM=xterm play 0 -n 4 --temp 0 --template "$tmp/think.jinja" <<S
see >>> 
type hello\\r
see Thinking...
see ...done thinking.
see >>> 
type /save $tmp/thought.json\\r
see 2 messages in
see >>> 
type /load $tmp/thought.json\\r
see 2 messages from
see >>> 
type /save $tmp/again.json\\r
see 2 messages in
see >>> 
type \\x04
end
S
grep -q $'\x1b\\[2mThinking' "$tmp/shown" || fail "thinking is not dimmed"
grep -q '"thinking": "' "$tmp/thought.json" || fail "thinking is not kept"
cmp "$tmp/thought.json" "$tmp/again.json" || fail "thinking is lost between saving and loading"
# lists given on the command line grow by /set, and stay as they were when a value is wrong
play 0 -n 2 --temp 0 --stop zzz --stop yyy --logit-bias 220=0 <<'S'
see >>> 
type /set stop xxx\r
see >>> 
type /set logit-bias 221=0\r
see >>> 
type /set logit-bias many\r
see hearth: --logit-bias: 'many', expected ID=X
see >>> 
type /set logit-bias 222=0\r
see >>> 
type /show parameters\r
see stop xxx
see >>> 
type hello\r
see >>> 
type /bye\r
end
S

# a terminal that cannot be edited on gets plain lines
TERM=dumb play 0 -n 4 <<'S'
see >>> 
type hello\r
see >>> 
type \x04
end
S
grep -q $'\x1b' "$tmp/shown" && fail "an escape code for a dumb terminal"
finish
