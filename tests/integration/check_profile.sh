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
    check(0.8 * true < got < 1.2 * true, f"no site: {name} {got}, about {true}")
check(total(samples, "alloc_objects") > 1.5 * truth["-"][0], "what was dropped is in alloc")
print("\n".join(bad) if bad else f"{len(samples)} samples say what the program knows")
sys.exit(bool(bad))
PYTHON

full=0
"$example" /dev/full >"$work/full" 2>&1 || full=$?
[ $full = 2 ] || { echo "/dev/full: exit $full" && cat "$work/full" && exit 1; }
