#include "actors/leak_detection/reach_child.h"

#include "actors/leak_detection/reach_scan.h"
#include "runtime/base/os_raw.h"
#include "tensor/extension.h"

enum {
    RED_ZONE = 128,
    CELLS_MOST = 1 << 22 /* of one parent: a list that never ends was torn in the middle of a change */
};
#define LINKS_SPIN (UINT32_C(1) << 31)

/* ---- marks ------------------------------------------------------------------------------------------------------------ */

FTLI_OS_BARE void ftli_reach_mark(struct ftli_reach_job *job, uint64_t handle)
{
    uint32_t slot = ftli_handle_slot(handle);
    if (ftli_handle_runtime(handle) != job->table->runtime || slot == 0 || slot >= job->slots)
        return;
    uint64_t word = ftli_u64_load_relaxed(&ftli_table_header(job->table, slot)->word);
    if (!ftli_word_is_live(word, ftli_handle_generation(handle)))
        return;
    uint64_t bit = UINT64_C(1) << slot % 64;
    if ((job->marks[slot / 64] & bit) != 0)
        return;
    job->marks[slot / 64] |= bit;
    job->queue[job->queued++] = slot;
}

FTLI_OS_BARE static void follow_links(struct ftli_reach_job *job, const struct ftli_extension *extension)
{
    uint32_t at = ftli_u32_load_relaxed(&extension->links) & ~LINKS_SPIN;
    for (unsigned cells = 0; at != 0 && at < job->table->slots && cells < CELLS_MOST; cells++) {
        const struct ftli_link_cell *cell = ftli_cell(job->table, at);
        for (unsigned i = 0; i < 7; i++)
            ftli_reach_mark(job, ftli_u64_load_relaxed(&cell->children[i]));
        at = (uint32_t)ftli_u64_load_relaxed(&cell->next);
    }
}

FTLI_OS_BARE void ftli_reach_follow(struct ftli_reach_job *job)
{
    while (job->followed < job->queued) {
        const struct ftli_header *header = ftli_table_header(job->table, job->queue[job->followed++]);
        uint32_t flags = ftli_record_flags(ftli_u64_load_relaxed(&header->record));
        uint32_t cold = ftli_u32_load_relaxed(&header->cold);
        if (cold == 0 || cold >= job->table->slots)
            continue;
        const struct ftli_extension *extension = ftli_extension(job->table, cold);
        if ((flags & FTLI_HEADER_VIEW) != 0)
            ftli_reach_mark(job, ftli_u64_load_relaxed(&extension->root));
        if ((flags & FTLI_HEADER_LINKS) != 0)
            follow_links(job, extension);
    }
}

/* The creator's reference of a member is its open scope's to give up. */
FTLI_OS_BARE static bool is_of_an_open_scope(const struct ftli_reach_job *job, const struct ftli_header *header)
{
    uint32_t scope = ftli_u32_load_relaxed(&header->scope), slot = scope & FTLI_HEADER_SCOPE_SLOT;
    if (job->scopes == NULL || slot == 0 || slot >= job->scopes->slots || (scope & FTLI_SCOPE_ENDED) != 0)
        return false;
    enum ftli_scope_state state = ftli_scope_state_of(ftli_u64_load_relaxed(&job->scopes->scopes[slot].word));
    return state == FTLI_SCOPE_OPEN || state == FTLI_SCOPE_ENDING;
}

FTLI_OS_BARE static uint64_t handle_of(const struct ftli_reach_job *job, uint32_t slot, uint64_t word)
{
    return ftli_handle_make(job->table->runtime, slot, ftli_word_generation(word));
}

FTLI_OS_BARE void ftli_reach_mark_members(struct ftli_reach_job *job)
{
    for (uint32_t slot = 1; slot < job->slots; slot = ftli_table_next(job->table, slot, job->slots)) {
        const struct ftli_header *header = ftli_table_header(job->table, slot);
        uint64_t word = ftli_u64_load_relaxed(&header->word);
        if (ftli_word_state(word) == FTLI_LIVE && is_of_an_open_scope(job, header))
            ftli_reach_mark(job, handle_of(job, slot, word));
    }
    ftli_reach_follow(job);
}

FTLI_OS_BARE void ftli_reach_list(struct ftli_reach_job *job)
{
    for (uint32_t slot = 1; slot < job->slots; slot = ftli_table_next(job->table, slot, job->slots)) {
        const struct ftli_header *header = ftli_table_header(job->table, slot);
        uint64_t word = ftli_u64_load_relaxed(&header->word);
        if (ftli_word_state(word) != FTLI_LIVE)
            continue;
        job->live++;
        uint64_t born_ms = ftli_u32_load_relaxed(&header->stamp);
        if ((job->marks[slot / 64] >> slot % 64 & 1) != 0 || born_ms + job->least_age_ms > job->now_ms)
            continue;
        job->without++;
        if (job->candidate_count < job->most)
            job->candidates[job->candidate_count++] = handle_of(job, slot, word);
    }
}

/* ---- memory ----------------------------------------------------------------------------------------------------------- */

FTLI_OS_BARE static void found(void *user, uint64_t handle)
{
    struct ftli_reach_job *job = user;
    job->copies++;
    ftli_reach_mark(job, handle);
}

FTLI_OS_BARE static void find_in(struct ftli_reach_job *job, const unsigned char *bytes, size_t n)
{
    ftli_reach_find(bytes, n, job->table->runtime, job->slots, found, job);
}

/* Before each chunk lie the last bytes of the one before it, if they are neighbours in memory. */
FTLI_OS_BARE static void read_piece(struct ftli_reach_job *job, uintptr_t from, uintptr_t to)
{
    unsigned char *chunk = job->buffer + 64;
    while (from < to) {
        size_t wish = to - from < FTLI_REACH_CHUNK_BYTES ? to - from : FTLI_REACH_CHUNK_BYTES;
        size_t got = ftli_os_self_read(from, chunk, wish);
        if (got == 0) { /* this page cannot be read: it was cut off a file, or its memory is broken */
            uintptr_t next = (from / 4096 + 1) * 4096;
            got = next < to ? next - from : to - from;
            job->unread_bytes += got;
            from += got;
            continue;
        }
        size_t carry = job->read_to == from ? FTLI_REACH_CARRY_BYTES : 0;
        find_in(job, chunk - carry, got + carry);
        for (int i = FTLI_REACH_CARRY_BYTES; i > 0; i--)
            chunk[-i] = chunk[(int)got - i];
        job->read_bytes += got;
        from += got;
        job->read_to = from;
    }
}

FTLI_OS_BARE static void read_run(struct ftli_reach_job *job, struct ftli_os_run run)
{
    uintptr_t at = run.start;
    for (uint32_t i = 0; i < job->range_count && at < run.end; i++) {
        const struct ftli_reach_range *range = &job->ranges[i];
        if (range->end <= at)
            continue;
        if (range->start >= run.end)
            break;
        if (range->start > at)
            read_piece(job, at, range->start);
        at = range->end;
    }
    if (at < run.end)
        read_piece(job, at, run.end);
}

/* A dead part of the stack may hold what was copied there long ago. */
FTLI_OS_BARE static void leave_out_dead_stack(struct ftli_reach_job *job, uintptr_t stack)
{
    if (stack <= job->stack_low + RED_ZONE || stack >= job->stack_high || job->range_count == FTLI_REACH_RANGES)
        return;
    struct ftli_reach_range dead = {job->stack_low, (stack - RED_ZONE) & ~(uintptr_t)15};
    uint32_t at = job->range_count++;
    for (; at > 0 && job->ranges[at - 1].start > dead.start; at--)
        job->ranges[at] = job->ranges[at - 1];
    job->ranges[at] = dead;
}

FTLI_OS_BARE static void read_registers(struct ftli_reach_job *job)
{
    for (uint32_t i = 0; i < job->stop->count; i++) {
        const struct ftli_os_registers *thread = &job->stop->threads[i];
        find_in(job, thread->general, thread->general_bytes);
        find_in(job, thread->vector, thread->vector_bytes);
    }
}

FTLI_OS_BARE void ftli_reach_child(void *argument, uintptr_t stack)
{
    struct ftli_reach_job *job = argument;
    struct ftli_os_run run;
    uint64_t begun_ns = ftli_os_self_now_ns();
    if (job->dies)
        ftli_os_self_kill();
    leave_out_dead_stack(job, stack);
    read_registers(job);
    if (ftli_os_self_open(&job->self))
        while (ftli_os_self_next(&job->self, &run))
            read_run(job, run);
    job->failed = job->self.failed;
    job->unread_bytes += job->self.unreadable_bytes;
    ftli_reach_follow(job);
    ftli_reach_mark_members(job);
    ftli_reach_list(job);
    job->elapsed_ns = ftli_os_self_now_ns() - begun_ns;
    ftli_u32_store_release(&job->done, 1); /* pairs: reach-done */
}
