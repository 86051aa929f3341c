#!/usr/bin/env bash
# Installs the packages of tools/packages.txt that are missing. Silent and quick when all are there.
set -euo pipefail
cd "$(dirname "$0")/.."
command -v dpkg-query >/dev/null || { echo "setup: not a Debian system; install these yourself:"; grep -v '^#' tools/packages.txt; exit 0; }
missing=()
while read -r package command; do
    [ -n "$command" ] && command -v "$command" >/dev/null && continue
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
done < <(grep -v '^#' tools/packages.txt)
[ ${#missing[@]} -eq 0 ] && exit 0
echo "setup: installing ${missing[*]}"
as_root=()
[ "$(id -u)" -eq 0 ] || as_root=(sudo)
export DEBIAN_FRONTEND=noninteractive
"${as_root[@]}" apt-get update -qq
"${as_root[@]}" apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
