#include "tools/plan.h"

#include "tools/pages.h"

enum { SLOTS_IN_A_LINE = 8 };

/* First slot of each player's allocations, each at a line of its own. */
static void lay_out(const struct ftli_trace *trace, struct ftli_plan *plan, uint32_t *first_slot)
{
    uint32_t allocs[FTLI_TRACE_MAX_THREADS] = {0};
    for (uint32_t i = 0; i < trace->event_count; i++) {
        uint32_t player = trace->events[i].thread % plan->player_count;
        plan->players[player].count++;
        allocs[player] += !trace->events[i].is_free;
    }
    struct ftli_step *steps = plan->pages;
    for (uint32_t player = 0; player < plan->player_count; player++) {
        plan->players[player].steps = steps;
        steps += plan->players[player].count;
        first_slot[player] = plan->slot_count;
        plan->slot_count += (allocs[player] + SLOTS_IN_A_LINE - 1) / SLOTS_IN_A_LINE * SLOTS_IN_A_LINE;
    }
}

static void deal(const struct ftli_trace *trace, struct ftli_plan *plan, uint32_t *slot_of, uint32_t *next_slot)
{
    uint32_t dealt[FTLI_TRACE_MAX_THREADS] = {0};
    for (uint32_t i = 0; i < trace->event_count; i++) {
        const struct ftli_trace_event *event = &trace->events[i];
        const struct ftli_trace_alloc *alloc = &trace->allocs[event->id];
        uint32_t player = event->thread % plan->player_count;
        if (!event->is_free) {
            slot_of[event->id] = next_slot[player]++;
        }
        plan->players[player].steps[dealt[player]++] = (struct ftli_step){
            .time_ns = event->time_ns,
            .bytes = alloc->bytes,
            .slot = slot_of[event->id],
            .is_free = event->is_free,
            .crosses = alloc->freed && alloc->freed_by % plan->player_count != alloc->thread % plan->player_count,
            .align_log2 = alloc->align_log2,
        };
        plan->crossing_count += event->is_free && plan->players[player].steps[dealt[player] - 1].crosses;
    }
}

int ftli_plan_make(const struct ftli_trace *trace, uint32_t player_count, struct ftli_plan *out)
{
    struct ftli_plan plan = {.player_count = player_count};
    if (player_count == 0 || player_count > trace->thread_count) {
        plan.player_count = trace->thread_count;
    }
    size_t slot_bytes = trace->alloc_count * sizeof(uint32_t);
    uint32_t *slot_of = ftli_pages_map(slot_bytes);
    plan.mapped_bytes = trace->event_count * sizeof *plan.pages;
    plan.pages = ftli_pages_map(plan.mapped_bytes);
    if (slot_of == NULL || plan.pages == NULL) {
        ftli_pages_unmap(slot_of, slot_bytes);
        ftli_pages_unmap(plan.pages, plan.mapped_bytes);
        return -1;
    }
    uint32_t first_slot[FTLI_TRACE_MAX_THREADS] = {0};
    lay_out(trace, &plan, first_slot);
    deal(trace, &plan, slot_of, first_slot);
    ftli_pages_unmap(slot_of, slot_bytes);
    *out = plan;
    return 0;
}

void ftli_plan_unmake(struct ftli_plan *plan)
{
    ftli_pages_unmap(plan->pages, plan->mapped_bytes);
    *plan = (struct ftli_plan){0};
}
