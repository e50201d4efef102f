#!/usr/bin/env bash
# symbols.sh LIBRARY: does the shared library export what symbols.txt lists, do the public headers declare just that,
# and does the static library define nothing outside ftl_ and ftli_? To accept a wanted change: write the list anew
# with `symbols.sh LIBRARY --accept`, and read its diff.
set -eu
library=$1
cd "$(dirname "$0")/../.."
golden=tests/build/symbols.txt
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

nm -D --defined-only "$library" | awk '$2 != "A" { print $3 }' | sed 's/@.*//' | LC_ALL=C sort >"$work/exported"
# A declaration of the API may go over several lines; take all up to the first parenthesis after the name.
cat include/fettle/*.h | tr '\n' ' ' | grep -oE 'FTL_API[^;{#]*' | grep -oE '\bftl_[a-z0-9_]+ *\(' | tr -d ' (' |
    LC_ALL=C sort -u >"$work/declared"
if [ "${2:-}" = --accept ]; then
    cp "$work/exported" "$golden"
fi
LC_ALL=C sort "$golden" >"$work/golden"

failed=0
# difference WHAT LEFT RIGHT: lines of LEFT that RIGHT has not.
difference() {
    local found
    found=$(LC_ALL=C comm -23 "$work/$2" "$work/$3")
    [ -z "$found" ] || { printf '%s:\n%s\n' "$1" "$found" && failed=1; }
}
difference "listed, but the library does not export it" golden exported
difference "exported, but not listed" exported golden
difference "declared in include/fettle, but not exported" declared exported
difference "exported, but declared in no public header" exported declared
if grep -v '^ftl_' "$work/exported"; then
    echo "exported, and does not begin with ftl_ (above)"
    failed=1
fi
static=${library%.so}.a
if [ -f "$static" ] && nm --defined-only --extern-only "$static" 2>/dev/null |
    awk 'NF == 3 { print $3 }' | grep -vE '^(ftl_|ftli_|__gcov|__asan|__tsan|__odr_asan|_)'; then
    echo "defined by the static library, and begins neither with ftl_ nor with ftli_ (above)"
    failed=1
fi
[ $failed = 0 ] && echo "$(wc -l <"$golden") functions exported, all of them declared, nothing else"
exit $failed
