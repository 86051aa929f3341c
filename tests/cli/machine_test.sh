#!/usr/bin/env bash
# hearth bench, doctor, synth: shapes of what they print; times are never asserted.
set -u
. "$(dirname "$0")/support.bash"
llama=$data/golden/gguf/llama32-bf16.gguf

number='[0-9.e+-]+'
rc 0 "$hearth" bench "$llama" -p 16 -n 4 -t 2 -r 2 --json
for key in prefill_tok_s decode_tok_s read_gb_s bandwidth_fraction peak_rss_bytes weight_bytes; do
    has "$out" "\"$key\": ?$number"
done
has "$out" '"threads": ?2'
peak=$(grep -oE '"peak_rss_bytes": ?[0-9]+' <<<"$out" | grep -oE '[0-9]+$')
[ "$peak" -gt 1000000 ] || fail "bench: peak memory of $peak bytes"
rc 0 "$hearth" bench "$llama" -p 0 -n 4 -r 1 -d 8
has "$out" '^decode +4 +tokens at 8 '
rc 0 "$hearth" bench "$llama" -p 16 -n 0 -r 1
has "$out" '^prefill 16 '
if grep -q '^decode' <<<"$out"; then fail "bench: -n 0 measured decoding"; fi
rc 2 "$hearth" bench "$llama" -r 0
rc 0 "$hearth" bench "$llama" -p 16 -n 2 -r 1 --json
for key in int8_gop_s f32_gop_s compute_fraction weights kv_cache scratch peak_rss; do
    has "$out" "\"$key\": ?$number"
done

# steps of many sequences, of many rows, and other numbers of threads; ratios are to a step of one
rc 0 "$hearth" bench "$llama" -p 8 -n 2 -d 70 -r 2 -t 1 --batch 3,1 --rows 2 --thread-sweep 1,2 --json
compact=$(tr -d ' \n' <<<"$out")
has "$compact" '"batch":\[\{"streams":1,"tok_s":.*\},\{"streams":3,"tok_s":'
has "$compact" '"rows":\[\{"rows":1,.*"step_ratio":\{"median":1,"min":1,"max":1\}.*\},\{"rows":2,'
has "$compact" '"thread_sweep":\[\{"threads":1,"prefill":.*"decode":.*\},\{"threads":2,'
has "$compact" '"threads":1,"prompt_tokens":8,'
rc 0 "$hearth" bench "$llama" -p 0 -n 2 -r 1 --batch 2 --rows 2,4 --thread-sweep 2
same "$(grep -cE '^[124] +[0-9.]+ +[0-9.]+ +[0-9.]+ +[0-9]+% +[0-9]+%$' <<<"$out")" 6
for list in '' 0 1,,2 1,2, 257 x $(seq -s, 40); do
    rc 2 "$hearth" bench "$llama" --batch "$list"
    has "$err" '^hearth: --batch: '
done

# a shape in place of a model: weights in memory, refused when there is too little of it
rc 0 "$hearth" bench --shape qwen2.5-0.5b -p 1 -n 1 -r 1 --json
has "$out" '"model": ?"qwen2.5-0.5b"'
has "$out" '"type": ?"q4_0"'
rc 1 "$hearth" bench --shape nonsense
has "$err" 'expected one of tinyllama-1.1b .*llama3.2-3b'
rc 2 "$hearth" bench --shape llama3.2-3b:q9
has "$err" "^hearth: --shape: type 'q9', expected one of .*q4_k_m"
HEARTH_MEMORY=1M rc 1 "$hearth" bench --shape llama3.2-3b:q4_k_m
has "$err" 'has [0-9.]+ GB of weights, expected at most the 0.00 GB of memory that are available$'
rc 2 "$hearth" bench
rc 2 "$hearth" bench "$llama" --shape llama3.2-3b

# a model larger than memory runs, and says what to expect
if [ "$(stat -f -c %T "$llama")" != tmpfs ]; then
    HEARTH_MEMORY=100K rc 0 "$hearth" generate "$llama" --tokens 1,2 -n 1
    has "$err" '^hearth: warning: .* takes [0-9.]+ GB .* expect less than [0-9.e+]+ tokens a second$'
fi
HEARTH_MEMORY=1T rc 0 "$hearth" generate "$llama" --tokens 1,2 -n 1
same "$err" ''
HEARTH_MEMORY=lots rc 2 "$hearth" generate "$llama" --tokens 1,2 -n 1
has "$err" "^hearth: HEARTH_MEMORY: 'lots', expected a size"

rc 0 "$hearth" doctor --json
for key in cores memory_gb memory_available_gb read_gb_s; do
    has "$out" "\"$key\": ?$number"
done
has "$out" '"cpu_features": ?"'
has "$out" '"gpu": ?"'
has "$out" "\"home\": ?\"$HEARTH_HOME\""
rc 0 "$hearth" doctor
has "$out" '^bandwidth +[0-9.]+ GB/s'
HEARTH_CPU_DISABLE=avx2 rc 0 "$hearth" doctor --json
has "$out" '"isa": ?"scalar"'
finish
