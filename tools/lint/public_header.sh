#!/usr/bin/env bash
# include/hearth.h compiles alone as C11, C17 and C++, the example in it is examples/hello.c, and the
# shared library exports hearth_* only. Usage: public_header.sh CC LIBHEARTH.SO
set -euo pipefail
cd "$(dirname "$0")/../.."
for std in c11 c17; do
    "$1" -std=$std -Wall -Wextra -Wpedantic -Werror -fsyntax-only -x c include/hearth.h
done
if command -v c++ >/dev/null; then
    c++ -std=c++11 -Wall -Wextra -Wpedantic -Werror -fsyntax-only -x c++ include/hearth.h
fi
# the comment's lines between its first #include and "Rules", without their " *     "
sed -n '/^ \*     #include <hearth.h>/,/^ \* Rules/p' include/hearth.h | sed '$d' | sed '$d' |
    sed -E 's/^ \*     //; s/^ \*$//' | diff - examples/hello.c ||
    { echo "the example in include/hearth.h is not examples/hello.c"; exit 1; }
extra=$(nm -D --defined-only "$2" | awk '$3 !~ /^hearth_/ {print $3}')
[ -z "$extra" ] || { echo "exported, expected only hearth_*: $extra"; exit 1; }
