#!/usr/bin/env bash
# check_fettle.sh BUILD: the fettle command, from outside: exit codes, messages, what it prints.
set -u
build=$(cd "$1" && pwd)
root=$(cd "$(dirname "$0")/../.." && pwd)
fettle=$build/fettle
[ -x "$fettle" ] || { echo "no fettle in this build"; exit 77; }
command -v zstd > /dev/null || { echo "zstd is needed to write traces"; exit 77; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
bad=0

# expect CODE PATTERN COMMAND...: its exit code, and a line (of either stream) that matches.
expect() {
    local code=$1 pattern=$2 got
    shift 2
    "$@" > out 2>&1 < /dev/null
    got=$?
    if [ "$got" != "$code" ] || ! grep -Eq -- "$pattern" out; then
        echo "FAILED: $*"
        echo "  exit $got, expected $code; expected a line like: $pattern"
        sed 's/^/  | /' out
        bad=1
    fi
}

# trace NAME HEADER_ALLOCS HEADER_FREES THREADS: the events on standard input.
trace() {
    {
        printf '# tensor-trace 1\n# name: %s\n# threads: %s\n# allocs: %s\n# frees: %s\n' "$1" "$4" "$2" "$3"
        printf '# columns: t_ns,thread,op,id,bytes,align\n'
        cat
    } | zstd -q > "$1.csv.zst"
}

# ---- the words
expect 2 '^usage: fettle COMMAND' "$fettle"
expect 0 '^usage: fettle COMMAND' "$fettle" --help
expect 0 '^fettle 0\.1\.0$' "$fettle" --version
expect 2 'no command is called "repaly"; did you mean replay\?' "$fettle" repaly x
expect 2 'no command is called "banana"; see' "$fettle" banana
expect 2 'fettle topology check FILE' "$fettle" topology
expect 2 'which TRACE\?' "$fettle" replay
expect 2 'no option --thread; did you mean --threads\?' "$fettle" replay x --thread 2
expect 2 '--threads: "0"; expected a number from 1 to 256' "$fettle" replay x --threads 0
expect 2 '--peer: "jemalloc" means nothing here; malloc' "$fettle" replay x --peer jemalloc
expect 2 '--alone plays the peer only' "$fettle" replay x --alone
expect 2 '--settle: "3" has no unit' "$fettle" replay x --settle 3
expect 2 '--threads: "65"; expected a number from 1 to 64' "$fettle" stress --threads 65
expect 2 '--faults: "frok" is none; finalizer, .* did you mean fork\?' "$fettle" stress --faults pin,frok
expect 2 '--faults: "" is none' "$fettle" stress --faults pin,
expect 2 '--seconds: "1.5"; expected a number from 1' "$fettle" stress --seconds 1.5
expect 2 '--minutes is here twice' "$fettle" stress --minutes 1 --minutes 2
expect 2 '--seed needs a value' "$fettle" stress --seed
expect 2 '"x" is one word too many' "$fettle" stress x
expect 2 '^none\.yaml: ' "$fettle" stress --topology none.yaml
for command in stress record replay simulate "topology check" "topology show"; do
    # shellcheck disable=SC2086
    expect 0 "^usage: fettle $command" "$fettle" $command --help
done

# ---- traces
printf '0,0,a,0,100000,64\n5,1,f,0,100000,64\n9,1,a,1,8,64\n12,0,a,2,4096,4096\n15,0,f,2,4096,4096\n' | trace small 3 2 2
printf '0,0,a,0,8,64\n1,0,f,0,8,64\n2,0,f,0,8,64\n' | trace twice 2 2 1
printf '0,0,a,0,8,64\n1,0,f,1,8,64\n' | trace stray 2 1 1
printf '0,0,a,0,0,64\n' | trace nothing 1 0 1
printf '0,0,a,0,8,64\n' | trace many 1 0 257
printf '0,0,a,0,281474976710656,64\n' | trace huge 1 0 1
head -c 60 small.csv.zst > cut.csv.zst
echo '# tensor-trace 1' > plain.csv.zst
: > empty.csv.zst
expect 2 '^twice\.csv\.zst:9: 0 is freed for the second time' "$fettle" replay twice.csv.zst
expect 2 '^stray\.csv\.zst:8: free of 1, which was never allocated' "$fettle" replay stray.csv.zst
expect 2 '^nothing\.csv\.zst:7: allocation 0 has size 0' "$fettle" replay nothing.csv.zst
expect 2 '^many\.csv\.zst:7: 257 threads; 256 is the most' "$fettle" replay many.csv.zst
expect 2 'huge\.csv\.zst needs 256 TiB at its peak; there are' "$fettle" replay huge.csv.zst
expect 2 '^cut\.csv\.zst:[0-9]+: the file is cut off' "$fettle" replay cut.csv.zst
expect 2 '^plain\.csv\.zst:1: is not zstd' "$fettle" replay plain.csv.zst
expect 2 '^empty\.csv\.zst:1: is empty' "$fettle" replay empty.csv.zst
expect 2 '^none\.csv\.zst: No such file' "$fettle" replay none.csv.zst
for name in twice cut; do
    "$fettle" replay $name.csv.zst --json > out 2> /dev/null
    [ -s out ] && { echo "FAILED: a result was printed of $name"; bad=1; }
done

# ---- replay
expect 0 'cpu .* an event' "$fettle" replay small.csv.zst --peer malloc --alone --settle 0s
expect 0 '"cpu_per_event_ns": [0-9]' "$fettle" replay small.csv.zst --peer malloc --alone --settle 0s --json
expect 0 '^tensors +created 3 = live 1 \+ pending 0 \+ reclaimed 2 \+ quarantined 0 +exact$' \
    "$fettle" replay small.csv.zst --settle 0s
expect 0 '^bytes .*at the peak' "$fettle" replay small.csv.zst --settle 0s --fill --threads 1
expect 0 'at the end .* exact$' "$fettle" replay small.csv.zst --settle 0s --speed real
expect 0 '^good$' "$fettle" replay small.csv.zst --settle 0s --topology "$root/config/embedded.yaml"
expect 1 '^leaks +1 tensors, 8 B, never dropped' "$fettle" replay small.csv.zst --settle 0s --strict
expect 0 '^ +Fettle +malloc' "$fettle" replay small.csv.zst --settle 0s --peer malloc
expect 0 '"alive_at_close": 1' "$fettle" replay small.csv.zst --settle 0s --json
if command -v python3 > /dev/null; then
    "$fettle" replay small.csv.zst --settle 0s --peer malloc --json > out &&
        python3 -c 'import json, sys; got = json.load(open("out")); sys.exit(0 if got["good"] and got["malloc"]["events"] == 5
            and got["fettle"]["at_the_end"]["live"] == 1 and got["trace"]["tensors"] == 3 else 1)' ||
        { echo "FAILED: --json is not what it should be"; cat out; bad=1; }
fi

# ---- topologies
printf 'fettle: 1\nactors:\n  defragmentatoin:\n    idle: 1s\n' > typo.yaml
printf 'fettle: 1\nactors:\n  cleanup:\n    batch: {messages: 64, age: 10}\n' > unit.yaml
expect 2 '^typo\.yaml:3:3: actors\.defragmentatoin: no such key; did you mean defragmentation\?' \
    "$fettle" topology check typo.yaml
expect 2 '^      \|   \^$' "$fettle" topology check typo.yaml
expect 2 '^      \|                                \^$' "$fettle" topology check unit.yaml
expect 2 '^unit\.yaml:4:32: ' "$fettle" replay small.csv.zst --topology unit.yaml
expect 2 'none\.yaml' "$fettle" topology check none.yaml
expect 2 '--diff is text' "$fettle" topology show "$root/config/server.yaml" --diff --format dot
for name in default server embedded debug; do
    expect 0 "config/$name.yaml: good" "$fettle" topology check "$root/config/$name.yaml"
    expect 0 '\[emergency\|high\|normal\|background\] -+> \| cleanup' "$fettle" topology show "$root/config/$name.yaml"
    expect 0 '^digraph' "$fettle" topology show "$root/config/$name.yaml" --format dot
done
expect 0 'the same as default\.yaml' "$fettle" topology show "$root/config/default.yaml"
expect 0 'actors\.tracking\.level +minimal +default standard' "$fettle" topology show "$root/config/embedded.yaml" --diff
printf 'fettle: 1\nactors: {requests: {type: counter}, gauge: {receive: 1s}}\nroutes: [{when: pressure.low, tell: requests, do: x}]\n' > user.yaml
expect 2 '^user\.yaml:2:27: actors\.requests\.type: no actor is of type "counter"' "$fettle" topology check user.yaml
expect 2 'a type that your program brings\? --type NAME' "$fettle" topology check user.yaml
expect 2 '^user\.yaml:2:37: actors\.gauge: no such key' "$fettle" topology check user.yaml --type counter
expect 0 'user\.yaml: good' "$fettle" topology check user.yaml --type counter,gauge
expect 0 'requests \(counter, of yours\) +gauge' "$fettle" topology show user.yaml --type counter,gauge
expect 0 '^  routes +pressure\.low > requests x$' "$fettle" topology show user.yaml --type counter,gauge
expect 2 '--type: "" is no name of a type' "$fettle" topology check user.yaml --type counter,
expect 2 '--type: "Counter" is no name' "$fettle" topology check user.yaml --type Counter
expect 2 '"cleanup" is one of Fettle.s types' "$fettle" topology check user.yaml --type cleanup
expect 2 '--type needs a value' "$fettle" topology check user.yaml --type
if command -v dot > /dev/null; then
    "$fettle" topology show "$root/config/server.yaml" --format dot | dot -Tsvg > /dev/null ||
        { echo "FAILED: Graphviz does not take the drawing"; bad=1; }
fi

# ---- simulation
expect 0 '^good$' "$fettle" simulate --seeds 1..5
expect 0 '^seeds +3: ' "$fettle" simulate --seeds 7..9 --topology "$root/config/embedded.yaml" --faults oom,exit
expect 0 '^  "liveness_bound": 5000,$' "$fettle" simulate --seeds 1..1 --faults none --json
expect 2 '--seeds: "9\.\.7"; expected a range such as' "$fettle" simulate --seeds 9..7
expect 2 '--seeds: "3"; expected a range such as' "$fettle" simulate --seeds 3
expect 2 '--faults: "recive" is no fault; did you mean receive\?' "$fettle" simulate --faults oom,recive
expect 2 '--last: "0"; expected a number from 1 to' "$fettle" simulate --last 0
expect 2 '"7" is one word too many' "$fettle" simulate 7
expect 2 'none\.yaml: cannot be read' "$fettle" simulate --topology none.yaml --seeds 1..1
expect 2 '^fettle simulate: typo\.yaml:3:3: ' "$fettle" simulate --topology typo.yaml --seeds 1..1
for n in 1 2; do
    "$fettle" simulate --seeds 11..14 --json | grep '"hash"' > "hash.$n"
done
cmp -s hash.1 hash.2 || { echo "FAILED: the same seeds have two histories"; bad=1; }

# ---- stat, where the build has it
if "$fettle" --help | grep -q ' stat '; then
    expect 2 'tcp:// is not in this version' "$fettle" stat tcp://127.0.0.1:5555
    expect 2 'is no endpoint' "$fettle" stat http://nobody
    expect 3 'has a control socket in' "$fettle" stat 99999999
    expect 3 'has a control socket in' "$fettle" leaks 99999999
    expect 2 'which REQUEST' "$fettle" control 99999999
    expect 3 'nothing was heard within 50' "$fettle" stat "ipc://$work/nobody" --timeout 50ms
fi

[ $bad = 0 ] && echo "the fettle command: all as it should be"
exit $bad
