/* What a thread holds, and how it is given up. */
#include "tools/stress.h"

#include <stdlib.h>

struct ftli_stress_entry *ftli_stress_any(struct ftli_stress_thread *thread)
{
    return thread->entry_count == 0 ? NULL : &thread->entries[ftli_stress_below(thread, thread->entry_count)];
}

bool ftli_stress_owns(const struct ftli_stress_entry *entry)
{
    return entry->references > 0 || entry->scope != 0;
}

/* One that this thread keeps alive. */
struct ftli_stress_entry *ftli_stress_any_owned(struct ftli_stress_thread *thread)
{
    for (uint32_t tries = 0; tries < 3; tries++) {
        struct ftli_stress_entry *entry = ftli_stress_any(thread);
        if (entry != NULL && ftli_stress_owns(entry)) {
            return entry;
        }
    }
    return NULL;
}

/* Nobody else has any handle of it but its scope: what it is can be told to the last figure. */
bool ftli_stress_is_mine_alone(const struct ftli_stress_record *record)
{
    return !atomic_load_explicit(&record->loose, memory_order_relaxed) &&
           !atomic_load_explicit(&record->shared, memory_order_relaxed);
}

void ftli_stress_must(struct ftli_stress_thread *thread, bool holds, const struct ftli_stress_record *record,
                      const char *law)
{
    if (!holds) {
        ftli_stress_broken(thread->run, "tensor %#llx of %llu bytes: %s (%s)", (unsigned long long)record->handle.id,
                           (unsigned long long)record->bytes, law, ftl_last_error());
    }
}

struct ftli_stress_entry *ftli_stress_entry_add(struct ftli_stress_thread *thread, struct ftli_stress_record *record)
{
    struct ftli_stress_entry *entry = &thread->entries[thread->entry_count++];
    *entry = (struct ftli_stress_entry){.record = record};
    return entry;
}

void ftli_stress_entry_tidy(struct ftli_stress_thread *thread, struct ftli_stress_entry *entry)
{
    if (entry->references == 0 && entry->pins == 0 && entry->scope == 0) {
        struct ftli_stress_record *record = entry->record;
        *entry = thread->entries[--thread->entry_count];
        ftli_stress_release(record);
    }
}

void ftli_stress_entry_unpin(struct ftli_stress_thread *thread, struct ftli_stress_entry *entry)
{
    ftli_stress_look(thread, entry->record, entry->address, true, "at an unpin");
    ftl_tensor_unpin(entry->record->handle);
    entry->pins--;
}

/* The last look, by who has the only reference that there is. */
static void look_before_the_end(struct ftli_stress_thread *thread, struct ftli_stress_record *record)
{
    if (atomic_load_explicit(&record->references, memory_order_relaxed) != 1 || !ftli_stress_chance(thread, 4)) {
        return;
    }
    void *address = ftl_tensor_data(record->handle);
    if (address == NULL) {
        ftli_stress_broken(thread->run, "ftl_tensor_data answered NULL to who owns a reference of %#llx (%s)",
                           (unsigned long long)record->handle.id, ftl_last_error());
        return;
    }
    ftli_stress_look(thread, record, address, false, "before its last drop");
}

void ftli_stress_entry_drop(struct ftli_stress_thread *thread, struct ftli_stress_entry *entry)
{
    look_before_the_end(thread, entry->record);
    entry->references--;
    ftli_stress_drop(thread, entry->record);
}

void ftli_stress_entry_empty(struct ftli_stress_thread *thread, struct ftli_stress_entry *entry)
{
    while (entry->pins > 0) {
        ftli_stress_entry_unpin(thread, entry);
    }
    while (entry->references > 0) {
        ftli_stress_entry_drop(thread, entry);
    }
}

void ftli_stress_make_room(struct ftli_stress_thread *thread)
{
    for (uint32_t tries = 0; tries < 8; tries++) {
        struct ftli_stress_entry *entry = &thread->entries[ftli_stress_below(thread, thread->entry_count)];
        if (entry->scope == 0) {
            ftli_stress_entry_empty(thread, entry);
            ftli_stress_entry_tidy(thread, entry);
            return;
        }
    }
    for (uint32_t place = 0; place < FTLI_STRESS_SCOPES; place++) {
        if (thread->scopes[place].handle.id != 0) {
            ftli_stress_scope_end(thread, place);
        }
    }
    while (thread->entry_count > FTLI_STRESS_ENTRIES / 2) {
        struct ftli_stress_entry *entry = &thread->entries[thread->entry_count - 1];
        ftli_stress_entry_empty(thread, entry);
        ftli_stress_entry_tidy(thread, entry);
    }
}

/* ---- scopes --------------------------------------------------------------------------------------------------------------- */

/* Whether a scope is the one at `place`, or below it. */
static bool is_within(const struct ftli_stress_thread *thread, uint32_t scope, uint32_t place)
{
    uint32_t at = scope;
    while (at != place && thread->scopes[at].parent != 0) {
        at = thread->scopes[at].parent - 1;
    }
    return at == place;
}

static bool is_ended_with(const struct ftli_stress_thread *thread, const struct ftli_stress_entry *entry,
                          uint32_t place)
{
    return entry->scope != 0 && is_within(thread, entry->scope - 1, place);
}

void ftli_stress_scope_end(struct ftli_stress_thread *thread, uint32_t place)
{
    uint64_t expected = 0, dropped = UINT64_MAX;
    ftl_scope handle = thread->scopes[place].handle;
    bool ended[FTLI_STRESS_SCOPES];
    for (uint32_t i = 0; i < thread->entry_count; i++) {
        expected += is_ended_with(thread, &thread->entries[i], place);
    }
    if (ftli_stress_good(thread, "ftl_scope_end", ftl_scope_end(handle, &dropped)) && dropped != expected) {
        ftli_stress_broken(thread->run, "ftl_scope_end says that %llu references were given up; there were %llu",
                           (unsigned long long)dropped, (unsigned long long)expected);
    }
    ftli_stress_count(&thread->counts.drops, expected);
    for (uint32_t i = thread->entry_count; i-- > 0;) {
        struct ftli_stress_entry *entry = &thread->entries[i];
        if (is_ended_with(thread, entry, place)) {
            entry->scope = 0;
            ftli_stress_given_up(thread, entry->record);
            ftli_stress_entry_tidy(thread, entry);
        }
    }
    for (uint32_t i = 0; i < FTLI_STRESS_SCOPES; i++) {
        ended[i] = thread->scopes[i].handle.id != 0 && is_within(thread, i, place);
    }
    for (uint32_t i = 0; i < FTLI_STRESS_SCOPES; i++) {
        if (ended[i]) {
            thread->scopes[i] = (struct ftli_stress_scope){.handle = {0}};
        }
    }
    if (ftl_scope_end(handle, NULL) != FTL_ESTALE) {
        ftli_stress_broken(thread->run, "a scope could be ended twice");
    }
}

/* ---- the end ---------------------------------------------------------------------------------------------------------------- */

void ftli_stress_let_go_of_the_dead(struct ftli_stress_thread *thread)
{
    for (uint32_t i = thread->entry_count; i-- > 0;) {
        struct ftli_stress_entry *entry = &thread->entries[i];
        while (entry->references == 0 && entry->scope == 0 && entry->pins > 0) {
            ftli_stress_entry_unpin(thread, entry);
        }
        ftli_stress_entry_tidy(thread, entry);
    }
}

void ftli_stress_give_up_all(struct ftli_stress_thread *thread)
{
    for (uint32_t place = 0; place < FTLI_STRESS_SCOPES; place++) {
        if (thread->scopes[place].handle.id != 0) {
            ftli_stress_scope_end(thread, place);
        }
    }
    while (thread->entry_count > 0) {
        struct ftli_stress_entry *entry = &thread->entries[thread->entry_count - 1];
        ftli_stress_entry_empty(thread, entry);
        ftli_stress_entry_tidy(thread, entry);
    }
}

void ftli_stress_trade(struct ftli_stress_thread *thread, uint32_t place, struct ftli_stress_parcel *parcel)
{
    parcel = atomic_exchange(&thread->run->exchange[place], parcel);
    if (parcel == NULL) {
        return;
    }
    if (thread->entry_count == FTLI_STRESS_ENTRIES) {
        ftli_stress_make_room(thread);
    }
    struct ftli_stress_entry *entry = ftli_stress_entry_add(thread, parcel->record);
    entry->references = parcel->references;
    entry->pins = parcel->pins;
    entry->address = parcel->address;
    free(parcel);
}
