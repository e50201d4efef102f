#!/usr/bin/env bash
# lean.sh: does the library build without the parts that an embedder may leave out, need nothing of theirs, and work?
set -eu
here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$here/../.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
{ cmake -G Ninja -S "$top" -B "$work/build" -DCMAKE_BUILD_TYPE=Debug -DFETTLE_WERROR=ON -DFETTLE_BRIDGE=OFF \
    -DFETTLE_TELEMETRY=OFF -DFETTLE_TOOLS=OFF -DFETTLE_EXAMPLES=OFF && cmake --build "$work/build"; } >"$work/log" 2>&1 ||
    { cat "$work/log" && exit 1; }
if readelf -d "$work/build/libfettle.so" | grep -E 'NEEDED.*(zmq|zstd)'; then
    echo "the lean library still needs these (above)"
    exit 1
fi
gcc -std=c11 -I"$top/include" "$here/install_program.c" "$work/build/libfettle.so" -o "$work/program"
LD_LIBRARY_PATH=$work/build "$work/program" || { echo "the program answered $?" && exit 1; }
echo "without bridge, telemetry and tools: builds, needs neither zmq nor zstd, works"
