#!/usr/bin/env bash
# Is every C file laid out as .clang-format says?
set -eu
cd "$(dirname "$0")/../.."
git ls-files -z -- '*.c' '*.h' | xargs -0 -r clang-format --dry-run -Werror
