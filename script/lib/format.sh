#!/usr/bin/env bash
# format.sh [--fix]: is every C file laid out as .clang-format says? With --fix: lay it out.
set -eu
cd "$(dirname "$0")/../.."
how=(--dry-run -Werror)
[ "${1:-}" != --fix ] || how=(-i)
find include runtime tensor actors simulate tools examples tests bench -name '*.[ch]' -print0 2>/dev/null |
    xargs -0 -r clang-format "${how[@]}"
