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
