#!/bin/sh
# Checks the models of this folder with spin.
#
#   run.sh [--verbose] [--deep] [name...]     without names: every model here
#
# A model says in its opening comment how it wants to be checked, one run a line:
#
#   check:   MODE [-D...]           must have no error
#   deep:    MODE [-D...]           the same, but only with --deep: larger, up to a minute each
#   planted: MACRO MODE [-D...] ... with that macro defined an error must be found; the rest of the line says what it is
#
# MODE is safety (assertions and deadlocks) or liveness (the model's ltl formula, under weak fairness).
# Exit status: 0 all well; 1 an error in a model, or a planted bug that was not found; 2 spin or a compiler is missing.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
memory_mib=3072

# One run in a folder of its own; leaves "verdict|states|seconds|what was said" in its file `result`.
# Arguments: work folder, number, kind, model, mode, words up to the first that is no -D.
one() {
    folder=$1/$2 kind=$3 model=$4 mode=$5
    shift 5
    defines=
    for word in "$@"; do
        case $word in
        -D*) defines="$defines $word" ;;
        *) break ;;
        esac
    done
    mkdir "$folder"
    cd "$folder"
    case $mode in
    safety) build=-DSAFETY run= ;;
    liveness) build=-DNFAIR=3 run="-a -f" defines="$defines -DLIVENESS" ;;
    *)
        echo "broken|0|0|unknown mode '$mode'" >result
        return
        ;;
    esac
    # Compiling takes longer than most searches. tcc takes a twentieth of gcc -O0, for a search that is a quarter slower.
    # Compressed states take a third of the memory and half as long again.
    build_by="$compiler -O0"
    if [ "$kind" = deep ]; then
        build_by="$compiler -O2 -DCOLLAPSE"
    elif command -v tcc >/dev/null; then
        build_by=tcc
    fi
    # shellcheck disable=SC2086
    if ! { spin -a $defines "$here/$model.pml" &&
        $build_by $build -DMEMLIM=$memory_mib -w -o pan pan.c; } >build.out 2>&1; then
        echo "broken|0|0|$(head -3 build.out | tr '\n' ' ')" >result
        return
    fi
    # shellcheck disable=SC2086
    timeout 300 ./pan -m1000000 $run >pan.out 2>&1 || true
    states=$(sed -n 's/^ *\([0-9][0-9.e+]*\) states, stored.*/\1/p' pan.out | head -1)
    seconds=$(sed -n 's/^pan: elapsed time \([0-9.e-]*\) seconds.*/\1/p' pan.out | head -1)
    said=$(sed -n 's/^pan:1: \(.*\) (at depth.*/\1/p' pan.out | head -1)
    if [ -n "$said" ]; then
        verdict=error
    elif grep -q 'errors: 0' pan.out && ! grep -q -e 'too small' -e 'out of memory' -e 'not completed' pan.out; then
        verdict=clean
    else
        verdict=broken
        said=$(grep -m1 -e 'too small' -e memory -e 'not completed' pan.out || tail -1 pan.out)
    fi
    echo "$verdict|${states:-0}|${seconds:-0}|$said" >result
    rm -f pan pan.?
}

# The runs a model asks for, one a line: kind model mode defines and words.
plan_of() {
    sed -n -e "s/^ \* check: */check $1 /p" \
        -e "$deep s/^ \* deep: */deep $1 /p" \
        -e "s/^ \* planted: *\([A-Z_]*\) *\([a-z]*\) */planted $1 \2 -D\1 /p" "$here/$1.pml"
}

# One line for a model, and one for each of its failures. Returns 1 if it has any.
report() {
    model=$1
    total_states=0 total_seconds=0 checks=0 planted=0 found=0 failures=
    number=0
    while read -r kind of mode rest; do
        number=$((number + 1))
        if [ "$of" != "$model" ]; then
            continue
        fi
        verdict=broken states=0 seconds=0 said='did not run'
        if [ -f "$work/$number/result" ]; then
            IFS='|' read -r verdict states seconds said <"$work/$number/result"
        fi
        if [ "$kind" = planted ]; then
            planted=$((planted + 1))
            if [ "$verdict" = error ]; then
                found=$((found + 1))
            else
                failures="$failures
    planted bug not found ($verdict $said): $mode $rest"
            fi
        else
            checks=$((checks + 1))
            total_states=$(awk "BEGIN { printf \"%d\", $total_states + $states }")
            total_seconds=$(awk "BEGIN { printf \"%.2f\", $total_seconds + $seconds }")
            if [ "$verdict" != clean ]; then
                failures="$failures
    $verdict: $said: $mode $rest"
            fi
        fi
        if [ $verbose = yes ]; then
            printf '    %-8s %10s states  %s %s\n        %s\n' "$verdict" "$states" "$mode" "$rest" "$said"
        fi
    done <"$work/plan"
    result='no error'
    if [ -n "$failures" ]; then
        result=FAILED
    fi
    printf '%-14s %-9s %d runs %10d states %7.2f s   planted bugs found %d of %d\n' \
        "$model" "$result" $checks "$total_states" "$total_seconds" $found $planted
    if [ -n "$failures" ] || [ $checks -eq 0 ] || [ $planted -eq 0 ]; then
        printf '%s\n' "${failures:-    nothing to check, or nothing planted}" | sed '/^$/d'
        return 1
    fi
}

compiler=${CC:-cc}
if [ "${1:-}" = --one ]; then
    shift
    one "$@"
    exit 0
fi

deep='/^$/' verbose=no names=
for argument in "$@"; do
    case $argument in
    --deep) deep= ;;
    --verbose) verbose=yes ;;
    -h | --help)
        sed -n '2,13s/^# \{0,1\}//p' "$0"
        exit 0
        ;;
    *) names="$names $(basename "$argument" .pml)" ;;
    esac
done
for program in spin "$compiler"; do
    if ! command -v "$program" >/dev/null; then
        echo "run.sh: $program is not installed; the models need spin (Debian: apt-get install spin) and a C compiler" >&2
        exit 2
    fi
done
if [ -z "$names" ]; then
    names=$(cd "$here" && ls ./*.pml | sed 's/^\.\/\(.*\)\.pml$/\1/')
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
for name in $names; do
    if [ ! -f "$here/$name.pml" ]; then
        echo "run.sh: there is no model $name" >&2
        exit 1
    fi
    plan_of "$name"
done >"$work/plan"

# The long ones first, so that the cores finish together.
awk '{ print NR, $0 }' "$work/plan" | tr -d "'\"" | sort -s -k2,2 | xargs -P 2 -L 1 "$0" --one "$work"
failed=0
for name in $names; do
    report "$name" || failed=1
done
exit $failed
