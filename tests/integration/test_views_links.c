/* Views and links: references that tensors hold on tensors, through the interface. */
#include <criterion/criterion.h>
#include <fettle/fettle.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

static ftl_runtime *runtime;

static int ignore(const char *text, size_t n, void *user)
{
    (void)text, (void)n, (void)user;
    return 0;
}

static void open_runtime(void)
{
    cr_assert_eq(ftl_runtime_open(NULL, &runtime), FTL_OK, "%s", ftl_last_error());
}

static void close_runtime(void)
{
    ftl_close_report report;
    cr_assert_eq(ftl_runtime_drain(runtime, -1), FTL_OK);
    cr_assert_eq(ftl_runtime_control(runtime, "check", ignore, NULL), FTL_OK, "%s", ftl_last_error());
    cr_assert_eq(ftl_runtime_close(runtime, &report), FTL_OK);
    cr_assert_eq(report.leaked, 0, "%llu leaked", (unsigned long long)report.leaked);
    ftl_leak_report_free(report.leaks);
}

TestSuite(views_links, .init = open_runtime, .fini = close_runtime, .timeout = 120);

static ftl_tensor make(size_t bytes)
{
    ftl_tensor tensor;
    cr_assert_eq(ftl_bytes_new(runtime, bytes, NULL, &tensor), FTL_OK, "%s", ftl_last_error());
    return tensor;
}

static ftl_tensor matrix(int64_t rows, int64_t columns)
{
    ftl_tensor tensor;
    int64_t shape[2] = {rows, columns};
    cr_assert_eq(ftl_tensor_new(runtime, FTL_F32, 2, shape, NULL, &tensor), FTL_OK, "%s", ftl_last_error());
    float *data = ftl_tensor_data(tensor);
    for (int64_t i = 0; i < rows * columns; i++)
        data[i] = (float)i;
    return tensor;
}

static void drop(ftl_tensor tensor)
{
    cr_assert_eq(ftl_tensor_drop(tensor), FTL_OK);
}

static void drain(void)
{
    cr_assert_eq(ftl_runtime_drain(runtime, -1), FTL_OK, "%s", ftl_last_error());
}

/* ---- views */

Test(views_links, a_column_a_row_and_a_transposition)
{
    ftl_tensor root = matrix(6, 10), column, row, turned;
    int64_t six = 6, ten = 10, shape[2] = {10, 6}, strides[2] = {1, 10}, down = 10;
    cr_assert_eq(ftl_tensor_view(root, 4 * 3, 1, &six, &down, &column), FTL_OK, "%s", ftl_last_error());
    cr_assert_eq(ftl_tensor_view(root, 4 * 20, 1, &ten, NULL, &row), FTL_OK, "%s", ftl_last_error());
    cr_assert_eq(ftl_tensor_view(root, 0, 2, shape, strides, &turned), FTL_OK, "%s", ftl_last_error());
    ftl_tensor_description d;
    cr_assert_eq(ftl_tensor_describe(column, &d), FTL_OK);
    cr_assert_eq(d.base.id, root.id);
    cr_assert_eq(d.flags & FTL_VIEW, FTL_VIEW);
    cr_assert(d.dtype == FTL_F32 && d.ndim == 1 && d.shape[0] == 6 && d.strides[0] == 10 && d.bytes == 24);
    cr_assert_eq(ftl_tensor_describe(turned, &d), FTL_OK);
    cr_assert(d.shape[0] == 10 && d.shape[1] == 6 && d.strides[0] == 1 && d.strides[1] == 10);
    const float *from_column = ftl_tensor_data(column), *from_row = ftl_tensor_data(row);
    cr_assert_eq(from_column, (float *)ftl_tensor_data(root) + 3);
    for (int i = 0; i < 6; i++)
        cr_assert_eq(from_column[i * 10], (float)(i * 10 + 3));
    for (int i = 0; i < 10; i++)
        cr_assert_eq(from_row[i], (float)(20 + i));
    ftl_stats stats;
    cr_assert_eq(ftl_runtime_stats(runtime, &stats), FTL_OK);
    cr_assert_eq(stats.live, 4);
    cr_assert_eq(stats.live_bytes, 240, "a view has no bytes of its own");
    drop(root);
    drop(column);
    drop(turned);
    drain();
    cr_assert(ftl_tensor_alive(root), "the row keeps it");
    cr_assert_eq(from_row[9], 29.0f);
    drop(row);
    drain();
    cr_assert_not(ftl_tensor_alive(root));
}

Test(views_links, negative_strides_read_backwards_and_stay_inside)
{
    ftl_tensor root = matrix(1, 10), back, out = {77};
    int64_t ten = 10, eleven = 11, minus = -1, minus_two = -2, five = 5;
    cr_assert_eq(ftl_tensor_view(root, 36, 1, &ten, &minus, &back), FTL_OK, "%s", ftl_last_error());
    const float *data = ftl_tensor_data(back);
    for (int i = 0; i < 10; i++)
        cr_assert_eq(data[-i], (float)(9 - i));
    cr_assert_eq(ftl_tensor_view(root, 32, 1, &ten, &minus, &out), FTL_EINVAL);
    cr_assert_eq(ftl_tensor_view(root, 36, 1, &eleven, &minus, &out), FTL_EINVAL);
    cr_assert_eq(ftl_tensor_view(root, 28, 1, &five, &minus_two, &out), FTL_EINVAL);
    cr_assert_eq(ftl_tensor_view(root, 40, 1, &five, &minus_two, &out), FTL_EINVAL, "begins beyond the end");
    cr_assert_eq(out.id, 77);
    cr_assert_eq(ftl_tensor_view(root, 32, 1, &five, &minus_two, &out), FTL_OK);
    drop(out);
    drop(back);
    drop(root);
}

Test(views_links, out_of_range_and_bad_input)
{
    ftl_tensor root = make(100), view, out = {77};
    int64_t n = 101, most = INT64_MAX, negative = -1, far = INT64_MAX / 2, two = 2, none = 0, nine[9] = {0};
    cr_assert_eq(ftl_tensor_view(root, 0, 1, &n, NULL, &out), FTL_EINVAL);
    n = 100;
    cr_assert_eq(ftl_tensor_view(root, 1, 1, &n, NULL, &out), FTL_EINVAL);
    cr_assert_eq(ftl_tensor_view(root, -1, 1, &n, NULL, &out), FTL_EINVAL);
    cr_assert_eq(ftl_tensor_view(root, INT64_MIN, 1, &n, NULL, &out), FTL_EINVAL);
    cr_assert_eq(ftl_tensor_view(root, INT64_MAX, 1, &n, NULL, &out), FTL_EINVAL);
    cr_assert_eq(ftl_tensor_view(root, 0, 1, &most, NULL, &out), FTL_EINVAL);
    cr_assert_eq(ftl_tensor_view(root, 0, 1, &negative, NULL, &out), FTL_EINVAL);
    cr_assert_eq(ftl_tensor_view(root, 0, 1, &two, &far, &out), FTL_EINVAL);
    cr_assert_eq(ftl_tensor_view(root, 0, 1, &two, &most, &out), FTL_EINVAL);
    cr_assert_eq(ftl_tensor_view(root, 0, 1, NULL, NULL, &out), FTL_EINVAL);
    cr_assert_eq(ftl_tensor_view(root, 0, 9, nine, NULL, &out), FTL_EINVAL);
    cr_assert_eq(ftl_tensor_view((ftl_tensor){0}, 0, 1, &n, NULL, &out), FTL_ESTALE);
    cr_assert_eq(ftl_tensor_view(root, 0, 1, &n, NULL, NULL), FTL_EINVAL);
    cr_assert_eq(ftl_tensor_view(root, 101, 1, &none, NULL, &out), FTL_EINVAL, "also of nothing");
    cr_assert_eq(out.id, 77);
    cr_assert_eq(ftl_tensor_view(root, 100, 1, &none, NULL, &view), FTL_OK, "of nothing, at the end");
    drop(view);
    cr_assert_eq(ftl_tensor_view(root, 99, 0, NULL, NULL, &view), FTL_OK, "a scalar");
    drop(view);
    cr_assert_eq(ftl_tensor_view(root, 0, 1, &most, &none, &out), FTL_ELIMIT,
                 "one byte, more often than a header can say");
    drain(); /* a view gives its root up when it is reclaimed */
    drop(root);
    cr_assert_eq(ftl_tensor_view(root, 0, 1, &none, NULL, &out), FTL_ESTALE);
    cr_assert_eq(out.id, 77);
}

Test(views_links, views_of_views_name_the_root)
{
    ftl_tensor root = make(1000), chain[50], last = root;
    for (unsigned i = 0; i < 50; i++) {
        int64_t n = 1000 - 10 * (int64_t)(i + 1);
        cr_assert_eq(ftl_tensor_view(last, 10, 1, &n, NULL, &chain[i]), FTL_OK, "%s", ftl_last_error());
        last = chain[i];
        ftl_tensor_description d;
        cr_assert_eq(ftl_tensor_describe(last, &d), FTL_OK);
        cr_assert_eq(d.base.id, root.id);
        cr_assert_eq(ftl_tensor_data(last), (char *)ftl_tensor_data(root) + 10 * (i + 1));
    }
    int64_t n = 501;
    ftl_tensor out;
    cr_assert_eq(ftl_tensor_view(last, 0, 1, &n, NULL, &out), FTL_EINVAL, "500 bytes are left");
    /* Those in the middle go: the last needs the root alone. */
    drop(root);
    for (unsigned i = 0; i < 49; i++)
        drop(chain[i]);
    drain();
    cr_assert(ftl_tensor_alive(root) && !ftl_tensor_alive(chain[48]));
    ftl_tensor_description d;
    cr_assert_eq(ftl_tensor_describe(root, &d), FTL_OK);
    cr_assert_eq(d.references, 1);
    memset(ftl_tensor_data(last), 7, 500);
    drop(last);
    drain();
    cr_assert_not(ftl_tensor_alive(root));
}

Test(views_links, random_views_are_inside_or_refused)
{
    srand(3);
    ftl_tensor root = make(4096), base = root;
    int64_t base_offset = 0;
    unsigned good = 0;
    for (unsigned round = 0; round < 20000; round++) {
        int64_t shape[3], strides[3], low = 0, high = 0;
        uint32_t ndim = (uint32_t)rand() % 4;
        bool empty = false;
        for (uint32_t i = 0; i < ndim; i++) {
            shape[i] = rand() % 12;
            strides[i] = rand() % 101 - 50;
            empty |= shape[i] == 0;
        }
        for (uint32_t i = 0; i < ndim && !empty; i++)
            *(strides[i] < 0 ? &low : &high) += (shape[i] - 1) * strides[i];
        int64_t offset = rand() % 4400 - 100, at = base_offset + offset;
        bool inside = offset >= 0 && (empty ? at <= 4096 : at + low >= 0 && at + high < 4096 && at <= 4096);
        ftl_tensor view = {77};
        int status = ftl_tensor_view(base, offset, ndim, shape, strides, &view);
        cr_assert_eq(status, inside ? FTL_OK : FTL_EINVAL, "round %u: ndim %u at %lld", round, ndim, (long long)at);
        if (!inside) {
            cr_assert_eq(view.id, 77);
            continue;
        }
        good++;
        cr_assert_eq(ftl_tensor_data(view), (char *)ftl_tensor_data(root) + at);
        if (rand() % 4 == 0) { /* the next are views of this one */
            if (base.id != root.id)
                drop(base);
            base = view;
            base_offset = at;
        } else {
            drop(view);
        }
        if (base_offset > 3000) {
            drop(base);
            base = root;
            base_offset = 0;
        }
    }
    cr_assert_gt(good, 2000);
    if (base.id != root.id)
        drop(base);
    drop(root);
}

Test(views_links, a_pin_through_a_view_holds_the_roots_memory)
{
    ftl_tensor root = make(50000), view;
    int64_t n = 100;
    cr_assert_eq(ftl_tensor_view(root, 1000, 1, &n, NULL, &view), FTL_OK);
    char *pinned = ftl_tensor_pin(view);
    cr_assert_eq(pinned, (char *)ftl_tensor_data(root) + 1000);
    ftl_tensor_description d;
    cr_assert_eq(ftl_tensor_describe(root, &d), FTL_OK);
    cr_assert_eq(d.pins, 1);
    drop(root);
    drop(view);
    cr_assert_not(ftl_tensor_alive(view));
    cr_assert_eq(ftl_runtime_drain(runtime, 1000000), FTL_ETIMEDOUT);
    memset(pinned, 1, 100);
    ftl_tensor others[20]; /* none of them is given this memory */
    for (unsigned i = 0; i < 20; i++) {
        others[i] = make(50000);
        memset(ftl_tensor_data(others[i]), 2, 50000);
    }
    for (unsigned i = 0; i < 100; i++)
        cr_assert_eq(pinned[i], 1);
    ftl_tensor_unpin(view);
    drain();
    cr_assert_not(ftl_tensor_alive(root));
    for (unsigned i = 0; i < 20; i++)
        drop(others[i]);
    ftl_stats stats;
    cr_assert_eq(ftl_runtime_stats(runtime, &stats), FTL_OK);
    cr_assert_eq(stats.unpins_without_pin, 0);
}

/* ---- links */

Test(views_links, a_child_lives_as_long_as_a_parent)
{
    ftl_tensor parents[2] = {make(100), make(100)}, child = make(100000);
    cr_assert_eq(ftl_tensor_link(parents[0], child), FTL_OK, "%s", ftl_last_error());
    cr_assert_eq(ftl_tensor_link(parents[1], child), FTL_OK, "%s", ftl_last_error());
    drop(child);
    drop(parents[0]);
    drain();
    cr_assert(ftl_tensor_alive(child));
    cr_assert_eq(ftl_tensor_unlink(parents[1], child), FTL_OK, "%s", ftl_last_error());
    drain();
    cr_assert_not(ftl_tensor_alive(child));
    cr_assert_eq(ftl_tensor_unlink(parents[1], child), FTL_EINVAL, "no longer there");
    cr_assert_eq(ftl_tensor_link(parents[1], child), FTL_ESTALE);
    cr_assert_eq(ftl_tensor_link(parents[0], parents[1]), FTL_ESTALE);
    cr_assert_eq(ftl_tensor_unlink(parents[0], child), FTL_ESTALE);
    drop(parents[1]);
}

Test(views_links, bad_links)
{
    ftl_runtime *second;
    ftl_tensor one = make(10), other;
    cr_assert_eq(ftl_runtime_open(NULL, &second), FTL_OK);
    cr_assert_eq(ftl_bytes_new(second, 10, NULL, &other), FTL_OK);
    cr_assert_eq(ftl_tensor_link(one, one), FTL_EINVAL, "to itself");
    cr_assert_eq(ftl_tensor_link(one, other), FTL_EINVAL, "to another runtime's");
    cr_assert_eq(ftl_tensor_link(one, (ftl_tensor){0}), FTL_EINVAL);
    cr_assert_eq(ftl_tensor_link((ftl_tensor){0}, one), FTL_ESTALE);
    cr_assert_eq(ftl_tensor_unlink(one, other), FTL_EINVAL);
    cr_assert_eq(ftl_tensor_drop(other), FTL_OK);
    cr_assert_eq(ftl_runtime_close(second, NULL), FTL_OK);
    cr_assert_eq(ftl_tensor_link(one, other), FTL_EINVAL);
    ftl_tensor_description d;
    cr_assert_eq(ftl_tensor_describe(one, &d), FTL_OK);
    cr_assert_eq(d.references, 1, "nothing was kept of what was refused");
    drop(one);
}

Test(views_links, a_long_chain_and_a_wide_fan_cascade)
{
    enum { N = 3000 };
    static ftl_tensor chain[N], fan[N];
    ftl_tensor parent = make(64);
    for (unsigned i = 0; i < N; i++) {
        chain[i] = make(64 + i * 7);
        fan[i] = make(64 + i * 5);
        cr_assert_eq(ftl_tensor_link(parent, fan[i]), FTL_OK);
        if (i > 0)
            cr_assert_eq(ftl_tensor_link(chain[i - 1], chain[i]), FTL_OK);
    }
    for (unsigned i = 1; i < N; i++)
        drop(chain[i]);
    for (unsigned i = 0; i < N; i++)
        drop(fan[i]);
    ftl_stats stats;
    cr_assert_eq(ftl_runtime_stats(runtime, &stats), FTL_OK);
    cr_assert_eq(stats.live, 2 * N + 1);
    drop(chain[0]);
    drop(parent);
    drain(); /* what a drop cascades to is in its epoch */
    cr_assert_eq(ftl_runtime_stats(runtime, &stats), FTL_OK);
    cr_assert_eq(stats.live + stats.pending, 0);
    cr_assert_eq(stats.reclaimed, 2 * N + 1);
}

/* ---- random graphs against a model: a tensor lives while it has references of ours or links from the living */

enum { NODES = 40 };
struct model {
    ftl_tensor tensors[NODES];
    unsigned own[NODES], links[NODES][NODES]; /* links[parent][child], parent < child: no cycle */
    bool alive[NODES];
};

static unsigned references(const struct model *model, unsigned node)
{
    unsigned sum = model->own[node];
    for (unsigned parent = 0; parent < node; parent++)
        sum += model->alive[parent] ? model->links[parent][node] : 0;
    return sum;
}

/* Parents come before their children, so one pass is enough. */
static void settle(struct model *model)
{
    for (unsigned node = 0; node < NODES; node++)
        if (model->alive[node] && references(model, node) == 0)
            model->alive[node] = false;
}

static void compare(const struct model *model, unsigned seed)
{
    ftl_stats stats;
    uint64_t alive = 0;
    drain();
    for (unsigned node = 0; node < NODES; node++) {
        ftl_tensor_description d;
        alive += model->alive[node];
        cr_assert_eq(ftl_tensor_alive(model->tensors[node]), model->alive[node], "seed %u: node %u", seed, node);
        if (!model->alive[node])
            continue;
        cr_assert_eq(ftl_tensor_describe(model->tensors[node], &d), FTL_OK);
        cr_assert_eq(d.references, references(model, node), "seed %u: node %u", seed, node);
    }
    cr_assert_eq(ftl_runtime_stats(runtime, &stats), FTL_OK);
    cr_assert_eq(stats.live, alive, "seed %u", seed);
}

static void one_operation(struct model *model, unsigned *random, unsigned seed)
{
    unsigned a = (unsigned)rand_r(random) % NODES, b = (unsigned)rand_r(random) % NODES;
    ftl_tensor *tensors = model->tensors;
    unsigned parent = a < b ? a : b, child = a < b ? b : a;
    switch (rand_r(random) % 5) {
    case 0:
    case 1:
        if (parent == child)
            break;
        bool both = model->alive[parent] && model->alive[child];
        cr_assert_eq(ftl_tensor_link(tensors[parent], tensors[child]), both ? FTL_OK : FTL_ESTALE, "seed %u", seed);
        model->links[parent][child] += both;
        break;
    case 2: {
        int expected = !model->alive[parent] ? FTL_ESTALE : model->links[parent][child] == 0 ? FTL_EINVAL : FTL_OK;
        cr_assert_eq(ftl_tensor_unlink(tensors[parent], tensors[child]), expected, "seed %u", seed);
        model->links[parent][child] -= expected == FTL_OK;
        break;
    }
    case 3:
        cr_assert_eq(ftl_tensor_retain(tensors[a]), model->alive[a] ? FTL_OK : FTL_ESTALE, "seed %u", seed);
        model->own[a] += model->alive[a];
        break;
    default:
        if (model->own[a] == 0)
            break;
        drop(tensors[a]);
        model->own[a]--;
        break;
    }
    settle(model);
}

Test(views_links, random_graphs_agree_with_a_model)
{
    for (unsigned seed = 1; seed <= 30; seed++) {
        static struct model model;
        unsigned random = seed;
        memset(&model, 0, sizeof model);
        for (unsigned node = 0; node < NODES; node++) {
            model.tensors[node] = make((size_t)rand_r(&random) % 40000);
            model.own[node] = 1;
            model.alive[node] = true;
        }
        for (unsigned i = 0; i < 300; i++) {
            one_operation(&model, &random, seed);
            drain(); /* what a drop cascades to is over before the next operation asks for it */
            if (i % 20 == 0)
                compare(&model, seed);
        }
        for (unsigned node = 0; node < NODES; node++)
            for (; model.own[node] > 0; model.own[node]--)
                drop(model.tensors[node]);
        settle(&model);
        compare(&model, seed);
        for (unsigned node = 0; node < NODES; node++)
            cr_assert_not(model.alive[node]);
    }
}

/* A thread that links to a handle which is not its own, while the owner makes and drops: every one of them sampled, so that the last
 * drop looks at what stands against the tensor and ends it at once. Whoever is first, nothing is lost and nothing ends twice. */
enum { RACES = 20000 };
static _Atomic uint64_t racing; /* the handle of the moment */
static _Atomic bool raced;
static ftl_tensor racing_child;
static void *link_to_what_is_there(void *unused)
{
    uint64_t links = 0;
    (void)unused;
    while (!atomic_load_explicit(&raced, memory_order_acquire)) {
        ftl_tensor parent = {atomic_load_explicit(&racing, memory_order_acquire)};
        if (parent.id != 0)
            links += ftl_tensor_link(parent, racing_child) == FTL_OK; /* or it is gone */
    }
    cr_log_info("%llu links", (unsigned long long)links);
    return NULL;
}

Test(views_links, a_link_and_the_last_drop_at_once)
{
    close_runtime();
    ftl_open_options options = {.overrides = "actors.tracking.level: debug"};
    cr_assert_eq(ftl_runtime_open_with(&options, &runtime), FTL_OK, "%s", ftl_last_error());
    racing_child = make(64);
    pthread_t thread;
    cr_assert_eq(pthread_create(&thread, NULL, link_to_what_is_there, NULL), 0);
    for (unsigned i = 0; i < RACES; i++) {
        ftl_tensor tensor = make(64);
        atomic_store_explicit(&racing, tensor.id, memory_order_release);
        if (i % 2 == 0) /* half of them meet the link at its beginning, half at its end */
            cr_assert_not_null(ftl_tensor_data(tensor));
        drop(tensor);
    }
    atomic_store_explicit(&raced, true, memory_order_release);
    cr_assert_eq(pthread_join(thread, NULL), 0);
    drop(racing_child);
    drain();
    ftl_stats stats;
    cr_assert_eq(ftl_runtime_stats(runtime, &stats), FTL_OK);
    cr_assert_eq(stats.live, 0, "%llu live", (unsigned long long)stats.live);
    cr_assert_eq(stats.reclaimed, stats.created);
}

/* Threads make cycles, hold one of their members all the time, and undo them, while scans look: nothing of it is ever a leak. */
enum { CYCLE_THREADS = 2, CYCLES = 1000 };
static _Atomic unsigned cyclists;
static void *make_and_undo_cycles(void *unused)
{
    (void)unused;
    for (unsigned i = 0; i < CYCLES; i++) {
        ftl_tensor a = make(64), b = make(64), c = make(64);
        cr_assert_eq(ftl_tensor_link(a, b), FTL_OK);
        cr_assert_eq(ftl_tensor_link(b, c), FTL_OK);
        cr_assert_eq(ftl_tensor_link(c, a), FTL_OK);
        drop(b);
        drop(c);
        cr_assert_eq(ftl_tensor_link(b, a), FTL_OK);
        cr_assert_eq(ftl_tensor_unlink(c, a), FTL_OK);
        cr_assert_eq(ftl_tensor_unlink(b, a), FTL_OK);
        drop(a);
    }
    atomic_fetch_sub(&cyclists, 1);
    return NULL;
}

Test(views_links, cycles_that_are_held_are_no_leak_whenever_one_looks)
{
    pthread_t threads[CYCLE_THREADS];
    ftl_leak_options options = {.causes = 1u << FTL_LEAK_CYCLE};
    atomic_store(&cyclists, CYCLE_THREADS);
    for (unsigned i = 0; i < CYCLE_THREADS; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, make_and_undo_cycles, NULL), 0);
    unsigned scans = 0;
    for (; atomic_load(&cyclists) != 0; scans++) {
        ftl_leak_report *report;
        cr_assert_eq(ftl_leak_scan(runtime, &options, &report), FTL_OK);
        cr_assert_eq(report->leaked, 0, "%llu at scan %u", (unsigned long long)report->leaked, scans);
        ftl_leak_report_free(report);
    }
    for (unsigned i = 0; i < CYCLE_THREADS; i++)
        cr_assert_eq(pthread_join(threads[i], NULL), 0);
    cr_log_info("%u scans beside %u cycles", scans, CYCLE_THREADS * CYCLES);
}
