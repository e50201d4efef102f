/* A drop, from the call to the post: in place, to the shard of its memory, or to the cleanup. */
#include "actors/port/outbox.h"
#include "actors/port/quota.h"
#include "runtime/base/assert.h"
#include "runtime/base/clock.h"
#include "runtime/base/plant.h"
#include "tensor/extension.h"
#include "tensor/registry.h"

#define NEEDS_CLEANUP \
    (FTLI_HEADER_FINALIZER | FTLI_HEADER_LINKS | FTLI_HEADER_VIEW | FTLI_HEADER_MESSAGE | FTLI_HEADER_AWAITED)
#define IN_PLACE (FTLI_HEADER_SAMPLED | FTLI_HEADER_SCOPED | FTLI_HEADER_BIG_SHAPE | FTLI_HEADER_QUOTA)

static uint32_t flags_of(const struct ftli_header *header)
{
    return ftli_record_flags(ftli_u64_load_relaxed(&header->record));
}

/* What stands against a tensor; policy message stands against all of them. */
static uint32_t against(const struct ftl_runtime *runtime, const struct ftli_header *header)
{
    return flags_of(header) | (runtime->cleanup.every_drop_is_a_message ? FTLI_HEADER_MESSAGE : 0u);
}

static void clear_flags(struct ftli_header *header, uint32_t flags)
{
    uint64_t record = ftli_u64_load_relaxed(&header->record);
    ftli_u64_store_release(&header->record, record & ~(uint64_t)flags);
}

int ftli_stale(uint64_t id)
{
    struct ftl_runtime *runtime = ftli_runtime_of(ftli_handle_runtime(id));
    if (runtime == NULL)
        return FTL_ESTALE;
    if (ftli_u32_load_acquire(&runtime->state) >= FTLI_RUNTIME_SHUT)
        return FTL_ECLOSED;
    (void)ftli_u64_fetch_add_relaxed(&runtime->shared.stale_handles, 1);
    return FTL_ESTALE;
}

/* What the tensor leaves behind at once, whoever reclaims it: its place in its scope and in quotas, and its sampled death. */
static void leave_life(const struct ftli_agent *agent, struct ftli_header *header, uint32_t flags)
{
    if ((flags & FTLI_HEADER_SCOPED) != 0) {
        uint32_t slot = ftli_header_scope(header);
        if (slot != 0)
            ftli_scope_leave(&agent->runtime->scopes, slot, ftli_size_bytes(ftli_u64_load_relaxed(&header->size)));
    }
    if ((flags & FTLI_HEADER_QUOTA) != 0)
        ftli_quota_leave(agent->runtime, header);
    if ((flags & FTLI_HEADER_SAMPLED) != 0)
        ftli_sample_drop(agent->runtime, agent->port, header);
}

static void count_immediate(const struct ftli_agent *agent, unsigned c, uint64_t bytes)
{
    ftli_count(agent, &agent->counters->immediate_bytes, bytes);
    ftli_count(agent, &agent->counters->immediate[c], 1); /* and a middle size its block, when it is stowed */
}

static void count_deferred(const struct ftli_agent *agent, struct ftli_header *header)
{
    struct ftl_runtime *runtime = agent->runtime;
    uint32_t parity = agent->parity >= 0 ? (uint32_t)agent->parity : ftli_drop_parity(runtime);
    ftli_header_address(header, FTLI_PURPOSE_DROP, 0, parity);
    ftli_count(agent, &agent->counters->deferred_bytes, ftli_header_own_bytes(header));
    ftli_count(agent, &agent->counters->deferred_block_bytes, ftli_allocation_block_bytes(runtime->device, header));
    ftli_count(agent, &agent->counters->deferred[parity], 1);
}

/* The header is FREE and this port's: into the magazine or the pocket, or to its shard if there is no room. */
static void stow(const struct ftli_agent *agent, struct ftli_header *header, unsigned c)
{
    struct ftli_device *device = agent->runtime->device;
    if (c == 0) {
        uint64_t bytes = ftli_size_bytes(ftli_u64_load_relaxed(&header->size));
        ftli_u64_add_owner(&agent->port->counters.immediate_page_bytes, ftli_pages_block_bytes(bytes));
        ftli_allocation_pocket(device, &agent->port->rack, header);
        return;
    }
    if (ftli_rack_give(&agent->port->rack, c, header) || ftli_allocation_stow(device, &agent->port->rack, c, header))
        return;
    ftli_header_address(header, FTLI_PURPOSE_GIVE_BACK, 0, 0);
    ftli_allocation_post(device, header);
}

void ftli_deliver(struct ftl_runtime *runtime, struct ftli_header *header)
{
    if ((against(runtime, header) & NEEDS_CLEANUP) != 0) {
        ftli_cleanup_send_drop(&runtime->cleanup, header);
        return;
    }
    ftli_u64_store_release(&header->dimensions_low, ftli_kernel_now_ns(runtime->kernel));
    ftli_header_address(header, FTLI_PURPOSE_RECLAIM, FTLI_LANE_NORMAL, ftli_header_parity(header));
    ftli_word_reclaiming(&header->word); /* after the purpose, by which await tells whose it is */
    ftli_allocation_post_reclaim(runtime->device, header);
}

/* DROPPED, nobody else's: whether the port may finish it itself. */
static bool is_for_port(const struct ftli_agent *agent, const struct ftli_header *header, uint32_t flags)
{
    return agent->port != NULL && (flags & ~(uint32_t)IN_PLACE) == 0 &&
           ftli_word_generation(ftli_u64_load_relaxed(&header->word)) < FTLI_GENERATION_LAST;
}

/* What few tensors need besides, of one that is finished in place. */
static void give_extension(struct ftl_runtime *runtime, struct ftli_header *header)
{
    uint32_t cold = ftli_u32_load_relaxed(&header->cold);
    if (cold == 0)
        return;
    ftli_u32_store_release(&header->cold, 0);
    ftli_extension_give(&runtime->table, cold);
}

static void finish_post(const struct ftli_agent *agent, struct ftli_header *header)
{
    uint32_t flags = against(agent->runtime, header);
    if ((flags & (FTLI_HEADER_SCOPED | FTLI_HEADER_SAMPLED | FTLI_HEADER_QUOTA)) != 0)
        leave_life(agent, header, flags);
    if (!is_for_port(agent, header, flags)) {
        count_deferred(agent, header);
        if (!agent->runtime->cleanup.every_drop_is_a_message || !ftli_outbox_put(agent, header))
            ftli_deliver(agent->runtime, header);
        return;
    }
    if ((flags & IN_PLACE) != 0)
        clear_flags(header, IN_PLACE);
    give_extension(agent->runtime, header);
    unsigned c = ftli_record_class(ftli_u64_load_relaxed(&header->record));
    count_immediate(agent, c, ftli_size_bytes(ftli_u64_load_relaxed(&header->size)));
    (void)ftli_word_reclaim(&header->word);
    stow(agent, header, c);
}

static FTLI_NOINLINE int drop_slow(const struct ftli_agent *agent, struct ftli_header *header, uint32_t generation)
{
    switch (ftli_word_drop(&header->word, generation, agent->port != NULL)) {
    case FTLI_WORD_DONE:
        return FTL_OK;
    case FTLI_WORD_MINE: {
        FTLI_ASSERT(agent->port != NULL, "slot %u is nobody's to keep",
                    ftli_table_slot(&agent->runtime->table, header));
        unsigned c = ftli_record_class(ftli_u64_load_relaxed(&header->record));
        count_immediate(agent, c, ftli_size_bytes(ftli_u64_load_relaxed(&header->size)));
        stow(agent, header, c);
        return FTL_OK;
    }
    case FTLI_WORD_POST:
        finish_post(agent, header);
        return FTL_OK;
    case FTLI_WORD_GUARDED:
        leave_life(agent, header, flags_of(header));
        count_deferred(agent, header);
        if (ftli_word_unpin(&header->word, generation) == FTLI_WORD_POST || FTLI_PLANTED(DOUBLE_PUSH))
            ftli_deliver(agent->runtime, header);
        else /* it hangs on a pin: not both, a drop makes one system call at most */
            ftli_leak_detection_note(&agent->runtime->leak_detection);
        return FTL_OK;
    default:
        return FTL_ESTALE;
    }
}

int ftli_drop(const struct ftli_agent *agent, struct ftli_header *header, uint32_t generation)
{
    return drop_slow(agent, header, generation);
}

FTLI_NOINLINE int ftli_drop_stow(struct ftli_header *header, unsigned c)
{
    struct ftli_port *port = ftli_thread.port;
    struct ftli_agent agent = {port->owner, port, &port->counters, false, -1};
    stow(&agent, header, c);
    ftli_port_leave(port);
    return FTL_OK;
}

/* A link that came and went between the look at the flags and the compare-and-swap has left its flag without the word showing it: the
 * header, which is ours, is made DROPPED again and goes the long way. */
static FTLI_COLD int drop_after_all(struct ftli_port *port, struct ftli_header *header, uint64_t generation_bits)
{
    struct ftli_agent agent = {port->owner, port, &port->counters, false, -1};
    ftli_u64_store_release(&header->word, generation_bits | FTLI_WORD_SLOW | FTLI_WORD_FIXED | FTLI_DROPPED);
    finish_post(&agent, header);
    ftli_port_leave(port);
    return FTL_OK;
}

static FTLI_NOINLINE int drop_against(struct ftli_port *port, struct ftli_header *header, uint64_t generation_bits)
{
    struct ftli_agent agent = {port->owner, port, &port->counters, false, -1};
    uint32_t generation = ftli_word_generation(generation_bits);
    int status = drop_slow(&agent, header, generation);
    ftli_port_leave(port);
    return FTLI_LIKELY(status == FTL_OK) ? FTL_OK : ftli_stale(ftli_port_handle(port, header) | generation);
}

/* Something is against it, or it is not its last reference. */
FTLI_NOINLINE int ftli_drop_not_posted(struct ftli_port *port, struct ftli_header *header, uint64_t generation_bits)
{
    return drop_against(port, header, generation_bits);
}

FTLI_NOINLINE int ftli_drop_dropped(struct ftli_port *port, struct ftli_header *header)
{
    struct ftli_agent agent = {port->owner, port, &port->counters, false, -1};
    finish_post(&agent, header);
    ftli_port_leave(port);
    return FTL_OK;
}

/* Without this thread's port at hand: its first call, a call inside a call, or another runtime's handle. */
FTLI_NOINLINE int ftli_drop_without_port(uint64_t id)
{
    if (id == 0)
        return FTL_OK;
    struct ftl_runtime *runtime = ftli_runtime_of(ftli_handle_runtime(id));
    struct ftli_header *header = ftli_registry_find(id);
    struct ftli_agent agent;
    if (header == NULL || runtime == NULL)
        return ftli_stale(id);
    if (ftli_port_is_inherited(
            runtime)) /* the child's copy: the word is marked, nothing is posted to actors that are not there */
        return ftli_word_drop(&header->word, ftli_handle_generation(id), false) == FTLI_WORD_STALE ? FTL_ESTALE
                                                                                                   : FTL_OK;
    if (!ftli_agent_enter(&agent, runtime, true))
        return FTL_ECLOSED;
    if (agent.port != NULL)
        ftli_port_learn(agent.port); /* the slot may be younger than what it knew */
    int status = drop_slow(&agent, header, ftli_handle_generation(id));
    ftli_agent_leave(&agent);
    return status == FTL_OK ? FTL_OK : ftli_stale(id);
}

/* Sampled, and nothing else against it: by one compare-and-swap as well. */
static FTLI_NOINLINE int drop_in_port(uint64_t id, struct ftli_header *header)
{
    struct ftli_port *port = ftli_thread.port;
    uint64_t generation_bits = id << FTLI_WORD_GENERATION_SHIFT;
    if (ftli_record_flags(ftli_u64_load_relaxed(&header->record)) == FTLI_HEADER_SAMPLED &&
        ftli_u32_load_relaxed(&header->cold) == 0 &&
        ftli_word_drop_at_once(&header->word, generation_bits, FTLI_WORD_SLOW | FTLI_WORD_FIXED)) {
        uint64_t record = ftli_u64_load_relaxed(&header->record);
        return FTLI_LIKELY(ftli_record_flags(record) == FTLI_HEADER_SAMPLED)
                   ? ftli_drop_sampled(port, header, id + 1, record)
                   : drop_after_all(port, header, generation_bits);
    }
    return drop_against(port, header, generation_bits);
}

/* As in new, no register is saved where nothing stands against the tensor. */
int ftl_tensor_drop(ftl_tensor tensor)
{
    struct ftli_port *port = ftli_thread.port;
    struct ftli_header *header;
    if (FTLI_UNLIKELY(!ftli_port_find_below(port, tensor.id, ftli_u64_load_plain(&port->in_place_bytes), &header) ||
                      !ftli_port_enter_fast(port)))
        return ftli_outbox_drop(tensor.id);
    uint64_t generation_bits = tensor.id << FTLI_WORD_GENERATION_SHIFT;
    /* Looked at first: a compare-and-swap that fails costs as much as one that does not, and larger ones are always SLOW. */
    if (FTLI_UNLIKELY(!ftli_u64_equals_acquire(&header->word,
                                               generation_bits + FTLI_WORD_FIXED + FTLI_WORD_REFERENCE + FTLI_LIVE)))
        return drop_in_port(tensor.id, header);
    /* Read before the compare-and-swap, which all loads behind it wait for: while it is live its class and size stay. */
    size_t c = ftli_record_class_offset(ftli_u64_load_acquire(&header->record)); /* pairs: word-live */
    uint64_t bytes = ftli_u32_load_acquire(&header->small_size);
    if (FTLI_UNLIKELY(!ftli_word_drop_at_once(&header->word, generation_bits, FTLI_WORD_FIXED)))
        return drop_in_port(tensor.id, header);
    return ftli_drop_finish(port, header, tensor.id + 1, c, bytes); /* the generation was not the last */
}

int ftl_tensor_retain(ftl_tensor tensor)
{
    struct ftli_header *header = ftli_registry_find(tensor.id);
    if (header == NULL)
        return ftli_stale(tensor.id);
    switch (ftli_word_retain(&header->word, ftli_handle_generation(tensor.id))) {
    case FTLI_WORD_DONE:
        return FTL_OK;
    case FTLI_WORD_AT_MOST:
        return FTL_ELIMIT;
    default:
        return ftli_stale(tensor.id);
    }
}

/* ---- entering ---------------------------------------------------------------------------------------------------------- */

/* pairs: close-bypass. Either close sees this call counted and waits for it, or this call sees the runtime shut. From inside an
 * actor of the runtime, a finalizer say, a call is let in to the end: close waits for the actors too. */
bool ftli_runtime_enter(struct ftl_runtime *runtime)
{
    (void)ftli_u64_fetch_add_seq_cst(&runtime->bypassing, 1);
    uint32_t state = ftli_u32_load_seq_cst(&runtime->state);
    if (FTLI_LIKELY(state == FTLI_RUNTIME_OPEN || state == FTLI_RUNTIME_CLOSING) ||
        (state == FTLI_RUNTIME_SHUT && ftli_kernel_is_inside(runtime)))
        return true;
    ftli_runtime_leave(runtime);
    return false;
}

/* The struct is kept for its number, so that the last to leave may still signal. */
void ftli_runtime_leave(struct ftl_runtime *runtime)
{
    uint64_t before = ftli_u64_fetch_add_seq_cst(&runtime->bypassing, UINT64_MAX);
    if (FTLI_UNLIKELY(before == 1 &&
                      ftli_u32_load_seq_cst(&runtime->state) == FTLI_RUNTIME_SHUT)) /* pairs: close-bypass */
        (void)ftli_event_signal_all(&runtime->left);
}

bool ftli_agent_enter(struct ftli_agent *agent, struct ftl_runtime *runtime, bool take)
{
    struct ftli_port *port = ftli_port_find(runtime->number);
    if (port == NULL && take)
        port = ftli_port_acquire(runtime);
    if (port != NULL && ftli_port_enter(port)) {
        *agent = (struct ftli_agent){runtime, port, &port->counters, false, -1};
        return true;
    }
    if (!ftli_runtime_enter(runtime))
        return false;
    *agent = (struct ftli_agent){runtime, NULL, &runtime->shared, true, -1};
    return true;
}

void ftli_agent_leave(const struct ftli_agent *agent)
{
    if (agent->port != NULL)
        ftli_port_leave(agent->port);
    else
        ftli_runtime_leave(agent->runtime);
}
