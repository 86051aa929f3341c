# What the tests of the program share: source it with "$@". Every check prints what differed; the
# script's exit status tells whether all held.
hearth=$1
source_dir=$2
pty=${3:-} # the program that plays a terminal, tests/cli/pty.c
data=$source_dir/tests/data
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
export HEARTH_HOME=$tmp/home OLLAMA_MODELS=$tmp/no-ollama TERM=xterm LC_ALL=C.UTF-8
# nothing is fetched unless a test means it
export HEARTH_OFFLINE=1
unset HEARTH_MODELS HEARTH_THREADS HEARTH_CTX HEARTH_CPU_DISABLE HEARTH_MEMORY
failed=0

fail() {
    printf 'FAILED: %s\n' "$*"
    failed=1
}

# up ARGS...: starts a server, $server; $url is where it listens, its standard error
# is in $tmp/log (emptied here: the address of the one before must be gone)
up() {
    : >"$tmp/log"
    "$hearth" serve "$@" >"$tmp/stdout" 2>"$tmp/log" </dev/null &
    server=$!
    url=
    for _ in $(seq 600); do
        url=$(sed -n 's/^hearth: listening on //p' "$tmp/log")
        [ -n "$url" ] && return
        kill -0 "$server" 2>/dev/null || break
        sleep 0.05
    done
    fail "serve $*: $(cat "$tmp/log")"
}

# rc WANT COMMAND...: runs it; output in $out and $err, exit code compared
rc() {
    local want=$1 got=0
    shift
    "$@" >"$tmp/out" 2>"$tmp/err" </dev/null || got=$?
    out=$(tr -d '\0' <"$tmp/out")
    err=$(cat "$tmp/err")
    [ "$got" -eq "$want" ] || fail "exit $got, expected $want: $* ($err)"
}

# the same with standard input from the variable $in
rc_in() {
    local want=$1 got=0
    shift
    printf '%s' "$in" | "$@" >"$tmp/out" 2>"$tmp/err" || got=$?
    out=$(tr -d '\0' <"$tmp/out")
    err=$(cat "$tmp/err")
    [ "$got" -eq "$want" ] || fail "exit $got, expected $want: $* ($err)"
}

# has TEXT PATTERN: an extended regular expression that some line matches
has() {
    grep -qE -- "$2" <<<"$1" || fail "no '$2' in: $1"
}

same() {
    [ "$1" = "$2" ] || fail "'$1', expected '$2'"
}

finish() {
    exit $failed
}
