/* ftl_defragment: what can be done at once, on the calling thread. Nothing moves in this version, so the figure falls by what a
 * purge gives back, and what is in use is called immovable. */
#include "actors/defragmentation/defragmentation.h"

#include "runtime/base/clock.h"

#define TARGET      0.2 /* DESIGN.md section 6: under 20 % is good */
#define TIME_NS     UINT64_C(1000000000)
#define SLICE_BYTES (UINT64_C(4) << 20)
#define SLICE_SLABS 64
#define SLICE_SLOTS 4096 /* headers of a shard, while its token is held; pages of the table */

enum { STOPPED_REACHED = 0, STOPPED_NOTHING_MOVABLE = 1, STOPPED_TIME = 2 };

static bool is_valid(const ftl_defragment_options *options)
{
    for (size_t i = 0; i < sizeof options->reserved / sizeof options->reserved[0]; i++)
        if (options->reserved[i] != 0)
            return false;
    return options->target >= 0 && options->target <= 1 && options->time_ns >= 0;
}

struct budget {
    ftli_kernel *kernel;
    uint64_t begun_ns, time_ns;
};

static bool is_over(const struct budget *budget)
{
    return ftli_kernel_now_ns(budget->kernel) - budget->begun_ns >= budget->time_ns;
}

/* The table's pages of which nobody has a header: two passes, since the first may have been begun by the timer. */
static void give_back_headers(struct ftli_device *device, const struct budget *budget, ftl_defragment_result *result)
{
    while (!ftli_allocation_gather_headers(device, SLICE_SLOTS) && !is_over(budget))
        ;
    for (unsigned passes = 0; passes < 2 && !is_over(budget);) {
        struct ftli_spare_swept swept = ftli_allocation_give_back_headers(device, SLICE_SLOTS, true);
        result->released_bytes += (uint64_t)swept.pages * 4096;
        passes += swept.done;
    }
}

/* Pages of slabs that hold free slots alone. */
static void give_back_slabs(struct ftli_device *device, const struct budget *budget, ftl_defragment_result *result)
{
    struct ftli_shards_cursor cursor = {0};
    while (!ftli_allocation_purge_slabs(device, &cursor, SLICE_SLABS, true) && !is_over(budget))
        ;
    result->released_bytes += cursor.bytes;
}

/* Slices until nothing goes any more; false: the time is over. */
static bool purge_all(struct ftli_defragmentation *defragmentation, const struct budget *budget,
                      ftl_defragment_result *result)
{
    struct ftli_device *device = defragmentation->world.device;
    uint64_t now_ns = budget->begun_ns, purged;
    ftli_allocation_trim(device, 2);
    while (ftli_allocation_collect(device) != 0 && !is_over(budget))
        ;
    give_back_headers(device, budget, result);
    give_back_slabs(device, budget, result);
    do {
        uint64_t from_ns = now_ns;
        purged = ftli_allocation_purge(device, 0, SLICE_BYTES);
        now_ns = ftli_kernel_now_ns(defragmentation->world.kernel);
        result->released_bytes += purged;
        result->slices++;
        if (now_ns - from_ns > result->longest_slice_ns)
            result->longest_slice_ns = now_ns - from_ns;
    } while (purged != 0 && now_ns - budget->begun_ns < budget->time_ns);
    (void)ftli_u64_fetch_add_relaxed(&defragmentation->given_back_bytes, result->released_bytes);
    (void)ftli_u64_fetch_add_relaxed(&defragmentation->purges, result->slices);
    return purged == 0;
}

int ftli_defragment_now(struct ftli_defragmentation *defragmentation, const ftl_defragment_options *options,
                        ftl_defragment_result *out)
{
    const ftl_defragment_options standard = {0};
    if (options == NULL)
        options = &standard;
    if (!is_valid(options))
        return FTL_EINVAL;
    double target = options->target > 0 ? options->target : TARGET;
    uint64_t time_ns = options->time_ns > 0 ? (uint64_t)options->time_ns : TIME_NS;
    ftl_defragment_result result = {0};
    struct ftli_device_figures figures;
    ftli_allocation_figures(defragmentation->world.device, &figures);
    result.before = ftli_fragmentation_of(&figures);
    bool in_time = true;
    if (options->purge) {
        ftli_kernel *kernel = defragmentation->world.kernel;
        const struct budget budget = {kernel, ftli_kernel_now_ns(kernel), time_ns};
        in_time = purge_all(defragmentation, &budget, &result);
        ftli_allocation_figures(defragmentation->world.device, &figures);
    }
    result.after = ftli_fragmentation_of(&figures);
    result.immovable_bytes = figures.used - figures.slab_free;
    result.stopped_by = result.after <= target ? STOPPED_REACHED : in_time ? STOPPED_NOTHING_MOVABLE : STOPPED_TIME;
    *out = result;
    return FTL_OK;
}
