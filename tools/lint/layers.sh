#!/usr/bin/env bash
# Checks every #include "folder/..." under src against tools/lint/layers.txt.
set -euo pipefail
cd "$(dirname "$0")/../.."
grep -rnE '^[[:space:]]*#[[:space:]]*include "[a-z]+/' src --include='*.c' --include='*.h' --include='*.inc' --include='*.cu' |
awk -F'[/:"]' '
FNR == NR { if ($0 ~ /^[a-z]+ [0-9]+$/) { split($0, f, " "); floor[f[1]] = f[2] }
            else if ($0 ~ /^edge /) { split($0, f, " "); edge[f[2] "," f[3]] = 1 }
            next }
{
    from = $2
    match($0, /include "[a-z]+/)
    to = substr($0, RSTART + 9, RLENGTH - 9)
    if (!(from in floor)) { print "layers: folder src/" from " is not in tools/lint/layers.txt"; bad = 1 }
    else if (!(to in floor)) { print $0 ": folder " to " is not in tools/lint/layers.txt"; bad = 1 }
    else if (from != to && floor[to] >= floor[from] && !((from "," to) in edge)) {
        print $0 ": floor " floor[from] " (" from ") must not include floor " floor[to] " (" to ")"; bad = 1
    }
}
END { exit bad }' tools/lint/layers.txt -
# only the program may exit
if grep -rnE '\b(exit|_exit|abort)[[:space:]]*\(' src --include='*.c' --include='*.h' | grep -v '^src/cli/' | grep -v '^src/base/err\.c'; then
    echo "layers: exit or abort outside src/cli (hearth_bug is in base/err.c)"
    exit 1
fi
if grep -rnE '\b(strcpy|strcat|sprintf|vsprintf|gets|strtok|atoi|atof)[[:space:]]*\(' src --include='*.c' --include='*.h'; then
    echo "layers: banned function"
    exit 1
fi
