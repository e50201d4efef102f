/* What a thread does, one thing after the other, and what each call must answer. */
#include "tools/stress.h"

#include "tools/measure.h"

#include <stdlib.h>
#include <string.h>

static struct ftli_stress_entry *any(struct ftli_stress_thread *thread)
{
    return thread->entry_count == 0 ? NULL : &thread->entries[ftli_stress_below(thread, thread->entry_count)];
}

static bool owns(const struct ftli_stress_entry *entry)
{
    return entry->references > 0 || entry->scope != 0;
}

/* One that this thread keeps alive. */
static struct ftli_stress_entry *any_owned(struct ftli_stress_thread *thread)
{
    for (uint32_t tries = 0; tries < 3; tries++) {
        struct ftli_stress_entry *entry = any(thread);
        if (entry != NULL && owns(entry)) {
            return entry;
        }
    }
    return NULL;
}

/* Nobody else has any handle of it but its scope: what it is can be told to the last figure. */
static bool is_mine_alone(const struct ftli_stress_record *record)
{
    return !atomic_load_explicit(&record->loose, memory_order_relaxed) &&
           !atomic_load_explicit(&record->shared, memory_order_relaxed);
}

static void must(struct ftli_stress_thread *thread, bool holds, const struct ftli_stress_record *record,
                 const char *law)
{
    if (!holds) {
        ftli_stress_broken(thread->run, "tensor %#llx of %llu bytes: %s (%s)", (unsigned long long)record->handle.id,
                           (unsigned long long)record->bytes, law, ftl_last_error());
    }
}

/* ---- references and pins ---------------------------------------------------------------------------------------------- */

static void drop(struct ftli_stress_thread *thread)
{
    struct ftli_stress_entry *entry = any(thread);
    if (entry == NULL) {
        return;
    }
    struct ftli_stress_record *record = entry->record;
    if (entry->references > 0) {
        uint32_t left = ftli_stress_chance(thread, 3) ? entry->references - 1 : 0;
        while (entry->references > left) {
            ftli_stress_entry_drop(thread, entry);
        }
    } else if (entry->scope != 0 && is_mine_alone(record) && atomic_load(&record->references) == 1) {
        entry->scope = 0; /* a member, dropped before its scope ends */
        ftli_stress_drop(thread, record);
    } else if (entry->pins > 0) {
        ftli_stress_entry_unpin(thread, entry);
    }
    ftli_stress_entry_tidy(thread, entry);
}

static void retain(struct ftli_stress_thread *thread)
{
    struct ftli_stress_entry *entry = any_owned(thread);
    if (entry != NULL && entry->references < 20) {
        atomic_fetch_add(&entry->record->references, 1);
        (void)ftli_stress_good(thread, "ftl_tensor_retain", ftl_tensor_retain(entry->record->handle));
        entry->references++;
    }
}

static void pin(struct ftli_stress_thread *thread)
{
    struct ftli_stress_entry *entry = any_owned(thread);
    if (entry == NULL || entry->pins > 8) {
        return;
    }
    void *address = ftl_tensor_pin(entry->record->handle);
    must(thread, address != NULL, entry->record, "ftl_tensor_pin answered NULL to an owner");
    must(thread, entry->pins == 0 || address == entry->address, entry->record, "it moved under a pin");
    if (address != NULL) {
        entry->address = address;
        entry->pins++;
        ftli_stress_look(thread, entry->record, address, true, "at a pin");
    }
}

static void unpin(struct ftli_stress_thread *thread)
{
    struct ftli_stress_entry *entry = any(thread);
    if (entry == NULL) {
        return;
    }
    if (entry->pins > 0) {
        ftli_stress_entry_unpin(thread, entry);
    } else if (is_mine_alone(entry->record) && entry->record->base == NULL && entry->references > 0) {
        ftl_tensor_unpin(entry->record->handle); /* without a pin: is counted, and does nothing */
        ftli_stress_count(&thread->counts.odd_unpins, 1);
    }
    ftli_stress_entry_tidy(thread, entry);
}

/* ---- looking ------------------------------------------------------------------------------------------------------------ */

static void look(struct ftli_stress_thread *thread)
{
    struct ftli_stress_entry *entry = any(thread);
    if (entry == NULL) {
        return;
    }
    struct ftli_stress_record *record = entry->record;
    if (!owns(entry)) { /* a pin on what may be gone for everybody else */
        ftli_stress_look(thread, record, entry->address, false, "while it is pinned");
        return;
    }
    void *address = ftl_tensor_data(record->handle);
    must(thread, address != NULL, record, "ftl_tensor_data answered NULL to an owner");
    if (address != NULL) {
        ftli_stress_look(thread, record, address, ftli_stress_chance(thread, 2), "as data");
    }
    must(thread, ftl_tensor_alive(record->handle), record, "is not alive for an owner");
    must(thread, ftl_tensor_bytes(record->handle) == record->bytes, record, "ftl_tensor_bytes is another");
}

static void describe(struct ftli_stress_thread *thread)
{
    ftl_tensor_description d;
    struct ftli_stress_entry *entry = any_owned(thread);
    if (entry == NULL ||
        !ftli_stress_good(thread, "ftl_tensor_describe", ftl_tensor_describe(entry->record->handle, &d))) {
        return;
    }
    struct ftli_stress_record *record = entry->record;
    must(thread, d.bytes == record->bytes && d.dtype == record->dtype && d.ndim == record->ndim, record,
         "its description has another size, dtype or number of dimensions");
    must(thread, memcmp(d.shape, record->shape, record->ndim * sizeof *d.shape) == 0, record,
         "its description has another shape");
    must(thread, d.tag == record->tag && d.device == 0, record, "its description has another tag or device");
    must(thread, ((d.flags & FTL_VIEW) != 0) == (record->base != NULL), record, "its description errs about views");
    must(thread, d.base.id == (record->base == NULL ? 0 : record->base->handle.id), record, "it has another base");
    must(thread, entry->scope == 0 || d.scope.id == thread->scopes[entry->scope - 1].handle.id, record,
         "its description has another scope");
    must(thread, d.references >= entry->references + (entry->scope != 0), record, "its description forgot references");
    must(thread, record->base != NULL || d.pins >= entry->pins, record, "its description forgot pins");
    if (is_mine_alone(record)) {
        must(thread, d.references == atomic_load(&record->references), record, "its references are not the model's");
        must(thread, d.pins == entry->pins, record, "its pins are not the model's");
    }
}

/* ---- links ---------------------------------------------------------------------------------------------------------------- */

/* A parent is one that no other thread knows, and that will be reclaimed: what is quarantined keeps its links. Its child is younger
 * than it, and no view, which holds an older one: so no ring comes to be. */
static bool may_be_parent(const struct ftli_stress_entry *entry)
{
    const struct ftli_stress_record *record = entry->record;
    return owns(entry) && !atomic_load(&record->shared) && record->finalizer.fails == 0;
}

static void link_two(struct ftli_stress_thread *thread)
{
    struct ftli_stress_entry *parent = any(thread), *child = any_owned(thread);
    if (parent == NULL || child == NULL || !may_be_parent(parent) || child->record->base != NULL ||
        parent->record->serial >= child->record->serial || parent->record->child_count == FTLI_STRESS_CHILDREN) {
        return;
    }
    struct ftli_stress_record *to = child->record;
    atomic_store(&to->loose, true);
    atomic_fetch_add(&to->references, 1);
    atomic_fetch_add(&to->holders, 1);
    if (ftli_stress_made(thread, "ftl_tensor_link", ftl_tensor_link(parent->record->handle, to->handle))) {
        parent->record->children[parent->record->child_count++] = to;
    } else {
        atomic_fetch_sub(&to->references, 1);
        ftli_stress_release(to);
    }
}

static void unlink_two(struct ftli_stress_thread *thread)
{
    struct ftli_stress_entry *entry = any_owned(thread);
    if (entry == NULL || !may_be_parent(entry)) {
        return;
    }
    struct ftli_stress_record *parent = entry->record;
    if (parent->child_count == 0) {
        struct ftli_stress_entry *other = any_owned(thread);
        if (other != NULL && other->record != parent &&
            ftl_tensor_unlink(parent->handle, other->record->handle) != FTL_EINVAL) {
            must(thread, false, parent, "ftl_tensor_unlink found a link that never was");
        }
        return;
    }
    struct ftli_stress_record *child = parent->children[--parent->child_count];
    must(thread, ftl_tensor_alive(child->handle), child, "is not alive while a parent is that links to it");
    (void)ftli_stress_good(thread, "ftl_tensor_unlink", ftl_tensor_unlink(parent->handle, child->handle));
    ftli_stress_given_up(thread, child);
    ftli_stress_release(child);
}

/* ---- scopes ----------------------------------------------------------------------------------------------------------------- */

static void open_scope(struct ftli_stress_thread *thread, uint32_t place)
{
    struct ftli_stress_scope *scope = &thread->scopes[place];
    uint32_t parent = (uint32_t)ftli_stress_below(thread, FTLI_STRESS_SCOPES);
    ftl_scope_options options = {.label = "request", .tag = place, .kind = ftli_stress_chance(thread, 8)};
    if (parent != place && thread->scopes[parent].handle.id != 0 && ftli_stress_chance(thread, 2)) {
        options.parent = thread->scopes[parent].handle;
    }
    if (ftli_stress_chance(thread, 4)) {
        options.hard_bytes = 1 + ftli_stress_below(thread, 1 << 20);
    }
    if (ftli_stress_chance(thread, 4)) {
        options.soft_bytes = 1 + ftli_stress_below(thread, 1 << 20);
    }
    int status = options.parent.id == 0 && options.hard_bytes == 0 && ftli_stress_chance(thread, 2)
                     ? ftl_scope_begin(thread->run->runtime, "session", &scope->handle)
                     : ftl_scope_open(thread->run->runtime, &options, &scope->handle);
    if (ftli_stress_made(thread, "ftl_scope_open", status)) {
        scope->hard_bytes = options.hard_bytes;
        scope->parent = options.parent.id == 0 ? 0 : parent + 1;
    }
}

static void look_at_scope(struct ftli_stress_thread *thread, const struct ftli_stress_scope *scope)
{
    ftl_scope_description d;
    if (!ftli_stress_good(thread, "ftl_scope_stats", ftl_scope_stats(scope->handle, &d))) {
        return;
    }
    if (d.live > d.created || d.live_bytes > d.peak_bytes ||
        (scope->hard_bytes != 0 && d.live_bytes > scope->hard_bytes)) {
        ftli_stress_broken(thread->run, "a scope has %llu bytes live, %llu at its peak; its hard_bytes are %llu",
                           (unsigned long long)d.live_bytes, (unsigned long long)d.peak_bytes,
                           (unsigned long long)scope->hard_bytes);
    }
}

static void use_scope(struct ftli_stress_thread *thread)
{
    uint32_t place = (uint32_t)ftli_stress_below(thread, FTLI_STRESS_SCOPES);
    struct ftli_stress_scope *scope = &thread->scopes[place];
    if (scope->handle.id == 0) {
        open_scope(thread, place);
    } else if (ftli_stress_chance(thread, 3)) {
        ftli_stress_scope_end(thread, place);
    } else {
        look_at_scope(thread, scope);
    }
}

static void keep(struct ftli_stress_thread *thread)
{
    struct ftli_stress_entry *entry = any(thread);
    if (entry == NULL || entry->scope == 0) {
        return;
    }
    ftl_scope scope = thread->scopes[entry->scope - 1].handle;
    if (ftli_stress_good(thread, "ftl_scope_keep", ftl_scope_keep(scope, entry->record->handle))) {
        entry->scope = 0;
        entry->references++;
        must(thread, ftl_scope_keep(scope, entry->record->handle) == FTL_ESTALE, entry->record, "was kept twice");
    }
}

/* ---- between threads ------------------------------------------------------------------------------------------------------------ */

/* Part of what an entry holds, in a parcel; NULL: none of it can be given. */
static struct ftli_stress_parcel *pack(struct ftli_stress_thread *thread, struct ftli_stress_entry *entry)
{
    bool pins_only =
        (thread->run->options.faults & FTLI_STRESS_PIN) != 0 && entry->pins > 0 && ftli_stress_chance(thread, 2);
    if (entry->references + entry->pins == 0 || (entry->references == 0 && !pins_only)) {
        return NULL;
    }
    struct ftli_stress_parcel *parcel = malloc(sizeof *parcel);
    if (parcel == NULL) {
        return NULL;
    }
    *parcel = (struct ftli_stress_parcel){.record = entry->record, .address = entry->address};
    if (pins_only) {
        parcel->pins = entry->pins;
        ftli_stress_count(&thread->counts.faults[6], parcel->pins);
    } else {
        parcel->references = (uint32_t)(1 + ftli_stress_below(thread, entry->references));
        parcel->pins = (uint32_t)ftli_stress_below(thread, entry->pins + 1);
    }
    entry->references -= parcel->references;
    entry->pins -= parcel->pins;
    atomic_store(&entry->record->shared, true);
    atomic_fetch_add(&entry->record->holders, 1);
    ftli_stress_entry_tidy(thread, entry);
    return parcel;
}

static void trade(struct ftli_stress_thread *thread)
{
    struct ftli_stress_entry *entry = any(thread);
    uint32_t place = (uint32_t)ftli_stress_below(thread, FTLI_STRESS_EXCHANGE);
    ftli_stress_trade(thread, place, entry == NULL ? NULL : pack(thread, entry));
}

static void crate(struct ftli_stress_thread *thread)
{
    ftli_stress_crate(thread, (uint32_t)ftli_stress_below(thread, FTLI_STRESS_CRATES), true);
}

static void publish(struct ftli_stress_thread *thread)
{
    struct ftli_stress_entry *entry = any_owned(thread);
    if (entry == NULL || entry->record->base != NULL || entry->record->bytes == 0) {
        return;
    }
    uint64_t place = ftli_stress_below(thread, FTLI_STRESS_BOARD);
    atomic_store(&entry->record->loose, true);
    pthread_mutex_lock(&thread->run->board_lock);
    thread->run->board[place].handle = entry->record->handle;
    thread->run->board[place].seed = entry->record->seed;
    thread->run->board[place].bytes = entry->record->bytes;
    pthread_mutex_unlock(&thread->run->board_lock);
}

/* A weak handle is good, or stale; and what it shows is its own tensor's. */
static void read_board(struct ftli_stress_thread *thread)
{
    struct ftli_stress *run = thread->run;
    uint64_t place = ftli_stress_below(thread, FTLI_STRESS_BOARD);
    pthread_mutex_lock(&run->board_lock);
    ftl_tensor handle = run->board[place].handle;
    uint64_t seed = run->board[place].seed, bytes = run->board[place].bytes;
    pthread_mutex_unlock(&run->board_lock);
    if (handle.id == 0) {
        return;
    }
    if (ftli_stress_chance(thread, 2)) {
        void *address = ftl_tensor_pin(handle);
        if (address == NULL) {
            ftli_stress_count(&thread->counts.stale_calls, 1);
            return;
        }
        if (!ftli_stress_intact(seed, bytes, address, true)) {
            ftli_stress_broken(run, "a weak handle showed another tensor's contents to who pinned it");
        }
        ftl_tensor_unpin(handle);
        return;
    }
    int status = ftl_tensor_retain(handle);
    if (status == FTL_ESTALE) {
        ftli_stress_count(&thread->counts.stale_calls, 1);
        return;
    }
    if (ftli_stress_good(thread, "ftl_tensor_retain of a weak handle", status)) {
        void *address = ftl_tensor_data(handle);
        if (address == NULL || ftl_tensor_bytes(handle) != bytes || !ftli_stress_intact(seed, bytes, address, true)) {
            ftli_stress_broken(run, "a weak handle showed another tensor's contents to who retained it");
        }
        (void)ftli_stress_good(thread, "ftl_tensor_drop", ftl_tensor_drop(handle));
    }
}

/* ---- what must be refused --------------------------------------------------------------------------------------------------------- */

static void use_stale(struct ftli_stress_thread *thread)
{
    if (thread->stale_count == 0) {
        return;
    }
    ftl_tensor stale = thread->stale[ftli_stress_below(thread, thread->stale_count)], view = {7};
    struct ftli_stress_entry *owned = any_owned(thread);
    ftl_tensor_description d;
    const int64_t one = 1;
    uint64_t which = ftli_stress_below(thread, 10);
    bool refused = true;
    switch (which) {
    case 0:
        refused = ftl_tensor_drop(stale) == FTL_ESTALE;
        break;
    case 1:
        refused = ftl_tensor_retain(stale) == FTL_ESTALE;
        break;
    case 2:
        refused = ftl_tensor_data(stale) == NULL;
        break;
    case 3:
        refused = ftl_tensor_pin(stale) == NULL;
        break;
    case 4:
        refused = ftl_tensor_describe(stale, &d) == FTL_ESTALE;
        break;
    case 5:
        refused = ftl_tensor_view(stale, 0, 1, &one, NULL, &view) == FTL_ESTALE && view.id == 7;
        break;
    case 6: /* of one that nobody ever pinned: a pin that is held over the drop could be taken away so */
        ftl_tensor_unpin(thread->never_pinned);
        if (thread->never_pinned.id == 0) {
            return;
        }
        break;
    case 7:
        refused = ftl_tensor_unlink(stale, stale) == FTL_ESTALE;
        break;
    case 8:
        if (owned == NULL || !is_mine_alone(owned->record)) {
            return;
        }
        refused = ftl_tensor_link(owned->record->handle, stale) != FTL_OK;
        break;
    default:
        if (ftl_tensor_alive(stale) || ftl_tensor_bytes(stale) != 0) {
            ftli_stress_broken(thread->run, "a stale handle is alive");
        }
        return; /* these two are not counted */
    }
    ftli_stress_count(&thread->counts.stale_calls, 1);
    if (!refused) {
        ftli_stress_broken(thread->run, "a call (%llu) on the stale handle %#llx was not refused",
                           (unsigned long long)which, (unsigned long long)stale.id);
    }
}

/* The stale handle is the ticket of its drop; who owns one waits in vain. */
static void await(struct ftli_stress_thread *thread)
{
    struct ftli_stress_entry *owned = any_owned(thread);
    int status;
    switch (ftli_stress_below(thread, 3)) {
    case 0:
        if (owned != NULL && ftl_tensor_await(owned->record->handle, 0) != FTL_ETIMEDOUT) {
            must(thread, false, owned->record, "ftl_tensor_await says that it is reclaimed, to an owner");
        }
        break;
    case 1: /* whom nobody pins */
        (void)ftli_stress_good(thread, "ftl_tensor_await", ftl_tensor_await(thread->never_pinned, -1));
        break;
    default:
        if (thread->stale_count > 0) {
            ftl_tensor stale = thread->stale[ftli_stress_below(thread, thread->stale_count)];
            status = ftl_tensor_await(stale, (int64_t)ftli_stress_below(thread, 2) * 300000);
            if (status != FTL_ETIMEDOUT && status != FTL_EINTERNAL) { /* pinned, or has to do; quarantined */
                (void)ftli_stress_good(thread, "ftl_tensor_await", status);
            }
        }
        break;
    }
}

static void misuse(struct ftli_stress_thread *thread)
{
    struct ftli_stress_entry *entry = any_owned(thread);
    ftl_runtime *runtime = thread->run->runtime;
    ftl_tensor out = {9};
    ftl_scope scope = {9};
    const int64_t negative = -1, one = 1;
    ftl_tensor_options odd = {.alignment = 3}, later = {.reserve_bytes = 1};
    bool good = ftl_bytes_new(runtime, 1, &odd, &out) == FTL_EINVAL &&
                ftl_bytes_new(runtime, 1, &later, &out) == FTL_ENOTSUP &&
                ftl_tensor_new(runtime, 0, 1, &one, NULL, &out) == FTL_EINVAL &&
                ftl_tensor_new(runtime, FTL_U8, 1, &negative, NULL, &out) == FTL_EINVAL &&
                ftl_tensor_new(NULL, FTL_U8, 1, &one, NULL, &out) == FTL_EINVAL &&
                ftl_tensor_drop((ftl_tensor){0}) == FTL_OK && ftl_tensor_pin((ftl_tensor){0}) == NULL &&
                !ftl_tensor_alive((ftl_tensor){0}) && ftl_scope_open(NULL, NULL, &scope) == FTL_EINVAL &&
                ftl_scope_end((ftl_scope){0}, NULL) == FTL_ESTALE && ftl_unsubscribe(runtime, UINT64_MAX) == FTL_ESTALE;
    if (entry != NULL && entry->record->base == NULL) { /* a view's may lie in its root */
        int64_t beyond = (int64_t)entry->record->bytes + 1;
        good = good && ftl_tensor_view(entry->record->handle, beyond, 1, &one, NULL, &out) == FTL_EINVAL &&
               ftl_tensor_link(entry->record->handle, entry->record->handle) == FTL_EINVAL;
    }
    if (!good || out.id != 9 || scope.id != 9) {
        ftli_stress_broken(thread->run, "wrong arguments were not refused as they must be (%s)", ftl_last_error());
    }
}

static void ask(struct ftli_stress_thread *thread)
{
    ftl_stats s;
    uint64_t left;
    int status = FTL_OK;
    switch (ftli_stress_below(thread, 4)) {
    case 0:
        if (ftli_stress_good(thread, "ftl_runtime_stats", ftl_runtime_stats(thread->run->runtime, &s)) &&
            s.created < s.reclaimed + s.quarantined) {
            ftli_stress_broken(thread->run, "more tensors were reclaimed than created");
        }
        break;
    case 1:
        (void)ftli_stress_good(thread, "ftl_runtime_run", ftl_runtime_run(thread->run->runtime, NULL, 100000, &left));
        break;
    default:
        status = ftl_runtime_drain(thread->run->runtime, (int64_t)ftli_stress_below(thread, 3) * 300000);
        break;
    }
    if (status != FTL_OK && status != FTL_ETIMEDOUT) {
        (void)ftli_stress_good(thread, "ftl_runtime_drain", status);
    }
}

/* ---- which ---------------------------------------------------------------------------------------------------------------------------- */

static const struct {
    const char *name;
    uint32_t share;
    void (*act)(struct ftli_stress_thread *);
} acts[] = {
    {"new", 200, ftli_stress_make},
    {"a burst of new and drop", 60, ftli_stress_burst},
    {"a crate of tensors that others made", 60, crate},
    {"drop", 200, drop},
    {"retain", 60, retain},
    {"pin", 80, pin},
    {"unpin", 80, unpin},
    {"data, alive, bytes", 60, look},
    {"describe", 40, describe},
    {"view", 30, ftli_stress_make_view},
    {"link", 40, link_two},
    {"unlink", 20, unlink_two},
    {"scope", 40, use_scope},
    {"scope_keep", 20, keep},
    {"trade", 80, trade},
    {"publish", 20, publish},
    {"weak handles", 60, read_board},
    {"stale handles", 40, use_stale},
    {"wrong arguments", 10, misuse},
    {"stats, run, drain", 2, ask},
    {"await", 6, await},
    {"a message", 20, ftli_stress_send},
    {"what comes by the clock", 0, ftli_stress_act_rarely},
};
enum { ACTS = sizeof acts / sizeof *acts, LOOK_AT_CLOCK = 64 };

void ftli_stress_act(struct ftli_stress_thread *thread)
{
    uint32_t all = 0, at = 0;
    for (uint32_t i = 0; i < ACTS; i++) {
        all += acts[i].share;
    }
    uint64_t operations = atomic_load_explicit(&thread->counts.operations, memory_order_relaxed);
    if (operations % LOOK_AT_CLOCK == 0) {
        thread->now_ns = ftli_measure_now_ns();
        at = ACTS - 1;
    } else {
        uint64_t share = ftli_stress_below(thread, all);
        while (share >= acts[at].share) {
            share -= acts[at].share;
            at++;
        }
    }
    atomic_store_explicit(&thread->doing, acts[at].name, memory_order_relaxed);
    acts[at].act(thread);
    atomic_store_explicit(&thread->counts.operations, operations + 1, memory_order_release);
}
