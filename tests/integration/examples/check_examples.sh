#!/usr/bin/env bash
# check_examples.sh BUILD: the programs in examples/ run, their sums are exact, and wrong arguments are refused.
set -eu
examples=$1/examples
[ -x "$examples/demo" ] || { echo "this build has no examples" && exit 77; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

expect() { # STATUS COMMAND...
    local wanted=$1 status=0
    shift
    "$@" >"$work/said" 2>&1 </dev/null || status=$?
    cat "$work/said"
    [ $status = "$wanted" ] || { echo "exit $status instead of $wanted: $*" && exit 1; }
}
says() { # LINE, as an extended regular expression over whole lines
    grep -Eqx -- "$1" "$work/said" || { echo "no line is: $1" && exit 1; }
}

expect 0 "$examples/readme_example"
says 'answered; 2 tensors given back'

expect 0 "$examples/custom_actor"
says 'requests: 300 requests, 3000 bytes'

expect 0 "$examples/tensor_server" 300
says 'requests 300 = answered 291 \+ failed half-way 6 \+ refused at the limit 3'
says 'tensors  created [0-9]+ = live 6 \(the weights\) \+ pending 0 \+ reclaimed [0-9]+ \+ quarantined 0'
says 'closed   0 tensors leaked; good'
expect 2 "$examples/tensor_server" 1 2

expect 0 "$examples/demo" --tensors 20000
says ' +created 20,000 = live 0 \+ pending 0 \+ reclaimed 20,000 \+ quarantined 0 +exact'
says ' +dropped 20,000 = at once [0-9,]+ \+ by message [0-9,]+ +exact'
says ' +from drop to reclaimed .*\(bound 100 ms\) +(kept|missed)'
says ' +restarts [0-9]+; 1,250 finalizers called: lost 0, called twice 0 +exact'
says ' +created 20,000 = live 0 \+ pending 0 \+ reclaimed 19,999 \+ quarantined 1 +exact'
says ' +quarantined: "stuck" of [^ ]*examples/demo/kill.c:[0-9]+, its finalizer failed [0-9]+ times in 2 s .*'
says ' +found 20 of 20, false alarms 0, [0-9.]+ [mu]?s after the session ended, among [0-9,]+ tensors +named'
says ' +5 MiB  "kv"  [^ ]*examples/demo/leak.c:[0-9]+  outlived scope "session"'
expect 2 "$examples/demo" --tensors many
expect 2 "$examples/demo" kil
expect 2 "$examples/demo" --tensors
echo "the examples run, and their sums are exact"
