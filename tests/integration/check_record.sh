#!/usr/bin/env bash
# check_record.sh BUILD: fettle record, from outside: a program whose lifetimes are known, ends of all kinds, wrong words.
set -u
build=$(cd "$1" && pwd)
here=$(cd "$(dirname "$0")" && pwd)
fettle=$build/fettle
[ -x "$fettle" ] || { echo "no fettle in this build"; exit 77; }
[ -f "$build/libfettle-recorder.so" ] || { echo "no recorder in this build: a sanitizer has an allocator of its own"; exit 77; }
command -v zstd > /dev/null || { echo "zstd is needed to look into traces"; exit 77; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
bad=0
${CC:-cc} -O1 -fno-builtin -pthread -o program "$here/record/program.c" || exit 1

# expect CODE PATTERN COMMAND...: its exit code, and a line of standard error that matches.
expect() {
    local code=$1 pattern=$2 got
    shift 2
    "$@" > out 2> err < /dev/null
    got=$?
    if [ "$got" != "$code" ] || ! grep -Eq -- "$pattern" err; then
        echo "FAILED: $*"
        echo "  exit $got, expected $code; expected a line like: $pattern"
        sed 's/^/  | /' err
        bad=1
    fi
}

# holds TRACE SIZES...: which of the sizes from 300000 on are in it, as "size", or "size freed".
holds() {
    local trace=$1 got
    shift
    got=$(zstd -dcq "$trace" | awk -F, '!/^#/ && $5 >= 300000 && $5 < 400000 { n[$5] += 1 }
        END { for (i in n) print i (n[i] == 2 ? "f" : "") }' | sort | tr '\n' ' ')
    [ "$got" = "$* " ] || { echo "FAILED: $trace holds \"$got\", expected \"$* \""; bad=1; }
    "$fettle" replay "$trace" --settle 0s --peer malloc --alone > out 2>&1 ||
        { echo "FAILED: $trace does not replay"; cat out; bad=1; }
}

# ---- what was recorded is what happened
expect 7 '^recorded  threads\.csv\.zst: [0-9,]+ allocations, [0-9,]+ frees, [45] threads' "$fettle" record -o threads.csv.zst -- ./program threads
sort -n out > truth
zstd -dcq threads.csv.zst | awk -F, '/^#/ { next } $3 == "a" { by[$4] = $2; size[$4] = $5; align[$4] = $6; fate[$4] = "never" }
    $3 == "f" { fate[$4] = $2 == by[$4] ? "same" : "other" }
    END { for (i in by) print size[i], align[i], fate[i] }' | sort -n |
    awk 'NR == FNR { known[$1] = 1; next } $1 in known' truth - > got
cmp -s truth got || { echo "FAILED: the trace and the truth differ:"; diff truth got | head; bad=1; }
[ "$(wc -l < truth)" = 1120 ] || { echo "FAILED: the truth has $(wc -l < truth) lines"; bad=1; }
{ "$fettle" replay threads.csv.zst --settle 0s > out 2>&1 && grep -q ' exact$' out; } || { echo "FAILED: the replay is not exact"; cat out; bad=1; }

# ---- more events than the ring holds, from four threads; more than are wanted
expect 0 'lost 0$' "$fettle" record -o churn.csv.zst -- ./program churn
zstd -dcq churn.csv.zst | awk -F, '$5 == 2000 { n[$3]++ } END { exit n["a"] == 200000 && n["f"] == 200000 ? 0 : 1 }' ||
    { echo "FAILED: 400,000 events, and the trace has others"; bad=1; }
expect 0 '^recorded ' "$fettle" record -o some.csv.zst --events 1000 -- ./program churn
[ "$(grep -c '^recorded ' err)" = 1 ] || { echo "FAILED: one summary, not these:"; cat err; bad=1; }
[ "$(zstd -dcq some.csv.zst | grep -vc '^#')" = 1000 ] || { echo "FAILED: --events 1000 has others"; bad=1; }

# ---- ends of all kinds, forks and execs
expect 134 'ended by signal 6' "$fettle" record -o abort.csv.zst -- ./program abort
expect 137 'ended by signal 9' "$fettle" record -o kill.csv.zst -- ./program kill
expect 9 '^next      fettle replay _exit.csv.zst --peer malloc$' "$fettle" record -o _exit.csv.zst -- ./program _exit
for name in abort kill _exit; do
    holds $name.csv.zst 300001 300002f
done
expect 0 '^recorded ' "$fettle" record -o close.csv.zst -- ./program close
holds close.csv.zst 300003
expect 0 '^recorded ' "$fettle" record -o fork.csv.zst -- ./program fork
holds fork.csv.zst 300004 300006
expect 9 '^recorded ' "$fettle" record -o exec.csv.zst -- ./program exec
holds exec.csv.zst 300001 300002f 300007f
expect 0 '^recorded  program\.csv\.zst: ' "$fettle" record -- ./program close
expect 9 'other program.? it started were not recorded' "$fettle" record -o sh.csv.zst --program program -- sh -c 'ls > /dev/null; ./program _exit; exit 9'
holds sh.csv.zst 300001 300002f
expect 0 '^recorded ' "$fettle" record -o small.csv.zst --least 1000 -- ./program small
zstd -dcq small.csv.zst | grep -q ',1023,16$' || { echo "FAILED: --least 1000 left out 1023 bytes"; bad=1; }
expect 0 '^recorded ' "$fettle" record -o usual.csv.zst -- ./program small
zstd -dcq usual.csv.zst | awk -F, '$5 == 1023 { under++ } $5 == 1024 { there++ } END { exit !under && there >= 2 ? 0 : 1 }' ||
    { echo "FAILED: 1 KiB is not the least"; bad=1; }
"$fettle" record --quiet -o quiet.csv.zst -- ./program close 2> err
[ -s err ] && { echo "FAILED: --quiet says:"; cat err; bad=1; }

# ---- wrong words
expect 2 'which COMMAND\? usage: fettle record \[' "$fettle" record
expect 2 'which COMMAND\?' "$fettle" record -o x.csv.zst --
expect 2 '^fettle record: nowhere-at-all: no such program$' "$fettle" record -- nowhere-at-all
expect 2 '^fettle record: \./truth: Permission denied$' "$fettle" record -- ./truth
expect 2 '^fettle record: no/x: No such file' "$fettle" record -o no/x -- ./program close
mkfifo pipe
expect 2 '^fettle record: pipe: there is no file, but something else' "$fettle" record -o pipe -- ./program close
[ -p pipe ] || { echo "FAILED: a file is where a pipe was"; bad=1; }
expect 2 '^fettle record: none\.so: No such file' "$fettle" record --library none.so -- ./program close
expect 2 '--least: "1K"; expected a size' "$fettle" record --least 1K -- ./program close
expect 2 '--least: "0"; expected a size' "$fettle" record --least 0 -- ./program close
expect 2 '--events: "-1"; expected a number' "$fettle" record --events -1 -- ./program close
expect 2 '--program: "" is no name' "$fettle" record --program '' -- ./program close
expect 2 '-o is here twice' "$fettle" record -o a -o b -- ./program close
cp "$fettle" alone
expect 2 'libfettle-recorder\.so is neither in' ./alone record -- ./program close
expect 1 'nothing was recorded: no allocation of 1 MiB or more' "$fettle" record -o none.csv.zst --least 1MiB -- ./program close
expect 1 'no process ran a program of the name banana' "$fettle" record -o none.csv.zst --program banana -- ./program close
if ${CC:-cc} -static -pthread -o static "$here/record/program.c" 2> /dev/null; then
    expect 2 'static is linked statically' "$fettle" record -o none.csv.zst -- ./static close
    expect 1 'no process ran a program' "$fettle" record -o none.csv.zst --program static -- sh -c './static close'
fi
ls none* ./*.part x.csv.zst > out 2> /dev/null
[ -s out ] && { echo "FAILED: these were left behind:"; cat out; bad=1; }

[ $bad = 0 ] && echo "fettle record: all as it should be"
exit $bad
