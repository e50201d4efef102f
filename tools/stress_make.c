/* How tensors come to be: of every size and kind, one by one or many at once. */
#include "tools/stress.h"

#include <stdlib.h>
#include <string.h>

static const struct {
    ftl_dtype dtype;
    uint32_t bits;
} dtypes[] = {{FTL_U8, 8},   {FTL_F32, 32}, {FTL_F16, 16}, {FTL_I64, 64},
              {FTL_F64, 64}, {FTL_I4, 4},   {FTL_BOOL, 8}, {FTL_BF16, 16}};

/* ---- what is asked for ------------------------------------------------------------------------------------------------- */

/* What the model knows to be alive: so much that it cannot make the limit by itself is left to the faults that want to. */
static uint64_t live_bytes(const struct ftli_stress *run)
{
    uint64_t dead = FTLI_STRESS_SUM(run, dead_bytes), made = FTLI_STRESS_SUM(run, made_bytes);
    return made > dead ? made - dead : 0;
}

static uint64_t choose_bytes(struct ftli_stress_thread *thread)
{
    static const struct {
        uint32_t share; /* of 100, up to here */
        uint64_t from, to;
    } tiers[] = {{1, 0, 0},          {20, 1, 64},          {50, 65, 1024},         {72, 1025, 16384},
                 {84, 16385, 32768}, {97, 32769, 1 << 20}, {100, 1 << 20, 6 << 20}};
    uint64_t share = ftli_stress_below(thread, 100);
    uint32_t tier = 0;
    while (share >= tiers[tier].share) {
        tier++;
    }
    if (tier >= 5 && live_bytes(thread->run) > thread->run->limit_bytes / 4) {
        tier = 2;
    }
    return tiers[tier].from + ftli_stress_below(thread, tiers[tier].to - tiers[tier].from + 1);
}

/* A shape of up to four dimensions that takes about so many bytes; record->bytes is what it does take. */
static void choose_shape(struct ftli_stress_thread *thread, struct ftli_stress_record *record, uint64_t bytes)
{
    uint64_t which = ftli_stress_below(thread, sizeof dtypes / sizeof *dtypes);
    uint64_t elements = bytes * 8 / dtypes[which].bits, product = 1;
    record->dtype = dtypes[which].dtype;
    record->ndim = (uint32_t)ftli_stress_below(thread, 5);
    if (record->ndim == 0) {
        elements = 1;
    }
    for (uint32_t i = 0; i + 1 < record->ndim; i++) {
        uint64_t most = elements / product > 8 ? 8 : elements / product;
        record->shape[i] = most == 0 ? 1 : (int64_t)(1 + ftli_stress_below(thread, most));
        product *= (uint64_t)record->shape[i];
    }
    if (record->ndim > 0) {
        record->shape[record->ndim - 1] = (int64_t)(elements / product);
        elements = product * (uint64_t)record->shape[record->ndim - 1];
    }
    record->bytes = (elements * dtypes[which].bits + 7) / 8;
}

/* A stall is somebody's every now and then. */
static uint64_t take_stall(struct ftli_stress_thread *thread)
{
    uint64_t due_ns = atomic_load(&thread->run->next_stall_ns),
             stall_ns = 1000000 * (1 + ftli_stress_below(thread, 40));
    if ((thread->run->options.faults & FTLI_STRESS_STALL) == 0 || thread->now_ns < due_ns ||
        !atomic_compare_exchange_strong(&thread->run->next_stall_ns, &due_ns, thread->now_ns + 10 * stall_ns)) {
        return 0;
    }
    ftli_stress_count(&thread->counts.faults[1], 1);
    return stall_ns;
}

enum { HOPELESS_MOST = 400, HOPELESS_BYTES = 4096 };

static void plan_finalizer(struct ftli_stress_thread *thread, struct ftli_stress_record *record)
{
    struct ftli_stress *run = thread->run;
    record->finalizer.has = true;
    record->finalizer.stall_ns = take_stall(thread);
    if ((run->options.faults & FTLI_STRESS_FINALIZER) == 0 || !ftli_stress_chance(thread, 4)) {
        return;
    }
    record->finalizer.fails = (uint32_t)(1 + ftli_stress_below(thread, 3));
    if (record->bytes <= HOPELESS_BYTES && ftli_stress_chance(thread, 40) &&
        atomic_fetch_add(&run->hopeless, 1) < HOPELESS_MOST) {
        record->finalizer.fails = UINT32_MAX;
    }
    ftli_stress_count(&thread->counts.faults[0], 1);
}

static void choose_options(struct ftli_stress_thread *thread, struct ftli_stress_record *record,
                           ftl_tensor_options *options, uint32_t *scope)
{
    static const size_t alignments[] = {1, 64, 128, 512, 4096, 65536, 1 << 21};
    static const char *const labels[] = {"kv", "logits", "weights", "a label that is as long as it may", NULL};
    options->zero = ftli_stress_chance(thread, 5);
    if (ftli_stress_chance(thread, 4)) {
        options->alignment = alignments[ftli_stress_below(thread, ftli_stress_chance(thread, 50) ? 7 : 5)];
        record->alignment = options->alignment;
    }
    options->label = labels[ftli_stress_below(thread, sizeof labels / sizeof *labels)];
    options->tag = record->tag = ftli_stress_chance(thread, 2) ? record->serial : 0;
    options->site = ftli_stress_chance(thread, 2) ? FTL_HERE : NULL;
    options->wait_ns = ftli_stress_chance(thread, 3) ? -1 : 0;
    if (ftli_stress_chance(thread, 8)) {
        plan_finalizer(thread, record);
        options->finalizer = ftli_stress_finalizer;
        options->finalizer_user = record;
    }
    *scope = (uint32_t)ftli_stress_below(thread, FTLI_STRESS_SCOPES);
    *scope = thread->scopes[*scope].handle.id == 0 ? 0 : *scope + 1;
}

/* ---- making -------------------------------------------------------------------------------------------------------------- */

/* The record is the finalizer's too, until it has worked. */
static void list_finalizer(struct ftli_stress *run, struct ftli_stress_record *record)
{
    if (!record->finalizer.has) {
        return;
    }
    atomic_fetch_add(&record->holders, 1);
    pthread_mutex_lock(&run->records);
    record->previous = NULL;
    record->next = run->finalizing;
    if (record->next != NULL) {
        record->next->previous = record;
    }
    run->finalizing = record;
    pthread_mutex_unlock(&run->records);
}

static int call_new(struct ftli_stress_thread *thread, struct ftli_stress_record *record,
                    const ftl_tensor_options *options, uint32_t scope)
{
    ftl_runtime *runtime = thread->run->runtime;
    ftl_tensor_options with;
    int status;
    bool swap = scope != 0 && options == NULL;
    if (scope != 0 && !swap) {
        with = *options;
        with.scope = thread->scopes[scope - 1].handle;
        options = &with;
    }
    if (swap && ftl_scope_swap(thread->scopes[scope - 1].handle).id != 0) {
        ftli_stress_broken(thread->run, "ftl_scope_swap says that there was a scope, where there was none");
    }
    if (record->dtype == FTL_U8 && record->ndim == 1) {
        status = ftl_bytes_new(runtime, record->bytes, options, &record->handle);
    } else {
        status = ftl_tensor_new(runtime, record->dtype, record->ndim, record->shape, options, &record->handle);
    }
    if (swap && ftl_scope_swap((ftl_scope){0}).id != thread->scopes[scope - 1].handle.id) {
        ftli_stress_broken(thread->run, "ftl_scope_swap forgot this thread's scope");
    }
    return status;
}

static void look_at_new(struct ftli_stress_thread *thread, struct ftli_stress_record *record, bool zero)
{
    bool pinned = ftli_stress_chance(thread, 2);
    void *address = pinned ? ftl_tensor_pin(record->handle) : ftl_tensor_data(record->handle);
    size_t alignment = record->alignment > 64 ? record->alignment : 64;
    if (address == NULL) {
        ftli_stress_broken(thread->run, "a new tensor of %llu bytes has no memory (%s)",
                           (unsigned long long)record->bytes, ftl_last_error());
        return;
    }
    if ((uintptr_t)address % alignment != 0) {
        ftli_stress_broken(thread->run, "a new tensor of %llu bytes lies at %p; %zu was asked for",
                           (unsigned long long)record->bytes, address, alignment);
    }
    if (zero && !ftli_stress_is_zero(record, address)) {
        ftli_stress_broken(thread->run, "a new tensor of %llu bytes, asked for with `zero`, is not",
                           (unsigned long long)record->bytes);
    }
    ftli_stress_fill(record, address);
    if (pinned) {
        ftl_tensor_unpin(record->handle);
    }
}

/* Of a record whose shape is set. False: refused, and the record is gone. */
static bool make(struct ftli_stress_thread *thread, struct ftli_stress_record *record,
                 const ftl_tensor_options *options, uint32_t scope)
{
    ftli_stress_count(&thread->counts.begun, 1);
    atomic_store(&record->references, 1);
    list_finalizer(thread->run, record);
    int status = call_new(thread, record, options, scope);
    if (!ftli_stress_made(thread, "ftl_tensor_new", status)) {
        ftli_stress_count(&thread->counts.failed, 1);
        ftli_stress_unlist(record);
        ftli_stress_release(record);
        return false;
    }
    ftli_stress_count(&thread->counts.made_bytes, record->bytes);
    ftli_stress_count(&thread->counts.made, 1);
    look_at_new(thread, record, options != NULL && options->zero);
    return true;
}

void ftli_stress_make(struct ftli_stress_thread *thread)
{
    ftl_tensor_options options = {0};
    uint32_t scope = 0;
    bool plain = ftli_stress_chance(thread, 2);
    if (thread->entry_count == FTLI_STRESS_ENTRIES) {
        ftli_stress_make_room(thread);
    }
    struct ftli_stress_record *record = ftli_stress_record(thread->run);
    if (record == NULL) {
        return;
    }
    choose_shape(thread, record, choose_bytes(thread));
    if (!plain) {
        choose_options(thread, record, &options, &scope);
    } else if (thread->scopes[0].handle.id != 0 && ftli_stress_chance(thread, 4)) {
        scope = 1; /* as this thread's current one */
    }
    if (!make(thread, record, plain ? NULL : &options, scope)) {
        return;
    }
    struct ftli_stress_entry *entry = ftli_stress_entry_add(thread, record);
    entry->scope = scope;
    entry->references = scope == 0;
}

struct ftli_stress_record *ftli_stress_make_plain(struct ftli_stress_thread *thread, uint64_t bytes)
{
    struct ftli_stress_record *record = ftli_stress_record(thread->run);
    if (record == NULL) {
        return NULL;
    }
    record->dtype = FTL_U8;
    record->ndim = 1;
    record->bytes = bytes;
    record->shape[0] = (int64_t)bytes;
    return make(thread, record, NULL, 0) ? record : NULL;
}

/* ---- views ------------------------------------------------------------------------------------------------------------------ */

static struct ftli_stress_entry *choose_base(struct ftli_stress_thread *thread)
{
    for (uint32_t tries = 0; tries < 4 && thread->entry_count > 0; tries++) {
        struct ftli_stress_entry *entry = &thread->entries[ftli_stress_below(thread, thread->entry_count)];
        if ((entry->references > 0 || entry->scope != 0) && entry->record->dtype != FTL_I4) {
            return entry;
        }
    }
    return NULL;
}

static uint64_t element_bytes(ftl_dtype dtype)
{
    uint32_t i = 0;
    while (dtypes[i].dtype != dtype) {
        i++;
    }
    return dtypes[i].bits / 8;
}

static void call_view(struct ftli_stress_thread *thread, struct ftli_stress_record *from,
                      struct ftli_stress_record *view)
{
    static const int64_t stride = 1;
    struct ftli_stress_record *root = view->base;
    const int64_t *strides = ftli_stress_chance(thread, 2) ? NULL : &stride;
    int64_t offset = (int64_t)(view->offset - from->offset);
    atomic_store(&view->references, 1);
    atomic_store(&root->loose, true);
    atomic_fetch_add(&root->references, 1);
    atomic_fetch_add(&root->holders, 1);
    ftli_stress_count(&thread->counts.begun, 1);
    int status = ftl_tensor_view(from->handle, offset, 1, view->shape, strides, &view->handle);
    if (!ftli_stress_made(thread, "ftl_tensor_view", status)) {
        ftli_stress_count(&thread->counts.failed, 1);
        atomic_fetch_sub(&root->references, 1); /* not the last: this thread holds it, or a view of it */
        ftli_stress_release(view);              /* and its hold of the root */
        return;
    }
    ftli_stress_count(&thread->counts.made, 1);
    ftli_stress_entry_add(thread, view)->references = 1;
}

void ftli_stress_make_view(struct ftli_stress_thread *thread)
{
    if (thread->entry_count == FTLI_STRESS_ENTRIES) {
        ftli_stress_make_room(thread);
    }
    struct ftli_stress_entry *entry = choose_base(thread);
    struct ftli_stress_record *view = entry == NULL ? NULL : ftli_stress_record(thread->run);
    if (view == NULL) {
        return;
    }
    struct ftli_stress_record *from = entry->record;
    uint64_t size = element_bytes(from->dtype), elements = from->bytes / size, skip = 0;
    if (elements > 0) {
        skip = ftli_stress_below(thread, elements + 1);
    }
    view->base = from->base != NULL ? from->base : from;
    view->offset = from->offset + skip * size;
    view->dtype = from->dtype;
    view->ndim = 1;
    view->shape[0] = (int64_t)ftli_stress_below(thread, elements - skip + 1);
    view->bytes = (uint64_t)view->shape[0] * size;
    call_view(thread, from, view);
}

/* ---- many at once --------------------------------------------------------------------------------------------------------------- */

/* They hold no pattern but their own handles, which nobody else may have written over. Returns how many were made. */
static uint32_t make_many(struct ftli_stress_thread *thread, uint64_t bytes, uint32_t count, ftl_tensor *tensors)
{
    uint32_t made = 0;
    ftli_stress_count(&thread->counts.begun, count);
    while (made < count && ftli_stress_made(thread, "ftl_bytes_new",
                                            ftl_bytes_new(thread->run->runtime, bytes, NULL, &tensors[made]))) {
        void *address = ftl_tensor_data(tensors[made]);
        if (address == NULL) {
            ftli_stress_broken(thread->run, "a new tensor has no memory (%s)", ftl_last_error());
            break;
        }
        memcpy(address, &tensors[made].id, 8);
        made++;
    }
    ftli_stress_count(&thread->counts.made, made);
    ftli_stress_count(&thread->counts.failed, count - made);
    ftli_stress_count(&thread->counts.made_bytes, made * bytes);
    return made;
}

static void drop_many(struct ftli_stress_thread *thread, uint64_t bytes, uint32_t count, const ftl_tensor *tensors)
{
    bool backwards = ftli_stress_chance(thread, 2);
    for (uint32_t i = 0; i < count; i++) {
        ftl_tensor tensor = tensors[backwards ? count - 1 - i : i];
        const void *address = ftl_tensor_data(tensor);
        if (address == NULL || memcmp(address, &tensor.id, 8) != 0) {
            ftli_stress_broken(thread->run, "tensor %#llx: another tensor wrote over it",
                               (unsigned long long)tensor.id);
        }
        (void)ftli_stress_good(thread, "ftl_tensor_drop", ftl_tensor_drop(tensor));
    }
    ftli_stress_count(&thread->counts.drops, count);
    ftli_stress_count(&thread->counts.dead_bytes, count * bytes);
    ftli_stress_count(&thread->counts.dead, count);
    ftli_stress_count(&thread->counts.dead_at_once, count);
    if (count > 0) {
        thread->never_pinned = tensors[0];
        if (ftl_tensor_drop(tensors[ftli_stress_below(thread, count)]) != FTL_ESTALE) {
            ftli_stress_broken(thread->run, "a tensor could be dropped twice");
        }
        ftli_stress_count(&thread->counts.stale_calls, 1);
    }
}

static uint64_t choose_many(struct ftli_stress_thread *thread, uint32_t *count)
{
    if (ftli_stress_chance(thread, 12)) { /* middle sizes */
        *count = 4;
        return 32769 + ftli_stress_below(thread, 200000);
    }
    *count = (uint32_t)(16 + ftli_stress_below(thread, FTLI_STRESS_CRATE - 15));
    return 8 + ftli_stress_below(thread, ftli_stress_chance(thread, 4) ? 8192 : 512);
}

void ftli_stress_burst(struct ftli_stress_thread *thread)
{
    ftl_tensor tensors[FTLI_STRESS_CRATE];
    uint32_t count;
    uint64_t bytes = choose_many(thread, &count);
    for (uint32_t i = 0; i < 4; i++) {
        uint32_t made = make_many(thread, bytes, count, tensors);
        drop_many(thread, bytes, made, tensors);
    }
}

void ftli_stress_crate(struct ftli_stress_thread *thread, uint32_t place, bool make_one)
{
    struct ftli_stress_crate *crate = make_one ? malloc(sizeof *crate) : NULL;
    if (crate != NULL) {
        uint32_t count;
        crate->bytes = choose_many(thread, &count);
        crate->count = make_many(thread, crate->bytes, count, crate->tensors);
    }
    crate = atomic_exchange(&thread->run->crates[place], crate);
    if (crate != NULL) {
        drop_many(thread, crate->bytes, crate->count, crate->tensors);
        free(crate);
    }
}
