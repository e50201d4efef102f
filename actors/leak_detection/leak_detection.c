/* The leak detection actor: after a note it walks the table, slice by slice, and keeps the number of suspects. */
#include "actors/leak_detection/leak_detection.h"

#include <string.h>

#include "actors/leak_detection/walk.h"
#include "runtime/base/clock.h"
#include "runtime/base/os.h"
#include "runtime/kernel/route.h"

#define SOON_NS  (UINT64_C(100) * FTLI_NS_PER_MS)
#define AGAIN_NS (UINT64_C(10) * FTLI_NS_PER_S) /* while there are suspects: they may be dropped without a note */

static size_t pinned_bytes(void)
{
    size_t page = ftli_os_page_bytes();
    return (FTLI_LEAK_PINNED_MOST * sizeof(struct ftli_leak_pinned) + page - 1) / page * page;
}

int ftli_leak_detection_init(struct ftli_leak_detection *leaks, const struct ftli_leak_detection_world *world)
{
    memset(leaks, 0, sizeof *leaks);
    leaks->world = *world;
    if (world->settings != NULL)
        ftli_u32_store_relaxed(&leaks->mitigate, world->settings->mitigate);
    leaks->pinned = ftli_os_reserve(pinned_bytes(), ftli_os_page_bytes());
    ftli_cycles_init(&leaks->cycles);
    int status = leaks->pinned != NULL ? ftli_quotas_init(&leaks->quotas, world->settings) : FTL_ENOMEM;
    if (status == FTL_OK)
        status = ftli_growth_init(leaks);
    if (status != FTL_OK)
        ftli_leak_detection_fini(leaks);
    return status;
}

void ftli_leak_detection_fini(struct ftli_leak_detection *leaks)
{
    ftli_reach_fini(&leaks->reach);
    if (leaks->pinned != NULL)
        ftli_os_release(leaks->pinned, pinned_bytes());
    leaks->pinned = NULL;
    ftli_cycles_fini(&leaks->cycles);
    ftli_quotas_fini(&leaks->quotas);
    ftli_growth_fini(leaks);
}

void ftli_leak_detection_attach(struct ftli_leak_detection *leaks, ftli_actor *actor)
{
    leaks->actor = actor;
}

void ftli_leak_detection_note(struct ftli_leak_detection *leaks)
{
    if (leaks->actor == NULL || ftli_u32_load_seq_cst(&leaks->noted) != 0)
        return;
    ftli_u32_store_seq_cst(&leaks->noted, 1); /* pairs: leak-noted */
    ftli_leak_pass_ask(leaks, FTLI_LEAK_PASS_WALK, SOON_NS);
}

void ftli_leak_detection_look_within(struct ftli_leak_detection *leaks, uint64_t delay_ns)
{
    ftli_leak_pass_ask(leaks, FTLI_LEAK_PASS_WALK, delay_ns);
}

uint64_t ftli_leak_detection_suspects(const struct ftli_leak_detection *leaks)
{
    return ftli_u64_load_acquire(&leaks->suspects) + ftli_u64_load_acquire(&leaks->cycles.suspects) +
           ftli_u64_load_acquire(&leaks->growth.suspects);
}

/* ---- the walk ------------------------------------------------------------------------------------------------------ */

static bool begin_walk(struct ftli_leak_detection *leaks, uint64_t now_ns)
{
    (void)now_ns;
    ftli_u32_store_seq_cst(&leaks->noted,
                           0); /* before the walk: what is noted during it wants another. pairs: leak-noted */
    leaks->next_slot = 1;
    leaks->end_slot = ftli_table_fresh(leaks->world.table);
    leaks->walk_suspects = leaks->walk_suspect_bytes = 0;
    leaks->walk_largest = (struct ftli_leak_suspect){0};
    leaks->walk_again = false;
    leaks->overdue_now.count = leaks->unreferenced_now.count = 0;
    ftli_u64_store_relaxed(&leaks->audited_created, ftli_u64_load_relaxed(&leaks->created));
    return true;
}

static void count_suspect(struct ftli_leak_detection *leaks, const struct ftli_leak_tensor *tensor)
{
    leaks->walk_suspects++;
    leaks->walk_suspect_bytes += tensor->bytes;
    if (leaks->walk_suspects == 1 || tensor->bytes > leaks->walk_largest.bytes)
        leaks->walk_largest =
            (struct ftli_leak_suspect){tensor->tensor, tensor->bytes, tensor->cause, tensor->label, tensor->site};
}

static bool walk_slice(struct ftli_leak_detection *leaks, uint64_t now_ns)
{
    uint32_t left = leaks->end_slot - leaks->next_slot;
    uint32_t end = leaks->next_slot + (left < FTLI_LEAK_SLICE_SLOTS ? left : FTLI_LEAK_SLICE_SLOTS);
    struct ftli_leak_tensor tensor;
    struct ftli_overdue overdue;
    uint64_t unreferenced;
    for (; leaks->next_slot < end; leaks->next_slot = ftli_table_next(leaks->world.table, leaks->next_slot, end)) {
        if (FTLI_UNLIKELY(ftli_unreferenced_look(leaks, leaks->next_slot, &unreferenced)))
            ftli_unreferenced_add(leaks, unreferenced, now_ns);
        enum ftli_drop_state drop = ftli_overdue_look(leaks, leaks->next_slot, now_ns, &overdue);
        if (drop == FTLI_DROP_OVERDUE)
            ftli_overdue_add(&leaks->overdue_now, &overdue);
        leaks->walk_again = leaks->walk_again || drop != FTLI_DROP_NONE;
        if (drop != FTLI_DROP_NONE || !ftli_leak_look(leaks, leaks->next_slot, now_ns, &tensor))
            continue;
        if (ftli_word_state(tensor.word) == FTLI_DROPPED) {
            tensor.cause = ftli_leak_pinned_cause(leaks, tensor.tensor, now_ns);
            leaks->walk_again = true;
        }
        if (tensor.cause != 0)
            count_suspect(leaks, &tensor);
        leaks->walk_again = leaks->walk_again || tensor.under_grace || tensor.cause != 0;
    }
    return leaks->next_slot < leaks->end_slot;
}

static const char *name_of(uint32_t cause)
{
    return cause == FTL_LEAK_OUTLIVED_SCOPE    ? "outlived its scope"
           : cause == FTL_LEAK_OUTLIVED_THREAD ? "outlived its thread"
                                               : "is dropped, and pinned for long";
}

static void tell_of_suspects(struct ftli_leak_detection *leaks)
{
    const struct ftli_leak_suspect *largest = &leaks->walk_largest;
    bool more = leaks->walk_suspects > leaks->told;
    leaks->told = leaks->walk_suspects;
    if (!more || !ftli_events_are_wanted(leaks->world.events, FTL_EVENT_LEAK))
        return;
    const char *label = ftli_label_text(leaks->world.labels, largest->label);
    struct ftli_event_news news = {.kind = FTL_EVENT_LEAK,
                                   .bytes = leaks->walk_suspect_bytes,
                                   .count = leaks->walk_suspects,
                                   .tensor = largest->tensor,
                                   .subject = largest->site != NULL ? largest->site : label};
    ftli_events_post(leaks->world.events, &news, "%llu tensors of %llu bytes ought to be gone; the largest, \"%s\", %s",
                     (unsigned long long)leaks->walk_suspects, (unsigned long long)leaks->walk_suspect_bytes, label,
                     name_of(largest->cause));
}

static void tell_of_overdue(const struct ftli_leak_detection *leaks, uint64_t count)
{
    struct ftli_event_news news = {.kind = FTL_EVENT_OVERDUE, .count = count, .subject = "cleanup"};
    ftli_events_post(leaks->world.events, &news, "%llu drops%s are past their deadline, though nothing pins them",
                     (unsigned long long)count, count == FTLI_OVERDUE_MOST ? " or more" : "");
}

/* The next walk comes after a note, or while something may change by time alone. */
static uint64_t end_walk(struct ftli_leak_detection *leaks, uint64_t now_ns)
{
    if (ftli_leak_pinned_forget(leaks) != 0)
        leaks->walk_again = true;
    ftli_u64_store_release(&leaks->suspects, leaks->walk_suspects);
    tell_of_suspects(leaks);
    if (ftli_overdue_look_at_parcels(leaks, now_ns, &leaks->overdue_now))
        leaks->walk_again = true;
    uint64_t overdue = ftli_overdue_confirm(&leaks->overdue_before, &leaks->overdue_now);
    if (overdue > ftli_u64_load_relaxed(&leaks->overdue))
        tell_of_overdue(leaks, overdue);
    ftli_unreferenced_end(leaks, now_ns);
    ftli_u64_store_release(&leaks->overdue, overdue);
    leaks->overdue_before = leaks->overdue_now;
    (void)ftli_u64_fetch_add_relaxed(&leaks->walks, 1);
    return leaks->walk_again ? AGAIN_NS : FTLI_LEAK_NO_DATE;
}

static const struct ftli_leak_pass_operations walk_pass = {.begin = begin_walk, .slice = walk_slice, .end = end_walk};

const struct ftli_leak_pass_operations *const ftli_leak_passes[FTLI_LEAK_PASSES] = {
    [FTLI_LEAK_PASS_WALK] = &walk_pass,
    [FTLI_LEAK_PASS_CYCLES] = &ftli_cycles_pass,
    [FTLI_LEAK_PASS_GROWTH] = &ftli_growth_pass,
};

/* ---- the actor ----------------------------------------------------------------------------------------------------- */

static int on_tick(void *state, ftli_context *context)
{
    struct ftli_leak_detection *leaks = state;
    ftli_leak_look_at_scopes(leaks, ftli_now_ns(context));
    ftli_leak_passes_tick(leaks, context);
    return FTL_OK;
}

static void on_recheck(struct ftli_leak_detection *leaks, ftli_route *route)
{
    uint64_t seen = ftli_route_begin(route);
    ftli_leak_detection_note(leaks);
    ftli_route_end(route, seen);
}

static int on_message(void *state, ftli_context *context, ftli_message *message)
{
    (void)context;
    if (message->flags == FTLI_ROUTE_FLAG && message->type == FTLI_LEAK_DETECTION_RECHECK)
        on_recheck(state, ftli_route_of(message));
    return FTL_OK;
}

/* After a restart what was under way begins anew. */
static int start(void *state, ftli_context *context)
{
    struct ftli_leak_detection *leaks = state;
    ftli_leak_passes_start(leaks, context);
    ftli_leak_look_at_scopes(leaks, ftli_now_ns(context));
    return FTL_OK;
}

const ftli_actor_operations ftli_leak_detection_operations = {
    .type = "leak_detection",
    .start = start,
    .on_message = on_message,
    .on_tick = on_tick,
    .restartable = true,
};
