/* Every live tensor, listed and summed up: each field, at rest to the byte, and while threads make and drop. */
#include "tests/support/laws.h"
#include "tests/unit/actors/port/port_support.h"

#include <stdlib.h>

TestSuite(list, .timeout = 120);

/* ---- at rest ---------------------------------------------------------------------------------------------------------- */

struct seen {
    ftl_tensor_row rows[64];
    char sites[64][64];
    unsigned count, stop_after; /* 0: never */
};

static int keep(const ftl_tensor_row *row, void *user)
{
    struct seen *seen = user;
    cr_assert_lt(seen->count, 64);
    seen->rows[seen->count] = *row;
    (void)snprintf(seen->sites[seen->count], sizeof seen->sites[0], "%s", row->site);
    return ++seen->count == seen->stop_after;
}

static const ftl_tensor_row *row_of(const struct seen *seen, ftl_tensor tensor)
{
    for (unsigned i = 0; i < seen->count; i++)
        if (seen->rows[i].tensor.id == tensor.id)
            return &seen->rows[i];
    return NULL;
}

static struct seen list(ftl_runtime *runtime, const ftl_list_options *options)
{
    struct seen seen = {0};
    cr_assert_eq(ftl_tensor_list(runtime, options, keep, &seen), FTL_OK, "%s", ftl_last_error());
    return seen;
}

Test(list, a_row_says_what_the_tensor_is)
{
    ftl_runtime *runtime = open_simulated("actors.tracking.level: none\n");
    const ftl_scope_options scope_options = {.label = "session"};
    ftl_scope scope;
    cr_assert_eq(ftl_scope_open(runtime, &scope_options, &scope), FTL_OK);
    const int64_t matrix[] = {30, 20}, deep[] = {1, 2, 3, 4, 5, 6};
    const ftl_tensor_options options = {.label = "kv", .tag = 77, .scope = scope, .site = "src/a.c:12"};
    ftl_tensor a, b, view;
    cr_assert_eq(ftl_tensor_new(runtime, FTL_F32, 2, matrix, &options, &a), FTL_OK);
    cr_assert_eq(ftl_tensor_new(runtime, FTL_I8, 6, deep, NULL, &b), FTL_OK);
    const int64_t part[] = {7};
    cr_assert_eq(ftl_tensor_view(a, 0, 1, part, NULL, &view), FTL_OK);
    cr_assert_eq(ftl_tensor_retain(b), FTL_OK);
    cr_assert_not_null(ftl_tensor_pin(b));
    ftli_simulation_jump(runtime->kernel, 3 * SECOND);
    struct seen seen = list(runtime, NULL);
    cr_assert_eq(seen.count, 3);
    const ftl_tensor_row *x = row_of(&seen, a), *y = row_of(&seen, b), *z = row_of(&seen, view);
    cr_assert(x != NULL && y != NULL && z != NULL);
    cr_expect_eq(x->bytes, 2400);
    cr_expect(x->dtype == FTL_F32 && x->ndim == 2 && x->shape[0] == 30 && x->shape[1] == 20);
    cr_expect_eq(x->scope.id, scope.id);
    cr_expect_eq(x->tag, 77);
    cr_expect_str_eq(x->label, "kv");
    cr_expect_str_eq(x->scope_label, "session");
    cr_expect_str_eq(seen.sites[x - seen.rows], "src/a.c:12");
    cr_expect_eq(x->age_ns, 3 * SECOND);
    cr_expect_eq(x->references, 2, "its own, and the view's");
    cr_expect(y->dtype == FTL_I8 && y->ndim == 6 && y->shape[0] == 1 && y->shape[5] == 6 && y->bytes == 720);
    cr_expect(y->references == 2 && y->pins == 1 && (y->flags & FTL_PINNED) != 0 && y->scope.id == 0);
    cr_expect_str_eq(y->label, "");
    cr_expect((z->flags & FTL_VIEW) != 0 && z->base.id == a.id && z->bytes == 28 && z->ndim == 1 && z->shape[0] == 7);
    ftl_tensor_unpin(b);
    cr_expect_eq(ftl_tensor_drop(b), FTL_OK);
    cr_expect_eq(list(runtime, NULL).count, 3, "one reference is left");
    cr_expect_eq(ftl_tensor_drop(b), FTL_OK);
    cr_expect_eq(list(runtime, NULL).count, 2);
    cr_expect_eq(ftl_tensor_drop(view), FTL_OK);
    cr_expect_eq(ftl_scope_end(scope, NULL), FTL_OK);
    cr_expect_eq(ftl_runtime_drain(runtime, -1), FTL_OK, "the view gives its root up");
    cr_expect_eq(list(runtime, NULL).count, 0);
    cr_assert_eq(ftl_runtime_close(runtime, NULL), FTL_OK);
}

Test(list, options_choose_and_the_callback_stops)
{
    ftl_runtime *runtime = open_simulated(NULL);
    ftl_scope scope;
    cr_assert_eq(ftl_scope_open(runtime, NULL, &scope), FTL_OK);
    (void)new_bytes(runtime, 100, &(ftl_tensor_options){.label = "a"});
    ftli_simulation_jump(runtime->kernel, 2 * SECOND);
    run_for(runtime, SECOND); /* the tick moves the coarse time that tensors are stamped with */
    (void)new_bytes(runtime, 5000, &(ftl_tensor_options){.label = "b"});
    (void)new_bytes(runtime, 200, &(ftl_tensor_options){.label = "b", .scope = scope});
    cr_expect_eq(list(runtime, &(ftl_list_options){.least_bytes = 200}).count, 2);
    cr_expect_eq(list(runtime, &(ftl_list_options){.least_age_ns = (int64_t)SECOND}).count, 1);
    cr_expect_eq(list(runtime, &(ftl_list_options){.label = "b"}).count, 2);
    cr_expect_eq(list(runtime, &(ftl_list_options){.label = "none such"}).count, 0);
    cr_expect_eq(list(runtime, &(ftl_list_options){.scope = scope}).count, 1);
    struct seen seen = {.stop_after = 2};
    cr_expect_eq(ftl_tensor_list(runtime, NULL, keep, &seen), FTL_OK);
    cr_expect_eq(seen.count, 2);
    cr_expect_eq(ftl_tensor_list(runtime, &(ftl_list_options){.least_age_ns = -1}, keep, &seen), FTL_EINVAL);
    cr_expect_eq(ftl_tensor_list(runtime, &(ftl_list_options){.reserved = {1}}, keep, &seen), FTL_EINVAL);
    cr_expect_eq(ftl_tensor_list(runtime, NULL, NULL, &seen), FTL_EINVAL);
    cr_expect_eq(ftl_tensor_list(NULL, NULL, keep, &seen), FTL_EINVAL);
    cr_assert_eq(ftl_runtime_close(runtime, NULL), FTL_OK);
    cr_expect_eq(ftl_tensor_list(runtime, NULL, keep, &seen), FTL_ECLOSED);
}

/* ---- summed up -------------------------------------------------------------------------------------------------------- */

static struct ftli_breakdown_sum add_up(const struct ftli_breakdown_sum *sums, unsigned n)
{
    struct ftli_breakdown_sum all = {0};
    for (unsigned i = 0; i < n; i++) {
        all.count += sums[i].count;
        all.bytes += sums[i].bytes;
    }
    return all;
}

static struct ftli_breakdown_sum sum_scopes(const struct ftli_breakdown *sums)
{
    struct ftli_breakdown_sum all = {0};
    for (size_t i = 0; i < sums->scopes.used; i++) {
        all.count += sums->scopes.rows[i].count;
        all.bytes += sums->scopes.rows[i].bytes;
    }
    return all;
}

Test(list, a_breakdown_adds_up_to_the_figures)
{
    static const char *const labels[] = {NULL, "kv", "weights"};
    ftl_runtime *runtime = open_simulated("actors.tracking.level: debug\n");
    ftl_scope scopes[8];
    ftl_tensor tensors[300], view;
    for (unsigned i = 0; i < 8; i++)
        cr_assert_eq(ftl_scope_open(runtime, &(ftl_scope_options){.label = "request"}, &scopes[i]), FTL_OK);
    for (unsigned i = 0; i < 300; i++) {
        const int64_t shape[] = {i * i, 3};
        const ftl_tensor_options options = {.label = labels[i % 3],
                                            .scope = i % 9 < 8 ? scopes[i % 9] : (ftl_scope){0}};
        cr_assert_eq(ftl_tensor_new(runtime, 1 + i % 20, 2, shape, i % 4 != 0 ? &options : NULL, &tensors[i]), FTL_OK);
    }
    for (unsigned i = 0; i < 300; i += 7)
        (void)ftl_tensor_drop(tensors[i]);
    const int64_t part[] = {1};
    cr_assert_eq(ftl_tensor_view(tensors[299], 0, 1, part, NULL, &view), FTL_OK);
    struct ftli_breakdown *sums;
    struct ftli_list_world world = ftli_runtime_list_world(runtime);
    ftl_stats stats = stats_of(runtime);
    cr_assert_eq(ftli_breakdown_make(&world, &sums), FTL_OK);
    const struct ftli_breakdown_sum all[] = {
        sums->all,
        add_up(sums->devices, FTLI_BREAKDOWN_DEVICES),
        add_up(sums->classes, FTLI_BREAKDOWN_CLASSES),
        add_up(sums->dtypes, FTLI_BREAKDOWN_DTYPES),
        add_up(sums->labels, FTLI_LABELS_MOST),
        sum_scopes(sums),
    };
    for (unsigned i = 0; i < sizeof all / sizeof all[0]; i++) {
        cr_expect_eq(all[i].count, stats.live, "%u: %lu, %lu live", i, (unsigned long)all[i].count,
                     (unsigned long)stats.live);
        cr_expect_eq(all[i].bytes, stats.live_bytes, "%u", i);
    }
    cr_expect_eq(sums->scopes.used, 9, "8, and those of none");
    for (size_t i = 1; i < sums->scopes.used; i++)
        cr_expect_geq(sums->scopes.rows[i - 1].bytes, sums->scopes.rows[i].bytes);
    for (size_t i = 0; i < sums->scopes.used; i++) {
        ftl_scope_description d;
        if (sums->scopes.rows[i].key[0] == 0)
            continue;
        cr_assert_eq(ftl_scope_stats((ftl_scope){sums->scopes.rows[i].key[0]}, &d), FTL_OK);
        cr_expect(d.live == sums->scopes.rows[i].count && d.live_bytes == sums->scopes.rows[i].bytes);
    }
    ftli_breakdown_free(sums);
    (void)ftl_tensor_drop(view);
    cr_assert_eq(ftl_runtime_close(runtime, NULL), FTL_OK);
}

/* ---- while threads run ------------------------------------------------------------------------------------------------- */

/* The tag of a tensor says all the rest of it. */
enum { STABLE = 1000, CHURNERS = 3, HELD = 40, LISTINGS = LAWS_SANITIZED ? 8 : 200 };
#define CHURNED (UINT64_C(1) << 32)

static ftl_runtime *shared;
static atomic_bool over;

static const char *label_of(uint64_t tag)
{
    static const char *const labels[] = {"zero", "one", "two", "three", "four"};
    return labels[tag % 5];
}

static const char *site_of(uint64_t tag)
{
    static const char *const sites[] = {"a.c:1", "b.c:22", "c.c:333"};
    return sites[tag % 3];
}

static uint32_t shape_of(uint64_t tag, int64_t *shape)
{
    uint32_t ndim = 1 + (uint32_t)(tag % 6); /* 5 and 6: in a cell */
    for (uint32_t i = 0; i < ndim; i++)
        shape[i] = 1 + (int64_t)((tag >> i) % 5);
    return ndim;
}

static int make(uint64_t tag, ftl_scope scope, ftl_tensor *out)
{
    int64_t shape[FTL_MAX_DIMS];
    const ftl_tensor_options options = {.label = label_of(tag), .site = site_of(tag), .tag = tag, .scope = scope};
    uint32_t ndim = shape_of(tag, shape);
    return ftl_tensor_new(shared, (ftl_dtype)(1 + tag % 9), ndim, shape, &options, out);
}

static bool is_whole(const ftl_tensor_row *row)
{
    int64_t shape[FTL_MAX_DIMS];
    if (row->tag == 0) /* a view, or without options: of one element */
        return row->ndim == 1 && row->shape[0] == 1 && row->label[0] == '\0' && row->site[0] == '\0';
    if (row->ndim != shape_of(row->tag, shape) || memcmp(shape, row->shape, row->ndim * sizeof *shape) != 0)
        return false;
    return row->dtype == 1 + row->tag % 9 && strcmp(row->label, label_of(row->tag)) == 0 &&
           strcmp(row->site, site_of(row->tag)) == 0;
}

/* Makes, drops, views and links at random; the members of a scope go with it, but those that are kept. */
static void *churn(void *argument)
{
    unsigned seed = (unsigned)(uintptr_t)argument;
    ftl_tensor held[HELD] = {{0}};
    for (uint64_t n = 1; !atomic_load(&over); n++) {
        ftl_scope scope = {0};
        ftl_tensor *at = &held[(unsigned)rand_r(&seed) % HELD], member, view;
        uint64_t tag = CHURNED * (1 + (uintptr_t)argument) + n;
        (void)ftl_tensor_drop(*at);
        (void)EXPECT(make(tag, scope, at) == FTL_OK);
        (void)EXPECT(ftl_scope_open(shared, NULL, &scope) == FTL_OK);
        (void)EXPECT(make(tag + 7, scope, &member) == FTL_OK);
        const int64_t one = 1;
        if (rand_r(&seed) % 4 == 0 && EXPECT(ftl_tensor_view(member, 0, 1, &one, NULL, &view) == FTL_OK)) {
            (void)EXPECT(ftl_tensor_link(*at, view) == FTL_OK);
            (void)ftl_tensor_drop(view);
        }
        if (n % 2 == 0 && EXPECT(ftl_scope_keep(scope, member) == FTL_OK))
            (void)ftl_tensor_drop(member);
        (void)ftl_scope_end(scope, NULL);
    }
    for (unsigned i = 0; i < HELD; i++)
        (void)ftl_tensor_drop(held[i]);
    return NULL;
}

struct roll {
    ftl_tensor stable[STABLE + 1]; /* by tag */
    unsigned times[STABLE + 1];
    unsigned torn, strangers;
};

/* The same tensor once more, while others drop it: gone, or itself. */
static bool is_described(const ftl_tensor_row *row)
{
    ftl_tensor_description d;
    int status = ftl_tensor_describe(row->tensor, &d);
    return status == FTL_OK ? d.tag == row->tag && d.ndim == row->ndim && strcmp(d.site, row->site) == 0 &&
                                  memcmp(d.shape, row->shape, row->ndim * sizeof *d.shape) == 0
                            : status == FTL_ESTALE;
}

static int call_roll(const ftl_tensor_row *row, void *user)
{
    struct roll *roll = user;
    if (!is_whole(row) || (row->tag >= CHURNED && !is_described(row)))
        roll->torn++;
    else if (row->tag != 0 && row->tag <= STABLE && roll->stable[row->tag].id == row->tensor.id)
        roll->times[row->tag]++;
    else if (row->tag != 0 && row->tag < CHURNED)
        roll->strangers++;
    return 0;
}

Test(list, who_stays_is_told_once_and_nobody_with_anothers_fields)
{
    static struct roll roll;
    pthread_t threads[CHURNERS];
    cr_assert_eq(ftl_runtime_open(NULL, &shared), FTL_OK);
    for (uint64_t tag = 1; tag <= STABLE; tag++)
        cr_assert_eq(make(tag, (ftl_scope){0}, &roll.stable[tag]), FTL_OK);
    for (uintptr_t i = 0; i < CHURNERS; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, churn, (void *)i), 0);
    for (unsigned n = 0; n < LISTINGS; n++) {
        memset(roll.times, 0, sizeof roll.times);
        cr_assert_eq(ftl_tensor_list(shared, NULL, call_roll, &roll), FTL_OK);
        for (uint64_t tag = 1; tag <= STABLE; tag++)
            cr_assert_eq(roll.times[tag], 1, "listing %u: tensor %lu is told %u times", n, (unsigned long)tag,
                         roll.times[tag]);
    }
    atomic_store(&over, true);
    for (unsigned i = 0; i < CHURNERS; i++)
        (void)pthread_join(threads[i], NULL);
    expect_nothing_failed();
    cr_expect_eq(roll.torn, 0);
    cr_expect_eq(roll.strangers, 0);
    cr_assert_eq(ftl_runtime_drain(shared, -1), FTL_OK);
    struct ftli_list_world world = ftli_runtime_list_world(shared);
    struct ftli_breakdown *sums;
    cr_assert_eq(ftli_breakdown_make(&world, &sums), FTL_OK);
    cr_expect_eq(sums->all.count, STABLE);
    cr_expect_eq(sums->all.bytes, stats_of(shared).live_bytes);
    ftli_breakdown_free(sums);
    cr_assert_eq(ftl_runtime_close(shared, NULL), FTL_OK);
}
