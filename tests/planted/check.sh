#!/usr/bin/env bash
# check.sh CTEST DIRECTORY NAME [FINDING]: with a finding, ctest must fail the test NAME and say FINDING;
# without one, it must pass it.
set -u
ctest=$1 directory=$2 name=$3 finding=${4:-}
# Not FAIL_REGULAR_EXPRESSION again: the inner ctest has judged, so its words go to a file until they are needed.
out=$(mktemp)
trap 'rm -f "$out"' EXIT
env -u CTEST_OUTPUT_ON_FAILURE "$ctest" --test-dir "$directory" -R "^$name\$" --no-tests=error --verbose >"$out" 2>&1
rc=$?
if [ -z "$finding" ]; then
    [ $rc = 0 ] && echo "clean: passed, as it must" && exit 0
    cat "$out"
    echo "clean: ctest failed a program without a bug"
    exit 1
fi
if [ $rc != 0 ] && grep -qF -- "$finding" "$out" && grep -q 'Error regular expression found in output' "$out"; then
    echo "$name: ctest failed it because of \"$finding\", as it must"
    exit 0
fi
cat "$out"
echo "$name: the planted bug was not found (ctest answered $rc; expected \"$finding\")"
exit 1
