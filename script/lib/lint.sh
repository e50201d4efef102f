#!/usr/bin/env bash
# lint.sh BUILD: clang-tidy over the library and the tools, as BUILD/compile_commands.json compiles them.
set -eu
cd "$(dirname "$0")/../.."
mapfile -t files < <(git ls-files -- 'runtime/*.c' 'tensor/*.c' 'actors/*.c' 'tools/*.c' 'examples/*.c')
[ ${#files[@]} -gt 0 ] || exit 0
out=$(mktemp)
trap 'rm -f "$out"' EXIT
if printf '%s\0' "${files[@]}" | xargs -0 -n 4 -P "$(nproc)" clang-tidy --quiet -p "$1" >"$out" 2>&1; then
    printf '%d files: nothing found\n' ${#files[@]}
else
    grep -vE '^[0-9]+ warnings? |^Suppressed |^Use -header-filter|^$' "$out" || true
    exit 1
fi
