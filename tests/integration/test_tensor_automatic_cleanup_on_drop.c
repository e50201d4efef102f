/* A drop is all a program does: what follows happens by itself, whatever stands against the tensor, and is counted. */
#include <criterion/criterion.h>
#include <fettle/fettle.h>

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

static ftl_runtime *runtime;

static void open_runtime(void)
{
    cr_assert_eq(ftl_runtime_open(NULL, &runtime), FTL_OK, "%s", ftl_last_error());
}

static int ignore(const char *text, size_t n, void *user)
{
    (void)text, (void)n, (void)user;
    return 0;
}

static void close_runtime(void)
{
    ftl_close_report report;
    cr_assert_eq(ftl_runtime_control(runtime, "check", ignore, NULL), FTL_OK, "%s", ftl_last_error());
    cr_assert_eq(ftl_runtime_close(runtime, &report), FTL_OK);
    cr_assert_eq(report.leaked, 0);
    cr_assert_eq(report.undone, 0);
}

TestSuite(tensor_automatic_cleanup_on_drop, .init = open_runtime, .fini = close_runtime, .timeout = 120);

/* Nobody drains, runs or makes anything: only looks, until all is reclaimed. */
static ftl_stats wait_until_reclaimed(uint64_t created)
{
    ftl_stats stats;
    do {
        cr_assert_eq(ftl_runtime_stats(runtime, &stats), FTL_OK);
        cr_assert_eq(stats.created, created);
        cr_assert_eq(stats.created, stats.live + stats.pending + stats.reclaimed + stats.quarantined);
        sched_yield();
    } while (stats.reclaimed < created);
    return stats;
}

static int count(ftl_tensor tensor, void *data, size_t bytes, void *user)
{
    (void)tensor, (void)data, (void)bytes;
    atomic_fetch_add((atomic_uint *)user, 1);
    return 0;
}

Test(tensor_automatic_cleanup_on_drop, of_every_size)
{
    enum { N = 23 };
    ftl_tensor tensors[N];
    uint64_t bytes = 0;
    for (unsigned i = 0; i < N; i++) {
        cr_assert_eq(ftl_bytes_new(runtime, (size_t)1 << i, NULL, &tensors[i]), FTL_OK, "%s", ftl_last_error());
        bytes += (uint64_t)1 << i;
    }
    ftl_stats stats;
    cr_assert_eq(ftl_runtime_stats(runtime, &stats), FTL_OK);
    cr_assert_eq(stats.live_bytes, bytes);
    for (unsigned i = 0; i < N; i++)
        cr_assert_eq(ftl_tensor_drop(tensors[i]), FTL_OK);
    for (unsigned i = 0; i < N; i++)
        cr_assert_not(ftl_tensor_alive(tensors[i]));
    stats = wait_until_reclaimed(N);
    cr_assert_eq(stats.live_bytes + stats.pending_bytes, 0);
    cr_assert_eq(stats.immediate + stats.deferred, N);
    cr_assert_geq(stats.immediate, 8, "in place, but for what meets the tick at the port");
    cr_assert_geq(stats.deferred, 2, "large ones by their shard");
}

Test(tensor_automatic_cleanup_on_drop, with_finalizers_views_links_and_pins)
{
    atomic_uint finalized = 0;
    ftl_tensor_options options = {.finalizer = count, .finalizer_user = &finalized};
    ftl_tensor root, view, parent, child, pinned;
    int64_t shape = 10;
    cr_assert_eq(ftl_bytes_new(runtime, 1000, &options, &root), FTL_OK);
    cr_assert_eq(ftl_tensor_view(root, 5, 1, &shape, NULL, &view), FTL_OK, "%s", ftl_last_error());
    cr_assert_eq(ftl_bytes_new(runtime, 2000, &options, &parent), FTL_OK);
    cr_assert_eq(ftl_bytes_new(runtime, 100000, &options, &child), FTL_OK);
    cr_assert_eq(ftl_bytes_new(runtime, 3000, &options, &pinned), FTL_OK);
    cr_assert_eq(ftl_tensor_link(parent, child), FTL_OK);
    cr_assert_not_null(ftl_tensor_pin(pinned));
    cr_assert_eq(ftl_tensor_drop(root), FTL_OK);
    cr_assert_eq(ftl_tensor_drop(child), FTL_OK);
    cr_assert_eq(ftl_tensor_drop(pinned), FTL_OK);
    cr_assert(ftl_tensor_alive(root) && ftl_tensor_alive(child) && !ftl_tensor_alive(pinned));
    cr_assert_eq(ftl_tensor_drop(view), FTL_OK);
    cr_assert_eq(ftl_tensor_drop(parent), FTL_OK);
    ftl_tensor_unpin(pinned);
    ftl_stats stats = wait_until_reclaimed(5);
    cr_assert_eq(stats.deferred, 5);
    cr_assert_eq(finalized, 4);
    cr_assert(!ftl_tensor_alive(root) && !ftl_tensor_alive(child));
}

struct hand_over {
    ftl_tensor tensors[1000];
};

static void *drop_them(void *argument)
{
    struct hand_over *hand_over = argument;
    for (unsigned i = 0; i < 1000; i++)
        if (ftl_tensor_drop(hand_over->tensors[i]) != FTL_OK)
            return argument;
    return NULL;
}

Test(tensor_automatic_cleanup_on_drop, by_another_thread_that_ends)
{
    static struct hand_over hand_over[4];
    pthread_t threads[4];
    for (unsigned t = 0; t < 4; t++) {
        for (unsigned i = 0; i < 1000; i++)
            cr_assert_eq(ftl_bytes_new(runtime, (size_t)(i * 97 + t) % 70000, NULL, &hand_over[t].tensors[i]), FTL_OK);
        cr_assert_eq(pthread_create(&threads[t], NULL, drop_them, &hand_over[t]), 0);
    }
    for (unsigned t = 0; t < 4; t++) {
        void *failed;
        cr_assert_eq(pthread_join(threads[t], &failed), 0);
        cr_assert_null(failed);
    }
    ftl_stats stats = wait_until_reclaimed(4000);
    /* what the ports of threads that are gone held comes back as well */
    while (stats.held_bytes != 0) {
        cr_assert_eq(ftl_runtime_stats(runtime, &stats), FTL_OK);
        sched_yield();
    }
    cr_assert_eq(stats.live_bytes, 0);
}

Test(tensor_automatic_cleanup_on_drop, once_only)
{
    ftl_tensor tensor;
    cr_assert_eq(ftl_bytes_new(runtime, 100, NULL, &tensor), FTL_OK);
    cr_assert_eq(ftl_tensor_drop(tensor), FTL_OK);
    for (unsigned i = 0; i < 10; i++)
        cr_assert_eq(ftl_tensor_drop(tensor), FTL_ESTALE);
    ftl_stats stats = wait_until_reclaimed(1);
    cr_assert_eq(stats.stale_handles, 10);
}
