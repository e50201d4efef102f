/* Programs that look as if they leaked, and do not. */
#include "tests/leaks/program.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MOST = 4096 };

static ftl_tensor *room(void)
{
    ftl_tensor *tensors = calloc(MOST, sizeof *tensors);
    if (tensors == NULL)
        abort();
    return tensors;
}

static void let_go(ftl_tensor *tensors)
{
    for (unsigned i = 0; i < MOST; i++)
        drop(tensors[i]); /* of the null tensor nothing happens */
    free(tensors);
}

static void warm_up(struct world *w)
{
    ftl_tensor *kept = room();
    unsigned count = 0;
    for (unsigned second = 0; second < 30 * MINUTE; second++) {
        while (count < (unsigned)(600 * (1 - exp(-(double)second / 60))))
            kept[count++] = make(w, (ftl_scope){0}, 4096, "compiled", FTL_HERE);
        serve(w, 4);
        pass(w, 1);
    }
    let_go(kept);
}

static void weights(struct world *w)
{
    ftl_tensor *kept = room();
    for (unsigned i = 0; i < 200; i++) {
        kept[i] = make(w, (ftl_scope){0}, 100000, "weights", FTL_HERE);
        pass(w, 0.4);
    }
    for (unsigned second = 0; second < 30 * MINUTE; second++) {
        serve(w, 4);
        pass(w, 1);
    }
    let_go(kept);
}

static void pool_filled_once(struct world *w)
{
    ftl_tensor *pool = room();
    for (unsigned i = 0; i < 500; i++)
        pool[i] = make(w, (ftl_scope){0}, 8192, "pool", FTL_HERE);
    for (unsigned second = 0; second < 30 * MINUTE; second++) {
        serve(w, 6);
        pass(w, 1);
    }
    let_go(pool);
}

static void pool_grown_on_demand(struct world *w)
{
    ftl_tensor *pool = room();
    for (unsigned second = 0, count = 0; second < 30 * MINUTE; second++) {
        if (count < 120 && second % 2 == 0 && second < 4 * MINUTE)
            pool[count++] = make(w, (ftl_scope){0}, 32768, "buffer", FTL_HERE);
        serve(w, 6);
        pass(w, 1);
    }
    let_go(pool);
}

static void declared_cache(struct world *w)
{
    ftl_scope_options options = {.label = "cache", .kind = FTL_SCOPE_CACHE, .soft_bytes = 64 << 20};
    ftl_scope cache;
    if (ftl_scope_open(w->runtime, &options, &cache) != FTL_OK)
        abort();
    for (unsigned second = 0; second < 30 * MINUTE; second++) {
        (void)make(w, cache, 16384, "entry", FTL_HERE);
        pass(w, 1);
    }
    end(cache);
}

/* It is full after two minutes; some of its entries are used always, and are as old as the program. */
static void least_recently_used(struct world *w)
{
    ftl_tensor *cache = room();
    for (unsigned second = 0; second < 30 * MINUTE; second++) {
        for (unsigned i = 0; i < 4; i++) {
            unsigned place = second < 120 ? (4 * second + i) % 400 : 20 + pick(w, 380); /* twenty are hot */
            drop(cache[place]);
            cache[place] = make(w, (ftl_scope){0}, 2048, "lru", FTL_HERE);
        }
        pass(w, 1);
    }
    let_go(cache);
}

static void sessions_that_stay(struct world *w)
{
    ftl_scope sessions[60];
    for (unsigned i = 0; i < 60; i++) {
        sessions[i] = begin(w, "session");
        (void)make(w, sessions[i], 20000, "kv", FTL_HERE);
    }
    for (unsigned second = 0; second < 40 * MINUTE; second++) {
        serve(w, 3);
        pass(w, 1);
    }
    for (unsigned i = 0; i < 60; i++)
        end(sessions[i]);
}

static void sessions_that_come_and_go(struct world *w)
{
    enum { LONG = 240 };
    ftl_scope sessions[LONG];
    memset(sessions, 0, sizeof sessions);
    for (unsigned second = 0; second < 40 * MINUTE; second++) {
        ftl_scope *session = &sessions[second % LONG]; /* the one of four minutes ago ends */
        if (session->id != 0)
            end(*session);
        *session = begin(w, "session");
        (void)make(w, *session, 9000, "kv", FTL_HERE);
        pass(w, 1);
    }
    for (unsigned i = 0; i < LONG; i++)
        end(sessions[i]);
}

static void bursts(struct world *w)
{
    ftl_tensor *burst = room();
    unsigned count = 0;
    for (unsigned second = 0; second < 30 * MINUTE; second++) {
        if (pick(w, 60) == 0)
            for (unsigned i = 0; i < 300 && count < MOST; i++)
                burst[count++] = make(w, (ftl_scope){0}, 5000, "burst", FTL_HERE);
        for (unsigned i = 0; i < 12 && count > 0; i++) {
            drop(burst[--count]);
            burst[count] = (ftl_tensor){0};
        }
        pass(w, 1);
    }
    let_go(burst);
}

static void batches(struct world *w)
{
    ftl_tensor *batch = room();
    for (unsigned second = 0, count = 0; second < 30 * MINUTE; second++) {
        batch[count++] = make(w, (ftl_scope){0}, 30000, "sample", FTL_HERE);
        if (count == 100)
            for (; count > 0; batch[count] = (ftl_tensor){0})
                drop(batch[--count]);
        pass(w, 1);
    }
    let_go(batch);
}

/* Five minutes of activations, and at the end of it all go at once. */
static void epochs(struct world *w)
{
    for (unsigned epoch = 0; epoch < 8; epoch++) {
        ftl_scope scope = begin(w, "epoch");
        for (unsigned second = 0; second < 5 * MINUTE; second++) {
            (void)make(w, scope, 10000, "gradient", FTL_HERE);
            pass(w, 1);
        }
        end(scope);
    }
}

static void tide(struct world *w)
{
    ftl_tensor *load = room();
    unsigned count = 0;
    for (unsigned second = 0; second < 40 * MINUTE; second++) {
        unsigned wanted = (unsigned)(200 + 150 * sin(second * 6.2831853 / 240)) + pick(w, 10);
        while (count < wanted)
            load[count++] = make(w, (ftl_scope){0}, 3000, "tide", FTL_HERE);
        while (count > wanted) {
            drop(load[--count]);
            load[count] = (ftl_tensor){0};
        }
        pass(w, 1);
    }
    let_go(load);
}

static void load_that_doubles(struct world *w)
{
    ftl_tensor *load = room();
    unsigned count = 0;
    for (unsigned second = 0; second < 40 * MINUTE; second++) {
        unsigned wanted = (second < 15 * MINUTE ? 150 : 300) + pick(w, 30);
        while (count < wanted)
            load[count++] = make(w, (ftl_scope){0}, 3000, "slot", FTL_HERE);
        while (count > wanted) {
            drop(load[--count]);
            load[count] = (ftl_tensor){0};
        }
        pass(w, 1);
    }
    let_go(load);
}

static void wandering(struct world *w)
{
    ftl_tensor *load = room();
    unsigned count = 0, wanted = 500;
    for (unsigned second = 0; second < 40 * MINUTE; second++) {
        int pull = wanted > 500 ? -1 : 1; /* it wanders, and is drawn back */
        wanted = (unsigned)((int)wanted + (int)pick(w, 21) - 10 + pull * (int)pick(w, 3));
        while (count < wanted)
            load[count++] = make(w, (ftl_scope){0}, 3000, "work", FTL_HERE);
        while (count > wanted) {
            drop(load[--count]);
            load[count] = (ftl_tensor){0};
        }
        pass(w, 1);
    }
    let_go(load);
}

static void two_buffers(struct world *w)
{
    ftl_tensor front = make(w, (ftl_scope){0}, 1 << 20, "frame", FTL_HERE);
    for (unsigned second = 0; second < 20 * MINUTE; second++) {
        ftl_tensor back = make(w, (ftl_scope){0}, 1 << 20, "frame", FTL_HERE);
        pass(w, 1);
        drop(front);
        front = back;
    }
    drop(front);
}

static void ring_that_is_held(struct world *w)
{
    ftl_tensor parts[20];
    for (unsigned i = 0; i < 20; i++)
        parts[i] = make(w, (ftl_scope){0}, 3000, "list", FTL_HERE);
    for (unsigned i = 0; i < 20; i++) {
        link_to(parts[i], parts[(i + 1) % 20]);
        link_to(parts[(i + 1) % 20], parts[i]);
    }
    for (unsigned i = 1; i < 20; i++)
        drop(parts[i]); /* the first one holds the list */
    pass(w, 10 * MINUTE);
    for (unsigned i = 0; i < 20; i++) /* unlinked before it is let go */
        if (ftl_tensor_unlink(parts[(i + 1) % 20], parts[i]) != FTL_OK)
            abort();
    if (ftl_tensor_unlink(parts[19], parts[0]) != FTL_OK)
        abort();
    drop(parts[0]);
    pass(w, MINUTE);
}

static void graph_of_each_step(struct world *w)
{
    for (unsigned second = 0; second < 10 * MINUTE; second++) {
        ftl_tensor nodes[12];
        for (unsigned i = 0; i < 12; i++) {
            nodes[i] = make(w, (ftl_scope){0}, 2000, "graph", FTL_HERE);
            for (unsigned j = 0; j < i; j += 1 + pick(w, 4))
                link_to(nodes[i], nodes[j]);
        }
        pass(w, 1);
        for (unsigned i = 0; i < 12; i++)
            drop(nodes[i]);
    }
}

static void pinned_for_long(struct world *w)
{
    ftl_tensor mapped = make(w, (ftl_scope){0}, 1 << 20, "mapped", FTL_HERE);
    if (ftl_tensor_pin(mapped) == NULL)
        abort();
    pass(w, 60 * MINUTE);
    ftl_tensor_unpin(mapped);
    drop(mapped);
}

static void unpinned_in_time(struct world *w)
{
    for (unsigned i = 0; i < 200; i++) {
        ftl_tensor transfer = make(w, (ftl_scope){0}, 50000, "transfer", FTL_HERE);
        if (ftl_tensor_pin(transfer) == NULL)
            abort();
        drop(transfer);
        pass(w, 3 + pick(w, 4));
        ftl_tensor_unpin(transfer);
    }
}

static int done_at_the_fourth(ftl_tensor tensor, void *data, size_t bytes, void *user)
{
    (void)tensor;
    (void)data;
    (void)bytes;
    return ++*(unsigned *)user < 4;
}

static void finalizer_that_takes_four(struct world *w)
{
    static unsigned calls[100];
    memset(calls, 0, sizeof calls);
    for (unsigned i = 0; i < 100; i++) {
        int64_t shape = 1000;
        ftl_tensor_options options = {
            .label = "upload", .site = FTL_HERE, .finalizer = done_at_the_fourth, .finalizer_user = &calls[i]};
        ftl_tensor tensor;
        if (ftl_tensor_new(w->runtime, FTL_U8, 1, &shape, &options, &tensor) != FTL_OK)
            abort();
        drop(tensor);
        pass(w, 1);
    }
}

struct hand_over {
    struct world *w;
    ftl_tensor tensor;
};

static void make_one(void *user)
{
    struct hand_over *over = user;
    over->tensor = make(over->w, (ftl_scope){0}, 40000, "handed", FTL_HERE);
}

static void threads_that_hand_over(struct world *w)
{
    struct hand_over last = {w, {0}};
    for (unsigned i = 0; i < 200; i++) {
        struct hand_over over = {w, {0}};
        on_a_thread(make_one, &over);
        pass(w, 5);
        drop(last.tensor);
        last = over;
    }
    drop(last.tensor);
}

static void results_that_linger(struct world *w)
{
    ftl_tensor results[20] = {{0}};
    for (unsigned second = 0; second < 20 * MINUTE; second++) {
        ftl_scope request = begin(w, "request");
        ftl_tensor result = make(w, request, 7000, "result", FTL_HERE);
        if (ftl_scope_keep(request, result) != FTL_OK)
            abort();
        end(request);
        drop(results[second % 20]);
        results[second % 20] = result;
        pass(w, 1);
    }
    for (unsigned i = 0; i < 20; i++)
        drop(results[i]);
}

/* Its handle is nowhere but in the data of another one. */
static void handle_in_a_tensor(struct world *w)
{
    ftl_tensor index = make(w, (ftl_scope){0}, 4096, "index", FTL_HERE);
    ftl_tensor *entries = ftl_tensor_data(index);
    for (unsigned i = 0; i < 512; i++)
        entries[i] = make(w, (ftl_scope){0}, 3000, "page", FTL_HERE);
    for (unsigned second = 0; second < 20 * MINUTE; second++) {
        serve(w, 4);
        pass(w, 1);
    }
    for (unsigned i = 0; i < 512; i++)
        drop(entries[i]);
    drop(index);
}

static _Thread_local ftl_tensor own_scratch;

static void handle_in_thread_local_storage(struct world *w)
{
    own_scratch = make(w, (ftl_scope){0}, 200000, "scratch", FTL_HERE);
    for (unsigned second = 0; second < 20 * MINUTE; second++) {
        serve(w, 4);
        pass(w, 1);
    }
    drop(own_scratch);
}

struct __attribute__((packed)) packed {
    char mark;
    ftl_tensor tensor;
};

static void handle_in_a_packed_struct(struct world *w)
{
    struct packed *packed = calloc(100, sizeof *packed);
    for (unsigned i = 0; packed != NULL && i < 100; i++)
        packed[i].tensor = make(w, (ftl_scope){0}, 1000, "packed", FTL_HERE);
    for (unsigned second = 0; second < 20 * MINUTE; second++) {
        serve(w, 4);
        pass(w, 1);
    }
    for (unsigned i = 0; packed != NULL && i < 100; i++)
        drop(packed[i].tensor);
    free(packed);
}

static void deeper(struct world *w, unsigned depth)
{
    ftl_tensor local = make(w, (ftl_scope){0}, 500, "frame", FTL_HERE);
    pass(w, 5);
    if (depth > 0)
        deeper(w, depth - 1);
    else
        pass(w, 15 * MINUTE);
    drop(local);
}

static void handles_on_a_deep_stack(struct world *w)
{
    deeper(w, 40);
}

const struct program correct_programs[] = {
    {"a warm-up that levels off", "warm-up", NULL, warm_up},
    {"weights are loaded, then requests", "warm-up", NULL, weights},
    {"a pool that is filled once", "pool", NULL, pool_filled_once},
    {"a pool that grows to its size in minutes", "pool", NULL, pool_grown_on_demand},
    {"a declared cache below its bound", "cache", NULL, declared_cache},
    {"an LRU cache with twenty hot entries", "cache", NULL, least_recently_used},
    {"sixty sessions, open for ever", "long sessions", NULL, sessions_that_stay},
    {"sessions of four minutes", "long sessions", NULL, sessions_that_come_and_go},
    {"bursts at random", "bursts", NULL, bursts},
    {"batches of a hundred seconds", "sawtooth", NULL, batches},
    {"epochs of five minutes", "sawtooth", NULL, epochs},
    {"load that comes and goes", "load", NULL, tide},
    {"load that doubles and stays", "load", NULL, load_that_doubles},
    {"load that wanders about a level", "load", NULL, wandering},
    {"two buffers that take turns", "load", NULL, two_buffers},
    {"a ring that somebody holds", "links", NULL, ring_that_is_held},
    {"a graph for each step", "links", NULL, graph_of_each_step},
    {"pinned for an hour, not dropped", "pin", NULL, pinned_for_long},
    {"dropped under a pin of some seconds", "pin", NULL, unpinned_in_time},
    {"a finalizer that succeeds at the fourth call", "finalizer", NULL, finalizer_that_takes_four},
    {"threads that hand over what they made", "thread", NULL, threads_that_hand_over},
    {"results that linger for twenty seconds", "outlived scope", NULL, results_that_linger},
    {"handles in another tensor's data", "hidden handles", NULL, handle_in_a_tensor},
    {"a handle in thread-local storage", "hidden handles", NULL, handle_in_thread_local_storage},
    {"handles packed without alignment", "hidden handles", NULL, handle_in_a_packed_struct},
    {"handles on a deep stack", "hidden handles", NULL, handles_on_a_deep_stack},
};
const unsigned correct_program_count = sizeof correct_programs / sizeof correct_programs[0];
