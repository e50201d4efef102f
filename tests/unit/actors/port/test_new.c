/* New where something is used up: the device, the table, the extensions, the scope; and where drops pile up. */
#include "tests/unit/actors/port/port_support.h"

static int blocks_nothing(ftl_tensor tensor, void *data, size_t bytes, void *user)
{
    (void)tensor, (void)data, (void)bytes, (void)user;
    return 0;
}

Test(new, at_the_limit_it_waits_for_what_is_pending)
{
    ftl_tensor tensor = {0};
    const ftl_tensor_options patient = {.wait_ns = (int64_t)SECOND}, hasty = {.wait_ns = -1},
                             finalized = {.finalizer = blocks_nothing}; /* a new runs the cleanup, but no finalizer */
    ftl_runtime *runtime = open_simulated("devices.cpu.limit: 64MiB\ndevices.cpu.hard: 100%\n"
                                          "actors.cleanup.policy: message\nactors.allocation.wait: 0ms\n"
                                          "back_pressure.bytes: 1GiB");
    ftl_tensor most = new_bytes(runtime, 60 * MIB, &finalized);
    cr_assert_eq(ftl_bytes_new(runtime, 10 * MIB, NULL, &tensor), FTL_ELIMIT);
    cr_assert_eq(ftl_bytes_new(runtime, 65 * MIB, &patient, &tensor), FTL_ELIMIT, "more than there is");
    cr_assert_eq(ftl_tensor_drop(most), FTL_OK);
    cr_assert_eq(ftl_bytes_new(runtime, 10 * MIB, &hasty, &tensor), FTL_ELIMIT, "the drop is pending still");
    cr_assert_eq(tensor.id, 0);
    cr_assert_eq(ftl_bytes_new(runtime, 10 * MIB, &patient, &tensor), FTL_OK, "%s", ftl_last_error());
    cr_assert_eq(ftl_tensor_drop(tensor), FTL_OK);
    cr_assert_eq(ftl_runtime_drain(runtime, -1), FTL_OK);
    must_agree(runtime);
    cr_assert_eq(ftl_runtime_close(runtime, NULL), FTL_OK);
}

/* Raw bytes are a tensor of one dimension like any other, by whichever way they are made. */
static void must_be_bytes(ftl_runtime *runtime, size_t bytes)
{
    ftl_tensor tensor = {0}, same = {0};
    const int64_t shape = (int64_t)bytes;
    ftl_tensor_description one, other;
    cr_assert_eq(ftl_bytes_new(runtime, bytes, NULL, &tensor), FTL_OK, "%zu: %s", bytes, ftl_last_error());
    cr_assert_eq(ftl_tensor_new(runtime, FTL_U8, 1, &shape, NULL, &same), FTL_OK);
    cr_assert_eq(ftl_tensor_describe(tensor, &one), FTL_OK);
    cr_assert_eq(ftl_tensor_describe(same, &other), FTL_OK);
    cr_assert_eq(one.dtype, FTL_U8);
    cr_assert_eq(one.ndim, 1);
    cr_assert_eq(one.shape[0], shape);
    cr_assert_eq(one.bytes, bytes);
    cr_assert_eq(other.bytes, bytes);
    cr_assert_eq(one.flags, other.flags);
    cr_assert_eq(one.scope.id, 0);
    if (bytes != 0)
        memset(ftl_tensor_data(tensor), 0x5a, bytes);
    cr_assert_eq(ftl_tensor_drop(tensor), FTL_OK);
    cr_assert_eq(ftl_tensor_drop(tensor), FTL_ESTALE);
    cr_assert_eq(ftl_tensor_drop(same), FTL_OK);
}

Test(new, raw_bytes_are_a_tensor_of_one_dimension)
{
    static const size_t sizes[] = {0, 1, 63, 64, 65, 1000, 4096, 16385, 32768, 32769, 100 * KIB};
    static const char *const policies[] = {NULL, "actors.cleanup.policy: message"};
    const ftl_tensor_options zero = {.zero = true};
    for (unsigned p = 0; p < 2; p++) {
        ftl_tensor tensor = {5};
        ftl_runtime *runtime = open_simulated(policies[p]);
        for (unsigned k = 0; k < 200; k++) { /* so that what was dropped comes round, through the cleanup too */
            for (unsigned i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
                must_be_bytes(runtime, sizes[i]);
            if (k % 20 == 0)
                cr_assert_eq(ftl_runtime_drain(runtime, -1), FTL_OK);
        }
        cr_assert_eq(ftl_bytes_new(runtime, 64, NULL, NULL), FTL_EINVAL);
        cr_assert_eq(ftl_bytes_new(NULL, 64, NULL, &tensor), FTL_EINVAL);
        cr_assert_neq(ftl_bytes_new(runtime, SIZE_MAX, NULL, &tensor), FTL_OK);
        cr_assert_neq(ftl_bytes_new(runtime, SIZE_MAX / 2, NULL, &tensor), FTL_OK);
        cr_assert_eq(tensor.id, 5);
        cr_assert_eq(ftl_bytes_new(runtime, 64, &zero, &tensor), FTL_OK);
        cr_assert_eq(((const char *)ftl_tensor_data(tensor))[63], 0);
        cr_assert_eq(ftl_tensor_drop(tensor), FTL_OK);
        cr_assert_eq(ftl_runtime_drain(runtime, -1), FTL_OK);
        must_agree(runtime);
        cr_assert_eq(ftl_runtime_close(runtime, NULL), FTL_OK);
    }
}

Test(new, sizes_no_device_has)
{
    ftl_tensor tensor = {5};
    const int64_t bits[] = {INT64_MAX / 8}, many[] = {INT64_C(1) << 48};
    ftl_runtime *runtime = open_simulated(NULL);
    cr_assert_eq(ftl_tensor_new(runtime, FTL_U8, 1, many, NULL, &tensor), FTL_ELIMIT);
    cr_assert_eq(ftl_tensor_new(runtime, FTL_U8, 1, bits, NULL, &tensor), FTL_ELIMIT);
    cr_assert_eq(ftl_tensor_new(NULL, FTL_U8, 1, many, NULL, &tensor), FTL_EINVAL);
    cr_assert_eq(ftl_tensor_new(runtime, FTL_U8, 1, many, NULL, NULL), FTL_EINVAL);
    cr_assert_eq(tensor.id, 5);
    cr_assert_eq(ftl_runtime_close(runtime, NULL), FTL_OK);
    cr_assert_eq(ftl_bytes_new(runtime, 10, NULL, &tensor), FTL_ECLOSED);
    cr_assert_eq(ftl_bytes_new(runtime, 3 * MIB, NULL, &tensor), FTL_ECLOSED);
}

/* 1,023 slots and as many cells of extensions. */
Test(new, a_table_or_its_extensions_that_are_used_up)
{
    enum { MOST = 1100 };
    static ftl_tensor tensors[MOST];
    const ftl_tensor_options labelled = {.label = "x"};
    const int64_t big[6] = {1, 2, 3, 4, 5, 6};
    unsigned n = 0;
    int status;
    ftl_runtime *runtime = open_simulated("runtime.tensors: 1024\nactors.allocation.shards: 1");
    while (n < MOST && (status = ftl_bytes_new(runtime, 64, NULL, &tensors[n])) == FTL_OK)
        n++;
    cr_assert_eq(status, FTL_ELIMIT);
    cr_assert(n >= 1000 && n < 1024, "%u", n);
    must_agree(runtime);
    cr_assert_eq(ftl_tensor_drop(tensors[--n]), FTL_OK);
    cr_assert_eq(ftl_bytes_new(runtime, 64, NULL, &tensors[n]), FTL_OK, "%s", ftl_last_error());
    n++;
    while (n > 0)
        cr_assert_eq(ftl_tensor_drop(tensors[--n]), FTL_OK);
    cr_assert_eq(ftl_runtime_drain(runtime, -1), FTL_OK);

    uint32_t cells = 0, taken[MOST];
    while (cells < MOST && (taken[cells] = ftli_cell_take(&runtime->table)) != 0)
        cells++;
    uint64_t created = stats_of(runtime).created;
    cr_assert_eq(ftl_bytes_new(runtime, 64, &labelled, &tensors[0]), FTL_ENOMEM);
    cr_assert_eq(ftl_bytes_new(runtime, 100 * KIB, &labelled, &tensors[0]), FTL_ENOMEM);
    cr_assert_eq(ftl_tensor_new(runtime, FTL_U8, 6, big, NULL, &tensors[0]), FTL_ENOMEM, "six dimensions");
    cr_assert_eq(stats_of(runtime).created, created, "what could not be made was counted");
    tensors[0] = new_bytes(runtime, 64, NULL), tensors[1] = new_bytes(runtime, 64, NULL);
    int64_t shape = 8;
    cr_assert_eq(ftl_tensor_view(tensors[0], 0, 1, &shape, NULL, &tensors[2]), FTL_ENOMEM);
    cr_assert_eq(ftl_tensor_link(tensors[0], tensors[1]), FTL_ENOMEM);
    ftli_cell_give(&runtime->table, taken[--cells]); /* one: enough for an extension, not for what hangs on it */
    cr_assert_eq(ftl_tensor_new(runtime, FTL_U8, 6, big, NULL, &tensors[2]), FTL_ENOMEM);
    cr_assert_eq(ftl_tensor_link(tensors[0], tensors[1]), FTL_ENOMEM);
    run_for(runtime, SECOND);
    must_agree(runtime);
    while (cells > 0)
        ftli_cell_give(&runtime->table, taken[--cells]);
    cr_assert_eq(ftl_tensor_link(tensors[0], tensors[1]), FTL_OK);
    cr_assert_eq(ftl_tensor_drop(tensors[0]), FTL_OK);
    cr_assert_eq(ftl_tensor_drop(tensors[1]), FTL_OK);
    cr_assert_eq(ftl_runtime_drain(runtime, -1), FTL_OK);
    cr_assert_eq(stats_of(runtime).live, 0);
    must_agree(runtime);
    cr_assert_eq(ftl_runtime_close(runtime, NULL), FTL_OK);
}

Test(new, a_scope_that_cannot_take_it_is_left_as_it_was)
{
    ftl_scope scope;
    ftl_scope_description before, after;
    ftl_tensor tensor = {0};
    ftl_runtime *runtime = open_simulated("devices.cpu.limit: 64MiB\nactors.allocation.wait: 0ms");
    const ftl_scope_options options = {.hard_bytes = 1000 * MIB};
    cr_assert_eq(ftl_scope_open(runtime, &options, &scope), FTL_OK);
    const ftl_tensor_options in_it = {.scope = scope}, elsewhere = {.scope = {scope.id ^ UINT64_C(1) << 55}};
    cr_assert_eq(ftl_scope_stats(scope, &before), FTL_OK);
    cr_assert_eq(ftl_bytes_new(runtime, 100 * MIB, &in_it, &tensor), FTL_ELIMIT, "over the device's limit");
    cr_assert_eq(ftl_bytes_new(runtime, 1001 * MIB, &in_it, &tensor), FTL_ELIMIT, "over the scope's");
    cr_assert_eq(ftl_bytes_new(runtime, 10, &elsewhere, &tensor), FTL_ESTALE);
    cr_assert_eq(ftl_scope_stats(scope, &after), FTL_OK);
    cr_assert_eq(after.live_bytes, before.live_bytes);
    cr_assert_eq(after.live, 0);
    cr_assert_eq(tensor.id, 0);
    cr_assert_eq(ftl_scope_end(scope, NULL), FTL_OK);
    cr_assert_eq(ftl_bytes_new(runtime, 10, &in_it, &tensor), FTL_ESTALE);
    cr_assert_eq(ftl_scope_stats(scope, NULL), FTL_EINVAL);
    cr_assert_eq(ftl_scope_stats(scope, &after), FTL_ESTALE);
    cr_assert_eq(ftl_scope_keep(scope, new_bytes(runtime, 10, NULL)), FTL_ESTALE);
    ftl_close_report report;
    cr_assert_eq(ftl_runtime_close(runtime, &report), FTL_OK);
    cr_assert_eq(report.leaked, 1);
    ftl_leak_report_free(report.leaks);
    cr_assert_eq(ftl_scope_end(scope, NULL), FTL_ECLOSED);
    cr_assert_eq(ftl_scope_stats(scope, &after), FTL_ECLOSED);
    cr_assert_eq(ftl_scope_begin(runtime, "late", &scope), FTL_ECLOSED);
}

static uint64_t backlog_of(ftl_runtime *runtime)
{
    struct ftli_cleanup_backlog backlog;
    ftli_cleanup_read_backlog(&runtime->cleanup, &backlog);
    return backlog.messages;
}

/* CORE.md section 3, rule 2: over the mark new has the cleanup come, over twice the mark it waits for it. A drop never does. */
Test(new, feels_the_drops_that_pile_up)
{
    const ftl_tensor_options options = {.finalizer = blocks_nothing};
    static ftl_tensor tensors[400];
    ftl_runtime *runtime = open_simulated("back_pressure: {pending: 100, wait: 50ms}\n"
                                          "actors.cleanup.batch: {messages: 65536, age: 60s}");
    for (unsigned i = 0; i < 400; i++)
        tensors[i] = new_bytes(runtime, 64, &options);
    for (unsigned i = 0; i < 400; i++)
        cr_assert_eq(ftl_tensor_drop(tensors[i]), FTL_OK);
    cr_assert_eq(backlog_of(runtime), 400, "a drop helped");
    for (unsigned i = 0; i < 20 * 16; i++) /* one slow new in sixteen looks, and waits for a few batches at most */
        cr_assert_eq(ftl_tensor_drop(new_bytes(runtime, 100 * KIB, NULL)), FTL_OK);
    cr_assert_leq(backlog_of(runtime), 200);
    cr_assert_eq(ftl_runtime_drain(runtime, -1), FTL_OK);
    must_agree(runtime);
    cr_assert_eq(ftl_runtime_close(runtime, NULL), FTL_OK);
}

Test(new, zeroed_memory_is_zero_also_the_second_time)
{
    static const uint64_t sizes[] = {64, 5000, 100 * KIB, 3 * MIB};
    const ftl_tensor_options options = {.zero = true};
    ftl_runtime *runtime = open_simulated(NULL);
    for (unsigned round = 0; round < 3; round++)
        for (unsigned i = 0; i < 4; i++) {
            ftl_tensor tensor = new_bytes(runtime, sizes[i], &options);
            unsigned char *data = ftl_tensor_data(tensor);
            for (uint64_t k = 0; k < sizes[i]; k++)
                cr_assert_eq(data[k], 0, "byte %llu of %llu", (unsigned long long)k, (unsigned long long)sizes[i]);
            memset(data, 0xee, sizes[i]);
            cr_assert_eq(ftl_tensor_drop(tensor), FTL_OK);
        }
    cr_assert_eq(ftl_runtime_close(runtime, NULL), FTL_OK);
}
