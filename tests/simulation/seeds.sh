#!/usr/bin/env bash
# seeds.sh BUILD N: so many seeds of `fettle simulate`, half of them fixed and half fresh, a process a processor. Prints what each
# process says; exit 1 when a law broke.
set -eu
build=$(cd "$1" && pwd)
half=$(($2 / 2))
processes=$(nproc)
fresh=$(od -An -N6 -tu8 /dev/urandom | tr -d ' ')
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
jobs=()
for ((i = 0; i < processes; i++)); do
    for begin in 1 "$fresh"; do
        first=$((begin + half * i / processes))
        last=$((begin + half * (i + 1) / processes - 1))
        printf '%s..%s\n' "$first" "$last"
    done >"$work/ranges.$i"
    {
        bad=0
        while read -r range; do
            echo "--seeds $range"
            "$build/fettle" simulate --seeds "$range" 2>&1 || bad=1
        done <"$work/ranges.$i"
        exit $bad
    } >"$work/said.$i" &
    jobs+=($!)
done
failed=0
for ((i = 0; i < processes; i++)); do
    wait "${jobs[i]}" || failed=1
    cat "$work/said.$i"
done
exit $failed
