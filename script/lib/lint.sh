#!/usr/bin/env bash
# lint.sh [--deep] BUILD [FILE...]: clang-tidy over the library, the tools and the examples, or over these files, as
# BUILD/compile_commands.json compiles them. The analyzer follows 40,000 steps of a function, which takes a third of the time of
# its own 225,000; with --deep those.
set -eu
steps=40000
if [ "$1" = --deep ]; then
    steps=225000
    shift
fi
build=$1
shift
cd "$(dirname "$0")/../.."
files=("$@")
[ $# -gt 0 ] || mapfile -t files < <(find runtime tensor actors simulate tools examples -name "*.c" 2>/dev/null | sort)
out=$(mktemp)
trap 'rm -f "$out"' EXIT
if printf '%s\0' "${files[@]}" | xargs -0 -n 4 -P "$(nproc)" clang-tidy --quiet -p "$build" \
    --extra-arg={-Xclang,-analyzer-config,-Xclang,max-nodes=$steps} >"$out" 2>&1; then
    printf '%d files: nothing found\n' ${#files[@]}
else
    # Each finding with its line; how the analyzer came there: clang-tidy -p BUILD FILE.
    grep -A 2 'error: ' "$out" || cat "$out"
    exit 1
fi
