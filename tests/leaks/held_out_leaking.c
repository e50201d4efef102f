/* Programs that leak, written by somebody who had not read the detectors, and run against them only afterwards. */
#include "tests/leaks/crowd.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const ftl_scope nowhere;

/* Half a percent, of a load of twenty a second that is made at the same place under the same label. */
static void one_in_two_hundred(struct world *w)
{
    struct crowd *load = gather(w);
    for (unsigned second = 0; second < 30 * MINUTE; second++) {
        for (unsigned i = 0; i < 20; i++) {
            ftl_tensor hidden = make(w, nowhere, 1024 + 64 * pick(w, 48), "hidden", FTL_HERE);
            if (pick(w, 200) != 0)
                invite(load, hidden, exponential(w, 2));
        }
        go_on(load, 1);
    }
    disperse(load);
}

static void adapter_reloaded(struct world *w)
{
    for (unsigned second = 0; second < 180 * MINUTE; second += 4) {
        if (second % 120 == 0)
            (void)make(w, nowhere, 1 << 18, "adapter", FTL_HERE);
        serve(w, 1);
        pass(w, 4);
    }
}

/* The new version comes after an hour. */
static void after_an_hour(struct world *w)
{
    struct crowd *load = gather(w);
    for (unsigned second = 0; second < 100 * MINUTE; second++) {
        for (unsigned i = 0; i < 2; i++)
            invite(load, make(w, nowhere, 9000, "embedding", FTL_HERE), 1 + exponential(w, 8));
        if (second > 60 * MINUTE && second % 5 == 0)
            (void)make(w, nowhere, 600, "rerank", FTL_HERE);
        go_on(load, 1);
    }
    disperse(load);
}

/* Two hours are its day; the leak is as strong as the load. */
static void by_day_and_by_night(struct world *w)
{
    struct crowd *load = gather(w);
    for (unsigned second = 0; second < 240 * MINUTE; second += 2) {
        double wanted = 6 * (1 + 0.8 * sin(second * 6.2831853 / 7200));
        for (unsigned i = 0; i < wanted; i++) {
            ftl_tensor answer = make(w, nowhere, 3000, "answer", FTL_HERE);
            if (pick(w, 80) != 0)
                invite(load, answer, exponential(w, 6));
        }
        go_on(load, 2);
    }
    disperse(load);
}

static void nameless(struct world *w)
{
    struct crowd *load = gather(w);
    for (unsigned second = 0; second < 40 * MINUTE; second++) {
        for (unsigned i = 0; i < 3; i++)
            invite(load, make(w, nowhere, 1u << (8 + pick(w, 8)), "activation", FTL_HERE), exponential(w, 3));
        if (pick(w, 6) == 0)
            (void)make(w, nowhere, 1u << (6 + pick(w, 7)), NULL, NULL);
        go_on(load, 1);
    }
    disperse(load);
}

/* All are nameless, those that are dropped too. */
static void nameless_among_nameless(struct world *w)
{
    struct crowd *load = gather(w);
    for (unsigned second = 0; second < 45 * MINUTE; second++) {
        for (unsigned i = 0; i < 8; i++) {
            ftl_tensor tensor = make(w, nowhere, 100 + pick(w, 5000), NULL, NULL);
            if (pick(w, 60) != 0)
                invite(load, tensor, exponential(w, 4));
        }
        go_on(load, 1);
    }
    disperse(load);
}

/* An entry that was used again is moved in the list of expiries, and in one of twelve cases it falls out of the list. */
static void prefixes_that_never_expire(struct world *w)
{
    struct crowd *cache = gather(w);
    for (unsigned second = 0; second < 50 * MINUTE; second++) {
        ftl_tensor prefix = make(w, nowhere, 16384 * (1 + pick(w, 4)), "prefix", FTL_HERE);
        if (pick(w, 12) != 0)
            invite(cache, prefix, 90 + (pick(w, 3) == 0 ? 90 : 0));
        serve(w, 1);
        go_on(cache, 1);
    }
    disperse(cache);
}

/* Of a sequence that is preempted while it is paged out the pages are lost. */
static void pages_of_the_preempted(struct world *w)
{
    struct crowd *pages = gather(w);
    for (unsigned second = 0; second < 60 * MINUTE; second++) {
        if (pick(w, 2) == 0) {
            double lifetime = 5 + exponential(w, 40);
            bool preempted = pick(w, 40) == 0;
            for (unsigned i = 4 + pick(w, 24); i > 0; i--) {
                ftl_tensor page = make(w, nowhere, 32768, "kv_page", FTL_HERE);
                if (!preempted)
                    invite(pages, page, lifetime);
            }
        }
        go_on(pages, 1);
    }
    disperse(pages);
}

static void checkpoints_kept(struct world *w)
{
    struct crowd *steps = gather(w);
    for (unsigned second = 0; second < 180 * MINUTE; second += 3) {
        for (unsigned i = 0; i < 3; i++)
            invite(steps, make(w, nowhere, 20000, "gradient", FTL_HERE), 3);
        if (second % (10 * MINUTE) == 0)
            for (unsigned shard = 0; shard < 8; shard++)
                (void)make(w, nowhere, 1 << 17, "snapshot", FTL_HERE);
        go_on(steps, 3);
    }
    disperse(steps);
}

/* The step is skipped when the loss overflowed, and what was accumulated so far is forgotten. */
static void skipped_steps(struct world *w)
{
    for (unsigned step = 0; step < 1500; step++) {
        ftl_tensor accumulated[8];
        for (unsigned micro = 0; micro < 8; micro++) {
            ftl_scope batch = begin(w, "micro_batch");
            (void)make(w, batch, 40000, "activation", FTL_HERE);
            accumulated[micro] = make(w, nowhere, 12000, "gradient", FTL_HERE);
            pass(w, 0.25);
            end(batch);
        }
        bool overflow = pick(w, 40) == 0;
        for (unsigned micro = overflow ? 3 : 0; micro < 8; micro++)
            drop(accumulated[micro]);
    }
}

static void reloads_that_leave_something(struct world *w)
{
    struct crowd *model = gather(w);
    for (unsigned second = 0; second < 180 * MINUTE; second += 3) {
        if (second % (12 * MINUTE) == 0) {
            for (unsigned i = 0; i < 30; i++)
                invite(model, make(w, nowhere, 90000, "weights", FTL_HERE), 12 * MINUTE + 45);
            for (unsigned i = 0; i < 4; i++)
                (void)make(w, nowhere, 30000, "vocabulary", FTL_HERE);
        }
        serve(w, 1);
        go_on(model, 3);
    }
    disperse(model);
}

static void gradual_deploy(struct world *w)
{
    static const unsigned percent[] = {1, 10, 50, 100};
    struct crowd *load = gather(w);
    for (unsigned second = 0; second < 80 * MINUTE; second++) {
        for (unsigned i = 0; i < 3; i++) {
            bool fresh = pick(w, 100) < percent[second / (20 * MINUTE)];
            ftl_tensor feature = make(w, nowhere, 5000, fresh ? "feature_v2" : "feature", FTL_HERE);
            if (!fresh || pick(w, 15) != 0)
                invite(load, feature, exponential(w, 3));
        }
        go_on(load, 1);
    }
    disperse(load);
}

/* Batches grow while the server finds out how large they may be; one mask in twenty batches is lost. */
static void batches_that_grow(struct world *w)
{
    struct crowd *batch = gather(w);
    for (unsigned second = 0; second < 45 * MINUTE; second += 2) {
        unsigned size = 1 + (second < 10 * MINUTE ? second / 40 : 15);
        for (unsigned i = 0; i < size; i++)
            invite(batch, make(w, nowhere, 4000, "row", FTL_HERE), 3);
        ftl_tensor mask = make(w, nowhere, 500 * size, "attention_mask", FTL_HERE);
        if (pick(w, 20) != 0)
            invite(batch, mask, 3);
        go_on(batch, 2);
    }
    disperse(batch);
}

/* Streams live as long as their listeners have patience; one of 25 is cut, and nobody ends its scope. */
static void streams_cut_off(struct world *w)
{
    enum { STREAMS = 600 };
    static ftl_scope open[STREAMS];
    static double until[STREAMS];
    memset(open, 0, sizeof open);
    for (unsigned second = 0; second < 75 * MINUTE; second += 2) {
        unsigned free_one = STREAMS;
        for (unsigned i = 0; i < STREAMS; i++) {
            if (open[i].id != 0 && until[i] <= second) {
                end(open[i]);
                open[i] = nowhere;
            }
            if (open[i].id == 0)
                free_one = i;
        }
        ftl_scope stream = begin(w, "stream");
        (void)make(w, stream, 30000, "stream_kv", FTL_HERE);
        (void)make(w, stream, 700, "stream_kv", FTL_HERE);
        if (pick(w, 25) != 0 && free_one < STREAMS) {
            open[free_one] = stream;
            until[free_one] = second + pareto(w, 4, 1.3, 15 * MINUTE);
        }
        pass(w, 2);
    }
    for (unsigned i = 0; i < STREAMS; i++)
        if (open[i].id != 0)
            end(open[i]);
}

/* Five loads with lifetimes from a second to five minutes, of all sizes; a sixth loses one of a hundred. */
static void six_loads(struct world *w)
{
    static const char *const labels[] = {"image", "text", "audio", "index", "score"};
    static const double lifetimes[] = {1, 3, 12, 60, 300};
    struct crowd *loads = gather(w);
    for (unsigned second = 0; second < 60 * MINUTE; second++) {
        for (unsigned i = 0; i < 5; i++)
            if (pick(w, i + 1) == 0)
                invite(loads, make(w, nowhere, 64u << pick(w, 12), labels[i], FTL_HERE), exponential(w, lifetimes[i]));
        for (unsigned i = 0; i < 5; i++) {
            ftl_tensor embed = make(w, nowhere, 64u << pick(w, 9), "embed", FTL_HERE);
            if (pick(w, 100) != 0)
                invite(loads, embed, exponential(w, 1.5));
        }
        go_on(loads, 1);
    }
    disperse(loads);
}

static void losses_of_all_steps(struct world *w)
{
    struct crowd *steps = gather(w);
    for (unsigned step = 0; step < 1200; step++) {
        invite(steps, make(w, nowhere, 60000, "activation", FTL_HERE), 3);
        (void)make(w, nowhere, 4, "loss", FTL_HERE);
        go_on(steps, 3);
    }
    disperse(steps);
}

/* The hidden state of each step holds that of the step before: it was never detached. */
static void never_detached(struct world *w)
{
    ftl_tensor state = make(w, nowhere, 8000, "hidden_state", FTL_HERE);
    for (unsigned step = 0; step < 900; step++) {
        ftl_tensor next = make(w, nowhere, 8000, "hidden_state", FTL_HERE);
        link_to(next, state);
        drop(state);
        state = next;
        serve(w, 1);
        pass(w, 2);
    }
    drop(state);
}

static void job_every_forty_minutes(struct world *w)
{
    struct crowd *load = gather(w);
    for (unsigned second = 0; second < 260 * MINUTE; second += 2) {
        invite(load, make(w, nowhere, 2500, "online", FTL_HERE), exponential(w, 5));
        if (second % (40 * MINUTE) < 5 * MINUTE)
            for (unsigned i = 0; i < 2; i++) {
                ftl_tensor partial = make(w, nowhere, 14000, "partial_sum", FTL_HERE);
                if (pick(w, 10) != 0)
                    invite(load, partial, 20);
            }
        go_on(load, 2);
    }
    disperse(load);
}

/* Evicted entries are dropped, but a reader that was evicted under its feet forgets its own reference. */
static void readers_of_the_evicted(struct world *w)
{
    enum { PLACES = 200 };
    ftl_tensor cache[PLACES] = {{0}};
    for (unsigned second = 0; second < 60 * MINUTE; second++) {
        for (unsigned i = 0; i < 2; i++) {
            unsigned place = pick(w, PLACES);
            if (cache[place].id != 0 && pick(w, 20) == 0)
                retain(cache[place]);
            drop(cache[place]);
            cache[place] = make(w, nowhere, 4096, "lookup", FTL_HERE);
        }
        pass(w, 1);
    }
    for (unsigned i = 0; i < PLACES; i++)
        drop(cache[i]);
}

static void leave_a_workspace(void *user)
{
    struct world *w = user;
    ftl_tensor good = make(w, nowhere, 20000, "worker", FTL_HERE);
    (void)make(w, nowhere, 50000, "workspace", FTL_HERE);
    drop(good);
}

static void workers_recycled(struct world *w)
{
    for (unsigned second = 0; second < 120 * MINUTE; second += 4) {
        if (second % 300 == 60)
            on_a_thread(leave_a_workspace, w);
        serve(w, 1);
        pass(w, 4);
    }
}

static void rejected_drafts(struct world *w)
{
    struct crowd *load = gather(w);
    for (unsigned second = 0; second < 12 * MINUTE; second++) {
        for (unsigned i = 0; i < 8; i++) {
            ftl_tensor draft = make(w, nowhere, 256, "draft", FTL_HERE);
            if (i < 6 || pick(w, 3) != 0)
                invite(load, draft, 1);
        }
        go_on(load, 1);
    }
    disperse(load);
}

/* Sixty layers, each with a label of its own; one of them loses a buffer now and then. */
static void one_layer_of_sixty(struct world *w)
{
    static char labels[60][16];
    struct crowd *load = gather(w);
    for (unsigned i = 0; i < 60; i++)
        (void)snprintf(labels[i], sizeof labels[i], "layer.%u", i);
    for (unsigned second = 0; second < 60 * MINUTE; second++) {
        for (unsigned i = 0; i < 6; i++) {
            unsigned layer = (6 * second + i) % 60;
            ftl_tensor buffer = make(w, nowhere, 7000, labels[layer], FTL_HERE);
            if (layer != 37 || pick(w, 3) != 0)
                invite(load, buffer, 1 + exponential(w, 10));
        }
        go_on(load, 1);
    }
    disperse(load);
}

static void completions_that_get_lost(struct world *w)
{
    for (unsigned second = 0; second < 20 * MINUTE; second++) {
        ftl_tensor staging = make(w, nowhere, 65536, "staging", FTL_HERE);
        if (ftl_tensor_pin(staging) == NULL)
            abort();
        drop(staging);
        pass(w, 1);
        if (pick(w, 50) != 0)
            ftl_tensor_unpin(staging);
    }
}

static void graphs_with_a_way_back(struct world *w)
{
    for (unsigned step = 0; step < 600; step++) {
        ftl_tensor nodes[5];
        for (unsigned i = 0; i < 5; i++) {
            nodes[i] = make(w, nowhere, 3000, "autograd", FTL_HERE);
            if (i > 0)
                link_to(nodes[i], nodes[i - 1]);
        }
        if (pick(w, 20) == 0) /* a hook that looks at the result */
            link_to(nodes[0], nodes[4]);
        pass(w, 1);
        for (unsigned i = 0; i < 5; i++)
            drop(nodes[i]);
    }
}

/* The last token's view is handed to the session; one of ten sessions is left by its user and never cleaned up. */
static void last_tokens(struct world *w)
{
    struct crowd *sessions = gather(w);
    for (unsigned second = 0; second < 40 * MINUTE; second += 2) {
        ftl_tensor logits = make(w, nowhere, 128000, "logits", FTL_HERE), last;
        int64_t shape = 1000;
        if (ftl_tensor_view(logits, 127000, 1, &shape, NULL, &last) != FTL_OK)
            abort();
        drop(logits);
        if (pick(w, 10) != 0)
            invite(sessions, last, exponential(w, 30));
        go_on(sessions, 2);
    }
    disperse(sessions);
}

const struct program held_out_leaking[] = {
    {"one of two hundred of a heavy load", "leak within its traffic", "hidden", one_in_two_hundred},
    {"answers, by day and by night", "leak within its traffic", "answer", by_day_and_by_night},
    {"prefixes that fall out of the expiry list", "leak within its traffic", "prefix", prefixes_that_never_expire},
    {"pages of preempted sequences", "leak within its traffic", "kv_page", pages_of_the_preempted},
    {"a sixth load among five others", "leak within its traffic", "embed", six_loads},
    {"readers of evicted entries", "leak within its traffic", "lookup", readers_of_the_evicted},
    {"drafts that were rejected", "leak within its traffic", "draft", rejected_drafts},
    {"one layer of sixty", "leak within its traffic", "layer.37", one_layer_of_sixty},
    {"masks of batches that grow", "leak within its traffic", "attention_mask", batches_that_grow},
    {"gradients of skipped steps", "leak within its traffic", "gradient", skipped_steps},
    {"without label and site, beside others", "nameless", "", nameless},
    {"without label and site, among such", "nameless", "", nameless_among_nameless},
    {"an adapter each two minutes", "slow", "adapter", adapter_reloaded},
    {"a snapshot each ten minutes", "slow", "snapshot", checkpoints_kept},
    {"four tensors at each reload of a model", "slow", "vocabulary", reloads_that_leave_something},
    {"a job each forty minutes", "slow", "partial_sum", job_every_forty_minutes},
    {"it begins after an hour", "begins late", "rerank", after_an_hour},
    {"a deploy from 1 to 100 percent", "begins late", "feature_v2", gradual_deploy},
    {"streams that are cut off", "scopes and threads", "stream_kv", streams_cut_off},
    {"workers that are recycled", "scopes and threads", "workspace", workers_recycled},
    {"the losses of all steps", "history", "loss", losses_of_all_steps},
    {"a state that is never detached", "history", "hidden_state", never_detached},
    {"completions that get lost", "pin, cycle, view", "staging", completions_that_get_lost},
    {"graphs with a way back", "pin, cycle, view", "autograd", graphs_with_a_way_back},
    {"last tokens of sessions left alone", "pin, cycle, view", "logits", last_tokens},
};
const unsigned held_out_leaking_count = sizeof held_out_leaking / sizeof held_out_leaking[0];
