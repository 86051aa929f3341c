#!/usr/bin/env bash
# The store through the program: Ollama's layout read in place, create, list, show, cp, rm; killed
# and full-disk creates; several at once. HEARTH_KILLS: how often create is killed (default 20).
set -u
. "$(dirname "$0")/support.bash"
weights=$source_dir/models/hearth-nano.gguf
own=$HEARTH_HOME/models
lib=manifests/registry.ollama.ai/library

sha() {
    sha256sum "$1" | cut -d' ' -f1
}

# layer ROOT KIND FILE: the file as a blob, its layer's JSON on standard output
layer() {
    local hex
    hex=$(sha "$3")
    mkdir -p "$1/blobs"
    cp "$3" "$1/blobs/sha256-$hex"
    printf '{"mediaType":"application/vnd.ollama.image.%s","digest":"sha256:%s","size":%d}' \
        "$2" "$hex" "$(stat -c %s "$3")"
}

# Every blob holds what its name says, nothing half-written is left, every manifest loads.
check_store() {
    local f
    for f in "$own"/blobs/*; do
        [ -e "$f" ] || continue
        case $f in
        */sha256-*) [ "sha256-$(sha "$f")" = "${f##*/}" ] || fail "$1: '$f' has other bytes" ;;
        *) fail "$1: '$f' is left" ;;
        esac
    done
    for f in "$own"/manifests/*; do
        [ -d "$f" ] || [ ! -e "$f" ] || fail "$1: '$f' is left"
    done
    rc 0 "$hearth" list
    same "$err" ""
}

state() {
    (cd "$own" && find . -type f ! -name lock | sort)
}

# ---- an Ollama store, read in place ----
export OLLAMA_MODELS=$tmp/ollama
echo '{"temperature":0,"seed":7,"num_predict":6,"stop":["zzz"]}' >"$tmp/params"
printf '%s' 'You answer in one word.' >"$tmp/system"
printf '%s' 'Some License' >"$tmp/license"
# a Jinja template of another shape than the model's own, so that it shows which one was used
printf '%s' '{% for m in messages %}{{ m.role }}={{ m.content }};{% endfor %}' >"$tmp/template"
mkdir -p "$OLLAMA_MODELS/$lib/fixture"
{
    printf '{"schemaVersion":2,"layers":['
    layer "$OLLAMA_MODELS" model "$weights"
    for kind in params system template license; do
        printf ,
        layer "$OLLAMA_MODELS" $kind "$tmp/$kind"
    done
    printf ']}'
} >"$OLLAMA_MODELS/$lib/fixture/latest"
find "$OLLAMA_MODELS" -type f -printf '%p %s %T@\n' | sort >"$tmp/before"
id=$(sha "$OLLAMA_MODELS/$lib/fixture/latest")
rc 0 "$hearth" ls
has "$out" '^NAME +ID +SIZE +MODIFIED$'
has "$out" "^fixture:latest +${id:0:12} +31 MB +.* ago$"
has "$out" '^hearth-nano:latest +[0-9a-f]{12} +31 MB '
rc 0 "$hearth" list FIX
[ "$(wc -l <<<"$out")" -eq 2 ] || fail "list FIX: $out"
rc 0 "$hearth" list --json
has "$out" "\"digest\": \"$id\""
rc 0 "$hearth" show fixture --system
same "$out" 'You answer in one word.'
rc 0 "$hearth" show FIXTURE:LATEST --license
same "$out" 'Some License'
rc 0 "$hearth" show fixture --template
same "$out" "$(cat "$tmp/template")"
rc 0 "$hearth" show fixture --parameters
has "$out" '^temperature {20}0$'
has "$out" '^stop {27}"zzz"$'
rc 0 "$hearth" show fixture
has "$out" '^    architecture +llama$'
has "$out" '^    quantization +Q8_0$'
has "$out" '^    completion$'
has "$out" '^    Some License$'
rc 0 "$hearth" show fixture -v
has "$out" '"general.parameter_count": 28'
rc 2 "$hearth" show fixture --license --system
# run takes parameters, system and template from there
rc 0 "$hearth" run fixture hello
from_entry=$out
rc 0 "$hearth" run "$weights" --temp 0 --seed 7 --max-tokens 6 --stop zzz \
    --system 'You answer in one word.' --template "$tmp/template" hello
same "$from_entry" "$out"
rc 0 "$hearth" run fixture --max-tokens 1 hello
[ ${#out} -lt ${#from_entry} ] || fail "run: an option does not go before the entry's parameter"
in='FROM fixture
TEMPLATE {{ range .Messages }}{{ .Role }}={{ .Content }};{{ end }}'
rc_in 0 "$hearth" create go -f -
rc 0 "$hearth" run go hello # the same in Go's template language
same "$out" "$from_entry"
rc 0 "$hearth" rm go
rc 2 "$hearth" rm fixture
has "$err" 'only read'
rc 2 "$hearth" rm hearth-nano
find "$OLLAMA_MODELS" -type f -printf '%p %s %T@\n' | sort | cmp -s - "$tmp/before" ||
    fail "Ollama's store was changed"

# ---- create ----
mkdir "$tmp/m"
cp "$weights" "$tmp/m/w.gguf"
cat >"$tmp/m/Modelfile" <<'END'
# a comment
from ./w.gguf
PARAMETER temperature 0
parameter stop "
User:"
PARAMETER num_predict 4
SYSTEM """
You are terse.
"""
MESSAGE user hi
MESSAGE assistant "hello there"
LICENSE MIT
END
rc 0 "$hearth" create Made:v1 -f "$tmp/m/Modelfile"
has "$err" '^success$'
rc 0 "$hearth" list made
has "$out" '^Made:v1 '
[ -f "$own/blobs/sha256-$(sha "$weights")" ] || fail "create: the GGUF was rewritten"
cmp -s "$weights" "$tmp/m/w.gguf" || fail "create: the file that it was made from has changed"
rc 0 "$hearth" run made:v1 "and you?"
rc 0 "$hearth" show made:v1 --modelfile
printf '%s\n' "$out" >"$tmp/again"
rc 0 "$hearth" create again -f "$tmp/again"
cmp -s "$own/$lib/Made/v1" "$own/$lib/again/latest" || fail "show --modelfile makes another model"
in="FROM fixture
SYSTEM shout"
rc_in 0 "$hearth" create fromollama -f -
rc 0 "$hearth" show fromollama --template
same "$out" "$(cat "$tmp/template")"
rc 0 "$hearth" create small -q q4_K_M -f "$tmp/m/Modelfile"
has "$err" '^quantizing Q8_0 model to Q4_K_M$'
rc 0 "$hearth" show small
has "$out" '^    quantization +Q4_K_M$'
rc 0 "$hearth" cp small some/where:x
rc 0 "$hearth" show some/where:x
check_store create
rc 0 "$hearth" rm small some/where:x fromollama again
rc 1 "$hearth" rm small
has "$err" "^hearth: model 'small' not found$"
rc 1 "$hearth" run small hello
has "$err" "^hearth: model 'small' not found: no such file or folder, and not in .*/home/models$"
rc 0 "$hearth" rm MADE:V1
same "$(state)" ""

# a Hugging Face folder with a PEFT adapter: the entry brings the adapter along
in="FROM $data/golden/hf/llama2
ADAPTER $data/golden/hf/llama2_lora"
rc_in 0 "$hearth" create lora -f -
has "$err" '^converting model$'
has "$err" '^converting adapter$'
rc 0 "$hearth" show lora --modelfile
model=$(sed -n 's/^FROM //p' <<<"$out")
adapter=$(sed -n 's/^ADAPTER //p' <<<"$out")
greedy=(--tokens 1,2,3 --temp 0 --max-tokens 12 --json)
rc 0 "$hearth" generate lora "${greedy[@]}"
with=${out%%]*}
rc 0 "$hearth" generate "$model" --lora "$adapter" "${greedy[@]}"
same "$with" "${out%%]*}"
rc 0 "$hearth" generate "$model" "${greedy[@]}"
[ "$with" != "${out%%]*}" ] || fail "the entry's adapter changes nothing"
rc 0 "$hearth" rm lora

# errors name the line; nothing is left
modelfile_error() { # WANT TEXT
    in=$2
    local got=0
    printf '%s' "$in" | "$hearth" create bad -f - >"$tmp/out" 2>"$tmp/err" || got=$?
    [ $got -ne 0 ] || fail "create took: $2"
    has "$(cat "$tmp/err")" "$1"
}
modelfile_error 'standard input: no FROM line' '# FROM x'
modelfile_error 'standard input: line 2: unknown command' $'FROM hearth-nano\nFORM x'
modelfile_error "line 2: unknown parameter 'tempo'" $'FROM hearth-nano\nPARAMETER tempo 3'
modelfile_error "no such file or folder" 'FROM ./not-there.gguf'
modelfile_error "not found" 'FROM not-there'
modelfile_error "namespace" 'FROM hearth-nano:a/b'
rc 2 "$hearth" create ../../x -f "$tmp/m/Modelfile"
rc 1 "$hearth" create x -f "$tmp/no-such-file"
same "$(state)" ""

# ---- killed at any moment ----
cat >"$tmp/m/Kill" <<'END'
FROM ./w.gguf
SYSTEM killed
PARAMETER top_k 3
END
kills=${HEARTH_KILLS:-20}
seen=0
for ((i = 0; i < kills; i++)); do
    option=
    [ $((i % 2)) -eq 0 ] || option='-q q4_0'
    # shellcheck disable=SC2086
    "$hearth" create killed$((i % 3)) $option -f "$tmp/m/Kill" >/dev/null 2>&1 &
    pid=$!
    sleep "0.$(printf %03d $((RANDOM % 300)))"
    kill -9 $pid 2>/dev/null
    wait $pid 2>/dev/null
    rc 0 "$hearth" list killed
    same "$err" ""
    for name in $(tail -n +2 <<<"$out" | cut -d' ' -f1); do
        seen=$((seen + 1))
        rc 0 "$hearth" show "$name" --system # what is listed is whole
        same "$out" killed
    done
done
rc 0 "$hearth" create killed0 -q q4_0 -f "$tmp/m/Kill" # sweeps what is left
check_store "killed creates"
for name in $("$hearth" list killed | tail -n +2 | cut -d' ' -f1); do
    rc 0 "$hearth" rm "$name"
done

# ---- no room ----
full() { # HOW: with $limit before the command
    local before
    before=$(state)
    rc 1 "${limit[@]}" "$hearth" create big -q q5_1 -f "$tmp/m/Kill"
    has "$err" "hearth: cannot write '.*': ($1)"
    same "$(state)" "$before"
    rc 0 "$hearth" list big
    [ "$(wc -l <<<"$out")" -eq 1 ] || fail "no room: big is listed"
}
limit=(bash -c 'trap "" XFSZ; ulimit -f 4096; exec "$@"' _)
full 'File too large'
if mkdir "$tmp/disk" && mount -t tmpfs -o size=8m tmpfs "$tmp/disk" 2>/dev/null; then
    trap 'umount "$tmp/disk"; rm -rf "$tmp"' EXIT
    limit=(env)
    (
        export HEARTH_HOME=$tmp/disk
        own=$tmp/disk/models
        mkdir -p "$own"
        full 'No space left on device'
        # a GGUF that has to be copied, too
        before=$(state)
        rc 1 "$hearth" create big -f "$tmp/m/Kill"
        has "$err" 'No space left on device'
        same "$(state)" "$before"
        exit $failed
    ) || failed=1
fi

# ---- several at once ----
worker() {
    local i name
    for ((i = 0; i < 8; i++)); do
        name=w$(((i + $1) % 3))
        printf 'FROM %s\nSYSTEM worker %d\n' "$tmp/m/w.gguf" $((i % 2)) |
            "$hearth" create "$name" -f - >/dev/null 2>>"$tmp/worker$1"
        "$hearth" cp "$name" "copy$1" >/dev/null 2>&1
        "$hearth" rm "w$(((i + $1 + 1) % 3))" >/dev/null 2>&1
    done
}
for k in 0 1 2; do
    worker $k &
done
wait
! grep -h '^hearth:' "$tmp"/worker? || fail "several at once: create failed"
check_store "several at once"
for name in $("$hearth" list | tail -n +2 | cut -d' ' -f1); do
    rc 0 "$hearth" show "$name"
done
finish
