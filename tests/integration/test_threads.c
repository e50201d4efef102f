/* Random operations of several threads over the whole interface, against a simple model.
 *
 * Model     A table of cells. A cell holds a handle and how many references the model owns on it; whoever works with a cell
 *           holds its lock, so that every answer is known beforehand. Handles that were given up are kept as stale ones, and
 *           must be refused for ever. Contents are a pattern of the cell's own number, which is checked at every look.
 * Sums      A watcher reads ftl_stats all the while; every snapshot must keep the laws. At the end everything is dropped, and
 *           the audit of the table, the heaps and the counters must say good.
 */
#include <stdlib.h>

#include "actors/port/runtime.h"
#include "tests/support/laws.h"

enum { CELLS = 400, THREADS = 6, STALE = 8, LINKS_MOST = 3 };

struct cell {
    pthread_mutex_t lock;
    ftl_tensor tensor;    /* {0}: empty */
    unsigned references;  /* that the model owns */
    unsigned pins;        /* that the model has out */
    unsigned char *first; /* where the first pin found it */
    size_t bytes;
    unsigned char pattern;
    ftl_scope scope; /* it is a member of; {0}: of none */
    bool is_view, has_children;
    bool is_held; /* by a view, or by a scope that is about to end: it may outlive the model's references */
    uint64_t tag;
};

struct world {
    ftl_runtime *runtime;
    struct cell cells[CELLS];
    atomic_bool over;
    atomic_ulong made, finalized, with_finalizer, operations;
    unsigned rounds;
    uint64_t thread_cache_bytes;
};

struct actor {
    struct world *world;
    uint64_t random;
    ftl_tensor stale[STALE];
    ftl_scope scope; /* this thread's own */
    unsigned in_scope;
};

static int finalizer(ftl_tensor tensor, void *data, size_t bytes, void *user)
{
    const unsigned char *byte = data;
    EXPECT(!ftl_tensor_alive(tensor) && ftl_tensor_retain(tensor) == FTL_ESTALE);
    EXPECT(bytes == 0 || byte[0] == byte[bytes - 1]);
    atomic_fetch_add((atomic_ulong *)user, 1);
    return 0;
}

static size_t random_bytes(uint64_t *random)
{
    switch (laws_random(random) % 16) {
    case 0:
        return 0;
    case 1:
        return (size_t)1 << 20;
    case 2:
    case 3:
        return 32768 + laws_random(random) % 300000;
    case 4:
    case 5:
        return 4096 + laws_random(random) % 28000;
    default:
        return 1 + laws_random(random) % 2000;
    }
}

static void write_pattern(const struct cell *cell, unsigned char *data)
{
    if (cell->bytes == 0)
        return;
    memset(data, cell->pattern, cell->bytes < 256 ? cell->bytes : 256);
    for (size_t at = 0; at < cell->bytes; at += 4096)
        data[at] = cell->pattern;
    data[cell->bytes - 1] = cell->pattern;
}

static bool has_pattern(const struct cell *cell, const unsigned char *data)
{
    bool good = true;
    if (cell->bytes == 0)
        return true;
    for (size_t at = 0; at < cell->bytes && at < 256; at++)
        good &= data[at] == cell->pattern;
    for (size_t at = 0; at < cell->bytes; at += 4096)
        good &= data[at] == cell->pattern;
    return good && data[cell->bytes - 1] == cell->pattern;
}

/* ---- the operations; the cell's lock is held --------------------------------------------------------------------------- */

static void make(struct actor *actor, struct cell *cell)
{
    struct world *world = actor->world;
    ftl_tensor_options options = {0};
    uint64_t dice = laws_random(&actor->random) % 8;
    cell->bytes = random_bytes(&actor->random);
    cell->pattern = (unsigned char)(laws_random(&actor->random) | 1);
    cell->tag = dice < 4 ? laws_random(&actor->random) : 0;
    options.tag = cell->tag;
    options.label = dice < 2 ? "random" : NULL;
    options.zero = dice == 3;
    options.alignment = dice == 4 ? (size_t)64 << (laws_random(&actor->random) % 8) : 0;
    cell->scope = dice == 5 ? actor->scope : (ftl_scope){0};
    options.scope = cell->scope;
    if (dice == 6) {
        options.finalizer = finalizer;
        options.finalizer_user = &world->finalized;
    }
    ftl_tensor tensor = {0};
    int status = ftl_bytes_new(world->runtime, cell->bytes, dice == 7 ? NULL : &options, &tensor);
    if (dice == 7)
        cell->tag = 0;
    if (!EXPECT(status == FTL_OK))
        return;
    atomic_fetch_add(&world->made, 1);
    atomic_fetch_add(&world->with_finalizer, options.finalizer != NULL);
    unsigned char *data = ftl_tensor_data(tensor);
    if (EXPECT(data != NULL)) {
        for (size_t at = 0; options.zero && at < cell->bytes; at += 64)
            EXPECT(data[at] == 0);
        EXPECT(options.alignment == 0 || (uintptr_t)data % options.alignment == 0);
        write_pattern(cell, data);
    }
    actor->in_scope += cell->scope.id != 0;
    cell->tensor = tensor;
    cell->references = 1;
    cell->pins = 0;
    cell->is_view = false;
    cell->has_children = false;
    cell->is_held = false;
}

static void give_back_pins(struct cell *cell)
{
    for (; cell->pins > 0; cell->pins--) {
        EXPECT(has_pattern(cell, cell->first));
        ftl_tensor_unpin(cell->tensor);
    }
}

static void drop(struct actor *actor, struct cell *cell)
{
    bool last = cell->references == 1;
    EXPECT(ftl_tensor_drop(cell->tensor) == FTL_OK);
    cell->references--;
    if (!last) {
        EXPECT(ftl_tensor_alive(cell->tensor));
        return;
    }
    if (!cell->is_held) {
        EXPECT(!ftl_tensor_alive(cell->tensor));
        EXPECT(ftl_tensor_retain(cell->tensor) == FTL_ESTALE);
        if (cell->pins == 0)
            actor->stale[laws_random(&actor->random) % STALE] = cell->tensor;
    }
    give_back_pins(cell); /* dropped and pinned: readable until here */
    cell->tensor.id = 0;
}

static void look(const struct cell *cell)
{
    ftl_tensor_description d;
    const unsigned char *data = ftl_tensor_data(cell->tensor);
    if (!EXPECT(data != NULL && has_pattern(cell, data)))
        fprintf(stderr, "%s tensor %llx of %zu bytes, references %u pins %u scope %llx%s%s: %s\n",
                ftl_tensor_alive(cell->tensor) ? "live" : "dead", (unsigned long long)cell->tensor.id, cell->bytes,
                cell->references, cell->pins, (unsigned long long)cell->scope.id, cell->is_view ? " view" : "",
                cell->is_held ? " held" : "", ftl_last_error());
    EXPECT(ftl_tensor_alive(cell->tensor) && ftl_tensor_bytes(cell->tensor) == cell->bytes);
    if (!EXPECT(ftl_tensor_describe(cell->tensor, &d) == FTL_OK))
        return;
    EXPECT(d.bytes == cell->bytes && d.tag == cell->tag && d.ndim == 1 && (size_t)d.shape[0] == cell->bytes);
    EXPECT(d.references >= cell->references);
    EXPECT(d.pins >= cell->pins);
    EXPECT(((d.flags & FTL_VIEW) != 0) == cell->is_view);
}

static void pin(struct cell *cell)
{
    unsigned char *data = ftl_tensor_pin(cell->tensor);
    if (!EXPECT(data != NULL))
        return;
    EXPECT(has_pattern(cell, data));
    EXPECT(cell->pins == 0 || data == cell->first);
    cell->first = data;
    cell->pins++;
}

static void unpin(struct cell *cell)
{
    EXPECT(has_pattern(cell, cell->first));
    ftl_tensor_unpin(cell->tensor);
    cell->pins--;
}

/* The two cells are locked in the order of their places. `other` is empty. */
static void make_view(struct actor *actor, struct cell *base, struct cell *other)
{
    int64_t from =
        base->bytes == 0 ? 0 : (int64_t)(laws_random(&actor->random) % (base->bytes < 256 ? base->bytes : 256));
    int64_t shape = base->bytes == 0 ? 0 : 1 + (int64_t)(laws_random(&actor->random) % (uint64_t)(256 - from));
    if (from + shape > (int64_t)base->bytes)
        shape = (int64_t)base->bytes - from;
    other->bytes = (size_t)shape;
    other->pattern = base->pattern;
    other->references = 1;
    other->pins = 0;
    other->is_view = true;
    other->has_children = false;
    other->is_held = false;
    other->scope.id = 0;
    other->tag = 0;
    base->is_held = true; /* from now on, since the view may be anybody's */
    if (EXPECT(ftl_tensor_view(base->tensor, from, 1, &shape, NULL, &other->tensor) == FTL_OK))
        atomic_fetch_add(&actor->world->made, 1);
}

static void link(struct actor *actor, struct cell *parent, struct cell *child)
{
    (void)actor;
    EXPECT(ftl_tensor_link(parent->tensor, child->tensor) == FTL_OK);
    EXPECT(ftl_tensor_unlink(parent->tensor, child->tensor) == FTL_OK);
    EXPECT(ftl_tensor_unlink(parent->tensor, child->tensor) == FTL_EINVAL);
}

/* The parent's link is the child's only reference after it: it dies with the parent. */
static void hand_over(struct actor *actor, struct cell *parent, struct cell *child)
{
    if (child->references != 1 || child->pins != 0 || child->scope.id != 0 || child->is_view || child->has_children)
        return; /* only a leaf, so that no ring comes about */
    parent->has_children = true;
    EXPECT(ftl_tensor_link(parent->tensor, child->tensor) == FTL_OK);
    EXPECT(ftl_tensor_drop(child->tensor) == FTL_OK);
    EXPECT(ftl_tensor_alive(child->tensor));
    (void)actor;
    child->tensor.id = 0;
}

/* ---- scopes ------------------------------------------------------------------------------------------------------------ */

/* Members are this thread's; other threads may have dropped or retained them, so they are all taken out first. */
static void change_scope(struct actor *actor)
{
    struct world *world = actor->world;
    for (unsigned i = 0; i < CELLS && actor->in_scope > 0; i++) {
        struct cell *cell = &world->cells[i];
        (void)pthread_mutex_lock(&cell->lock);
        if (cell->tensor.id != 0 && cell->scope.id == actor->scope.id) {
            if (laws_random(&actor->random) % 2 == 0) {
                EXPECT(ftl_scope_keep(actor->scope, cell->tensor) == FTL_OK);
                EXPECT(ftl_scope_keep(actor->scope, cell->tensor) == FTL_ESTALE);
                cell->scope.id = 0;
            } else { /* the scope's end gives up the creator's reference; the model has one more for itself */
                EXPECT(ftl_tensor_retain(cell->tensor) == FTL_OK);
                cell->is_held = true;
            }
        }
        (void)pthread_mutex_unlock(&cell->lock);
    }
    EXPECT(ftl_scope_end(actor->scope, NULL) == FTL_OK);
    EXPECT(ftl_scope_end(actor->scope, NULL) == FTL_ESTALE);
    for (unsigned i = 0; i < CELLS; i++) { /* the model's own references kept them alive */
        struct cell *cell = &world->cells[i];
        (void)pthread_mutex_lock(&cell->lock);
        if (cell->tensor.id != 0 && cell->scope.id == actor->scope.id) {
            EXPECT(ftl_tensor_alive(cell->tensor));
            cell->scope.id = 0;
        }
        (void)pthread_mutex_unlock(&cell->lock);
    }
    actor->in_scope = 0;
    EXPECT(ftl_scope_begin(world->runtime, "thread", &actor->scope) == FTL_OK);
}

/* ---- the threads ------------------------------------------------------------------------------------------------------- */

static void touch_one(struct actor *actor, struct cell *cell)
{
    if (cell->tensor.id == 0) {
        make(actor, cell);
        return;
    }
    switch (laws_random(&actor->random) % 10) {
    case 0:
        EXPECT(ftl_tensor_retain(cell->tensor) == FTL_OK);
        cell->references++;
        break;
    case 1:
    case 2:
        look(cell);
        break;
    case 3:
        pin(cell);
        break;
    case 4:
        if (cell->pins > 0)
            unpin(cell);
        break;
    default:
        drop(actor, cell);
    }
}

static void touch_two(struct actor *actor, unsigned i, unsigned k)
{
    struct cell *low = &actor->world->cells[i < k ? i : k], *high = &actor->world->cells[i < k ? k : i];
    if (low == high)
        return;
    (void)pthread_mutex_lock(&low->lock);
    (void)pthread_mutex_lock(&high->lock);
    if (low->tensor.id != 0 && high->tensor.id == 0 && low->scope.id == 0)
        make_view(actor, low, high); /* of no member: the end gives up one reference, whoever's is left */
    else if (high->tensor.id == 0)
        ;
    else if (low->tensor.id != 0 && laws_random(&actor->random) % 2 == 0)
        link(actor, low, high);
    else if (low->tensor.id != 0)
        hand_over(actor, low, high);
    (void)pthread_mutex_unlock(&high->lock);
    (void)pthread_mutex_unlock(&low->lock);
}

static void *acts(void *argument)
{
    struct actor *actor = argument;
    struct world *world = actor->world;
    EXPECT(ftl_scope_begin(world->runtime, "thread", &actor->scope) == FTL_OK);
    for (unsigned round = 0; round < world->rounds && atomic_load(&laws_failed_line) == 0; round++) {
        unsigned i = (unsigned)laws_random(&actor->random) % CELLS, k = (unsigned)laws_random(&actor->random) % CELLS;
        uint64_t dice = laws_random(&actor->random) % 1000;
        atomic_fetch_add(&world->operations, 1);
        if (dice == 0) {
            change_scope(actor);
        } else if (dice < 4) {
            int status = ftl_runtime_drain(world->runtime, 1000000);
            EXPECT(status == FTL_OK || status == FTL_ETIMEDOUT);
        } else if (dice < 100) {
            touch_two(actor, i, k);
        } else if (dice < 150) {
            ftl_tensor stale = actor->stale[dice % STALE];
            EXPECT(stale.id == 0 || (!ftl_tensor_alive(stale) && ftl_tensor_drop(stale) == FTL_ESTALE &&
                                     ftl_tensor_pin(stale) == NULL && ftl_tensor_retain(stale) == FTL_ESTALE));
        } else {
            (void)pthread_mutex_lock(&world->cells[i].lock);
            touch_one(actor, &world->cells[i]);
            (void)pthread_mutex_unlock(&world->cells[i].lock);
        }
    }
    return NULL;
}

static void *watches(void *argument)
{
    struct world *world = argument;
    uint64_t created = 0, reclaimed = 0;
    while (!atomic_load(&world->over)) {
        ftl_stats s = laws_stats(world->runtime);
        EXPECT(s.created >= created && s.reclaimed >= reclaimed); /* they only grow */
        EXPECT(s.held_bytes <=
               (THREADS + 2) * world->thread_cache_bytes); /* law 6, with ports of the finalizers' workers */
        created = s.created;
        reclaimed = s.reclaimed;
        sched_yield();
    }
    return NULL;
}

static void empty_all(struct world *world, struct actor *actors)
{
    for (unsigned i = 0; i < CELLS; i++) {
        struct cell *cell = &world->cells[i];
        while (cell->tensor.id != 0) {
            give_back_pins(cell);
            look(cell);
            drop(&actors[0], cell);
        }
    }
    for (unsigned i = 0; i < THREADS; i++)
        cr_assert_eq(ftl_scope_end(actors[i].scope, NULL), FTL_OK);
}

static void run(const char *overrides, uint64_t seed, unsigned rounds)
{
    struct world *world = calloc(1, sizeof *world);
    struct actor actors[THREADS];
    pthread_t threads[THREADS + 1];
    memset(actors, 0, sizeof actors);
    world->runtime = laws_open(overrides);
    world->rounds = rounds;
    world->thread_cache_bytes = world->runtime->allocation_settings->thread_cache_bytes;
    for (unsigned i = 0; i < CELLS; i++)
        (void)pthread_mutex_init(&world->cells[i].lock, NULL);
    for (unsigned i = 0; i < THREADS; i++) {
        actors[i].world = world;
        actors[i].random = (seed + i) * 0x9e3779b97f4a7c15u | 1;
        cr_assert_eq(pthread_create(&threads[i], NULL, acts, &actors[i]), 0);
    }
    cr_assert_eq(pthread_create(&threads[THREADS], NULL, watches, world), 0);
    for (unsigned i = 0; i < THREADS; i++)
        (void)pthread_join(threads[i], NULL);
    atomic_store(&world->over, true);
    (void)pthread_join(threads[THREADS], NULL);
    expect_nothing_failed();
    empty_all(world, actors);
    laws_settle(world->runtime);
    ftl_stats s = laws_stats(world->runtime);
    laws_print(&s);
    cr_assert_eq(s.created, atomic_load(&world->made));
    cr_assert_eq(s.live, 0, "%llu live", (unsigned long long)s.live);
    cr_assert_eq(s.reclaimed, s.created);
    cr_assert_eq(s.unpins_without_pin, 0);
    cr_assert_eq(atomic_load(&world->finalized), atomic_load(&world->with_finalizer));
    cr_assert_eq(s.live_bytes + s.pending_bytes + s.slack_bytes, 0);
    laws_close(world->runtime);
    free(world);
}

#define ROUNDS (LAWS_SANITIZED ? 4000u : 60000u)

Test(threads, by_default)
{
    run(NULL, 1, ROUNDS);
}

Test(threads, every_check_and_every_tensor_tracked)
{
    run("actors.tracking.level: debug\nactors.cleanup.policy: message\n", 2, ROUNDS / 2);
}

Test(threads, small_caches_and_one_shard)
{
    run("actors.allocation.thread_cache: 4KiB\nactors.allocation.magazine: 2\nactors.allocation.shards: 1\n", 3,
        ROUNDS);
}

Test(threads, without_threads_of_ours)
{
    run("threads.service.count: 0\nthreads.finalizers.count: 0\nthreads.background.count: 0\n", 4, ROUNDS / 2);
}
