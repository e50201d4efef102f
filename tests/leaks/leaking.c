/* Programs that leak, each in a way that servers are known for. */
#include "tests/leaks/program.h"

#include <stdlib.h>
#include <string.h>

static void forgotten_drop(struct world *w)
{
    for (unsigned second = 0; second < 20 * MINUTE; second++) {
        ftl_tensor input = make(w, (ftl_scope){0}, 4096, "input", FTL_HERE);
        (void)make(w, (ftl_scope){0}, 1024, "logits", FTL_HERE);
        pass(w, 1);
        drop(input);
    }
}

static void forgotten_among_many(struct world *w)
{
    for (unsigned second = 0; second < 20 * MINUTE; second++) {
        serve(w, 8);
        if (second % 4 == 0)
            (void)make(w, (ftl_scope){0}, 256, "mask", FTL_HERE);
        pass(w, 1);
    }
}

/* The tensor's own site is that of thousands which are dropped as they should. */
static void error_path(struct world *w)
{
    for (unsigned second = 0; second < 20 * MINUTE; second++) {
        for (unsigned i = 0; i < 10; i++) {
            ftl_tensor response = make(w, (ftl_scope){0}, 2048, "response", FTL_HERE);
            if (pick(w, 30) != 0) /* else: the connection broke, and the function returned */
                drop(response);
        }
        pass(w, 1);
    }
}

static void error_burst(struct world *w)
{
    for (unsigned second = 0; second < 30 * MINUTE; second++) {
        serve(w, 4);
        for (unsigned i = 0; second % 20 == 7 && i < 5; i++)
            (void)make(w, (ftl_scope){0}, 16384, "retry", FTL_HERE);
        pass(w, 1);
    }
}

static void slow_drip(struct world *w)
{
    for (unsigned second = 0; second < 60 * MINUTE; second++) {
        serve(w, 3);
        if (second % 10 == 0)
            (void)make(w, (ftl_scope){0}, 64, "scalar", FTL_HERE);
        pass(w, 1);
    }
}

static void double_retain_in_scope(struct world *w)
{
    for (unsigned i = 0; i < 30; i++) {
        ftl_scope request = begin(w, "request");
        ftl_tensor hidden = make(w, request, 8192, i == 20 ? "exported" : "hidden", FTL_HERE);
        retain(hidden);
        if (i == 20)
            retain(hidden);
        drop(hidden);
        pass(w, 1);
        end(request);
    }
    pass(w, MINUTE);
}

static void double_retain(struct world *w)
{
    for (unsigned second = 0; second < 20 * MINUTE; second++) {
        ftl_tensor weights = make(w, (ftl_scope){0}, 3000, "shard", FTL_HERE);
        retain(weights);
        pass(w, 1);
        drop(weights); /* once */
    }
}

static void lost_in_scope(struct world *w)
{
    ftl_scope session = begin(w, "session");
    for (unsigned i = 0; i < 20; i++)
        retain(make(w, session, 262144, "kv", FTL_HERE));
    pass(w, 5);
    end(session);
    pass(w, 20);
}

/* Twenty are lost in the first minute, and then it never happens again. */
static void lost_handles(struct world *w)
{
    for (unsigned second = 0; second < 30 * MINUTE; second++) {
        for (unsigned i = 0; i < 10; i++) {
            ftl_tensor token = make(w, (ftl_scope){0}, 512, "token", FTL_HERE);
            if (second >= 40 && second < 60 && i == 0)
                continue;
            drop(token);
        }
        pass(w, 1);
    }
}

static void two_that_hold_each_other(struct world *w)
{
    ftl_tensor parent = make(w, (ftl_scope){0}, 4096, "node", FTL_HERE);
    ftl_tensor child = make(w, (ftl_scope){0}, 4096, "node", FTL_HERE);
    link_to(parent, child);
    link_to(child, parent);
    drop(parent);
    drop(child);
    pass(w, MINUTE);
}

static void ring_of_three(struct world *w)
{
    ftl_tensor parts[3];
    for (unsigned i = 0; i < 3; i++)
        parts[i] = make(w, (ftl_scope){0}, 1000, "ring", FTL_HERE);
    for (unsigned i = 0; i < 3; i++)
        link_to(parts[i], parts[(i + 1) % 3]);
    pass(w, 30);
    for (unsigned i = 0; i < 3; i++)
        drop(parts[i]);
    pass(w, MINUTE);
}

/* A tree whose children know their parent, as in all graphs of modules. */
static void tree_with_parents(struct world *w)
{
    ftl_tensor root = make(w, (ftl_scope){0}, 100000, "module", FTL_HERE);
    for (unsigned i = 0; i < 20; i++) {
        ftl_tensor child = make(w, (ftl_scope){0}, 10000, "module", FTL_HERE);
        link_to(root, child);
        link_to(child, root);
        drop(child);
    }
    pass(w, 30);
    drop(root);
    pass(w, MINUTE);
}

/* The ring is old when its last handle goes: no link changes then. */
static void ring_let_go_late(struct world *w)
{
    ftl_tensor head = make(w, (ftl_scope){0}, 5000, "graph", FTL_HERE), last = head;
    for (unsigned i = 0; i < 50; i++) {
        ftl_tensor next = make(w, (ftl_scope){0}, 5000, "graph", FTL_HERE);
        link_to(last, next);
        drop(next);
        last = next;
    }
    link_to(last, head);
    pass(w, 5 * MINUTE);
    drop(head);
    pass(w, MINUTE);
}

static void leave_a_tensor(void *user)
{
    struct world *w = user;
    (void)make(w, (ftl_scope){0}, 6000, "scratch", FTL_HERE);
}

static void threads_that_leave_something(struct world *w)
{
    for (unsigned i = 0; i < 10 * MINUTE; i++) {
        on_a_thread(leave_a_tensor, w);
        pass(w, 2);
    }
}

static void scopes_that_never_end(struct world *w)
{
    for (unsigned second = 0; second < 20 * MINUTE; second++) {
        ftl_scope request = begin(w, "request");
        (void)make(w, request, 10000, "activation", FTL_HERE);
        if (second % 3 != 0)
            end(request);
        pass(w, 1);
    }
}

static int never_done(ftl_tensor tensor, void *data, size_t bytes, void *user)
{
    (void)tensor;
    (void)data;
    (void)bytes;
    (void)user;
    return 1;
}

static void finalizer_that_never_succeeds(struct world *w)
{
    int64_t shape = 5000;
    ftl_tensor_options options = {.label = "upload", .site = FTL_HERE, .finalizer = never_done};
    ftl_tensor tensor;
    if (ftl_tensor_new(w->runtime, FTL_U8, 1, &shape, &options, &tensor) != FTL_OK)
        abort();
    drop(tensor);
    pass(w, MINUTE);
}

/* A map from session to state that nothing is ever taken out of. */
static void growing_map(struct world *w)
{
    for (unsigned second = 0; second < 20 * MINUTE; second++) {
        for (unsigned i = pick(w, 3); i > 0; i--)
            (void)make(w, (ftl_scope){0}, 1000 + 100 * pick(w, 20), "state", FTL_HERE);
        serve(w, 5);
        pass(w, 1);
    }
}

static void cache_above_its_bound(struct world *w)
{
    ftl_scope_options options = {.label = "cache", .kind = FTL_SCOPE_CACHE, .soft_bytes = 1 << 20};
    ftl_scope cache;
    if (ftl_scope_open(w->runtime, &options, &cache) != FTL_OK)
        abort();
    for (unsigned second = 0; second < 20 * MINUTE; second++) {
        (void)make(w, cache, 4096, "entry", FTL_HERE);
        pass(w, 1);
    }
}

enum { QUEUE = 4000 };

static void queue_that_nobody_drains(struct world *w)
{
    ftl_tensor *queue = calloc(QUEUE, sizeof *queue);
    unsigned length = 0;
    for (unsigned second = 0; second < 20 * MINUTE; second++) {
        for (unsigned i = 0; i < 3; i++)
            queue[length++] = make(w, (ftl_scope){0}, 2000, "job", FTL_HERE);
        for (unsigned i = 0; i < 2; i++) /* the consumer is slower than the producer, always */
            drop(queue[--length]);
        pass(w, 1);
    }
    free(queue);
}

static void forgotten_unpin(struct world *w)
{
    ftl_tensor frame = make(w, (ftl_scope){0}, 100000, "frame", FTL_HERE);
    if (ftl_tensor_pin(frame) == NULL)
        abort();
    drop(frame);
    pass(w, MINUTE);
}

/* Eight bytes are kept of each, and with them all of it. */
static void view_that_keeps_its_root(struct world *w)
{
    for (unsigned second = 0; second < 20 * MINUTE; second++) {
        ftl_tensor batch = make(w, (ftl_scope){0}, 65536, "batch", FTL_HERE), view;
        int64_t shape = 8;
        if (ftl_tensor_view(batch, 64, 1, &shape, NULL, &view) != FTL_OK)
            abort();
        drop(batch);
        pass(w, 1);
    }
}

static void parent_that_gathers(struct world *w)
{
    ftl_tensor history = make(w, (ftl_scope){0}, 64, "root", FTL_HERE);
    for (unsigned second = 0; second < 20 * MINUTE; second++) {
        ftl_tensor step = make(w, (ftl_scope){0}, 7000, "step", FTL_HERE);
        link_to(history, step);
        drop(step);
        pass(w, 1);
    }
}

static void kept_and_forgotten(struct world *w)
{
    for (unsigned second = 0; second < 20 * MINUTE; second++) {
        ftl_scope request = begin(w, "request");
        ftl_tensor result = make(w, request, 12000, "result", FTL_HERE);
        (void)make(w, request, 50000, "work", FTL_HERE);
        if (ftl_scope_keep(request, result) != FTL_OK)
            abort();
        pass(w, 0.5);
        end(request);
        if (pick(w, 8) != 0)
            drop(result);
        pass(w, 0.5);
    }
}

/* Load goes up and down, and under it a little more is left each time. */
static void leak_under_a_tide(struct world *w)
{
    ftl_tensor *tide = calloc(400, sizeof *tide);
    for (unsigned round = 0; round < 40; round++) {
        for (unsigned i = 0; i < 400; i++) {
            tide[i] = make(w, (ftl_scope){0}, 1500, "tide", FTL_HERE);
            if (i % 20 == 0)
                pass(w, 1);
        }
        for (unsigned i = 8; i < 400; i++) {
            drop(tide[i]);
            if (i % 20 == 0)
                pass(w, 1);
        }
    }
    free(tide);
}

static void history_that_doubles(struct world *w)
{
    for (unsigned size = 1; size < 1000; size += 1 + size / 5) {
        for (unsigned i = 0; i < size; i++)
            (void)make(w, (ftl_scope){0}, 800, "beam", FTL_HERE);
        pass(w, 45);
    }
}

const struct program leaking_programs[] = {
    {"a drop is forgotten in each request", "forgotten drop", "logits", forgotten_drop},
    {"one tensor in hundreds is forgotten", "forgotten drop", "mask", forgotten_among_many},
    {"64 bytes each ten seconds", "forgotten drop", "scalar", slow_drip},
    {"it grows under a load that comes and goes", "forgotten drop", "tide", leak_under_a_tide},
    {"an error path skips the drop", "error path", "response", error_path},
    {"errors come in bursts, and each leaves five", "error path", "retry", error_burst},
    {"retained twice, dropped once, in a scope", "double retain", "exported", double_retain_in_scope},
    {"retained once, never dropped for it", "double retain", "shard", double_retain},
    {"twenty retained by an export, session over", "outlived scope", "kv", lost_in_scope},
    {"twenty handles lost in one bad minute", "lost handle", "token", lost_handles},
    {"two that hold each other", "cycle", "node", two_that_hold_each_other},
    {"a ring of three", "cycle", "ring", ring_of_three},
    {"children that know their parent", "cycle", "module", tree_with_parents},
    {"an old ring whose last handle goes", "cycle", "graph", ring_let_go_late},
    {"threads that exit with a tensor", "thread", "scratch", threads_that_leave_something},
    {"every third scope never ends", "scope never ends", "activation", scopes_that_never_end},
    {"a finalizer that never succeeds", "finalizer", "upload", finalizer_that_never_succeeds},
    {"a map of sessions that only grows", "growing cache", "state", growing_map},
    {"a cache above its own bound", "growing cache", "entry", cache_above_its_bound},
    {"beams that double", "growing cache", "beam", history_that_doubles},
    {"a queue that fills faster than it is emptied", "queue", "job", queue_that_nobody_drains},
    {"dropped, and the unpin forgotten", "pin", "frame", forgotten_unpin},
    {"small views that keep large roots", "view or link", "batch", view_that_keeps_its_root},
    {"a parent that gathers children", "view or link", "step", parent_that_gathers},
    {"kept out of its scope, then forgotten", "lost handle", "result", kept_and_forgotten},
};
const unsigned leaking_program_count = sizeof leaking_programs / sizeof leaking_programs[0];
