/* What a thread does, one thing after the other, and what each call must answer. */
#include "tools/stress.h"

#include "tools/measure.h"

#include <stdlib.h>
#include <string.h>

/* ---- references and pins ---------------------------------------------------------------------------------------------- */

static void drop(struct ftli_stress_thread *thread)
{
    struct ftli_stress_entry *entry = ftli_stress_any(thread);
    if (entry == NULL) {
        return;
    }
    struct ftli_stress_record *record = entry->record;
    if (entry->references > 0) {
        uint32_t left = ftli_stress_chance(thread, 3) ? entry->references - 1 : 0;
        while (entry->references > left) {
            ftli_stress_entry_drop(thread, entry);
        }
    } else if (entry->scope != 0 && ftli_stress_is_mine_alone(record) && atomic_load(&record->references) == 1) {
        entry->scope = 0; /* a member, dropped before its scope ends */
        ftli_stress_drop(thread, record);
    } else if (entry->pins > 0) {
        ftli_stress_entry_unpin(thread, entry);
    }
    ftli_stress_entry_tidy(thread, entry);
}

static void retain(struct ftli_stress_thread *thread)
{
    struct ftli_stress_entry *entry = ftli_stress_any_owned(thread);
    if (entry != NULL && entry->references < 20) {
        atomic_fetch_add(&entry->record->references, 1);
        (void)ftli_stress_good(thread, "ftl_tensor_retain", ftl_tensor_retain(entry->record->handle));
        entry->references++;
    }
}

static void pin(struct ftli_stress_thread *thread)
{
    struct ftli_stress_entry *entry = ftli_stress_any_owned(thread);
    if (entry == NULL || entry->pins > 8) {
        return;
    }
    void *address = ftl_tensor_pin(entry->record->handle);
    ftli_stress_must(thread, address != NULL, entry->record, "ftl_tensor_pin answered NULL to an owner");
    ftli_stress_must(thread, entry->pins == 0 || address == entry->address, entry->record, "it moved under a pin");
    if (address != NULL) {
        entry->address = address;
        entry->pins++;
        ftli_stress_look(thread, entry->record, address, true, "at a pin");
    }
}

static void unpin(struct ftli_stress_thread *thread)
{
    struct ftli_stress_entry *entry = ftli_stress_any(thread);
    if (entry == NULL) {
        return;
    }
    if (entry->pins > 0) {
        ftli_stress_entry_unpin(thread, entry);
    } else if (ftli_stress_is_mine_alone(entry->record) && entry->record->base == NULL && entry->references > 0) {
        ftl_tensor_unpin(entry->record->handle); /* without a pin: is counted, and does nothing */
        ftli_stress_count(&thread->counts.odd_unpins, 1);
    }
    ftli_stress_entry_tidy(thread, entry);
}

/* ---- looking ------------------------------------------------------------------------------------------------------------ */

static void look(struct ftli_stress_thread *thread)
{
    struct ftli_stress_entry *entry = ftli_stress_any(thread);
    if (entry == NULL) {
        return;
    }
    struct ftli_stress_record *record = entry->record;
    if (!ftli_stress_owns(entry)) { /* a pin on what may be gone for everybody else */
        ftli_stress_look(thread, record, entry->address, false, "while it is pinned");
        return;
    }
    void *address = ftl_tensor_data(record->handle);
    ftli_stress_must(thread, address != NULL, record, "ftl_tensor_data answered NULL to an owner");
    if (address != NULL) {
        ftli_stress_look(thread, record, address, ftli_stress_chance(thread, 2), "as data");
    }
    ftli_stress_must(thread, ftl_tensor_alive(record->handle), record, "is not alive for an owner");
    ftli_stress_must(thread, ftl_tensor_bytes(record->handle) == record->bytes, record, "ftl_tensor_bytes is another");
}

static void describe(struct ftli_stress_thread *thread)
{
    ftl_tensor_description d;
    struct ftli_stress_entry *entry = ftli_stress_any_owned(thread);
    if (entry == NULL ||
        !ftli_stress_good(thread, "ftl_tensor_describe", ftl_tensor_describe(entry->record->handle, &d))) {
        return;
    }
    struct ftli_stress_record *record = entry->record;
    ftli_stress_must(thread, d.bytes == record->bytes && d.dtype == record->dtype && d.ndim == record->ndim, record,
                     "its description has another size, dtype or number of dimensions");
    ftli_stress_must(thread, memcmp(d.shape, record->shape, record->ndim * sizeof *d.shape) == 0, record,
                     "its description has another shape");
    ftli_stress_must(thread, d.tag == record->tag && d.device == 0, record,
                     "its description has another tag or device");
    ftli_stress_must(thread, ((d.flags & FTL_VIEW) != 0) == (record->base != NULL), record,
                     "its description errs about views");
    ftli_stress_must(thread, d.base.id == (record->base == NULL ? 0 : record->base->handle.id), record,
                     "it has another base");
    ftli_stress_must(thread, entry->scope == 0 || d.scope.id == thread->scopes[entry->scope - 1].handle.id, record,
                     "its description has another scope");
    ftli_stress_must(thread, d.references >= entry->references + (entry->scope != 0), record,
                     "its description forgot references");
    ftli_stress_must(thread, record->base != NULL || d.pins >= entry->pins, record, "its description forgot pins");
    if (ftli_stress_is_mine_alone(record)) {
        ftli_stress_must(thread, d.references == atomic_load(&record->references), record,
                         "its references are not the model's");
        ftli_stress_must(thread, d.pins == entry->pins, record, "its pins are not the model's");
    }
}

/* ---- links ---------------------------------------------------------------------------------------------------------------- */

/* A parent is one that no other thread knows, and that will be reclaimed: what is quarantined keeps its links. Its child is younger
 * than it, and no view, which holds an older one: so no ring comes to be. */
static bool may_be_parent(const struct ftli_stress_entry *entry)
{
    const struct ftli_stress_record *record = entry->record;
    return ftli_stress_owns(entry) && !atomic_load(&record->shared) && record->finalizer.fails == 0;
}

static void link_two(struct ftli_stress_thread *thread)
{
    struct ftli_stress_entry *parent = ftli_stress_any(thread), *child = ftli_stress_any_owned(thread);
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
    struct ftli_stress_entry *entry = ftli_stress_any_owned(thread);
    if (entry == NULL || !may_be_parent(entry)) {
        return;
    }
    struct ftli_stress_record *parent = entry->record;
    if (parent->child_count == 0) {
        struct ftli_stress_entry *other = ftli_stress_any_owned(thread);
        if (other != NULL && other->record != parent &&
            ftl_tensor_unlink(parent->handle, other->record->handle) != FTL_EINVAL) {
            ftli_stress_must(thread, false, parent, "ftl_tensor_unlink found a link that never was");
        }
        return;
    }
    struct ftli_stress_record *child = parent->children[--parent->child_count];
    ftli_stress_must(thread, ftl_tensor_alive(child->handle), child, "is not alive while a parent is that links to it");
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
    struct ftli_stress_entry *entry = ftli_stress_any(thread);
    if (entry == NULL || entry->scope == 0) {
        return;
    }
    ftl_scope scope = thread->scopes[entry->scope - 1].handle;
    if (ftli_stress_good(thread, "ftl_scope_keep", ftl_scope_keep(scope, entry->record->handle))) {
        entry->scope = 0;
        entry->references++;
        ftli_stress_must(thread, ftl_scope_keep(scope, entry->record->handle) == FTL_ESTALE, entry->record,
                         "was kept twice");
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
    struct ftli_stress_entry *entry = ftli_stress_any(thread);
    uint32_t place = (uint32_t)ftli_stress_below(thread, FTLI_STRESS_EXCHANGE);
    ftli_stress_trade(thread, place, entry == NULL ? NULL : pack(thread, entry));
}

static void crate(struct ftli_stress_thread *thread)
{
    ftli_stress_crate(thread, (uint32_t)ftli_stress_below(thread, FTLI_STRESS_CRATES), true);
}

static void publish(struct ftli_stress_thread *thread)
{
    struct ftli_stress_entry *entry = ftli_stress_any_owned(thread);
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
    {"stale handles", 40, ftli_stress_use_stale},
    {"wrong arguments", 10, ftli_stress_misuse},
    {"stats, run, drain", 2, ftli_stress_ask},
    {"await", 6, ftli_stress_await},
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
