#!/usr/bin/env bash
# Files stay under 1,000 lines (generated tables in src/*/gen_* excepted), functions under 150;
# tools/lint/long_functions.txt names the exceptions, one "file:function" a line.
set -euo pipefail
cd "$(dirname "$0")/../.."
bad=0
while read -r n f; do
    case $f in */gen_*) continue ;; esac
    if [ "$n" -gt 1000 ]; then echo "size: $f has $n lines, limit 1000"; bad=1; fi
done < <(git ls-files 'src/*.c' 'src/*.h' 'src/*.inc' 'tests/*.c' 'include/*.h' | xargs -r wc -l | awk '$2 != "total" {print $1, $2}')
# A function body is from a line "{" in column 0 to "}" in column 0; its name is on the lines above.
git ls-files 'src/*.c' 'tests/*.c' 'src/*.inc' | xargs -r awk -v allow="$(cat tools/lint/long_functions.txt)" '
FNR == 1 { open = 0; head = "" }
/^[a-z_A-Z].*\(/ { head = $0 }
/^\{/ { open = FNR }
/^\}/ && open {
    if (FNR - open > 150) {
        name = head; sub(/\(.*/, "", name); sub(/.*[ *]/, "", name)
        if (index("\n" allow "\n", "\n" FILENAME ":" name "\n") == 0) {
            printf "size: %s:%d: %s has %d lines, limit 150\n", FILENAME, open, name, FNR - open; bad = 1
        }
    }
    open = 0
}
END { exit bad }' || bad=1
exit $bad
