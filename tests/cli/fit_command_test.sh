#!/usr/bin/env bash
# hearth fit: tables and JSON of machines that are said, and of this one; what makes no sense.
set -u
. "$(dirname "$0")/support.bash"

rc 0 "$hearth" fit --tier laptop16
has "$out" '^laptop16: '
has "$out" '^MODEL +FITS +TYPE +SIZE +CONTEXT +TOK/S +GOOD FOR +LICENCE$'
has "$out" '^llama3\.2-1b +yes +q8_0 +1\.3 GB +128K +[0-9.]+ +.*constrained devices.* +Llama 3\.2 Community$'
has "$out" '^mixtral-8x7b +no +q2_k +'
has "$out" '^distilbert +yes .*classification +Apache-2\.0$'
grep -q '^The GPU' <<<"$out" && fail "fit: a GPU that is not there"

# a GPU is judged, and it is said that nothing computes on it
rc 0 "$hearth" fit --tier workstation24
has "$out" 'This version of Hearth computes on the CPU'
same "$(grep -c '^llama3\.1-8b ' <<<"$out")" 2
rc 0 "$hearth" fit qwen3 --ram 8G --bandwidth 40 --gpu 24G
has "$out" 'not known: no bandwidth was said'

# --all: a row for each quantization of the models that were named
rc 0 "$hearth" fit tinyllama --all --ram 16G --bandwidth 50 --ctx 1024 --kv q8
same "$(grep -c '^tinyllama-1\.1b ' <<<"$out")" 15
has "$out" '^tinyllama-1\.1b +yes \* +q8_0 +1\.2 GB'
same "$(grep -cE '^tinyllama|^MODEL' <<<"$out")" 16

# this machine, measured
rc 0 "$hearth" fit --json -t 1
python3 - "$tmp/out" <<'END' || fail "fit --json"
import json, sys
d = json.load(open(sys.argv[1]))
(cpu,) = d["devices"]
assert cpu["computes"] and cpu["read_gb_s"] > 0 and cpu["memory_bytes"] > 0
assert d["tier"] is None and len(cpu["models"]) == 16
assert cpu["source"].endswith("with 1 thread"), cpu["source"]
for m in cpu["models"]:
    c = m["choice"]
    assert m["fits"] in ("yes", "slow", "no") and "quantizations" not in m
    assert c["file_bytes"] >= c["weight_bytes"] > 0.3 * m["parameters"], m["name"]
    assert (c["decode_tok_s"] is None) == (m["kind"] == "encoder")
END
HEARTH_MEMORY=1G rc 0 "$hearth" fit llama3.1-8b --bandwidth 50
has "$out" '^memory +1\.1 GB '
has "$out" '^llama3\.1-8b +no '

# the file that is synthesized has the size that was foretold, within a percent
rc 0 "$hearth" synth distilbert "$tmp/d.gguf" --type q8_0
rc 0 "$hearth" fit distilbert --all --json --ram 4G --bandwidth 10
python3 - "$tmp/out" "$(stat -c %s "$tmp/d.gguf")" <<'END' || fail "fit: size of a file"
import json, sys
(m,) = json.load(open(sys.argv[1]))["devices"][0]["models"]
(row,) = [q for q in m["quantizations"] if q["quantization"] == "q8_0"]
assert abs(row["file_bytes"] / int(sys.argv[2]) - 1) < 0.01
END
in='tea and biscuits' rc_in 0 "$hearth" embed "$tmp/d.gguf"

rc 2 "$hearth" fit --tier moon
has "$err" "^hearth: --tier: 'moon', expected one of laptop16 workstation24 apple-m2 "
tiers=${err#*expected one of }
rc 0 "$hearth" help fit
for tier in $tiers; do # help names every one, and each works
    grep -q "$tier" <<<"$out" || fail "help fit: no $tier"
    "$hearth" fit tinyllama --tier "$tier" >/dev/null || fail "--tier $tier"
done
rc 2 "$hearth" fit --ram none
has "$err" "^hearth: --ram: 'none', expected a size such as 16G$"
rc 2 "$hearth" fit --bandwidth -3
has "$err" "^hearth: --bandwidth: '-3', expected GB/s above 0"
rc 2 "$hearth" fit --gpu-bandwidth 100
rc 2 "$hearth" fit a b
rc 1 "$hearth" fit nonsense --tier laptop16
has "$err" "no model of the catalogue is called 'nonsense'"
same "$out" "$(sed '/^MODEL/,$d' <<<"$out")" # no table
finish
