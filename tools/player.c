#include "tools/player.h"

#include "tools/measure.h"
#include "tools/pages.h"

#include <errno.h>
#include <inttypes.h>
#include <linux/futex.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { SPINS = 200, PAGE = 4096 };

/* A slot is 0 until its tensor is made; then its tensor; between the two, if the dropper came first, WAITED_FOR with the
 * dropper's number above, which is no tensor: the maker's exchange finds it and wakes that player. */
enum { WAITED_FOR = 1, PLAYER_SHIFT = 8 };

struct player {
    struct ftli_players *all;
    uint32_t index;
    uint32_t timed_in; /* events until the next that is timed */
    uint64_t random;
    pthread_t thread;
    struct ftli_latency create, drop;
};

struct ftli_players {
    const struct ftli_plan *plan;
    struct ftli_player_cell *cells;
    _Atomic uint64_t *slots;
    size_t slots_bytes, mapped_bytes;
    const struct ftli_target *target;
    struct ftli_play_options options;
    uint64_t clock_cost_ns, begin_ns;
    pthread_barrier_t start;
    _Atomic uint32_t failed; /* 1: a player failed, and wrote why */
    char why[256];
    struct player players[];
};

static void futex_wait(_Atomic uint32_t *word, uint32_t value)
{
    syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, value, NULL, NULL, 0);
}

static void futex_wake(_Atomic uint32_t *word)
{
    syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

static void unpark(struct ftli_player_cell *cell)
{
    atomic_store_explicit(&cell->parked, 0, memory_order_seq_cst); /* pairs: player-parked */
    futex_wake(&cell->parked);
}

/* The first failure is kept; everybody who sleeps, or is about to, wakes and sees it. */
static void fail(struct player *player, const char *what, const struct ftli_step *step)
{
    struct ftli_players *all = player->all;
    uint32_t none = 0;
    if (atomic_compare_exchange_strong_explicit(&all->failed, &none, 1, memory_order_seq_cst,
                                                memory_order_seq_cst)) { /* pairs: player-failed */
        char reason[128] = "";
        all->target->explain(all->target->self, reason, sizeof reason);
        snprintf(all->why, sizeof all->why, "%s of %" PRIu64 " bytes failed: %s", what, step->bytes, reason);
        for (uint32_t i = 0; i < all->plan->player_count; i++) {
            unpark(&all->cells[i]);
        }
    }
}

static bool failed(struct ftli_players *all)
{
    return atomic_load_explicit(&all->failed, memory_order_relaxed) != 0;
}

/* The tensor of a slot that another player fills; 0 if the play failed meanwhile. */
static uint64_t wait_for(struct player *player, _Atomic uint64_t *slot)
{
    for (int spin = 0; spin < SPINS; spin++) {
        uint64_t tensor = atomic_load_explicit(slot, memory_order_acquire); /* pairs: player-slot */
        if (tensor != 0) {
            return tensor;
        }
        __builtin_ia32_pause();
    }
    struct ftli_player_cell *cell = &player->all->cells[player->index];
    atomic_store_explicit(&cell->waits, cell->waits + 1, memory_order_relaxed);
    atomic_store_explicit(&cell->parked, 1, memory_order_seq_cst); /* pairs: player-parked */
    uint64_t tensor = 0;
    uint64_t wanted = WAITED_FOR | (uint64_t)player->index << PLAYER_SHIFT;
    if (!atomic_compare_exchange_strong_explicit(slot, &tensor, wanted, memory_order_acq_rel,
                                                 memory_order_acquire)) { /* pairs: player-slot */
        return tensor;
    }
    /* `parked` was set before `failed` is looked at, and who fails sets it the other way round: one of the two sees it. */
    while (atomic_load_explicit(&player->all->failed, memory_order_seq_cst) == 0 && /* pairs: player-failed */
           atomic_load_explicit(&cell->parked, memory_order_seq_cst) == 1) {        /* pairs: player-parked */
        futex_wait(&cell->parked, 1);
    }
    tensor = atomic_load_explicit(slot, memory_order_acquire); /* pairs: player-slot */
    return tensor == wanted ? 0 : tensor;
}

static void publish(struct player *player, _Atomic uint64_t *slot, uint64_t tensor, bool crosses)
{
    if (!crosses) {
        atomic_store_explicit(slot, tensor, memory_order_relaxed);
        return;
    }
    uint64_t before = atomic_exchange_explicit(slot, tensor, memory_order_acq_rel); /* pairs: player-slot */
    if (before != 0) {
        unpark(&player->all->cells[before >> PLAYER_SHIFT]);
    }
}

static void write_to(char *data, uint64_t bytes, bool fill)
{
    if (fill) {
        memset(data, 0x5a, bytes);
        return;
    }
    volatile char *at = data;
    *at = 0x5a;
    for (uintptr_t page = ((uintptr_t)data | (PAGE - 1)) + 1; page < (uintptr_t)data + bytes; page += PAGE) {
        at[page - (uintptr_t)data] = 0x5a;
    }
}

/* One event in `time_one_in`, at random distances, so that no rhythm of the trace hides from it. */
static bool is_timed(struct player *player)
{
    uint32_t one_in = player->all->options.time_one_in;
    if (one_in == 0 || --player->timed_in != 0) {
        return false;
    }
    player->random ^= player->random << 13;
    player->random ^= player->random >> 7;
    player->random ^= player->random << 17;
    player->timed_in = 1 + (uint32_t)(player->random % (2 * one_in - 1));
    return true;
}

static uint64_t since(const struct player *player, uint64_t begin_ns)
{
    uint64_t took = ftli_measure_now_ns() - begin_ns;
    return took > player->all->clock_cost_ns ? took - player->all->clock_cost_ns : 0;
}

static bool play_create(struct player *player, const struct ftli_step *step)
{
    struct ftli_players *all = player->all;
    const struct ftli_target *target = all->target;
    uint64_t tensor;
    if (is_timed(player)) {
        uint64_t begin_ns = ftli_measure_now_ns();
        tensor = target->create(target->self, step->bytes, UINT64_C(1) << step->align_log2);
        ftli_latency_add(&player->create, since(player, begin_ns));
    } else {
        tensor = target->create(target->self, step->bytes, UINT64_C(1) << step->align_log2);
    }
    void *data = tensor == 0 ? NULL : target->data(target->self, tensor);
    if (data == NULL) {
        fail(player, "an allocation", step);
        return false;
    }
    write_to(data, step->bytes, all->options.fill);
    publish(player, &all->slots[step->slot], tensor, step->crosses);
    struct ftli_player_cell *cell = &all->cells[player->index];
    atomic_store_explicit(&cell->made_bytes, cell->made_bytes + step->bytes, memory_order_relaxed);
    return true;
}

static bool play_drop(struct player *player, const struct ftli_step *step)
{
    struct ftli_players *all = player->all;
    const struct ftli_target *target = all->target;
    _Atomic uint64_t *slot = &all->slots[step->slot];
    uint64_t tensor = step->crosses ? wait_for(player, slot) : atomic_load_explicit(slot, memory_order_relaxed);
    if (tensor == 0) {
        return false;
    }
    atomic_store_explicit(slot, 0, memory_order_relaxed);
    bool dropped;
    if (is_timed(player)) {
        uint64_t begin_ns = ftli_measure_now_ns();
        dropped = target->drop(target->self, tensor);
        ftli_latency_add(&player->drop, since(player, begin_ns));
    } else {
        dropped = target->drop(target->self, tensor);
    }
    if (!dropped) {
        fail(player, "a drop", step);
        return false;
    }
    struct ftli_player_cell *cell = &all->cells[player->index];
    atomic_store_explicit(&cell->dropped_bytes, cell->dropped_bytes + step->bytes, memory_order_relaxed);
    return true;
}

static void wait_until(uint64_t time_ns)
{
    struct timespec until = {.tv_sec = (time_t)(time_ns / 1000000000u), .tv_nsec = (long)(time_ns % 1000000000u)};
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) == EINTR) {
    }
}

static void *player_main(void *user)
{
    struct player *player = user;
    struct ftli_players *all = player->all;
    const struct ftli_steps *mine = &all->plan->players[player->index];
    struct ftli_player_cell *cell = &all->cells[player->index];
    pthread_barrier_wait(&all->start);
    for (uint32_t i = 0; i < mine->count && !failed(all); i++) {
        const struct ftli_step *step = &mine->steps[i];
        if (all->options.real_speed) {
            wait_until(all->begin_ns + step->time_ns);
        }
        if (!(step->is_free ? play_drop(player, step) : play_create(player, step))) {
            break;
        }
        atomic_store_explicit(&cell->steps_done, (uint64_t)i + 1, memory_order_relaxed);
    }
    return NULL;
}

struct ftli_players *ftli_players_prepare(const struct ftli_plan *plan, struct ftli_player_cell *cells)
{
    size_t mapped_bytes = sizeof(struct ftli_players) + plan->player_count * sizeof(struct player);
    struct ftli_players *all = ftli_pages_map(mapped_bytes);
    size_t slots_bytes = plan->slot_count * sizeof *all->slots;
    void *slots = ftli_pages_map(slots_bytes);
    if (all == NULL || slots == NULL) {
        ftli_pages_unmap(all, mapped_bytes);
        ftli_pages_unmap(slots, slots_bytes);
        return NULL;
    }
    memset(slots, 0, slots_bytes); /* their pages are there before memory is measured */
    memset(all, 0, mapped_bytes);
    all->plan = plan;
    all->cells = cells;
    all->slots = slots;
    all->slots_bytes = slots_bytes;
    all->mapped_bytes = mapped_bytes;
    for (uint32_t i = 0; i < plan->player_count; i++) {
        all->players[i].all = all;
        all->players[i].index = i;
        all->players[i].timed_in = 1;
        all->players[i].random = 0x9e3779b97f4a7c15u + i;
    }
    return all;
}

static void add_up(struct ftli_players *all, uint64_t wall_ns, struct ftli_played *out)
{
    struct ftli_played played = {.wall_ns = wall_ns};
    struct ftli_latency *create = &all->players[0].create, *drop = &all->players[0].drop;
    for (uint32_t i = 0; i < all->plan->player_count; i++) {
        played.waits += atomic_load_explicit(&all->cells[i].waits, memory_order_relaxed);
        if (i > 0) {
            ftli_latency_merge(create, &all->players[i].create);
            ftli_latency_merge(drop, &all->players[i].drop);
        }
    }
    played.create = ftli_latency_summarise(create);
    played.drop = ftli_latency_summarise(drop);
    *out = played;
}

int ftli_players_play(struct ftli_players *all, const struct ftli_target *target,
                      const struct ftli_play_options *options, struct ftli_played *out, char *why, size_t why_size)
{
    uint32_t started = 0;
    all->target = target;
    all->options = *options;
    all->clock_cost_ns = ftli_measure_clock_cost_ns();
    pthread_barrier_init(&all->start, NULL, all->plan->player_count + 1);
    while (started < all->plan->player_count &&
           pthread_create(&all->players[started].thread, NULL, player_main, &all->players[started]) == 0) {
        started++;
    }
    if (started < all->plan->player_count) {
        /* Those that did start wait at the barrier for ever: the caller ends the process. */
        snprintf(why, why_size, "only %u of %u threads could be started", started, all->plan->player_count);
        return -1;
    }
    all->begin_ns = ftli_measure_now_ns();
    pthread_barrier_wait(&all->start);
    for (uint32_t i = 0; i < started; i++) {
        pthread_join(all->players[i].thread, NULL);
    }
    uint64_t wall_ns = ftli_measure_now_ns() - all->begin_ns;
    pthread_barrier_destroy(&all->start);
    if (failed(all)) {
        snprintf(why, why_size, "%s", all->why);
        return -1;
    }
    add_up(all, wall_ns, out);
    return 0;
}

void ftli_players_drop_rest(struct ftli_players *all, const struct ftli_target *target)
{
    for (uint32_t i = 0; i < all->plan->slot_count; i++) {
        uint64_t tensor = atomic_exchange_explicit(&all->slots[i], 0, memory_order_relaxed);
        if (tensor != 0) {
            target->drop(target->self, tensor);
        }
    }
}

void ftli_players_unprepare(struct ftli_players *all)
{
    ftli_pages_unmap(all->slots, all->slots_bytes);
    ftli_pages_unmap(all, all->mapped_bytes);
}
