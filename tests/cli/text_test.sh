#!/usr/bin/env bash
# hearth perplexity and hearth imatrix: their outputs, their files, what they refuse.
set -u
. "$(dirname "$0")/support.bash"
llama=$data/golden/gguf/llama32-bf16.gguf
mixtral=$data/golden/gguf/mixtral-bf16.gguf
text=$tmp/text.txt
for i in $(seq 1 40); do echo "The $i sailors saw a light on the hill and rowed on."; done >"$text"

number() { # a number of the JSON in $out, by its key
    grep -oE "\"$1\":\{?(\"mean\":)?-?[0-9.e+-]+" <<<"$out" | head -1 | grep -oE '[0-9.e+-]+$'
}
is() { # a condition on numbers, for awk
    awk "BEGIN {exit !($1)}" || fail "not so: $1"
}

# the text from a file or standard input, the same for any number of threads
rc 0 "$hearth" perplexity "$llama" --file "$text" --ctx 64
has "$out" '^perplexity +[0-9.]+ \+- [0-9.]+$'
has "$out" '^[0-9]+ tokens scored of [0-9]+ in [0-9]+ windows, [0-9.]+ tok/s$'
rc 0 "$hearth" perplexity "$llama" -f "$text" -c 64 --json
has "$out" '^\{"perplexity":\{"mean":[0-9.]+,"error":[0-9.]+\},"nll":'
ppl=$(number perplexity)
windows=$(number windows)
same "$(number tokens_scored)" $((windows * 31)) # rows 32 to 62 of each
same "$(number tokens)" $((windows * 64))
in=$(cat "$text")$'\n'
rc_in 0 "$hearth" perplexity "$llama" -c 64 --json --threads 1
same "$(number perplexity)" "$ppl"
rc 0 "$hearth" perplexity "$llama" -f "$text" -c 64 --json --chunks 2
same "$(number windows)" 2
# HEARTH_CTX is the chat's context, not the window
rc 0 env HEARTH_CTX=32 "$hearth" perplexity "$llama" -f "$text" --json
same "$(number tokens_scored)" $(($(number windows) * 255))
# every token but the first is scored once
rc 0 "$hearth" tokenize "$llama" <"$text"
rc_in 0 "$hearth" tokenize "$llama"
tokens=$(tr , '\n' <<<"$out" | wc -l)
rc 0 "$hearth" perplexity "$llama" -f "$text" -c 64 --stride 16 --json
same "$(number tokens_scored)" $((tokens - 1))

# a reference beside it, and the same through files
rc 0 "$hearth" quantize "$llama" "$tmp/q4.gguf" q4_0
rc 0 "$hearth" perplexity "$tmp/q4.gguf" -f "$text" -c 64 --reference "$llama"
for line in 'reference perplexity' ratio 'log of the ratio' 'KL divergence, mean' maximum '99.9%' \
    '99.0%' '95.0%' '90.0%' '50.0%' 'same top token' 'delta p, RMS' 'delta p, mean'; do
    has "$out" "$line +-?[0-9.]+"
done
rc 0 "$hearth" perplexity "$tmp/q4.gguf" -f "$text" -c 64 --reference "$llama" --json
kl=$(number kl)
is "$kl > 1e-5"
same "$(number reference_perplexity)" "$ppl"
for type in q16 f32; do
    rc 0 "$hearth" perplexity "$llama" -f "$text" -c 64 --save-logits "$tmp/$type" \
        --logits-type $type --json
    same "$(number perplexity)" "$ppl"
    rc 0 "$hearth" perplexity "$tmp/q4.gguf" --kl "$tmp/$type" --json
    is "$(number kl) < $kl * 1.001 + 1e-6 && $(number kl) > $kl * 0.999 - 1e-6"
    rc 0 "$hearth" perplexity "$llama" --kl "$tmp/$type" --json
    is "$(number kl) < 1e-7 && $(number kl) >= 0"
    same "$(number same_top)" 1
done
[ "$(stat -c %s "$tmp/q16")" -lt "$(stat -c %s "$tmp/f32")" ] || fail "q16 is no smaller than f32"
rc 0 "$hearth" perplexity "$llama" -f "$text" -c 64 --reference "$llama" --json
is "$(number kl) < 1e-12 && $(number kl) >= 0"

# refused
rc 1 "$hearth" perplexity "$llama" -f "$text" -c 4096
has "$err" 'the text has [0-9]+ tokens, expected at least 4096'
in='Hi'
rc_in 1 "$hearth" perplexity "$llama"
has "$err" '^hearth: standard input: the text has [0-9]+ tokens, expected at least 512'
rc 1 "$hearth" perplexity "$llama" -f "$tmp/none"
has "$err" "none': No such file"
rc 2 "$hearth" perplexity "$llama" -f "$text" -c 64 --stride 65
has "$err" 'stride of 65, expected at most'
rc 2 "$hearth" perplexity "$llama" --kl "$tmp/q16" -c 64
has "$err" '^hearth: --kl: the text and its windows'
rc 2 "$hearth" perplexity "$llama" --kl "$tmp/q16" --reference "$llama"
rc 2 "$hearth" perplexity "$llama" -f "$text" -c 64 --save-logits "$tmp/x" --logits-type q4
has "$err" "^hearth: --logits-type: 'q4', expected q16 or f32$"
rc 2 "$hearth" perplexity "$llama" -f "$text" -c 64 --reference "$mixtral"
has "$err" '^hearth: --reference: token [0-9]+ of its vocabulary'
rc 3 "$hearth" perplexity "$llama" --kl "$text"
has "$err" "^hearth: '.*text.txt': .*expected a file of log-probabilities"
head -c 5000 "$tmp/q16" >"$tmp/cut"
rc 3 "$hearth" perplexity "$llama" --kl "$tmp/cut"
has "$err" 'do not make that$'
rc 1 "$hearth" perplexity "$llama" -f "$text" -c 64 --save-logits "$tmp/no/such/folder"
rc 2 "$hearth" perplexity "$data/golden/gguf/distilbert_seqcls-bf16.gguf" -f "$text" -c 64
has "$err" 'expected a decoder'
[ ! -e "$tmp/x" ] || fail "perplexity: a file is left behind an error"

# imatrix: a file that quantize takes, the same for any number of threads
rc 0 "$hearth" imatrix "$mixtral" -f "$text" -c 64 -o "$tmp/im.gguf"
has "$err" 'im.gguf: 17 tensors from [0-9]+ chunks of 64 tokens'
rc_in 1 "$hearth" imatrix "$mixtral" -c 64 -o "$tmp/x.gguf"
in=$(cat "$text")$'\n'
rc_in 0 "$hearth" imatrix "$mixtral" -c 64 -o "$tmp/im1.gguf" --threads 1
rc 0 "$hearth" inspect "$tmp/im1.gguf"
has "$out" 'imatrix.datasets +string\[1\] +"standard input"'
has "$out" 'blk.1.ffn_down_exps.weight.in_sum2 +f32 +256 x 4'
has "$out" 'blk.1.ffn_down_exps.weight.counts +f32 +1 x 4'
rc 0 "$hearth" imatrix "$mixtral" -f "$text" -c 64 -o "$tmp/im2.gguf" --threads 1
cmp "$tmp/im.gguf" "$tmp/im2.gguf" || fail "imatrix: threads change it"
rc 0 "$hearth" imatrix "$mixtral" -f "$text" -c 64 -o "$tmp/im3.gguf" --in-file "$tmp/im.gguf" \
    --in-file "$tmp/im1.gguf"
rc 0 "$hearth" inspect "$tmp/im3.gguf" --json
has "$out" '"imatrix.datasets"'
rc 0 "$hearth" quantize "$mixtral" "$tmp/plain.gguf" q4_0
rc 0 "$hearth" quantize "$mixtral" "$tmp/guided.gguf" q4_0 --imatrix "$tmp/im.gguf"
cmp -s "$tmp/plain.gguf" "$tmp/guided.gguf" && fail "quantize: the matrix changed nothing"
rc 2 "$hearth" imatrix "$mixtral" -f "$text"
has "$err" '^hearth: imatrix: --out is missing'
rc 3 "$hearth" imatrix "$mixtral" -f "$text" -c 64 -o "$tmp/x.gguf" --in-file "$mixtral"
has "$err" "'general.type' is 'model', expected 'imatrix'$"
[ ! -e "$tmp/x.gguf" ] || fail "imatrix: a file is left behind an error"
finish
