#!/usr/bin/env bash
# check_faults.sh BUILD [SECONDS]: fettle stress with all its faults: half a minute where a sanitizer looks on, else some
# seconds. A failure says how to repeat it.
set -u
fettle=$1/fettle
[ -x "$fettle" ] || { echo "no fettle in this build"; exit 77; }
seconds=3
grep -q '^FETTLE_SANITIZE:[A-Z]*=..*' "$1/CMakeCache.txt" && seconds=30
# Hardly more threads than processors act: a sanitizer makes all of them slow, and other tests run beside.
exec "$fettle" stress --threads 3 --seconds "${2:-$seconds}" --seed 1
