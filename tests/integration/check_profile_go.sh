#!/usr/bin/env bash
# check_profile_go.sh BUILD: `go tool pprof` opens the heap profile of examples/heap_profile, and shows it.
set -eu
example=$1/examples/heap_profile
[ -x "$example" ] || { echo "this build has no examples" && exit 77; }
command -v go >/dev/null || { echo "go is not here" && exit 77; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export PPROF_TMPDIR=$work HOME=$work

"$example" "$work/heap.pb" >"$work/truth"
pprof() {
    go tool pprof "$@" "$work/heap.pb" >"$work/said" 2>"$work/complained" ||
        { echo "go tool pprof $*:" && cat "$work/complained" && exit 1; }
}
says() { # LINE, as an extended regular expression
    grep -Eq -- "$1" "$work/said" || { echo "no line is: $1" && cat "$work/said" && exit 1; }
}
pprof -top -symbolize=none
says '^Type: inuse_space'
says ' 4MB .*examples/heap_profile\.c:[0-9]+'
pprof -top -symbolize=none -sample_index=inuse_objects
says ' 100 .*examples/heap_profile\.c:[0-9]+'
pprof -top -symbolize=none -sample_index=inuse_objects -tagfocus=label=weights
says ' 4 .*examples/heap_profile\.c:[0-9]+'
pprof -tags -symbolize=none
says '(session|kv)'
pprof -raw -symbolize=none
says 'inuse_objects/count inuse_space/bytes'
echo "go tool pprof opens it"
