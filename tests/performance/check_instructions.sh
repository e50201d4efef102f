#!/usr/bin/env bash
# check_instructions.sh BUILD: instructions of the calling thread, by callgrind, release build, default topology (tracking
# at level standard, at the rate at which it ends where a thread does nothing else: 1 %), averages over 100,000 calls and more, so that sampling and every slow way are in them. They do not
# depend on the machine's load or clock; from run to run they differ by less than 2 %.
set -eu

# what        limit  calls it is the sum of, each once
table='
pair           110   ftl_tensor_new ftl_tensor_drop
pair_untracked 104   ftl_tensor_new ftl_tensor_drop
bytes          100   ftl_bytes_new ftl_tensor_drop
data            20   ftl_tensor_data
to_shard       485   ftl_tensor_drop
to_cleanup     355   ftl_tensor_drop
message         82   ftl_tensor_drop
middle         500   ftl_tensor_new ftl_tensor_drop
message_pair   198   ftl_tensor_new ftl_tensor_drop
message_middle 1150  ftl_tensor_new ftl_tensor_drop
'
declare -A words=(
    [pair]='a new and a drop of a small one-dimensional tensor on its own thread'
    [pair_untracked]='the same at level none'
    [bytes]='the same of raw bytes'
    [data]='data on it'
    [to_shard]='a drop of 100 kB where 1,000 of them overflow their pocket'
    [to_cleanup]='posting a deferred drop to the cleanup actor (a finalizer)'
    [message]='the same, every drop of policy message'
    [middle]='a new and a drop of 100 kB'
    [message_pair]='a new and a drop of a small one, policy message'
    [message_middle]='a new and a drop of 100 kB, policy message'
)

program=$1/tests/count_instructions
here=$(cd "$(dirname "$0")" && pwd)
[ -x "$program" ] || { echo "$program is not there" && exit 1; }
command -v valgrind >/dev/null || { echo "there is no valgrind here" && exit 77; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# Collecting is switched by the functions named so, for each thread apart: what service threads do meanwhile is not in it.
valgrind -q --tool=callgrind --toggle-collect='instructions_of_*' --callgrind-out-file="$work/out" "$program" >"$work/said" 2>&1 || {
    status=$?
    cat "$work/said"
    echo "under callgrind it exited with $status"
    exit 1
}
awk -f "$here/instructions/calls.awk" "$work/out" >"$work/calls"

too_many=0
while read -r what limit functions; do
    [ -n "$what" ] || continue
    count=$(awk -v what="instructions_of_$what" -v functions="$functions" '
        BEGIN { wanted = split(functions, name, " ") }
        $1 == what { for (i = 1; i <= wanted; i++) if ($2 == name[i]) { sum += $4 / $3; found++; enough += $3 >= 100000 } }
        END { if (found != wanted || enough != wanted) exit 1; printf "%.1f", sum }' "$work/calls") || {
        echo "$what: callgrind has not seen its calls:" && cat "$work/calls" && exit 1
    }
    mark=
    if awk -v count="$count" -v limit="$limit" 'BEGIN { exit !(count > limit) }'; then
        mark=', too many'
        too_many=$((too_many + 1))
    fi
    printf '%8s of at most %5s: %s%s\n' "$count" "$limit" "${words[$what]}" "$mark"
done <<<"$table"
[ $too_many = 0 ] || { echo "$too_many of these counts are over their limit" && exit 1; }
