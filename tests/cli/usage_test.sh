#!/usr/bin/env bash
# Help, errors, exit codes, completion and manual: what comes from the option tables.
set -u
. "$(dirname "$0")/support.bash"

commands="run create list show cp rm pull push generate logits tokenize detokenize template classify embed inspect quantize imatrix
    perplexity synth bench serve ps stop key fit
    doctor completion docs help version"

rc 2 "$hearth"
has "$out" '^usage: hearth COMMAND'
rc 0 "$hearth" help
for c in $commands; do
    has "$out" "^  $c "
done
for c in $commands; do
    rc 0 "$hearth" help "$c"
    help=$out
    has "$help" "^usage: hearth $c "
    has "$help" '--help'
    rc 0 "$hearth" "$c" --help
    same "$out" "$help"
    while IFS= read -r line; do
        [ ${#line} -le 80 ] || fail "help $c: a line of ${#line} columns: $line"
    done <<<"$help"
done
rc 0 "$hearth" --help
rc 0 "$hearth" --version
has "$out" '^hearth [0-9]+\.[0-9]+\.[0-9]+$'
version=$out
rc 0 "$hearth" version
same "$out" "$version"

# one line on standard error: "hearth: what: found, expected"
rc 2 "$hearth" rnu
same "$err" "hearth: unknown command 'rnu', did you mean 'run'?"
same "$out" ""
rc 2 "$hearth" nothing-like-it
has "$err" "^hearth: unknown command 'nothing-like-it'"
rc 2 "$hearth" run --tmep 1 x
same "$err" "hearth: run: unknown option '--tmep', did you mean '--temp'?"
rc 2 "$hearth" run -Q x
has "$err" "^hearth: run: unknown option '-Q'"
rc 2 "$hearth" run --temp
same "$err" "hearth: run: option '--temp' needs a value"
rc 2 "$hearth" run x --verbose=1
same "$err" "hearth: run: option '--verbose=1' takes no value"
rc 2 "$hearth" bench --temp 1 x # of another command
has "$err" "unknown option '--temp'"
rc 2 "$hearth" run x --temp warm
has "$err" "^hearth: --temp: 'warm', expected a number from 0 to 100$"
rc 2 "$hearth" run x --top-k 1.5
has "$err" "^hearth: --top-k: '1.5', expected an integer"
rc 2 "$hearth" run x --seed 99999999999999999999
has "$err" "^hearth: --seed: "
rc 2 env HEARTH_THREADS=many "$hearth" run x
has "$err" "^hearth: HEARTH_THREADS: --threads: 'many', expected an integer"
rc 2 env HEARTH_CPU_DISABLE=nonsense "$hearth" doctor
has "$err" "nonsense"
rc 2 "$hearth" run
has "$err" "^hearth: run: 0 arguments, expected MODEL"
rc 2 "$hearth" quantize a b
has "$err" "expected IN OUT TYPE$"
rc 2 "$hearth" version extra
has "$err" "^hearth: version: 1 argument, expected none$"
rc 2 "$hearth" completion fish
has "$err" "^hearth: completion: 'fish', expected bash or zsh$"
rc 2 "$hearth" quantize a b q9_9
has "$err" "^hearth: type 'q9_9', expected one of .*q4_k_m"
rc 1 "$hearth" synth llama9 "$tmp/x.gguf"
has "$err" "llama9.*llama3.1-8b"

# models that are not there, files that are no models
rc 1 "$hearth" run no-such-model hello
has "$err" "^hearth: model 'no-such-model' not found: no such file or folder, and not in .*/home/models$"
rc 1 "$hearth" run "$tmp/none.gguf" hello
has "$err" "^hearth: model '.*none.gguf': no such file or folder$"
echo "this is text" >"$tmp/text.gguf"
for c in run inspect tokenize bench; do
    rc 3 "$hearth" $c "$tmp/text.gguf"
    has "$err" '^hearth: .*(magic|expected)'
    [ "$(wc -l <<<"$err")" -eq 1 ] || fail "$c: more than one line of error: $err"
done
mkdir "$tmp/empty"
rc 1 "$hearth" run "$tmp/empty" hello
has "$err" 'config.json'

# standard output that cannot be written is an error, a reader that left is no crash
if [ -w /dev/full ]; then
    got=0
    "$hearth" help >/dev/full 2>"$tmp/err" || got=$?
    same "$got" 1
    has "$(cat "$tmp/err")" '^hearth: cannot write to standard output$'
fi

rc 0 "$hearth" ls # another word for list
rc 0 "$hearth" completion bash
bash -n "$tmp/out" || fail "completion bash: syntax"
complete_bash() { # words so far, the last one unfinished
    bash -c '. "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _hearth
             printf "%s\n" "${COMPREPLY[@]}"' _ "$tmp/bash" "$@"
}
cp "$tmp/out" "$tmp/bash"
same "$(complete_bash hearth det)" detokenize
same "$(complete_bash hearth run --context)" --context-shift
has "$(complete_bash hearth run hearth)" '^hearth-nano$'
same "$(complete_bash hearth doctor --sys)" ""
rc 0 "$hearth" completion zsh
has "$out" '^#compdef hearth$'
! command -v zsh >/dev/null || zsh -n "$tmp/out" || fail "completion zsh: syntax"

rc 0 "$hearth" docs man
has "$out" '^\.TH HEARTH 1'
if command -v groff >/dev/null; then
    groff -ww -man -Tutf8 "$tmp/out" 2>"$tmp/err" >/dev/null
    same "$(cat "$tmp/err")" ""
fi
rc 0 "$hearth" docs markdown
cmp -s "$tmp/out" "$source_dir/docs/cli.md" ||
    fail "docs/cli.md is not what 'hearth docs markdown' prints: build/hearth docs markdown > docs/cli.md"
finish
