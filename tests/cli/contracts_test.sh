#!/usr/bin/env bash
# The commands that scripts rely on: their outputs, byte for byte or by shape.
set -u
. "$(dirname "$0")/support.bash"
llama=$data/golden/gguf/llama32-bf16.gguf
mixtral=$data/golden/gguf/mixtral-bf16.gguf
bert=$data/golden/gguf/distilbert_seqcls-bf16.gguf

# tokenize and back
in='Hello, world'
rc_in 0 "$hearth" tokenize "$llama"
has "$out" '^\[[0-9]+(,[0-9]+)*\]$'
ids=${out//[\[\]]/}
rc_in 0 "$hearth" tokenize "$llama" --no-special
plain=${out//[\[\]]/}
[ "$ids" != "$plain" ] || fail "tokenize: --no-special changed nothing"
same "${ids#*,}" "$plain"
rc 0 "$hearth" detokenize "$llama" --tokens "$plain"
same "$out" "$in"
rc 2 "$hearth" detokenize "$llama"
has "$err" '^hearth: detokenize: no --tokens'
rc 2 "$hearth" detokenize "$llama" --tokens 1,x
has "$err" "^hearth: --tokens: 'x', expected ids separated by commas$"
rc 2 "$hearth" detokenize "$llama" --tokens 1,,2
in=$'<|begin_of_text|>\n'
rc_in 0 "$hearth" tokenize "$llama" --no-special
a=$out
rc_in 0 "$hearth" tokenize "$llama" --no-special --no-parse-special
[ "$a" != "$out" ] || fail "tokenize: --no-parse-special changed nothing"
in=''
rc_in 0 "$hearth" tokenize "$llama" --no-special
same "$out" '[]'

# logits: a file of the right size, the same for any number of threads
rc 0 "$hearth" logits "$llama" --tokens "$ids" --out "$tmp/l2" --threads 2
rc 0 "$hearth" logits "$llama" --tokens "$ids" --out "$tmp/l1" --threads 1
n=$(tr , '\n' <<<"$ids" | wc -l)
same "$(stat -c %s "$tmp/l1")" $((n * 512 * 4))
cmp "$tmp/l1" "$tmp/l2" || fail "logits: threads change them"
rc 0 "$hearth" logits "$llama" --tokens "$ids" --out "$tmp/le" --exact
cmp -s "$tmp/l1" "$tmp/le" && fail "logits: --exact changed nothing"
rc 2 "$hearth" logits "$llama" --tokens 1,2
has "$err" '^hearth: logits: --out is missing'
rc 2 "$hearth" logits "$llama" --tokens 1,512 --out "$tmp/bad"
[ ! -e "$tmp/bad" ] || fail "logits: a file is left behind an error"
rc 1 "$hearth" logits "$llama" --tokens 1 --out "$tmp/no/such/folder"
has "$err" 'No such file'

# generate: the golden tokens, JSON, seeds
golden=$data/golden/hf/llama32/golden.json
array() { # a JSON array of integers of that file, by its key
    tr -d ' \n' <"$golden" | grep -oE "\"$1\":\[[0-9,]+\]" | sed 's/.*\[//; s/\]//'
}
want=$(array greedy)
rc 0 "$hearth" generate "$llama" --tokens "$(array greedy_prompt)" -n 32 --temp 0 --exact --json
has "$out" '^\{"tokens":\[[0-9,]+\],"text":"'
same "$(grep -oE '"tokens":\[[0-9,]+' <<<"$out" | sed 's/.*\[//')" "$want"
has "$out" '"finish_reason":"length"'
sampled() { # ids with seed $1 and further options
    local seed=$1
    shift
    rc 0 "$hearth" generate "$llama" --prompt Hello -n 16 --seed "$seed" --temp 1 --json "$@"
    ids=$(grep -oE '"tokens":\[[0-9,]+' <<<"$out")
}
sampled 7
seven=$ids
sampled 7 --threads 1
same "$ids" "$seven"
sampled 8
[ "$ids" != "$seven" ] || fail "generate: seeds 7 and 8 agree"
in='Hello'
rc_in 0 "$hearth" generate "$llama" -n 16 --seed 7 --temp 1 --json
same "$(grep -oE '"tokens":\[[0-9,]+' <<<"$out")" "$seven"
rc 0 "$hearth" generate "$llama" --prompt Hello -n 2 --temp 0 --logprobs 3 --json
same "$(grep -oE '"logprob":-?[0-9.]+' <<<"$out" | wc -l)" 8
rc 2 "$hearth" generate "$llama" --prompt Hello --top-p 2
rc 2 "$hearth" generate "$llama" --prompt Hello --logit-bias 5
has "$err" "^hearth: --logit-bias: '5', expected ID=X$"
banned=${want%%,*}
rc 0 "$hearth" generate "$llama" --tokens "$(array greedy_prompt)" -n 1 --temp 0 --exact --json \
    --logit-bias "$banned=-100"
[ "$(grep -oE '"tokens":\[[0-9]+' <<<"$out")" != "\"tokens\":[$banned" ] ||
    fail "generate: --logit-bias changed nothing"
rc 1 "$hearth" generate "$llama" --ctx 16 --prompt "$(printf 'word %.0s' {1..40})" -n 1
has "$err" 'context holds 16$'
rc 1 "$hearth" generate "$llama" --ctx 16 --prompt Hello -n 100 --ignore-eos --json
has "$err" 'context of 16 tokens was full after [0-9]+ of 100 tokens'
has "$out" '"finish_reason":"context"'
rc 0 "$hearth" generate "$llama" --ctx 16 --prompt Hello -n -1 --ignore-eos
rc 0 "$hearth" generate "$llama" --ctx 16 --prompt Hello -n 100 --ignore-eos --context-shift
rc 3 "$hearth" generate "$llama" --prefix a --suffix b
has "$err" 'no infill tokens$'
# infill: <PRE> prefix <SUF> suffix <MID>, no space in front of the suffix (CodeLlama's tokenizer)
cp -r "$data/golden/hf/llama2" "$tmp/infill"
added=
for row in '1:4:PRE' '2:5:SUF' '3:6:MID'; do
    IFS=: read -r byte id name <<<"$row"
    sed -i "s/\"<0x0$byte>\"/\"▁<$name>\"/" "$tmp/infill/tokenizer.json"
    added+="{\"id\": $id, \"content\": \"▁<$name>\", \"single_word\": false, \"lstrip\": false, "
    added+="\"rstrip\": false, \"normalized\": false, \"special\": true}, "
done
sed -i "s/\"added_tokens\": *\[/&$added/" "$tmp/infill/tokenizer.json"
rc 0 "$hearth" generate "$tmp/infill" --prefix 'def f' --suffix 'return x' -n 6 --temp 0 --json
infill=$(grep -oE '"tokens":\[[0-9,]+' <<<"$out")
in='def f'
rc_in 0 "$hearth" tokenize "$tmp/infill"
prefix=${out//[\[\]]/}
in='☺'
rc_in 0 "$hearth" tokenize "$tmp/infill" --no-special
mark=${out//[\[\]]/}
in='☺return x'
rc_in 0 "$hearth" tokenize "$tmp/infill" --no-special
suffix=${out//[\[\]]/}
rc 0 "$hearth" generate "$tmp/infill" -n 6 --temp 0 --json \
    --tokens "1,4,${prefix#1,},5,${suffix#"$mark",},6"
same "$infill" "$(grep -oE '"tokens":\[[0-9,]+' <<<"$out")"

rc 2 "$hearth" generate "$llama" --prompt a --quantize q9
has "$err" "^hearth: --quantize: 'q9'"
rc 2 "$hearth" generate "$llama" --prompt a --quantize q8_0
has "$err" 'is a file, expected a Hugging Face folder'
rc 0 "$hearth" generate "$data/golden/hf/qwen2" --tokens 5,6 -n 2 --quantize q8_0 --json

# adapters, with a scale
base=$data/golden/hf/llama2
adapter=$data/golden/hf/llama2_lora
rc 0 "$hearth" logits "$base" --tokens 1,5,9 --out "$tmp/b"
rc 0 "$hearth" logits "$base" --tokens 1,5,9 --out "$tmp/b1" --lora "$adapter"
rc 0 "$hearth" logits "$base" --tokens 1,5,9 --out "$tmp/b2" --lora "$adapter=1"
rc 0 "$hearth" logits "$base" --tokens 1,5,9 --out "$tmp/b3" --lora "$adapter=0.5"
cmp -s "$tmp/b" "$tmp/b1" && fail "logits: --lora changed nothing"
cmp "$tmp/b1" "$tmp/b2" || fail "logits: a scale of 1 is not the default"
cmp -s "$tmp/b1" "$tmp/b3" && fail "logits: a scale changed nothing"
rc 2 "$hearth" logits "$base" --tokens 1 --out "$tmp/x" --lora "$adapter=much"
has "$err" "^hearth: --lora: scale 'much', expected a number$"
rc 1 "$hearth" logits "$base" --tokens 1 --out "$tmp/x" --lora "$tmp/none"

# inspect
rc 0 "$hearth" inspect "$llama" --json
has "$out" '"format": ?"gguf"'
has "$out" '"token_embd.weight"'
rc 0 "$hearth" inspect "$llama"
has "$out" 'token_embd.weight'

# quantize and synth write models that run
rc 0 "$hearth" quantize "$mixtral" "$tmp/q8.gguf" q8_0
has "$err" 'tensors converted'
rc 0 "$hearth" generate "$tmp/q8.gguf" --tokens 1,5,9 -n 4 --temp 0 --json
rc 0 "$hearth" quantize "$data/golden/hf/llama2" "$tmp/hf.gguf" F16
rc 0 "$hearth" inspect "$tmp/hf.gguf"
has "$out" 'f16'
rc 3 "$hearth" quantize "$tmp/l1" "$tmp/x.gguf" q8_0
[ ! -e "$tmp/x.gguf" ] || fail "quantize: a file is left behind an error"
# a disk that fills up (a limit on the file's size stands for it) is told, and leaves nothing;
# a process killed while it writes leaves nothing under the name, or what was there before
full='ulimit -f 200; trap "" XFSZ; exec "$@"'
rc 1 bash -c "$full" _ "$hearth" quantize "$mixtral" "$tmp/x.gguf" f16
has "$err" "^hearth: cannot write '.*/x.gguf': File too large$"
[ -z "$(ls "$tmp" | grep '^x.gguf')" ] || fail "quantize: a full disk leaves a file behind"
echo before >"$tmp/x.gguf"
killed=0
{ (ulimit -c 0 -f 200; exec "$hearth" quantize "$mixtral" "$tmp/x.gguf" f16) || killed=$?; } >/dev/null 2>&1
[ "$killed" -gt 128 ] || fail "quantize: exit status $killed, expected death by a signal"
same "$(cat "$tmp/x.gguf")" before

# encoders
in='A text.'
rc_in 0 "$hearth" classify "$bert" --json
has "$out" '^\{"head":"sequence","ids":\[[0-9,]+\],"logits":\[-?[0-9.e,-]+\],"labels":\["'
alone=$out
rc_in 0 "$hearth" classify "$bert" --json --pair 'Another.'
[ "$out" != "$alone" ] || fail "classify: --pair changed nothing"
rc_in 0 "$hearth" embed "$bert" --json
has "$out" '^\{"embedding":\[-?[0-9.e-]+,'
mean=$out
rc_in 0 "$hearth" embed "$bert" --json --pooling cls
[ "$out" != "$mean" ] || fail "embed: --pooling cls changed nothing"
rc_in 0 "$hearth" embed "$bert"
length=$(awk '{s += $1 * $1} END {printf "%.4f", sqrt(s)}' <<<"$out")
same "$length" 1.0000
rc_in 2 "$hearth" embed "$bert" --pooling max
rc_in 2 "$hearth" classify "$llama" --json
has "$err" 'expected an encoder$'
rc 2 "$hearth" generate "$bert" --prompt a
finish
