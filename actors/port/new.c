/* A new, but for the fast path (new_small.c): through options, or without them. */
#include <string.h>

#include "actors/port/back_pressure.h"
#include "actors/port/outbox.h"
#include "actors/port/quota.h"
#include "actors/port/small.h"
#include "tensor/extension.h"
#include "tensor/shape.h"

static const char in_child[] = "a forked child cannot make tensors in its parent's runtime";

/* What options ask for, checked and looked up before anything is taken. */
struct birth {
    ftl_dtype dtype;
    uint32_t ndim;
    const int64_t *shape;
    uint64_t bytes;
    size_t alignment;
    bool zero;
    uint64_t scope;
    uint32_t label;
    const ftl_tensor_options *options; /* NULL: none */
    int64_t wait_ns;
};

/* ---- filling a header --------------------------------------------------------------------------------------------------- */

static int put_shape(struct ftli_table *table, struct ftli_extension *extension, uint32_t ndim, const int64_t *shape)
{
    uint32_t cell = ftli_cell_take(table);
    if (cell == 0)
        return FTL_ENOMEM;
    ftli_atomic_u64 *dimensions = ftli_cell(table, cell);
    for (uint32_t i = 0; i < ndim; i++)
        ftli_u64_store_release(&dimensions[i], (uint64_t)shape[i]);
    ftli_u32_store_release(&extension->shape, cell);
    return FTL_OK;
}

static bool needs_extension(const struct birth *birth)
{
    const ftl_tensor_options *options = birth->options;
    return !ftli_shape_fits(birth->ndim, birth->shape) || birth->label != 0 ||
           (options != NULL && (options->finalizer != NULL || options->tag != 0 || options->site != NULL));
}

/* FTL_OK and what the record and the word get besides; FTL_ENOMEM and nothing was taken. */
static int extend(struct ftl_runtime *runtime, struct ftli_header *header, const struct birth *birth, uint32_t *flags)
{
    struct ftli_table *table = &runtime->table;
    const ftl_tensor_options *options = birth->options;
    uint32_t cold = ftli_cell_take(table);
    if (cold == 0)
        return FTL_ENOMEM;
    struct ftli_extension *extension = ftli_extension(table, cold);
    if (!ftli_shape_fits(birth->ndim, birth->shape)) {
        if (put_shape(table, extension, birth->ndim, birth->shape) != FTL_OK) {
            ftli_cell_give(table, cold);
            return FTL_ENOMEM;
        }
        *flags |= FTLI_HEADER_BIG_SHAPE;
    }
    ftli_u32_store_release(&extension->label, birth->label);
    if (options != NULL) {
        ftli_u64_store_release(&extension->tag, options->tag);
        ftli_pointer_store_release(&extension->site, (void *)(uintptr_t)options->site);
        if (options->finalizer != NULL) {
            ftli_pointer_store_release(&extension->finalizer, (void *)(uintptr_t)options->finalizer);
            ftli_pointer_store_release(&extension->finalizer_user, options->finalizer_user);
            *flags |= FTLI_HEADER_FINALIZER;
        }
    }
    ftli_u32_store_release(&header->cold, cold);
    return FTL_OK;
}

/* ---- the slow way ---------------------------------------------------------------------------------------------------- */

static unsigned class_for(const struct ftl_runtime *runtime, uint64_t bytes, size_t alignment)
{
    uint64_t small = runtime->allocation_settings->small_bytes;
    if (alignment > 64) { /* a class that is a power of two lies on its own size, up to the page */
        uint64_t need = bytes > alignment ? bytes : alignment;
        uint64_t power = UINT64_C(1) << (64 - __builtin_clzll(need - 1));
        return alignment <= 4096 && power <= 4096 && power <= small ? ftli_size_class(power) : 0;
    }
    return bytes <= small ? ftli_size_class(bytes) : 0;
}

/* Policy message, and what is at hand is used up: whether to look there again. */
static bool turn_over(const struct ftli_agent *agent, unsigned c, uint64_t bytes)
{
    return agent->runtime->cleanup.every_drop_is_a_message && agent->port != NULL &&
           ftli_turn_over(agent->port, c, bytes);
}

static int take_memory(struct ftli_agent *agent, const struct birth *birth, unsigned c, struct ftli_pages *out)
{
    struct ftli_device *device = agent->runtime->device;
    uint32_t home = agent->port != NULL ? agent->port->home : 0;
    int status;
    *out = (struct ftli_pages){NULL, false, false};
    unsigned pages = birth->alignment <= FTLI_PAGE_BYTES && c == 0 && agent->port != NULL
                         ? ftli_middle_pages(ftli_pages_block_bytes(birth->bytes))
                         : 0;
    if (pages != 0)
        out->header = ftli_pocket_take(&agent->port->rack.pocket, pages);
    if (out->header == NULL && c == 0 && turn_over(agent, 0, birth->bytes) && pages != 0)
        out->header = ftli_pocket_take(&agent->port->rack.pocket, pages);
    if (out->header != NULL) {
        status = FTL_OK;
    } else if (c == 0) {
        status = ftli_allocation_take_pages(device, &home, birth->bytes, birth->alignment, out);
    } else if (agent->port != NULL) {
        out->header = ftli_rack_take(&agent->port->rack, c);
        if (out->header == NULL && turn_over(agent, c, 0))
            out->header = ftli_rack_take(&agent->port->rack, c);
        status =
            out->header != NULL ? FTL_OK : ftli_allocation_refill(device, &agent->port->rack, &home, c, &out->header);
    } else {
        status = ftli_allocation_take_small(device, c, &out->header);
    }
    if (agent->port != NULL)
        agent->port->home = home;
    return status;
}

/* Exhausted: what is cached goes back, then what is pending may help, within the wait; CORE.md section 3 rule 2. */
static int take_memory_or_wait(struct ftli_agent *agent, const struct birth *birth, unsigned c, struct ftli_pages *out)
{
    struct ftl_runtime *runtime = agent->runtime;
    int status = take_memory(agent, birth, c, out);
    if (FTLI_LIKELY(status == FTL_OK))
        return FTL_OK;
    const char *group = ftli_cleanup_group(runtime);
    ftli_event *completed = ftli_allocation_completed(runtime->device);
    uint64_t deadline_ns = ftli_deadline_ns(ftli_kernel_now_ns(runtime->kernel), (uint64_t)birth->wait_ns);
    if (runtime->cleanup.every_drop_is_a_message)
        ftli_outbox_hurry(agent); /* once: who wakes for each completion would wake the cleanup for nothing */
    for (;;) {
        uint32_t ticket = ftli_event_prepare(completed);
        if (agent->port != NULL)
            (void)ftli_rack_flush(&agent->port->rack, runtime->device);
        ftli_allocation_relieve(runtime->device);
        status = take_memory(agent, birth, c, out);
        if (status == FTL_OK || birth->wait_ns <= 0 || ftli_kernel_is_service_thread(runtime->kernel)) {
            ftli_event_cancel(completed);
            return status;
        }
        if (!ftli_runtime_is_open(runtime)) { /* close waits for this call, and not for as long as it would */
            ftli_event_cancel(completed);
            return FTL_ECLOSED;
        }
        int waited = ftli_kernel_wait(runtime->kernel, completed, ticket, deadline_ns, group);
        if (waited != FTL_OK)
            return waited == FTL_ENOTSUP ? FTL_ENOTSUP : status;
    }
}

static void let_go(struct ftli_agent *agent, struct ftli_header *header, unsigned c)
{
    struct ftli_device *device = agent->runtime->device;
    if (c != 0 && agent->port != NULL &&
        (ftli_rack_give(&agent->port->rack, c, header) || ftli_allocation_stow(device, &agent->port->rack, c, header)))
        return;
    ftli_header_address(header, FTLI_PURPOSE_GIVE_BACK, 0, 0);
    ftli_allocation_post(device, header);
}

FTLI_ON_NEW static void note_sample(struct ftli_agent *agent, struct ftli_header *header, unsigned c, uint64_t bytes)
{
    struct ftli_port *port = agent->port;
    if (port == NULL)
        return;
    if (c == 0)
        (void)ftli_sample_other(port, header, bytes);
    else if (--port->countdown[c] == 0)
        (void)ftli_sample_class(port, header, c, bytes);
}

/* Makes the tensor LIVE and counts it. Its handle. */
FTLI_ON_NEW static uint64_t bear(struct ftli_agent *agent, struct ftli_header *header, const struct birth *birth,
                                 unsigned c, uint32_t flags)
{
    struct ftl_runtime *runtime = agent->runtime;
    uint32_t stamp_ms = ftli_allocation_is_ticking(runtime->device) ? ftli_u32_load_relaxed(&runtime->stamp_ms)
                                                                    : ftli_stamp_refresh(runtime);
    uint64_t scope = birth->scope != 0 ? (uint64_t)ftli_handle_slot(birth->scope) << 32 : 0;
    if (agent->port != NULL)
        scope |= ftli_u64_load_relaxed(&agent->port->born_scope);
    ftli_u64_store_release(&header->size, ftli_size_make(birth->bytes, birth->dtype, birth->ndim));
    ftli_u32_store_release(&header->stamp, stamp_ms);
    ftli_u64_store_release(&header->birth[1], scope);
    if (ftli_shape_fits(birth->ndim, birth->shape))
        ftli_shape_pack(header, birth->ndim, birth->shape);
    uint64_t record = ftli_u64_load_relaxed(&header->record);
    uint32_t kept = ftli_record_flags(record) & FTLI_HEADER_LARGE;
    ftli_u64_store_release(&header->record, (record & ~UINT64_C(0xffff)) | kept | flags);
    note_sample(agent, header, c, birth->bytes);
    bool slow = ftli_record_flags(ftli_u64_load_relaxed(&header->record)) != 0 ||
                ftli_u32_load_relaxed(&header->cold) != 0 || runtime->cleanup.every_drop_is_a_message;
    if (c == 0)
        ftli_count(agent, &agent->counters->created_page_bytes, ftli_allocation_block_bytes(runtime->device, header));
    ftli_count(agent, &agent->counters->created[c], 1);
    ftli_count(agent, &agent->counters->created_bytes, birth->bytes); /* the block before the bytes: no slack below 0 */
    uint32_t generation = ftli_word_new(&header->word, FTLI_WORD_FIXED | (slow ? FTLI_WORD_SLOW : 0));
    return ftli_handle_make(runtime->number, ftli_table_slot(&runtime->table, header), generation);
}

FTLI_ON_NEW static int make_counted(struct ftli_agent *agent, const struct birth *birth, uint32_t flags,
                                    struct ftli_header **made, uint64_t *id)
{
    struct ftl_runtime *runtime = agent->runtime;
    unsigned c = class_for(runtime, birth->bytes, birth->alignment);
    struct ftli_header *header;
    struct ftli_pages memory;
    int status = take_memory_or_wait(agent, birth, c, &memory);
    if (status == FTL_ECLOSED)
        return ftli_fail(status, "the runtime is closed or closing");
    if (status == FTL_ENOTSUP)
        return ftli_fail(status, "%s", in_child);
    if (status == FTL_ELIMIT)
        ftli_runtime_refused(runtime, birth->bytes, 0, "over the limit of the device or of its tensors");
    if (status != FTL_OK)
        return status == FTL_ELIMIT
                   ? ftli_fail(status, "%llu bytes: over the limit of the device or of its tensors",
                               (unsigned long long)birth->bytes)
                   : ftli_fail(status, "%llu bytes: the system has no more memory", (unsigned long long)birth->bytes);
    header = memory.header;
    flags |= birth->scope != 0 ? FTLI_HEADER_SCOPED : 0;
    if (needs_extension(birth) && extend(runtime, header, birth, &flags) != FTL_OK) {
        let_go(agent, header, c);
        return ftli_fail(FTL_ENOMEM, "no memory for what the options ask for");
    }
    void *block = (void *)(uintptr_t)ftli_u64_load_relaxed(&header->data);
    if (birth->zero && !memory.zeroed && birth->bytes != 0)
        memset(block, 0, birth->bytes);
    *made = header;
    *id = bear(agent, header, birth, c, flags);
    if (memory.most)
        ftli_runtime_look_at_peak(runtime);
    return FTL_OK;
}

/* Quotas count it before it is there, and what comes of nothing leaves them again: so no sum is ever over a quota. */
FTLI_ON_NEW static int make(struct ftli_agent *agent, const struct birth *birth, struct ftli_header **made,
                            uint64_t *id)
{
    const char *site = birth->options != NULL ? birth->options->site : NULL;
    if (FTLI_LIKELY(!ftli_quota_counts(agent->runtime, birth->label, site)))
        return make_counted(agent, birth, 0, made, id);
    uint32_t flags;
    int status = ftli_quota_join(agent->runtime, birth->label, site, birth->bytes, &flags);
    if (status != FTL_OK)
        return status;
    status = make_counted(agent, birth, flags, made, id);
    if (status != FTL_OK)
        ftli_quota_withdraw(agent->runtime, flags, birth->label, site, birth->bytes);
    return status;
}

/* A member of a scope: joined before, published after, so that end either finds it or is seen by this call. */
FTLI_ON_NEW static int make_member(struct ftli_agent *agent, const struct birth *birth, uint64_t *id)
{
    struct ftl_runtime *runtime = agent->runtime;
    struct ftli_header *header = NULL;
    int status = ftli_scope_join(&runtime->scopes, birth->scope, birth->bytes);
    if (status != FTL_OK) {
        if (status == FTL_ELIMIT)
            ftli_runtime_refused(runtime, birth->bytes, birth->scope, "the scope's hard_bytes are reached");
        return ftli_fail(status, status == FTL_ESTALE ? "the scope has ended" : "the scope's hard_bytes are reached");
    }
    status = make(agent, birth, &header, id);
    if (status != FTL_OK) {
        ftli_scope_leave(&runtime->scopes, ftli_handle_slot(birth->scope), birth->bytes);
        return status;
    }
    struct ftli_scope_cursor *cursor = ftli_thread_cursor(runtime);
    status = ftli_scope_publish(&runtime->scopes, cursor, birth->scope, *id);
    if (status == FTL_OK) {
        ftli_runtime_look_at_soft(runtime, birth->scope);
        return FTL_OK;
    }
    if (status != FTL_EBUSY) /* else end was first, and has dropped it */
        (void)ftli_drop(agent, header, ftli_handle_generation(*id));
    return status == FTL_ENOMEM ? ftli_fail(FTL_ENOMEM, "no memory to note the scope's member")
                                : ftli_fail(FTL_ESTALE, "the scope has ended");
}

static int check_options(const ftl_runtime *runtime, const ftl_tensor_options *options)
{
    if (options->device >= runtime->topology->device_count)
        return ftli_fail(FTL_EINVAL, "device: there is no device %u", options->device);
    if (options->alignment != 0 &&
        ((options->alignment & (options->alignment - 1)) != 0 || options->alignment > (size_t)2 << 20))
        return ftli_fail(FTL_EINVAL, "alignment: not a power of two up to 2 MiB");
    if (options->reserve_bytes != 0)
        return ftli_fail(FTL_ENOTSUP, "reserve_bytes: resize is not in this version");
    for (unsigned i = 0; i < sizeof options->reserved / sizeof options->reserved[0]; i++)
        if (options->reserved[i] != 0)
            return ftli_fail(FTL_EINVAL, "reserved: must be zero");
    if (options->scope.id != 0 && ftli_handle_runtime(options->scope.id) != runtime->number)
        return ftli_fail(FTL_ESTALE, "scope: is of another runtime");
    return FTL_OK;
}

/* Inside the runtime: close waits for this call, so the topology and the actors are there. */
FTLI_ON_NEW static int new_inside(struct ftli_agent *agent, struct birth *birth, uint64_t *id)
{
    struct ftl_runtime *runtime = agent->runtime;
    const ftl_tensor_options *options = birth->options;
    birth->wait_ns = runtime->allocation_settings->wait_ns;
    uint64_t current = ftli_thread.scope;
    if (current != 0 && ftli_handle_runtime(current) == runtime->number)
        birth->scope = current;
    if (options != NULL) {
        int status = check_options(runtime, options);
        if (status != FTL_OK)
            return status;
        birth->alignment = options->alignment > 64 ? options->alignment : 64;
        birth->zero = options->zero;
        birth->label = ftli_label_intern(&runtime->labels, options->label);
        if (options->scope.id != 0)
            birth->scope = options->scope.id;
        if (options->wait_ns != 0)
            birth->wait_ns = options->wait_ns;
    }
    if (ftli_u64_load_relaxed(&runtime->cleanup.counters.quarantined_bytes) >
        runtime->cleanup.settings->quarantine_limit_bytes) {
        ftli_runtime_refused(runtime, birth->bytes, 0, "the quarantine is over its limit");
        return ftli_fail(FTL_ELIMIT, "the quarantine is over its limit");
    }
    if (!ftli_press_back(agent))
        return ftli_fail(FTL_ENOTSUP, "%s", in_child);
    struct ftli_header *header;
    return birth->scope != 0 ? make_member(agent, birth, id) : make(agent, birth, &header, id);
}

/* ---- without options, up to four dimensions ---------------------------------------------------------------------------- */

#define DIMENSION_MOST (INT64_C(1) << 21) /* two of them: their bits still fit 64 */

/* What the shape asks for, of sizes up to those of middle sizes; false: ask ftli_shape_bytes. */
static inline bool plain_bytes(ftl_dtype dtype, uint32_t ndim, const int64_t *shape, uint64_t *bytes)
{
    uint64_t elements = 1;
    if (ndim > 4)
        return false;
    for (uint32_t i = 0; i < ndim; i++) {
        if ((uint64_t)shape[i] - 1 >= (uint64_t)DIMENSION_MOST)
            return false;
        elements *= (uint64_t)shape[i];
        if (elements > (uint64_t)DIMENSION_MOST)
            return false;
    }
    *bytes = (elements * ftli_dtype_bits(dtype) + 7) / 8;
    return true;
}

FTLI_ON_NEW int ftli_new_checked(ftl_runtime *runtime, ftl_dtype dtype, uint32_t ndim, const int64_t *shape,
                                 const ftl_tensor_options *options, ftl_tensor *out)
{
    if (runtime == NULL || out == NULL)
        return ftli_fail(FTL_EINVAL, runtime == NULL ? "runtime: is NULL" : "out: is NULL");
    struct birth birth = {.dtype = dtype, .ndim = ndim, .shape = shape, .alignment = 64, .options = options};
    struct ftli_agent agent;
    const char *why;
    uint64_t id = 0;
    if (ftli_shape_bytes(dtype, ndim, shape, &birth.bytes, &why) != FTL_OK)
        return ftli_fail(FTL_EINVAL, "%s", why);
    if (!ftli_runtime_is_open(runtime))
        return ftli_fail(FTL_ECLOSED, "the runtime is closed or closing");
    if (ftli_port_is_inherited(runtime))
        return ftli_fail(FTL_ENOTSUP, "%s", in_child);
    if (birth.bytes > FTLI_TENSOR_BYTES_MOST)
        return ftli_fail(FTL_ELIMIT, "%llu bytes: over the limit of the device", (unsigned long long)birth.bytes);
    if (!ftli_agent_enter(&agent, runtime, true))
        return ftli_fail(FTL_ECLOSED, "the runtime is closed or closing");
    int status = new_inside(&agent, &birth, &id);
    if (agent.port != NULL && status != FTL_ENOTSUP) /* a finalizer may have forked: the child has no port */
        ftli_port_learn(agent.port);                 /* the table may have grown */
    ftli_agent_leave(&agent);
    if (status == FTL_OK)
        out->id = id;
    return status;
}

/* A header from the rack or the heap; NULL: the general way is to be taken. */
static struct ftli_header *take_plain(struct ftli_port *port, uint64_t bytes, bool *most)
{
    const struct ftl_runtime *runtime = port->owner;
    if (bytes <= runtime->allocation_settings->small_bytes) {
        unsigned c = ftli_size_class(bytes);
        struct ftli_header *header = ftli_rack_take(&port->rack, c);
        return header != NULL ? header : ftli_allocation_refill_ready(runtime->device, &port->rack, c);
    }
    struct ftli_pages memory = {NULL, false, false};
    unsigned pages = ftli_middle_pages(ftli_pages_block_bytes(bytes));
    if (pages == 0)
        return NULL;
    struct ftli_header *header = ftli_pocket_take(&port->rack.pocket, pages);
    if (header == NULL && runtime->cleanup.every_drop_is_a_message && ftli_turn_over(port, 0, bytes))
        header = ftli_pocket_take(&port->rack.pocket, pages);
    if (header != NULL)
        return header;
    if (!ftli_allocation_take_middle(runtime->device, &port->home, bytes, &memory))
        return NULL;
    *most = memory.most;
    return memory.header;
}

/* One slow new in sixteen looks at the backlog. */
static FTLI_NOINLINE bool look_at_backlog(struct ftli_port *port)
{
    struct ftli_agent agent = {port->owner, port, &port->counters, false, -1};
    return ftli_press_back(&agent);
}

/* The port is entered. */
FTLI_ON_NEW int ftli_new_plain(struct ftli_port *port, ftl_dtype dtype, uint32_t ndim, const int64_t *shape,
                               ftl_tensor *out)
{
    struct ftl_runtime *runtime = port->owner;
    struct ftli_header *header = NULL;
    uint64_t bytes;
    bool most = false, goes_on = true;
    if (FTLI_LIKELY(plain_bytes(dtype, ndim, shape, &bytes) && bytes != 0 &&
                    ftli_u64_load_relaxed(&runtime->cleanup.counters.quarantined_bytes) ==
                        0)) { /* it may be over its limit */
        if ((ftli_thread.slow_news & FTLI_LOOKS_EVERY) == 0)
            goes_on = look_at_backlog(port);
        else
            ftli_thread.slow_news++;
        header = goes_on ? take_plain(port, bytes, &most) : NULL;
    }
    if (FTLI_UNLIKELY(header == NULL)) {
        ftli_port_leave(port);
        return ftli_new_checked(runtime, dtype, ndim, shape, NULL, out);
    }
    ftli_new_fill(header, ftli_size_make(bytes, dtype, ndim), port);
    ftli_shape_pack(header, ndim, shape);
    uint64_t flags = 0;
    unsigned c = ftli_record_class(ftli_u64_load_relaxed(&header->record));
    if (c != 0) {
        if (ftli_count_down(&port->countdown[c]))
            flags |= ftli_sample_class(port, header, c, bytes);
    } else {
        ftli_u64_add_owner(&port->counters.created_page_bytes, ftli_pages_block_bytes(bytes));
        flags |= ftli_sample_other(port, header, bytes);
    }
    if (FTLI_UNLIKELY(most))
        ftli_runtime_look_at_peak(runtime);
    uint64_t id = ftli_port_handle(port, header) | ftli_word_generation(ftli_u64_load_relaxed(&header->word));
    return ftli_new_finish(port, header, id, flags, c * sizeof(uint64_t), bytes, out);
}
