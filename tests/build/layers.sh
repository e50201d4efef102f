#!/usr/bin/env bash
# layers.sh [ROOT]: do the #include lines keep to the layers of docs/design.md? Each violation is one line on
# standard output; exit 1 if there are any.
set -eu
root=${1:-$(dirname "$0")/../..}
cd "$root"
mapfile -t files < <(find include runtime tensor actors simulate tools examples -name '*.[ch]' 2>/dev/null | sort)
[ ${#files[@]} -gt 0 ] || { echo "no files in $root"; exit 1; }

awk '
# Which paths of ours a file may include, by its folder: a regular expression over the included path.
function ours_allowed(file,    part, actor) {
    if (file ~ /^include\//) return "^fettle/"
    if (file ~ /^runtime\/base\//) return "^(fettle|runtime/base)/"
    if (file ~ /^runtime\/kernel\//) return "^(fettle|runtime/(base|kernel))/"
    if (file ~ /^runtime\/(compose|supervise|bridge)\//) {
        split(file, part, "/")
        return "^(fettle|runtime/(base|kernel|" part[2] "))/"
    }
    if (file ~ /^tensor\//) return "^(fettle|runtime|tensor)/"
    if (file ~ /^actors\/port\//) # the one place that names all actors, and hands their keys to compose
        return "^((fettle|runtime|tensor|actors/port)/|actors/([a-z_]+)/(settings|[a-z_]+)[.]h$)"
    if (file ~ /^actors\//) {
        split(file, part, "/")
        return "^((fettle|runtime|tensor|actors/" part[2] ")/|actors/([a-z_]+)/[a-z_]+[.]h$)"
    }
    if (file ~ /^simulate\//) # plays a whole program: it sees all of the library
        return "^(fettle|runtime|tensor|actors|simulate)/"
    if (file == "tools/simulate.c") # a command like the others, through the one door of the simulation
        return "^(fettle/|tools/|simulate/simulate[.]h$)"
    if (file ~ /^tools\//) # the topology with the keys of all actors is read behind one door; leaks have one text everywhere
        return "^((fettle|tools|runtime/(compose|bridge))/|actors/port/topology[.]h$|actors/leak_detection/text[.]h$)"
    if (file ~ /^examples\/demo\//) return "^(fettle|examples/demo)/"
    if (file ~ /^examples\//) return "^fettle/"
    return "^$"
}
# Who may include a foreign or system header.
function foreign_allowed(file, header) {
    if (header ~ /^yaml[.]h$/) return file ~ /^runtime\/compose\//
    if (header ~ /^zmq/) return file ~ /^runtime\/bridge\//
    if (header ~ /^(zstd|elfutils\/|gelf|dwarf)/) return file ~ /^tools\//
    if (header ~ /^ck_/) return file ~ /^runtime\/(base|kernel)\//
    if (header ~ /^stdatomic[.]h$/) return file ~ /^(tools|examples)\//
    if (header ~ /^pthread[.]h$/) # the port stands where the threads of the caller come in; the bridge binds apart
        return file ~ /^(runtime\/(base|bridge)|actors\/port|tools|examples)\//
    if (header ~ /^sched[.]h$/) return file ~ /^(runtime\/(base|bridge)|tools|examples)\//
    if (header ~ /^(sys\/(mman|syscall|resource|eventfd|sysinfo)|linux\/.*)[.]h$/)
        return file ~ /^(runtime\/base|tools|examples)\//
    if (header ~ /^sys\/socket[.]h$/) return file ~ /^runtime\/bridge\//
    return 1
}
function violation(what) { printf "%s:%d: %s\n", FILENAME, FNR, what; bad++ }
FNR == 1 { comment = 0 }
/^[ \t]*#[ \t]*include/ {
    match($0, /[<"][^>"]*[>"]/)
    path = substr($0, RSTART + 1, RLENGTH - 2)
    is_ours = path ~ /^(fettle|runtime|tensor|actors|simulate|tools|examples|bench|tests)\//
    if (is_ours && path !~ ours_allowed(FILENAME))
        violation("may not include " path)
    else if (is_ours && FILENAME ~ /^actors\// && path ~ /^actors\//) {
        split(FILENAME, mine, "/"); split(path, theirs, "/")
        if (mine[2] != theirs[2] && theirs[3] != theirs[2] ".h" && !(mine[2] == "port" && theirs[3] == "settings.h"))
            violation("may include only " theirs[2] ".h of that actor, not " path)
    } else if (!is_ours && substr($0, RSTART, 1) == "\"")
        violation("is not relative to the root of the repository: " path)
    else if (!is_ours && !foreign_allowed(FILENAME, path))
        violation("is not the layer that knows " path)
    next
}
{ # The rest is looked at without its comments; a comment opened and closed on one line, or over several.
    line = $0
    if (comment) { if (!sub(/^.*\*\//, "", line)) next; comment = 0 }
    gsub(/\/\*([^*]|\*+[^*\/])*\*+\//, "", line)
    if (sub(/\/\*.*$/, "", line)) comment = 1
}
FILENAME ~ /^runtime\// && line ~ /"(allocation|cleanup|tracking|defragmentation|leak_detection|telemetry)"/ {
    violation("the runtime names an actor")
}
FILENAME ~ /^(runtime|tensor|actors)\// && FILENAME != "runtime/base/atomics.h" && line ~ /__atomic_|__sync_/ {
    violation("an atomic operation outside runtime/base/atomics.h")
}
FILENAME !~ /^runtime\/(base|kernel)\// && line ~ /(^|[^A-Za-z0-9_])ck_[a-z]+_/ { violation("ck outside its wrappers") }
line ~ /atomic_thread_fence|atomic_signal_fence|ck_pr_fence|__sync_synchronize/ { violation("a standalone fence") }
# The header word changes by compare-and-swap only: an add or an exchange would meet a word of another generation.
FILENAME == "tensor/word.h" && line ~ /fetch_|exchange_|_add_|_or_|_and_/ && line !~ /compare_exchange/ {
    violation("touches a header word other than by CAS")
}
line ~ /(fetch_[a-z]+|exchange)[a-z_]*\([^;]*(->|[.])word[^a-z_]/ && FILENAME ~ /^(tensor|actors)\// &&
    FILENAME !~ /^tensor\/scope/ { # a scope has a word of its own, with other laws
    violation("touches a header word other than by CAS")
}
END { if (bad) { printf "%d violations\n", bad; exit 1 } }
' "${files[@]}"
echo "${#files[@]} files keep to their layers"
