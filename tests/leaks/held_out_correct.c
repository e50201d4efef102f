/* Programs that look as if they leaked, and do not; written by somebody who had not read the detectors. */
#include "tests/leaks/crowd.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const ftl_scope nowhere;

/* Half of the sessions last two seconds, and some of them most of an hour; all are made at one place. */
static void heavy_tail(struct world *w)
{
    struct crowd *sessions = gather(w);
    for (unsigned second = 0; second < 90 * MINUTE; second++) {
        invite(sessions, make(w, nowhere, 9000, "session_kv", FTL_HERE), pareto(w, 2, 1.2, 45 * MINUTE));
        go_on(sessions, 1);
    }
    disperse(sessions);
}

static void day_and_night(struct world *w)
{
    struct crowd *load = gather(w);
    for (unsigned second = 0; second < 240 * MINUTE; second += 2) {
        double wanted = 5 * (1 + 0.8 * sin(second * 6.2831853 / 7200));
        for (unsigned i = 0; i < wanted; i++)
            invite(load, make(w, nowhere, 3000, "answer", FTL_HERE), exponential(w, 20));
        go_on(load, 2);
    }
    disperse(load);
}

/* The sessions last a quarter of an hour; at dawn there are more of them each minute, for an hour and a half. */
static void long_sessions_by_day(struct world *w)
{
    struct crowd *sessions = gather(w);
    for (unsigned second = 0; second < 360 * MINUTE; second += 4) {
        double wanted = 0.4 * (1 - cos(second * 6.2831853 / 10800));
        if (chance(w) < wanted)
            invite(sessions, make(w, nowhere, 20000, "chat", FTL_HERE), 300 + exponential(w, 600));
        serve(w, 1);
        go_on(sessions, 4);
    }
    disperse(sessions);
}

static void prefixes_with_an_expiry(struct world *w)
{
    struct crowd *cache = gather(w);
    for (unsigned second = 0; second < 60 * MINUTE; second++) {
        invite(cache, make(w, nowhere, 16384 * (1 + pick(w, 4)), "prefix", FTL_HERE), 10 * MINUTE);
        if (pick(w, 2) == 0)
            invite(cache, make(w, nowhere, 16384, "prefix", FTL_HERE), 10 * MINUTE);
        go_on(cache, 1);
    }
    disperse(cache);
}

/* Blocks are never given back, and there are as many as were ever in use at one time: records come more and more rarely. */
static void blocks_of_the_record(struct world *w)
{
    enum { MOST = 600, CHUNK = 8 };
    ftl_tensor *blocks = calloc(MOST, sizeof *blocks);
    double used = 100;
    for (unsigned second = 0, count = 0; second < 120 * MINUTE; second += 2) {
        used += (250 - used) * 0.01 + 12 * (chance(w) + chance(w) - 1);
        while (count < used && count + CHUNK <= MOST)
            for (unsigned i = 0; i < CHUNK; i++)
                blocks[count++] = make(w, nowhere, 32768, "kv_block", FTL_HERE);
        serve(w, 1);
        pass(w, 2);
    }
    for (unsigned i = 0; i < MOST; i++)
        drop(blocks[i]);
    free(blocks);
}

/* The last three are kept. */
static void checkpoints_in_turn(struct world *w)
{
    struct crowd *all = gather(w);
    for (unsigned second = 0; second < 150 * MINUTE; second += 3) {
        for (unsigned i = 0; i < 3; i++)
            invite(all, make(w, nowhere, 20000, "gradient", FTL_HERE), 3);
        for (unsigned shard = 0; second % (10 * MINUTE) == 0 && shard < 12; shard++)
            invite(all, make(w, nowhere, 1 << 17, "snapshot", FTL_HERE), 30 * MINUTE);
        go_on(all, 3);
    }
    disperse(all);
}

/* Sixty-four micro-batches of five seconds are accumulated before the optimizer steps. */
static void accumulated_for_minutes(struct world *w)
{
    for (unsigned step = 0; step < 14; step++) {
        ftl_tensor kept[64];
        for (unsigned micro = 0; micro < 64; micro++) {
            ftl_scope batch = begin(w, "micro_batch");
            for (unsigned i = 0; i < 6; i++)
                (void)make(w, batch, 40000, "activation", FTL_HERE);
            kept[micro] = make(w, nowhere, 12000, "partial_gradient", FTL_HERE);
            pass(w, 5);
            end(batch);
        }
        for (unsigned micro = 0; micro < 64; micro++)
            drop(kept[micro]);
    }
}

/* Old and new weights are both there for a minute; the new ones come one by one. */
static void model_restarted(struct world *w)
{
    struct crowd *model = gather(w);
    for (unsigned second = 0; second < 120 * MINUTE; second += 2) {
        if (second % (20 * MINUTE) < 80)
            invite(model, make(w, nowhere, 90000, "weights", FTL_HERE), 21 * MINUTE);
        serve(w, 1);
        go_on(model, 2);
    }
    disperse(model);
}

/* A new version comes up in steps of 2, 10, 20 and 40 workers, and the old one goes as it comes. */
static void deploy_in_steps(struct world *w)
{
    static const unsigned workers[] = {0, 2, 10, 20, 40, 40};
    ftl_tensor old[40], fresh[40];
    for (unsigned i = 0; i < 40; i++)
        old[i] = make(w, nowhere, 70000, "workspace_v1", FTL_HERE);
    for (unsigned second = 0, now = 0; second < 120 * MINUTE; second += 3) {
        if (now < workers[second / (20 * MINUTE)] && second % 9 == 0) {
            drop(old[now]);
            fresh[now++] = make(w, nowhere, 75000, "workspace_v2", FTL_HERE);
        }
        serve(w, 1);
        pass(w, 3);
    }
    for (unsigned i = 0; i < 40; i++)
        drop(fresh[i]);
}

/* One is compiled for each shape that was not seen before. Most are seen early, the rare ones hours later. */
static void compiled_for_each_shape(struct world *w)
{
    ftl_tensor compiled[512] = {{0}};
    for (unsigned second = 0; second < 180 * MINUTE; second += 2) {
        for (unsigned i = 0; i < 4; i++) {
            unsigned shape = zipf(w, 512);
            if (compiled[shape].id == 0)
                compiled[shape] = make(w, nowhere, 4096, "kernel_graph", FTL_HERE);
        }
        serve(w, 1);
        pass(w, 2);
    }
    for (unsigned i = 0; i < 512; i++)
        drop(compiled[i]);
}

/* Three hundred entries of two thousand keys: once it is full, one is evicted for each that is missing. */
static void evicted_rarely(struct world *w)
{
    enum { KEYS = 2000, ENTRIES = 300 };
    static ftl_tensor entry[KEYS];
    static unsigned used[KEYS];
    memset(entry, 0, sizeof entry);
    memset(used, 0, sizeof used);
    unsigned count = 0;
    for (unsigned second = 0; second < 90 * MINUTE; second++) {
        unsigned key = zipf(w, KEYS);
        used[key] = second;
        if (entry[key].id == 0) {
            entry[key] = make(w, nowhere, 6000, "lookup", FTL_HERE);
            if (count++ == ENTRIES) {
                unsigned oldest = key;
                for (unsigned i = 0; i < KEYS; i++)
                    if (entry[i].id != 0 && used[i] < used[oldest])
                        oldest = i;
                drop(entry[oldest]);
                entry[oldest] = (ftl_tensor){0};
                count--;
            }
        }
        pass(w, 1);
    }
    for (unsigned i = 0; i < KEYS; i++)
        drop(entry[i]);
}

/* Batches grow for half an hour until the server has found out how large they may be. */
static void batches_tuned(struct world *w)
{
    struct crowd *batch = gather(w);
    for (unsigned second = 0; second < 75 * MINUTE; second += 3) {
        unsigned size = 2 + (second < 30 * MINUTE ? second / 90 : 20);
        for (unsigned i = 0; i < size; i++)
            invite(batch, make(w, nowhere, 4000, "row", FTL_HERE), 9);
        go_on(batch, 3);
    }
    disperse(batch);
}

/* A buffer that data are drawn from at random: it is filled in eight minutes, and then one goes for each that comes. */
static void shuffled(struct world *w)
{
    enum { PLACES = 960 };
    ftl_tensor *buffer = calloc(PLACES, sizeof *buffer);
    for (unsigned second = 0, count = 0; second < 60 * MINUTE; second++)
        for (unsigned i = 0; i < 2; i++) {
            unsigned place = count < PLACES ? count++ : pick(w, PLACES);
            drop(buffer[place]);
            buffer[place] = make(w, nowhere, 3000, "example", FTL_HERE);
            pass(w, 0.5);
        }
    for (unsigned i = 0; i < PLACES; i++)
        drop(buffer[i]);
    free(buffer);
}

/* Until it is full, after 25 minutes, nothing tells it from a leak but its author. */
static void replayed(struct world *w)
{
    enum { PLACES = 750 };
    ftl_tensor *buffer = calloc(PLACES, sizeof *buffer);
    for (unsigned second = 0; second < 60 * MINUTE; second += 2) {
        unsigned place = second / 2 % PLACES;
        drop(buffer[place]);
        buffer[place] = make(w, nowhere, 3000, "transition", FTL_HERE);
        serve(w, 1);
        pass(w, 2);
    }
    for (unsigned i = 0; i < PLACES; i++)
        drop(buffer[i]);
    free(buffer);
}

/* The same, declared as a cache with a bound. */
static void replayed_as_declared(struct world *w)
{
    enum { PLACES = 750 };
    ftl_scope_options options = {.label = "replay", .kind = FTL_SCOPE_CACHE, .soft_bytes = 4 << 20};
    ftl_scope cache;
    if (ftl_scope_open(w->runtime, &options, &cache) != FTL_OK)
        abort();
    ftl_tensor *buffer = calloc(PLACES, sizeof *buffer);
    for (unsigned second = 0; second < 60 * MINUTE; second += 2) {
        unsigned place = second / 2 % PLACES;
        drop(buffer[place]);
        buffer[place] = make(w, cache, 3000, "transition", FTL_HERE);
        pass(w, 2);
    }
    free(buffer);
    end(cache);
}

static void all_sizes(struct world *w)
{
    struct crowd *load = gather(w);
    for (unsigned second = 0; second < 45 * MINUTE; second++) {
        for (unsigned i = 0; i < 4; i++)
            invite(load, make(w, nowhere, (64u << pick(w, 14)) + pick(w, 64), NULL, NULL), exponential(w, 60));
        go_on(load, 1);
    }
    disperse(load);
}

/* Twelve minutes of training, of which the metrics are kept, then two of evaluation, and the metrics go. */
static void metrics_of_an_epoch(struct world *w)
{
    for (unsigned epoch = 0; epoch < 6; epoch++) {
        ftl_scope scope = begin(w, "epoch");
        for (unsigned second = 0; second < 12 * MINUTE; second += 2) {
            serve(w, 1);
            (void)make(w, scope, 16, "metric", FTL_HERE);
            pass(w, 2);
        }
        for (unsigned second = 0; second < 2 * MINUTE; second += 2) {
            serve(w, 1);
            pass(w, 2);
        }
        end(scope);
    }
}

/* A server that was started under load: as many connections as there will ever be come within the time that one lives. */
static void connections_from_nothing(struct world *w)
{
    struct crowd *connections = gather(w);
    for (unsigned second = 0; second < 120 * MINUTE; second += 2) {
        if (pick(w, 2) == 0)
            invite(connections, make(w, nowhere, 24000, "connection", FTL_HERE), exponential(w, 15 * MINUTE));
        serve(w, 1);
        go_on(connections, 2);
    }
    disperse(connections);
}

static void job_each_forty_minutes(struct world *w)
{
    struct crowd *load = gather(w);
    for (unsigned second = 0; second < 200 * MINUTE; second += 2) {
        invite(load, make(w, nowhere, 2500, "online", FTL_HERE), exponential(w, 5));
        unsigned into = second % (40 * MINUTE);
        if (into < 4 * MINUTE)
            invite(load, make(w, nowhere, 14000, "table", FTL_HERE), 10 * MINUTE - into);
        go_on(load, 2);
    }
    disperse(load);
}

/* Each step copies the weights and forgets the copy; the best copy so far is kept, for hours at the end. */
static void best_so_far(struct world *w)
{
    ftl_tensor best = {0};
    for (unsigned step = 0, next = 1; step < 3600; step++) {
        ftl_tensor copy = make(w, nowhere, 50000, "copy", FTL_HERE);
        pass(w, 2);
        if (step == next) {
            drop(best);
            best = copy;
            next *= 2;
        } else {
            drop(copy);
        }
    }
    drop(best);
}

/* A producer that waits when two hundred are queued, and a consumer that is now faster and now slower. */
static void bounded_queue(struct world *w)
{
    ftl_tensor queue[200] = {{0}};
    unsigned first = 0, length = 0;
    double favour = 0;
    for (unsigned second = 0; second < 90 * MINUTE; second++) {
        favour = 0.995 * favour + 0.1 * (chance(w) - 0.5);
        for (unsigned i = 0; i < 2; i++) {
            if (length < 200 && chance(w) < 0.7 + favour / 3)
                queue[(first + length++) % 200] = make(w, nowhere, 10000, "prefetched", FTL_HERE);
            if (length > 0 && chance(w) < 0.7 - favour / 3) {
                drop(queue[first]);
                queue[first] = (ftl_tensor){0};
                first = (first + 1) % 200;
                length--;
            }
        }
        pass(w, 1);
    }
    for (unsigned i = 0; i < 200; i++)
        drop(queue[i]);
}

/* Twenty chats from the start, each some turns long; a new one comes for each that ends. Each turn adds pages. */
static void chats_that_grow(struct world *w)
{
    enum { CHATS = 20 };
    ftl_scope chats[CHATS] = {{0}};
    unsigned turns[CHATS] = {0};
    for (unsigned second = 0; second < 100 * MINUTE; second += 5) {
        for (unsigned i = 0; i < CHATS; i++) {
            if (turns[i] == 0) {
                if (chats[i].id != 0)
                    end(chats[i]);
                chats[i] = begin(w, "chat");
                turns[i] = 8 + pick(w, 40);
            }
            if (pick(w, 5) == 0) {
                (void)make(w, chats[i], 32768, "chat_page", FTL_HERE);
                turns[i]--;
            }
        }
        serve(w, 1);
        pass(w, 5);
    }
    for (unsigned i = 0; i < CHATS; i++)
        end(chats[i]);
}

/* Each state holds the one before, and after thirty-five steps the oldest is cut off. */
static void detached_in_time(struct world *w)
{
    enum { STEPS = 35 };
    ftl_tensor states[STEPS] = {{0}};
    for (unsigned step = 0; step < 1200; step++) {
        ftl_tensor next = make(w, nowhere, 8000, "hidden_state", FTL_HERE), *place = &states[step % STEPS];
        ftl_tensor second = states[(step + 1) % STEPS], before = states[(step + STEPS - 1) % STEPS];
        if (before.id != 0)
            link_to(next, before);
        if (place->id != 0 && ftl_tensor_unlink(second, *place) != FTL_OK)
            abort();
        drop(*place);
        *place = next;
        pass(w, 2);
    }
    for (unsigned i = 0; i < STEPS; i++)
        drop(states[i]);
}

static void come_and_go(void *user)
{
    struct crowd *crowd = user;
    ftl_tensor workspace = make(crowd->w, nowhere, 50000, "workspace", FTL_HERE);
    invite(crowd, make(crowd->w, nowhere, 3000, "statistics", FTL_HERE), 300);
    drop(workspace);
}

static void workers_that_clean_up(struct world *w)
{
    struct crowd *crowd = gather(w);
    for (unsigned second = 0; second < 90 * MINUTE; second += 4) {
        if (second % 60 == 0)
            on_a_thread(come_and_go, crowd);
        serve(w, 1);
        go_on(crowd, 4);
    }
    disperse(crowd);
}

const struct program held_out_correct[] = {
    {"sessions with a heavy tail", "heavy tail", NULL, heavy_tail},
    {"the best copy so far", "heavy tail", NULL, best_so_far},
    {"answers by day and by night", "load", NULL, day_and_night},
    {"long sessions, more of them at dawn", "load", NULL, long_sessions_by_day},
    {"connections from nothing to their level", "load", NULL, connections_from_nothing},
    {"a bounded queue between two speeds", "load", NULL, bounded_queue},
    {"chats that grow, and end", "load", NULL, chats_that_grow},
    {"a job each forty minutes", "load", NULL, job_each_forty_minutes},
    {"nameless tensors of all sizes", "load", NULL, all_sizes},
    {"prefixes that expire after ten minutes", "bounded growth", NULL, prefixes_with_an_expiry},
    {"blocks of the record of use", "bounded growth", NULL, blocks_of_the_record},
    {"kernels for each shape", "bounded growth", NULL, compiled_for_each_shape},
    {"a cache that evicts rarely", "bounded growth", NULL, evicted_rarely},
    {"batches that are tuned for half an hour", "bounded growth", NULL, batches_tuned},
    {"a shuffle buffer", "bounded growth", NULL, shuffled},
    {"a replay buffer, 25 minutes to its end", "bounded growth", NULL, replayed},
    {"a replay buffer, declared", "bounded growth", NULL, replayed_as_declared},
    {"three checkpoints in turn", "periods", NULL, checkpoints_in_turn},
    {"gradients accumulated for five minutes", "periods", NULL, accumulated_for_minutes},
    {"a model restarted each twenty minutes", "periods", NULL, model_restarted},
    {"a deploy in four steps", "periods", NULL, deploy_in_steps},
    {"metrics of an epoch of twelve minutes", "periods", NULL, metrics_of_an_epoch},
    {"states detached after 35 steps", "links and threads", NULL, detached_in_time},
    {"workers that clean up", "links and threads", NULL, workers_that_clean_up},
};
const unsigned held_out_correct_count = sizeof held_out_correct / sizeof held_out_correct[0];
