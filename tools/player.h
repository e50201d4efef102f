/* Plays a plan's steps on threads against something that makes and drops tensors.
 *
 * What     Each player takes its own steps in order. Before a drop whose tensor another player makes it waits until that
 *          was done: a short spin, then a futex, since players may outnumber the processors. This cannot deadlock, because
 *          the file's order is a schedule in which nobody waits.
 * Owns     The players' cells, slots and histograms: mapped and touched before the first measure is taken.
 * Threads  play() runs the players and returns when all are done. The counters of a cell may be read by anybody, from
 *          another process too if the cells are shared.
 */
#ifndef FTLI_TOOLS_PLAYER_H
#define FTLI_TOOLS_PLAYER_H

#include "tools/latency.h"
#include "tools/plan.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What is played against. All three are called by many threads at once. */
struct ftli_target {
    const char *name;
    void *self;
    uint64_t (*create)(void *self, uint64_t bytes, uint64_t align); /* 0: failed */
    void *(*data)(void *self, uint64_t tensor);
    bool (*drop)(void *self, uint64_t tensor);               /* false: refused */
    void (*explain)(void *self, char *why, size_t why_size); /* of this thread's last failure */
};

struct ftli_play_options {
    bool real_speed;      /* at the recorded times; else as fast as it goes */
    bool fill;            /* write every byte; else one of each 4 KiB page */
    uint32_t time_one_in; /* events whose call is timed; 0: none */
};

/* One a player, in memory that the parent process may share. Written by its player only, except `parked`. */
struct ftli_player_cell {
    _Alignas(64) _Atomic uint64_t steps_done;
    _Atomic uint64_t made_bytes, dropped_bytes;
    _Atomic uint64_t waits;  /* drops that had to wait for another player */
    _Atomic uint32_t parked; /* futex: 1 while its player sleeps */
};

struct ftli_played {
    uint64_t wall_ns;
    struct ftli_latency_summary create, drop;
    uint64_t waits;
};

/* Slots, histograms and threads' places for a plan. NULL: out of memory. cells: plan->player_count of them, zeroed. */
struct ftli_players;
struct ftli_players *ftli_players_prepare(const struct ftli_plan *plan, struct ftli_player_cell *cells);

/* 0, or -1 with the first failure in why; what was made and not dropped stays so. */
int ftli_players_play(struct ftli_players *players, const struct ftli_target *target,
                      const struct ftli_play_options *options, struct ftli_played *out, char *why, size_t why_size);

/* Drops what the trace never freed, on the calling thread. */
void ftli_players_drop_rest(struct ftli_players *players, const struct ftli_target *target);
void ftli_players_unprepare(struct ftli_players *players);

#endif
