#!/bin/sh
# Fuzzes what strangers' bytes reach: run.sh BUILD-FOLDER [SECONDS] [NAME...]
#
# Builds the targets of this folder with clang's libFuzzer, AddressSanitizer and UBSan into BUILD-FOLDER, and runs each for SECONDS (5),
# beginning with its corpus here. What it learns stays in BUILD-FOLDER/learned and is built upon the next time; an input that
# breaks something is kept in BUILD-FOLDER/found, and its path is printed: the target called with that path alone repeats it.
# Exit: 0 nothing was found, 1 something was, or a target does not build, 77 there is no clang with libFuzzer here.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
build=${1:?a folder to build in}
seconds=${2:-5}
shift $(($# < 2 ? $# : 2))
case $seconds in
'' | *[!0-9]*) echo "run.sh: \"$seconds\" is no number of seconds" >&2 && exit 1 ;;
esac

mkdir -p "$build"
build=$(cd "$build" && pwd)
echo 'int LLVMFuzzerTestOneInput(const char *d, unsigned long n) { return d == 0 && n > 0; }' >"$build/probe.c"
if ! clang -fsanitize=fuzzer,address "$build/probe.c" -o "$build/probe" >/dev/null 2>&1; then
    echo "there is no clang with libFuzzer here (Debian: clang)"
    exit 77
fi
{
    cmake -S "$here/../.." -B "$build" -G Ninja -DCMAKE_C_COMPILER=clang -DCMAKE_BUILD_TYPE=Debug -DCMAKE_C_FLAGS=-O1 \
        -DFETTLE_FUZZ=ON -DFETTLE_EXAMPLES=OFF -DFETTLE_SANITIZE=fuzzer-no-link,address,undefined
    cmake --build "$build" --target fuzzers
} >"$build/log" 2>&1 || {
    cat "$build/log"
    exit 1
}

[ $# -gt 0 ] || set -- $(cd "$here" && for source in fuzz_*.c; do echo "${source%.c}" | sed 's/^fuzz_//'; done)
export ASAN_OPTIONS=detect_leaks=1:allocator_may_return_null=1 UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1
bad=0
for name in "$@"; do
    mkdir -p "$build/found/$name" "$build/learned/$name"
    if "$build/tests/fuzz/fuzz_$name" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 \
        -artifact_prefix="$build/found/$name/" "$build/learned/$name" "$here/corpus/$name" >"$build/$name.log" 2>&1; then
        awk -v name="$name" '/^stat::number_of_executed_units/ { runs = $2 }
            / cov: / { for (i = 1; i < NF; i++) if ($i == "cov:") edges = $(i + 1) }
            END { printf "%-10s %10d inputs, %5d edges reached, nothing found\n", name, runs, edges }' "$build/$name.log"
    else
        tail -n 60 "$build/$name.log"
        echo "$name: FOUND; repeat it: $build/tests/fuzz/fuzz_$name $(ls -t "$build/found/$name" | head -1 | sed "s|^|$build/found/$name/|")"
        bad=1
    fi
done
exit $bad
