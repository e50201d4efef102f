#!/usr/bin/env bash
# check_run.sh BUILD: bench/run and bench/compare refuse what makes no sense, and a run of one row gives a table, JSON that
# JSON readers read, and a comparison that sees what was made slower.
set -eu
build=$1
top=$(cd "$(dirname "$0")/../../.." && pwd)
[ -x "$build/bench/bench-fettle" ] || { echo "this build has no bench" && exit 77; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

expect() { # STATUS COMMAND...
    local wanted=$1 status=0
    shift
    "$@" >"$work/said" 2>&1 </dev/null || status=$?
    [ $status = "$wanted" ] || { cat "$work/said" && echo "exit $status instead of $wanted: $*" && exit 1; }
}

expect 0 "$top/bench/run" --help
expect 2 "$top/bench/run" --sideways
expect 2 "$top/bench/run" --repeat 0 --build "$build"
expect 2 "$top/bench/run" --by moon --build "$build"
expect 2 "$top/bench/run" --only 'no such row' --build "$build"
expect 2 "$top/bench/run" --traces "$work/none" --build "$build"
for program in bare equal fettle; do
    expect 2 "$build/bench/bench-$program" pairs
    expect 2 "$build/bench/bench-$program" pairs-64B-1 --time 0
    expect 2 "$build/bench/bench-$program" trace
    expect 1 "$build/bench/bench-$program" trace --trace "$work/none"
done

expect 0 "$top/bench/run" --build "$build" --only pairs-64B-1 --repeat 2 --time 10 --json "$work/before.json"
cat "$work/said"
grep -Eq '^pairs-64B-1 +[0-9.]+ ' "$work/said" || { echo "no table" && exit 1; }
grep -q '^row .* auto  message$' "$work/said" || { echo "no columns of Fettle" && exit 1; }
grep -Eq '^pairs-64B-1 .* (reached|[0-9.]+ of 1.4) ' "$work/said" || { echo "no floor" && exit 1; }
grep -Eq '^floors reached: [0-9]+ of 3' "$work/said" || { echo "no sum of floors" && exit 1; }
python3 -c 'import json, sys
run = json.load(open(sys.argv[1]))
results, floors = run["results"], run["floors"]
assert {"glibc", "equal-glibc", "fettle", "message"} <= {r["variant"] for r in results}, results
assert all(r["runs"] == 2 and r["cpu_ns_per_op"] > 0 for r in results), results
assert {"bare", "equal", "message"} == {f["what"] for f in floors}, floors
time = {r["variant"]: r["cpu_ns_per_op"] for r in results}
for f in floors:
    if f["what"] != "message":
        best = min(v for k, v in time.items() if k.startswith("equal-") == (f["what"] == "equal") and k not in ("fettle", "message"))
        assert abs(f["value"] - best / time["fettle"]) < 1e-3 and f["reached"] == (f["value"] >= f["at_least"] - 5e-4), (f, time)' "$work/before.json"

sed '/"variant": "fettle"/s/"cpu_ns_per_op": /&9/' "$work/before.json" >"$work/after.json"
expect 0 "$top/bench/compare" "$work/before.json" "$work/before.json"
expect 1 "$top/bench/compare" "$work/before.json" "$work/after.json"
grep -q '^pairs-64B-1 *fettle .* slower$' "$work/said" || { cat "$work/said" && exit 1; }

# And what a floor was.
sed '/"what": "bare"/s/"reached": [a-z]*/"reached": true/' "$work/before.json" >"$work/good.json"
sed '/"what": "bare"/s/"reached": [a-z]*/"reached": false/' "$work/before.json" >"$work/bad.json"
expect 0 "$top/bench/compare" "$work/good.json" "$work/bad.json"
grep -q '^ *no longer *pairs-64B-1 bare' "$work/said" || { cat "$work/said" && exit 1; }
expect 0 "$top/bench/run" --build "$build" --only pairs-64B-1 --repeat 1 --time 10 --plot "$work/bars.svg"
python3 -c 'import sys, xml.dom.minidom as x; assert len(x.parse(sys.argv[1]).getElementsByTagName("rect")) > 4' "$work/bars.svg"
expect 0 "$top/bench/compare" "$work/after.json" "$work/before.json"
expect 2 "$top/bench/compare" "$work/before.json"

# What took long and was slow is taken from an earlier run, the rest is measured.
expect 0 "$top/bench/run" --build "$build" --only pairs-64B-1 --repeat 1 --time 10 --raw "$work/raw"
sed -E '/\tglibc\t/s/("cpu_ns_per_op": )[0-9.]+/\13333333/; s/[0-9]+$/99/' "$work/raw" >"$work/earlier"
expect 0 "$top/bench/run" --build "$build" --only pairs-64B-1 --repeat 1 --time 10 --reuse "$work/earlier"
grep -Eq '^pairs-64B-1 +3333k ' "$work/said" && grep -q '^    pairs-64B-1 glibc$' "$work/said" || { cat "$work/said" && exit 1; }
echo "bench/run and bench/compare do what their --help says"
