#!/usr/bin/env bash
# check_profile.sh BUILD: the heap profile of examples/heap_profile, decoded by another hand, says what the program knows itself.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
example=$1/examples/heap_profile
[ -x "$example" ] || { echo "this build has no examples" && exit 77; }
command -v python3 >/dev/null || { echo "python3 decodes the profile; it is not here" && exit 77; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

"$example" "$work/heap.pb" >"$work/truth"
python3 "$here/profile/decode.py" "$work/heap.pb" >"$work/heap.json"
python3 - "$work/truth" "$work/heap.json" <<'PYTHON'
import json, re, sys

truth = {}
for line in open(sys.argv[1]):
    label, tensors, bytes_ = re.match(r"(\S+) +(\d+) tensors (\d+) bytes", line).groups()
    truth[label] = (int(tensors), int(bytes_))
profile = json.load(open(sys.argv[2]))
samples = profile["samples"]
bad = []


def check(good, what):
    if not good:
        bad.append(what)


def total(of, name):
    return sum(sample[name] for sample in of)


check(profile["types"] == ["inuse_objects", "inuse_space", "alloc_objects", "alloc_space"], profile["types"])
check(profile["default"] == "inuse_space", profile["default"])
for label in ("weights", "kv"):
    mine = [s for s in samples if s["labels"].get("label") == label]
    got = (total(mine, "inuse_objects"), total(mine, "inuse_space"))
    check(got == truth[label], f"{label}: {got}, not {truth[label]}")
    check(len({tuple(s["stack"]) for s in mine}) == 1, f"{label}: more than one site")
    check(all(re.search(r"examples/heap_profile\.c:\d+$", s["stack"][0]) for s in mine), f"{label}: {mine[0]['stack']}")
    check(all(s["labels"]["dtype"] == "f16" and s["labels"]["device"] == "cpu" for s in mine), f"{label}: labels")
    check(all(s["labels"].get("scope") == ("session" if label == "kv" else None) for s in mine), f"{label}: scope")
    # two thirds of kv are gone: what was made is an estimate from one in ten, and at least what is there
    check(total(mine, "alloc_space") == total(mine, "inuse_space"), f"{label}: alloc")
others = [s for s in samples if "label" not in s["labels"] and s["inuse_space"] > 0]
for name, true in zip(("inuse_objects", "inuse_space"), truth["-"]):
    got = total(others, name)
    check(0.5 * true < got < 1.5 * true, f"no site: {name} {got}, about {true}")
check(total(samples, "alloc_objects") > 1.1 * truth["-"][0], "what was dropped is in alloc")
print("\n".join(bad) if bad else f"{len(samples)} samples say what the program knows")
sys.exit(bool(bad))
PYTHON

full=0
"$example" /dev/full >"$work/full" 2>&1 || full=$?
[ $full = 2 ] || { echo "/dev/full: exit $full" && cat "$work/full" && exit 1; }

# ---- the command
fettle=$1/fettle
[ -x "$fettle" ] || { echo "no fettle in this build" && exit 0; }
cd "$work"
expect() { # CODE PATTERN COMMAND...: its exit code, and a line of either stream that matches
    local code=$1 pattern=$2 got=0
    shift 2
    "$@" >said 2>&1 </dev/null || got=$?
    if [ $got != "$code" ] || ! grep -Eq -- "$pattern" said; then
        echo "FAILED: $*: exit $got, expected $code, and a line like $pattern"
        sed 's/^/  | /' said
        exit 1
    fi
}
site='examples/heap_profile\.c:[0-9]+'
expect 0 "^ +4 MiB +[0-9.]+ % +4 +4 MiB +4  .*$site$" "$fettle" profile heap.pb
expect 0 '^ +4 +.*weights$' "$fettle" profile heap.pb --by label --value inuse_objects
expect 0 "$site 4194304$" "$fettle" profile heap.pb --folded
"$fettle" profile heap.pb 2>&1 | grep -q 'no libdw' ||
    expect 0 'make_all heap_profile\.c:[0-9]+ < main heap_profile\.c:[0-9]+' "$fettle" profile heap.pb
expect 0 '"label": "weights"' "$fettle" profile heap.pb --by label --json
expect 0 '^and [0-9]+ more' "$fettle" profile heap.pb --most 1
expect 0 '^again.pb: [0-9]+ samples' "$fettle" profile heap.pb -o again.pb
python3 "$here/profile/decode.py" again.pb >again.json
grep -q '"label": "kv"' again.json
head -c 100 heap.pb >cut.pb
head -c 4000 /dev/urandom >noise.pb
: >empty.pb
gzip -c heap.pb >heap.pb.gz
expect 2 '^fettle profile: cut\.pb: is (no profile|cut off)' "$fettle" profile cut.pb
expect 2 '^fettle profile: noise\.pb: is ' "$fettle" profile noise.pb
expect 2 '^fettle profile: empty\.pb: is empty' "$fettle" profile empty.pb
expect 2 'gunzip it first' "$fettle" profile heap.pb.gz
expect 2 '^fettle profile: none\.pb: No such file' "$fettle" profile none.pb
expect 2 '^fettle profile: \.: Is a directory' "$fettle" profile .
expect 2 '^fettle profile: none/x\.pb: No such file' "$fettle" profile heap.pb -o none/x.pb
expect 2 'No space left' "$fettle" profile heap.pb -o /dev/full
expect 2 '--value: "space" is none of this profile; it has inuse_objects,' "$fettle" profile heap.pb --value space
expect 2 '--by: "file" means nothing here; site, label' "$fettle" profile heap.pb --by file
expect 2 '--folded is one form' "$fettle" profile heap.pb --folded --json
expect 0 '^usage: fettle profile PID\|FILE' "$fettle" profile --help

# ---- a process that runs: it opens the file to write to, and waits for who reads it
"$fettle" --help | grep -q '^  control ' || exit 0
export XDG_RUNTIME_DIR=$work
mkfifo fifo
"$example" fifo >truth2 &
pid=$!
trap 'kill $pid 2>/dev/null || true; rm -rf "$work"' EXIT
until [ -n "$(find "$work/fettle" -type s -name "$pid*" 2>/dev/null)" ] && [ "$(cut -d ' ' -f 3 /proc/$pid/stat)" = S ]; do
    kill -0 $pid || { echo "the example has ended" && exit 1; }
    sleep 0.05
done
expect 0 '^live\.pb: [0-9]+ samples' "$fettle" profile $pid -o live.pb
cat fifo >rest.pb
wait $pid
python3 "$here/profile/decode.py" live.pb >live.json
grep -q '"label": "weights"' live.json
expect 3 . "$fettle" profile $pid
echo "the command shows it, of a file and of a process"
