#!/usr/bin/env bash
# pull, push and run over TLS against a server of our own that plays Hugging Face, a CDN and a
# registry, with everything that goes wrong in networks; and against Docker's registry where that is
# installed. HEARTH_KILLS: how often pulls are killed (default 20).
set -u
. "$(dirname "$0")/support.bash"
weights=$source_dir/models/hearth-nano.gguf
own=$HEARTH_HOME/models
srv=$tmp/srv
pids=
trap 'kill $pids 2>/dev/null; rm -rf "$tmp"' EXIT
unset HEARTH_OFFLINE HF_TOKEN HEARTH_REGISTRY_TOKEN HEARTH_STREAMS
export HOME=$tmp/user no_proxy=127.0.0.1,localhost

sha() {
    sha256sum "$1" | cut -d' ' -f1
}

# ---- a small model, and a big file that only Hearth's pull looks at ----
mkdir -p "$srv"/hf "$srv"/reg "$srv"/blobs "$HOME"
openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost \
    -addext 'subjectAltName=DNS:localhost,IP:127.0.0.1' \
    -keyout "$srv/key.pem" -out "$srv/cert.pem" 2>/dev/null || fail "no certificate"
python3 "$(dirname "$0")/pull_server.py" "$srv" 2>"$tmp/srv.err" &
pids=$!
for _ in $(seq 200); do
    [ -e "$srv/ports" ] && break
    sleep 0.05
done
read -r main cdn <"$srv/ports"
export CURL_CA_BUNDLE=$srv/cert.pem HF_ENDPOINT=https://localhost:$main
reg=localhost:$main/me
hex=$(sha "$weights")
size=$(stat -c %s "$weights")

# repo NAME: one with the model as GGUF
repo() {
    mkdir -p "$srv/hf/$1"
    ln -sf "$weights" "$srv/hf/$1/Nano-Q8_0.gguf"
    echo '# a model' >"$srv/hf/$1/README.md"
}

# Every blob holds what its name says, and nothing half-made is left.
whole() {
    local f
    for f in "$own"/blobs/*; do
        [ -e "$f" ] || continue
        [ "${f##*/}" = "sha256-$(sha "$f")" ] || fail "$1: '$f' has other bytes, or is left"
    done
}

forget() {
    rm -rf "$own"
    : >"$srv/log"
}

pulled() {
    rc 0 "$hearth" pull "$@"
    whole "$1"
    local said=$err
    rc 0 "$hearth" show "$1"
    err=$said
}

# ---- Hugging Face ----
repo plain
forget
pulled hf.co/anybody/plain
has "$err" '^pulling manifest$'
has "$err" "^pulling ${hex:0:12}: 31 MB$"
has "$err" '^verifying sha256 digest$'
has "$err" '^writing manifest$'
same "$(tail -1 <<<"$("$hearth" pull hf.co/anybody/plain 2>&1)")" success
[ -e "$own/blobs/sha256-$hex" ] || fail "hf: the blob is not the file"
grep -q ' /cdn/plain/Nano-Q8_0.gguf?signature=1 [0-9]*-[0-9]* - 206 ' "$srv/log" || fail "hf: no ranges"
[ "$(grep -c ' 206 ' "$srv/log")" -gt 4 ] || fail "hf: not in parts: $(cat "$srv/log")"
rc 0 "$hearth" run hf.co/anybody/plain --max-tokens 3 hello
rc 1 "$hearth" pull hf.co/anybody/plain:Q4_K_M
has "$err" "no GGUF file for 'Q4_K_M' .* Nano-Q8_0.gguf"
rc 1 "$hearth" pull hf.co/anybody/nothing
has "$err" 'not found'
# by quantization, by file name, by the other name of the site; the blob is there already
forget
rc 0 "$hearth" pull huggingface.co/anybody/plain:q8_0
rc 0 "$hearth" pull hf.co/anybody/plain:Nano-Q8_0.gguf
[ "$(awk '{n += $7} / 206 / {s += $7} END {print s}' "$srv/log")" = "$size" ] ||
    fail "hf: a blob that is there was fetched again"

# the token goes to the first host only
repo gated
forget
rc 1 "$hearth" pull hf.co/anybody/gated
has "$err" 'HF_TOKEN'
HF_TOKEN=secret pulled hf.co/anybody/gated
grep -q "^localhost:$main .* Bearer_secret " "$srv/log" || fail "gated: no token"
grep "^127.0.0.1:$cdn " "$srv/log" | grep -q Bearer && fail "gated: the CDN saw the token"

# what texts a repository brings; a list in pages
repo paged
printf 'You are terse.' >"$srv/hf/paged/system"
printf '{"temperature":0,"num_predict":3}' >"$srv/hf/paged/params"
ln -s "$weights" "$srv/hf/paged/mmproj-f16.gguf"
forget
pulled hf.co/anybody/paged
same "$("$hearth" show hf.co/anybody/paged --system)" 'You are terse.'
has "$("$hearth" show hf.co/anybody/paged --parameters)" '^num_predict +3$'

# safetensors become a model; what it was made from goes
cp -rL "$data/golden/hf/llama2" "$srv/hf/tensors"
forget
pulled hf.co/anybody/tensors
has "$err" '^converting model$'
ls "$own"/blobs | wc -l | grep -q '^2$' || fail "tensors: $(ls "$own/blobs") are left"
has "$out" 'quantization +B?F(16|32)'
rc 0 "$hearth" pull hf.co/anybody/tensors:q8_0
rc 0 "$hearth" show hf.co/anybody/tensors:q8_0
has "$out" 'quantization +Q8_0'

# ---- what goes wrong ----
for mood in norange limit broken expired cut; do
    repo $mood
    forget
    pulled hf.co/anybody/$mood
done
# cut connections and a server without ranges cost no byte twice
sent=$(awk '$2 == "GET" && ($6 == 206) {s += $7} END {print s}' "$srv/log")
[ "$sent" -lt $((size + size / 8)) ] || fail "cut: $sent bytes for $size"
repo stall
forget
HEARTH_STALL_SECONDS=1 pulled hf.co/anybody/stall
for mood in lying lying-norange wrong-always gone; do
    repo $mood
    forget
    rc_any() {
        "$hearth" pull "hf.co/anybody/$mood" 2>"$tmp/err" && fail "$mood: pulled"
    }
    rc_any
    case $mood in
    lying*) has "$(cat "$tmp/err")" "says $((size + 10)) bytes, expected $size" ;;
    wrong*) has "$(cat "$tmp/err")" "digest mismatch, expected sha256:$hex" ;;
    gone) has "$(cat "$tmp/err")" 'not found' ;;
    esac
    rc 1 "$hearth" show hf.co/anybody/$mood
    case $mood in wrong*) whole $mood ;; esac
done
repo wrong
forget
rc 3 "$hearth" pull hf.co/anybody/wrong
pulled hf.co/anybody/wrong
repo evil
rc 3 "$hearth" pull hf.co/anybody/evil
has "$err" 'digest'
# a certificate that nobody vouches for
CURL_CA_BUNDLE=/etc/ssl/certs/ca-certificates.crt rc 1 "$hearth" pull hf.co/anybody/plain
has "$err" 'certificate'
HEARTH_OFFLINE=1 rc 1 "$hearth" pull hf.co/anybody/plain
has "$err" 'HEARTH_OFFLINE'

# ---- killed ----
partial=$own/blobs/pull-$hex
notes() { # bytes that the notes of a partial say are there
    od -An -v -tu8 -j32 "$partial.parts" | awk '{for (i = 1; i <= NF; i++) s += $i} END {print s + 0}'
}
# till_some: waits until a pull has brought some of it
till_some() {
    for _ in $(seq 1000); do
        [ -e "$partial.parts" ] && [ "$(notes)" -gt 3000000 ] && break
        sleep 0.01
    done
}
repo slow
forget
kills=${HEARTH_KILLS:-20} done_pulls=0 resumed=0
for i in $(seq "$kills"); do
    "$hearth" pull hf.co/anybody/slow >/dev/null 2>&1 &
    pid=$!
    sleep "$((RANDOM % 2)).$(printf %03d $((RANDOM % 1000)))"
    kill -9 $pid 2>/dev/null
    wait $pid 2>/dev/null && done_pulls=$((done_pulls + 1))
    if [ -e "$own/manifests/hf.co/anybody/slow/latest" ]; then
        whole "kill $i"
        rc 0 "$hearth" show hf.co/anybody/slow
        rm -rf "$own"
    else
        [ ! -e "$own/blobs/sha256-$hex" ] || [ "$(sha "$own/blobs/sha256-$hex")" = "$hex" ] ||
            fail "kill $i: a blob with other bytes"
        rc 1 "$hearth" show hf.co/anybody/slow
        [ -e "$partial" ] && resumed=$((resumed + 1))
    fi
done
echo "killed $kills pulls: $resumed left partials, $done_pulls were done"
# one more that is killed in the middle; the next asks for just what is missing
rm -rf "$own"
"$hearth" pull hf.co/anybody/slow >/dev/null 2>&1 &
pid=$!
till_some
kill -9 $pid
wait $pid 2>/dev/null
had=$(notes)
[ "$had" -gt 3000000 ] && [ "$had" -lt "$size" ] || fail "kill: $had bytes of $size were there"
sleep 0.3
: >"$srv/log"
pulled hf.co/anybody/slow
asked=$(awk '/signature=1/ {split($4, r, "-"); s += r[2] - r[1] + 1} END {print s}' "$srv/log")
same "$asked" "$((size - had))"
# bytes that a crash spoiled are found out, and fetched anew
rm -rf "$own"
"$hearth" pull hf.co/anybody/slow >/dev/null 2>&1 &
pid=$!
till_some
kill -9 $pid
wait $pid 2>/dev/null
printf 'XXXX' | dd of="$partial" conv=notrunc status=none
pulled hf.co/anybody/slow
# notes that are none
forget
mkdir -p "$own/blobs"
printf 'nonsense' >"$partial.parts"
printf 'nonsense' >"$partial"
pulled hf.co/anybody/slow

# ---- two at once, and interrupted ----
forget
"$hearth" pull hf.co/anybody/slow >"$tmp/a" 2>&1 &
a=$!
"$hearth" pull hf.co/anybody/slow >"$tmp/b" 2>&1 &
b=$!
wait $a || fail "two: $(cat "$tmp/a")"
wait $b || fail "two: $(cat "$tmp/b")"
whole two
sent=$(awk '$6 == 206 {s += $7} END {print s}' "$srv/log")
same "$sent" "$size"
forget
"$hearth" pull hf.co/anybody/slow >/dev/null 2>"$tmp/err" &
a=$!
till_some
kill -INT $a
wait $a && fail "interrupt: pulled"
has "$(cat "$tmp/err")" 'stopped'

# ---- full disks ----
forget
limit=(bash -c 'trap "" XFSZ; ulimit -f 4096; exec "$@"' _)
rc 1 "${limit[@]}" "$hearth" pull hf.co/anybody/plain
has "$err" 'cannot write'
rc 1 "$hearth" show hf.co/anybody/plain
pulled hf.co/anybody/plain
if mkdir "$tmp/disk" && mount -t tmpfs -o size=8m tmpfs "$tmp/disk" 2>/dev/null; then
    HEARTH_MODELS=$tmp/disk rc 1 "$hearth" pull hf.co/anybody/plain
    has "$err" 'no room: 31.* MB are to be stored in .*, [0-9.]+ MB are free'
    umount "$tmp/disk"
fi

# ---- a registry ----
forget
rc 0 "$hearth" cp hearth-nano "$reg/nano:v1"
config=$(sed 's/.*"config":{[^}]*sha256:\([0-9a-f]*\).*/\1/' "$own/manifests/$reg/nano/v1")
rc 0 "$hearth" push "$reg/nano:v1"
has "$err" '^retrieving manifest$'
has "$err" "^pushing ${hex:0:12}: 31 MB$"
has "$err" '^pushing manifest$'
has "$err" '^success$'
cmp -s "$own/manifests/$reg/nano/v1" "$srv/reg/nano/v1" || fail "push: another manifest"
rm "$srv"/blobs/*
for mood in redirect flaky; do
    rc 0 "$hearth" cp hearth-nano "$reg/$mood:v1"
    rc 0 "$hearth" push "$reg/$mood:v1"
    same "$(sha "$srv/blobs/$hex")" "$hex"
    rm "$srv/blobs/$hex"
done
rc 0 "$hearth" push "$reg/nano:v1"
forget
pulled "$reg/nano:v1"
cmp -s "$own/manifests/$reg/nano/v1" "$srv/reg/nano/v1" || fail "pull: another manifest"
# an update: what the old manifest alone named goes
printf 'SYSTEM new\nFROM %s\n' "$reg/nano:v1" >"$tmp/Modelfile"
rc 0 "$hearth" create "$reg/nano:v2" -f "$tmp/Modelfile"
rc 0 "$hearth" push "$reg/nano:v2"
cp "$srv/reg/nano/v2" "$srv/reg/nano/v1"
rc 0 "$hearth" rm "$reg/nano:v2"
pulled "$reg/nano:v1"
has "$err" '^removing unused layers$'
[ ! -e "$own/blobs/sha256-$config" ] || fail "pull: the old config is left"
# what Ollama's store has is not fetched
mv "$own" "$tmp/ollama"
: >"$srv/log"
OLLAMA_MODELS=$tmp/ollama rc 0 "$hearth" pull "$reg/nano:v1"
whole lent
grep -q 'blobs/sha256' "$srv/log" && fail "lent: $(cat "$srv/log")"
rm -rf "$tmp/ollama"
# tokens: asked for, used up in the middle, of others than the CDN; passwords and keys
for mood in private private-cdn; do
    mkdir -p "$srv/reg/$mood"
    cp "$srv/reg/nano/v1" "$srv/reg/$mood/latest"
    forget
    pulled "$reg/$mood"
    grep "^127.0.0.1:$cdn " "$srv/log" | grep -q Bearer && fail "$mood: the CDN saw the token"
done
forget
HEARTH_REGISTRY_TOKEN=other:1=x:y,localhost:$main=me:secret pulled "$reg/private"
grep -q " /token.* Basic_bWU6c2VjcmV0 " "$srv/log" || fail "private: no password"
mkdir -p "$HOME/.ollama"
openssl genpkey -algorithm ed25519 -out "$tmp/k.pem" 2>/dev/null
openssl pkey -in "$tmp/k.pem" -pubout -out "$srv/public.pem"
forget
rc 1 "$hearth" pull "$reg/private"
python3 - "$tmp/k.pem" >"$HOME/.ollama/id_ed25519" <<'END'
import base64, struct, subprocess, sys
def der(*more):
    return subprocess.run(["openssl", "pkey", "-in", sys.argv[1], "-outform", "DER", *more],
                          capture_output=True).stdout[-32:]
def s(b):
    return struct.pack(">I", len(b)) + b
secret, public = der(), der("-pubout")
blob = s(b"ssh-ed25519") + s(public)
inner = b"abcdabcd" + s(b"ssh-ed25519") + s(public) + s(secret + public) + s(b"me")
inner += bytes(range(1, 1 + -len(inner) % 8))
key = b"openssh-key-v1\0" + s(b"none") + s(b"none") + s(b"") + struct.pack(">I", 1) + s(blob) + s(inner)
text = base64.b64encode(key).decode()
print("-----BEGIN OPENSSH PRIVATE KEY-----")
for i in range(0, len(text), 70):
    print(text[i:i + 70])
print("-----END OPENSSH PRIVATE KEY-----")
END
pulled "$reg/private"
rm "$srv/public.pem"
# manifests that mean harm
evil() { # NAME JSON EXIT PATTERN
    mkdir -p "$srv/reg/$1"
    printf '%s' "$2" >"$srv/reg/$1/latest"
    rc "$3" "$hearth" pull "$reg/$1"
    has "$err" "$4"
}
layer='{"mediaType":"application/vnd.ollama.image.model","digest":"%s","size":%s}'
one() {
    printf '{"schemaVersion":2,"layers":['"$layer"']}' "$1" "$2"
}
find "$tmp" -path "$own" -prune -o -path "$srv" -prune -o -type f -print | sort >"$srv/before.list"
evil e1 "$(one ../../../../etc/passwd 5)" 3 'digest'
evil e2 "$(one sha256:../../../../../../../../../../../../../../../../../../../../../../passw 5)" 3 'digest'
evil e3 "$(one "sha256:$hex" 5)" 3 'says 31.* bytes, expected 5'
evil e4 "$(one "sha256:$hex" -1)" 3 "'size' is -1"
evil e5 "$(one "sha256:$hex" 9223372036854775807)" 1 'no room'
evil e6 '{"schemaVersion":2,"layers":[]}' 3 'no model'
evil e7 '<html>' 3 'manifest'
evil e8 '{"schemaVersion":1}' 3 'schemaVersion'
evil forged "$(one "sha256:$hex" "$size")" 3 'digest mismatch'
find "$tmp" -path "$own" -prune -o -path "$srv" -prune -o -type f -print | sort >"$srv/after.list"
same "$(diff "$srv/before.list" "$srv/after.list")" ""
rc 2 "$hearth" pull "http://$reg/nano:v1"
has "$err" 'insecure'
rc 2 "$hearth" pull "$reg/../nano"
rc 1 "$hearth" pull "$reg/absent"
has "$err" 'not found at .*manifest unknown'
rc 3 "$hearth" push hf.co/a/b
rc 1 "$hearth" push absent
rc 2 "$hearth" push hearth-nano

# ---- over HTTP ----
forget
"$hearth" serve --port 0 >/dev/null 2>"$tmp/serve.log" &
serve=$!
pids="$pids $serve"
for _ in $(seq 600); do
    api=$(sed -n 's/^hearth: listening on //p' "$tmp/serve.log")
    [ -n "$api" ] && break
    sleep 0.05
done
lines=$(curl -sS -m 60 "$api/api/pull" -d "{\"model\":\"$reg/nano:v1\"}")
has "$lines" '^\{"status":"pulling manifest"\}$'
has "$lines" "^\{\"status\":\"pulling ${hex:0:12}\",\"digest\":\"sha256:$hex\",\"total\":$size,\"completed\":$size\}$"
has "$lines" '^\{"status":"verifying sha256 digest"\}$'
has "$lines" '^\{"status":"writing manifest"\}$'
same "$(tail -1 <<<"$lines")" '{"status":"success"}'
same "$(grep -c success <<<"$lines")" 1
same "$(curl -sS -m 60 "$api/api/pull" -d "{\"name\":\"$reg/nano:v1\",\"stream\":false}")" \
    '{"status":"success"}'
lines=$(curl -sS -m 60 "$api/api/push" -d "{\"model\":\"$reg/nano:v1\"}")
has "$lines" '^\{"status":"retrieving manifest"\}$'
has "$lines" '^\{"status":"pushing manifest"\}$'
same "$(tail -1 <<<"$lines")" '{"status":"success"}'
# after the first line an error is a line; before, a status
lines=$(curl -sS -m 60 "$api/api/pull" -d "{\"model\":\"$reg/absent\"}")
has "$(tail -1 <<<"$lines")" '^\{"error":".*not found'
same "$(curl -sS -m 60 -o /dev/null -w '%{http_code}' "$api/api/pull" \
    -d "{\"model\":\"$reg/absent\",\"stream\":false}")" 404
same "$(curl -sS -m 60 -o /dev/null -w '%{http_code}' "$api/api/pull" -d '{"model":"a/../b"}')" 400
# a client that leaves stops it; the next one goes on
rm -rf "$own"
curl -sS -m 60 "$api/api/pull" -d '{"model":"hf.co/anybody/slow"}' >/dev/null 2>&1 &
client=$!
till_some
kill $client
wait $client 2>/dev/null
for _ in $(seq 100); do # the lock tells that nobody writes any more
    flock -n "$partial" true && break
    sleep 0.05
done
had=$(notes)
[ "$had" -lt "$size" ] || fail "http: the pull did not stop"
sleep 0.3
: >"$srv/log"
lines=$(curl -sS -m 60 "$api/api/pull" -d '{"model":"hf.co/anybody/slow"}')
same "$(tail -1 <<<"$lines")" '{"status":"success"}'
asked=$(awk '/signature=1/ {split($4, r, "-"); s += r[2] - r[1] + 1} END {print s}' "$srv/log")
same "$asked" "$((size - had))"
kill "$serve"
wait "$serve" || fail "serve: $(cat "$tmp/serve.log")"

# ---- run pulls what is missing ----
forget
rc 0 "$hearth" run "$reg/nano:v1" --max-tokens 3 hello
has "$err" 'is not on this machine'
rc 1 "$hearth" run ./absent hello
has "$err" 'no such file'
rm -rf "$own"
HEARTH_OFFLINE=1 rc 1 "$hearth" run "$reg/nano:v1" hello
has "$err" 'not found'

# ---- Docker's registry ----
if command -v docker-registry >/dev/null; then
    cat >"$tmp/registry.yml" <<END
version: 0.1
log: {level: error, accesslog: {disabled: true}}
storage: {filesystem: {rootdirectory: $tmp/registry}}
http: {addr: 127.0.0.1:0, net: tcp}
END
    port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
    sed -i "s/:0,/:$port,/" "$tmp/registry.yml"
    docker-registry serve "$tmp/registry.yml" >"$tmp/registry.log" 2>&1 &
    pids="$pids $!"
    for _ in $(seq 100); do
        curl -s -o /dev/null "http://127.0.0.1:$port/v2/" && break
        sleep 0.05
    done
    rm -rf "$own"
    rc 0 "$hearth" cp hearth-nano "127.0.0.1:$port/lib/nano:v1"
    rc 0 "$hearth" push --insecure "127.0.0.1:$port/lib/nano:v1"
    # the second repository takes the blobs from the first
    rc 0 "$hearth" cp hearth-nano "127.0.0.1:$port/other/nano:v1"
    rc 0 "$hearth" push --insecure "127.0.0.1:$port/other/nano:v1"
    mv "$own" "$tmp/pushed"
    rc 0 "$hearth" pull --insecure "127.0.0.1:$port/lib/nano:v1"
    rc 0 "$hearth" pull --insecure "127.0.0.1:$port/other/nano:v1"
    whole docker
    diff -r "$tmp/pushed" "$own" || fail "docker: what came back is not what was sent"
fi
[ ! -s "$tmp/srv.err" ] || fail "server: $(head -20 "$tmp/srv.err")"
finish
