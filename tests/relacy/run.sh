#!/bin/sh
# Checks the memory orders of the lock-free parts with relacy, on the sources that ship.
#
#   run.sh [--verbose] FOLDER [test...]     builds in FOLDER; without names: every test here
#
# A test says in its file's opening comment what must be found, one planted weakening a line:
#
#   planted: TEST FUNCTION OPERATION ORDER [+ FUNCTION OPERATION ORDER]... : why
#
# With the atomic OPERATION (a name of runtime/base/atomics.h without ftli_, or membarrier) of FUNCTION weakened to ORDER, where it is
# stronger, TEST must fail. Nothing is built anew for that: the machine weakens the calls of these places while it runs.
#
# Exit status: 0 all well; 1 an error, or a planted weakening that was not found; 77 relacy or a tool is missing.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$here/../.." && pwd)
kernel="mailbox actor run scheduler worker event token wait kernel failure timer watchdog simulation"

# The calls of a place, as the machine takes them. Arguments: function, operation.
calls_of() {
    awk -v f="$1" -v o="$2" '
        function is_in(name, i) { for (i = 3; i <= NF; i++) if ($i == name) return 1; return 0 }
        is_in(f) && (is_in("ftli_" o) || $2 ~ ("_" o "$")) { printf "%s%s", sep, $1; sep = "," }' sites
}

# One planted weakening; leaves "found|what" in its file. Arguments: number, test, function operation order [+ ...].
one() {
    number=$1 test=$2
    shift 2
    options=
    while [ $# -ge 3 ]; do
        if [ "$2" = membarrier ]; then
            options="$options --without-membarrier"
        else
            calls=$(calls_of "$1" "$2")
            if [ -z "$calls" ]; then
                echo "missing|no $2 in $1" >"planted.$number"
                return
            fi
            options="$options --weaken $calls=$3"
        fi
        shift 3
        [ "${1:-}" != + ] || shift
    done
    # shellcheck disable=SC2086
    timeout 60 ./relacy --test "$test" $options >"out.$number" 2>&1 || true
    if grep -q "|error|" "out.$number"; then
        cut -d'|' -f5 "out.$number" | sed 's/^/found|/' >"planted.$number"
    else
        echo "not found|$(tail -1 "out.$number")" >"planted.$number"
    fi
}

if [ "${1:-}" = --one ]; then
    shift
    one "$@"
    exit 0
fi

verbose=no folder=
while [ $# -gt 0 ]; do
    case $1 in
    --verbose) verbose=yes ;;
    -h | --help)
        sed -n '2,16s/^# \{0,1\}//p' "$0"
        exit 0
        ;;
    *)
        if [ -n "$folder" ]; then
            break
        fi
        folder=$1
        ;;
    esac
    shift
done
if [ -z "$folder" ]; then
    echo "run.sh: say in which folder to build" >&2
    exit 2
fi

compiler=${CC:-gcc} compiler_cxx=${CXX:-g++}
for program in "$compiler" "$compiler_cxx" objdump addr2line; do
    if ! command -v "$program" >/dev/null; then
        echo "run.sh: $program is not installed" >&2
        exit 77
    fi
done
if ! "$compiler" -dM -E -x c /dev/null | grep -q __GNUC__ || "$compiler" -dM -E -x c /dev/null | grep -q __clang__; then
    echo "run.sh: $compiler is not gcc, whose instrumentation the machine answers" >&2
    exit 77
fi
if ! echo '#include <relacy/relacy.hpp>' | "$compiler_cxx" -E -x c++ - >/dev/null 2>&1; then
    echo "run.sh: relacy is not installed (Debian: apt-get install relacy-dev)" >&2
    exit 77
fi

# ---- build ------------------------------------------------------------------------------------------------------------------

mkdir -p "$folder"
cd "$folder"
rm -f planted.* out.* result.*

# As ThreadSanitizer's builds, but for what the sources do differently there: FTLI_X86 0 takes the builtins that it can see, and the rest is
# as it ships. What is a thread's own lies in a section that the machine exchanges.
instrumented="-std=gnu11 -D_GNU_SOURCE -DNDEBUG -g -O1 -w -fsanitize=thread -U__SANITIZE_THREAD__ -DFTLI_X86=0 -DFTLI_TOKEN_SPINS=1
    -fno-optimize-sibling-calls -ffunction-sections -fdata-sections
    -D__thread=__attribute__((section(\"relacy_thread_local\")))"

plan() {
    echo machine.cpp
    for name in $kernel; do
        echo "runtime/kernel/$name.c"
    done
    for name in depot device shard; do
        echo "actors/allocation/$name.c"
    done
    for source in "$here"/*.c; do
        echo "tests/relacy/$(basename "$source")"
    done
}

# Anew: what is older than its source, or than any header, or, of a test, than any source that it may include.
newest=$(cd "$top" && find runtime actors tensor include tests/relacy -name '*.h' -print0 | xargs -0 ls -t | head -1)
newest_source=$(cd "$top" && ls -t actors/*/*.c | head -1)
plan | while read -r source; do
    path=$top/$source object=$(echo "$source" | tr / _).o
    case $source in
    machine.cpp) path=$here/machine.cpp ;;
    tests/*) [ "$object" -nt "$top/$newest_source" ] || rm -f "$object" ;;
    esac
    if [ ! "$object" -nt "$path" ] || [ ! "$object" -nt "$top/$newest" ] || [ ! "$object" -nt "$here/run.sh" ]; then
        echo "$source"
    fi
done >stale
if ! xargs -r -P 2 -I{} sh -c '
    object=$(echo {} | tr / _).o
    if [ {} = machine.cpp ]; then
        "$1" -std=gnu++14 -O1 -w -I"$3" -c "$4/machine.cpp" -o "$object"
    else
        "$2" $5 -I"$3" -I"$3/include" -I"$4/ck" -c "$3/{}" -o "$object"
    fi' sh "$compiler_cxx" "$compiler" "$top" "$here" "$instrumented" <stale >build.out 2>&1 ||
    ! "$compiler_cxx" -no-pie -Wl,--gc-sections -o relacy ./*.o -lm >>build.out 2>&1; then
    echo "run.sh: could not build:" >&2
    head -30 build.out >&2
    exit 1
fi

# One line for each atomic access: the address of the call, which, and the functions it is inlined through, the innermost first.
objdump -d --no-show-raw-insn relacy | awk '/call.*<__tsan_atomic/ {
        at = $1; sub(":", "", at); sub(/.*<__tsan_atomic[0-9]*/, ""); sub(">.*", ""); print at, $0 }' >calls
addr2line -a -f -i -e relacy $(cut -d' ' -f1 calls) | awk '
    /^0x/ { if (line != "") print line; sub("^0x0*", "", $0); line = $0; n = 0; next }
    { n++; if (n % 2 == 1) line = line " " $0 }
    END { print line }' >frames
awk 'NR == FNR { what[$1] = $2; next } { $1 = $1 " " what[$1]; print }' calls frames >sites

# ---- check --------------------------------------------------------------------------------------------------------------------

wanted() { # of a test's name, with the arguments left
    name=$1
    shift
    [ $# -eq 0 ] && return 0
    for argument in "$@"; do
        [ "$argument" = "$name" ] && return 0
    done
    return 1
}

sed -n 's/^ \* planted: */planted /p' "$here"/*.c >lines
: >plan
while read -r word test rest; do
    if wanted "$test" "$@"; then
        echo "$test ${rest%% : *}" >>plan
    fi
done <lines
tests=$(./relacy --names)
started=$(date +%s)
for test in $tests; do
    if wanted "$test" "$@"; then
        echo "$test"
    fi
done >names
xargs -P 2 -I{} sh -c 'timeout 120 ./relacy --test {} >result.{} 2>&1 || true' <names
checked=$(date +%s)
awk '{ print NR, $0 }' plan | xargs -r -P 2 -L 1 "$here/run.sh" --one
ended=$(date +%s)

failed=0
while read -r name; do
    verdict=broken random=0 bound=0 said='did not end in 120 s'
    IFS='|' read -r _ verdict random bound said <"result.$name" || true
    number=0 planted=0 found=0 failures=
    while read -r test what; do
        number=$((number + 1))
        [ "$test" = "$name" ] || continue
        planted=$((planted + 1))
        IFS='|' read -r how why <"planted.$number"
        if [ "$how" = found ]; then
            found=$((found + 1))
        else
            failures="$failures
    planted weakening $how: $what ($why)"
        fi
        if [ $verbose = yes ]; then
            printf '    %-10s %s\n        %s\n' "$how" "$what" "$why"
        fi
    done <plan
    if [ "$verdict" != clean ]; then
        failures="$failures
    $said; ./relacy --test $name --trace in $folder shows it"
    fi
    [ -z "$failures" ] || failed=1
    printf '%-16s %-8s %7d schedules at random %7d with few switches   planted weakenings found %d of %d\n' \
        "$name" "$([ -z "$failures" ] && echo 'no error' || echo FAILED)" "$random" "$bound" $found $planted
    [ -z "$failures" ] || printf '%s\n' "$failures" | sed '/^$/d'
done <names
echo "$((checked - started)) s of checks, $((ended - checked)) s of planted weakenings"
exit $failed
