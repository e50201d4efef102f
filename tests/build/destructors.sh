#!/usr/bin/env bash
# destructors.sh LIBRARY: do drops in the destructors of C++ complete, of threads that end and of a program that does?
set -eu
library=$1
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
g++ -std=c++11 -Wall -Wextra -Werror -pthread -I"$here/../../include" "$here/destructors.cpp" "$library" -o "$work/program"
LD_LIBRARY_PATH=$(dirname "$library") "$work/program" || { echo "the program answered $?" && exit 1; }
