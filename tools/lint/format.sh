#!/usr/bin/env bash
# clang-format has nothing to change.
set -euo pipefail
cd "$(dirname "$0")/../.."
git ls-files '*.c' '*.h' '*.inc' | grep -v '/gen_' | xargs -r clang-format --dry-run --Werror
