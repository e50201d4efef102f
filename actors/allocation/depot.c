#include "actors/allocation/depot.h"

#include <string.h>

#include <fettle/fettle.h>

#include "runtime/base/os.h"

#define MAGAZINES_LEAST 1024

struct ftli_magazine ftli_no_magazine;

int ftli_depot_init(struct ftli_depot *depot, uint32_t magazines)
{
    memset(depot, 0, sizeof *depot);
    uint64_t room = ftli_os_address_limit_bytes(); /* under such a limit: fewer */
    while (magazines > MAGAZINES_LEAST && room / 16 < (uint64_t)magazines * sizeof(struct ftli_magazine))
        magazines /= 2;
    size_t bytes = (size_t)magazines * sizeof(struct ftli_magazine);
    depot->magazines = ftli_os_reserve((bytes + 4095) / 4096 * 4096, 4096);
    if (depot->magazines == NULL)
        return FTL_ENOMEM;
    depot->most = magazines;
    ftli_u32_store_relaxed(&depot->fresh, 1);
    ftli_u32_store_relaxed(&depot->spares, 1);
    return FTL_OK;
}

void ftli_depot_fini(struct ftli_depot *depot)
{
    if (depot->magazines != NULL)
        ftli_os_release(depot->magazines, ((size_t)depot->most * sizeof(struct ftli_magazine) + 4095) / 4096 * 4096);
    depot->magazines = NULL;
}

static struct ftli_magazine *at(const struct ftli_depot *depot, uint64_t head)
{
    return &depot->magazines[head >> 32];
}

/* pairs: depot-head, both functions: what was written into a magazine before its push is seen after its pop. Sums that were read
 * from a magazine that is not the topmost any more go with a head that has moved. */
static void push(struct ftli_depot *depot, struct ftli_depot_stack *stack, struct ftli_magazine *magazine)
{
    uint64_t head = ftli_u64_load_acquire(&stack->head);
    uint64_t desired;
    do {
        const struct ftli_magazine *below = at(depot, head); /* magazine 0 is none, and sums to 0 */
        ftli_u32_store_release(&magazine->next, (uint32_t)(head >> 32));
        ftli_u32_store_release(&magazine->depth, ftli_u32_load_acquire(&below->depth) + 1);
        ftli_u64_store_release(&magazine->total,
                               ftli_u64_load_acquire(&below->total) + ftli_u32_load_relaxed(&magazine->count));
        desired = (uint64_t)magazine->index << 32 | (uint32_t)((uint32_t)head + 1);
    } while (!ftli_u64_cas_acq_rel(&stack->head, &head, desired));
}

static struct ftli_magazine *pop(struct ftli_depot *depot, struct ftli_depot_stack *stack)
{
    uint64_t head = ftli_u64_load_acquire(&stack->head);
    struct ftli_magazine *magazine;
    uint64_t desired;
    do {
        if (head >> 32 == 0)
            return NULL;
        magazine = at(depot, head);
        uint32_t next = ftli_u32_load_acquire(&magazine->next);
        desired = (uint64_t)next << 32 | (uint32_t)((uint32_t)head + 1);
    } while (!ftli_u64_cas_acq_rel(&stack->head, &head, desired));
    uint32_t depth = ftli_u32_load_relaxed(&magazine->depth) - 1;
    if (depth < ftli_u32_load_relaxed(&stack->least))
        ftli_u32_store_relaxed(&stack->least, depth);
    return magazine;
}

uint32_t ftli_depot_depth(const struct ftli_depot *depot, const struct ftli_depot_stack *stack)
{
    return ftli_u32_load_acquire(&at(depot, ftli_u64_load_acquire(&stack->head))->depth);
}

struct ftli_magazine *ftli_depot_take_full_from(struct ftli_depot *depot, unsigned size_class, uint32_t lane)
{
    return pop(depot, &depot->full[lane][size_class]);
}

struct ftli_magazine *ftli_depot_take_full(struct ftli_depot *depot, unsigned size_class, uint32_t lane)
{
    struct ftli_magazine *magazine = NULL;
    for (uint32_t i = 0; magazine == NULL && i < FTLI_DEPOT_LANES; i++)
        magazine = pop(depot, &depot->full[(lane + i) % FTLI_DEPOT_LANES][size_class]);
    return magazine;
}

struct ftli_magazine *ftli_depot_take_empty(struct ftli_depot *depot, uint32_t lane)
{
    struct ftli_magazine *magazine = NULL;
    for (uint32_t i = 0; magazine == NULL && i < FTLI_DEPOT_LANES; i++)
        magazine = pop(depot, &depot->empty[(lane + i) % FTLI_DEPOT_LANES]);
    return magazine;
}

struct ftli_magazine *ftli_depot_make_empty(struct ftli_depot *depot)
{
    uint32_t fresh = ftli_u32_load_relaxed(&depot->fresh);
    do {
        if (fresh >= depot->most)
            return NULL;
    } while (!ftli_u32_cas_acq_rel(&depot->fresh, &fresh, fresh + 1));
    struct ftli_magazine *magazine = &depot->magazines[fresh];
    magazine->index = fresh;
    return magazine;
}

void ftli_depot_give(struct ftli_depot *depot, struct ftli_magazine *magazine, uint32_t lane)
{
    bool empty = ftli_u32_load_relaxed(&magazine->count) == 0;
    lane %= FTLI_DEPOT_LANES;
    push(depot, empty ? &depot->empty[lane] : &depot->full[lane][magazine->size_class], magazine);
}

uint64_t ftli_depot_bytes(const struct ftli_depot *depot)
{
    uint64_t bytes = 0;
    for (uint32_t lane = 0; lane < FTLI_DEPOT_LANES; lane++)
        for (unsigned c = 1; c < FTLI_CLASSES; c++) {
            const struct ftli_magazine *top = at(depot, ftli_u64_load_acquire(&depot->full[lane][c].head));
            bytes += ftli_u64_load_acquire(&top->total) * ftli_class_bytes(c);
        }
    return bytes;
}

size_t ftli_depot_metadata_bytes(const struct ftli_depot *depot)
{
    return (size_t)ftli_u32_load_relaxed(&depot->fresh) * sizeof(struct ftli_magazine);
}
