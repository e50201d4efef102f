#!/usr/bin/env bash
# Does layers.sh find what it is there for? One planted violation of each rule, and one tree without any.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
failed=0

# plant FILE LINE...: a tree with this one file; layers.sh must refuse it.
plant() {
    local file=$1
    shift
    rm -rf "${tree:?}"/*
    mkdir -p "$tree/$(dirname "$file")"
    printf '%s\n' "$@" >"$tree/$file"
    if "$here/layers.sh" "$tree" >"$tree/out"; then
        echo "not found: $file: $*"
        failed=1
    elif ! grep -q "^$file:" "$tree/out"; then
        echo "found, but its place is not named: $file: $*"
        failed=1
    fi
}
plant include/fettle/fettle.h '#include "tensor/word.h"'
plant runtime/base/clock.h '#include "runtime/kernel/mailbox.h"'
plant runtime/kernel/mailbox.c '#include "runtime/compose/topology.h"'
plant runtime/kernel/mailbox.c '#include "tensor/word.h"'
plant runtime/bridge/frames.c '#include "runtime/compose/topology.h"'
plant tensor/table.c '#include "actors/port/port.h"'
plant actors/cleanup/cleanup.c '#include "actors/allocation/state.h"'
plant actors/cleanup/cleanup.c '#include "actors/allocation/settings.h"'
plant actors/port/port.c '#include "actors/allocation/state.h"'
plant actors/tracking/tracking.c '#include "tools/trace.h"'
plant tools/main.c '#include "runtime/kernel/mailbox.h"'
plant tools/replay.c '#include "simulate/simulate.h"'
plant tools/simulate.c '#include "simulate/world.h"'
plant actors/port/port.c '#include "simulate/simulate.h"'
plant simulate/world.c '#include "tools/text.h"'
plant examples/server.c '#include "tensor/word.h"'
plant tensor/table.c '#include "word.h"'
plant actors/port/port.c '#include <yaml.h>'
plant actors/telemetry/telemetry.c '#include <zmq.h>'
plant runtime/base/file.c '#include <zstd.h>'
plant tensor/table.c '#include <ck_stack.h>'
plant tensor/table.c '#include <stdatomic.h>'
plant actors/cleanup/cleanup.c '#include <pthread.h>'
plant runtime/kernel/actor.c 'static const char *first = "cleanup";'
plant tensor/table.c 'x = __atomic_load_n(&y, __ATOMIC_RELAXED);'
plant tensor/table.c 'ck_pr_add_64(&count, 1);'
plant runtime/base/atomics.h '__atomic_thread_fence(__ATOMIC_SEQ_CST);'
plant tensor/word.h 'ftli_u64_exchange_acq_rel(word, 0);'
plant tensor/word.h '/* fine */ ftli_u64_fetch_add_relaxed(word, 1); /* not */'
plant actors/port/drop.c 'ftli_u64_fetch_or_relaxed(&header->word, 1);'

# plant_none FILE LINE...: layers.sh must accept it.
plant_none() {
    local file=$1
    shift
    rm -rf "${tree:?}"/*
    mkdir -p "$tree/$(dirname "$file")"
    printf '%s\n' "$@" >"$tree/$file"
    "$here/layers.sh" "$tree" >"$tree/out" || { cat "$tree/out" && failed=1; }
}
plant_none runtime/kernel/mailbox.c '#include <ck_stack.h>' '#include "runtime/base/atomics.h"' \
    '/* "cleanup" and a standalone atomic_thread_fence' '   __atomic_ in a comment */' 'int x;'
plant_none actors/cleanup/cleanup.c '#include "actors/cleanup/state.h"' '#include "actors/allocation/allocation.h"' \
    '#include "tensor/word.h"' '#include "runtime/kernel/actor.h"' '#include <fettle/fettle.h>'
plant_none actors/port/compose.c '#include "actors/allocation/settings.h"' '#include "actors/allocation/allocation.h"'
plant_none simulate/world.c '#include "actors/allocation/shard.h"' '#include "runtime/kernel/simulation.h"' \
    '#include "simulate/world.h"'
plant_none tools/simulate.c '#include "simulate/simulate.h"' '#include "tools/text.h"'
plant_none tensor/table.c 'ftli_stack_take_all(&stack);'
plant_none tensor/word.h 'ftli_u64_cas_acq_rel(word, &expected, desired);'

[ $failed = 0 ] && echo "every planted violation was found, and nothing else"
exit $failed
