#!/usr/bin/env bash
# check_topologies.sh BUILD: fettle stress for some seconds with a topology that has no threads; and with one that does not keep what it
# expects, which it must say, with the seed, and answer 1.
set -u
fettle=$1/fettle
here=$(cd "$(dirname "$0")" && pwd)
[ -x "$fettle" ] || { echo "no fettle in this build"; exit 77; }

"$fettle" stress --topology "$here/../../config/embedded.yaml" --threads 3 --seconds 3 --seed 2 || exit 1

said=$("$fettle" stress --topology "$here/gives_up.yaml" --threads 2 --seconds 60 --faults restart --seed 12345)
status=$?
if [ $status != 1 ] || ! grep -q 'not good   seed 12345; to repeat: fettle stress .* --seed 12345$' <<<"$said"; then
    printf '%s\n' "$said"
    echo "a topology that gives up: it answered $status; 1 and the seed were expected"
    exit 1
fi
