#include "tools/stress.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

/* ---- chance --------------------------------------------------------------------------------------------------------- */

uint64_t ftli_stress_random(uint64_t *state)
{
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15); /* splitmix64, S. Vigna, public domain */
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

uint64_t ftli_stress_below(struct ftli_stress_thread *thread, uint64_t most)
{
    static _Thread_local uint64_t of_the_library; /* its threads share one struct */
    return ftli_stress_random(thread == &thread->run->service ? &of_the_library : &thread->random) % most;
}

bool ftli_stress_chance(struct ftli_stress_thread *thread, uint32_t one_in)
{
    return ftli_stress_below(thread, one_in) == 0;
}

/* ---- laws ------------------------------------------------------------------------------------------------------------- */

void ftli_stress_count(_Atomic uint64_t *counter, uint64_t n)
{
    atomic_fetch_add_explicit(counter, n, memory_order_acq_rel);
}

void ftli_stress_broken(struct ftli_stress *run, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    pthread_mutex_lock(&run->broken_lock);
    if (run->broken_count < FTLI_STRESS_BROKEN) {
        vsnprintf(run->broken[run->broken_count], sizeof run->broken[0], format, arguments);
    }
    run->broken_count++;
    pthread_mutex_unlock(&run->broken_lock);
    va_end(arguments);
    atomic_store(&run->over, true);
}

bool ftli_stress_good(struct ftli_stress_thread *thread, const char *call, int status)
{
    if (status == FTL_OK) {
        return true;
    }
    ftli_stress_broken(thread->run, "%s answered \"%s\" where it must succeed (%s)", call, ftl_strerror(status),
                       ftl_last_error());
    return false;
}

bool ftli_stress_made(struct ftli_stress_thread *thread, const char *call, int status)
{
    if (status == FTL_ENOMEM || status == FTL_ELIMIT) {
        ftli_stress_count(&thread->counts.refused, 1);
        return false;
    }
    return ftli_stress_good(thread, call, status);
}

/* ---- records ------------------------------------------------------------------------------------------------------------ */

enum { CHUNK = 256 };
struct ftli_stress_chunk {
    struct ftli_stress_chunk *next;
    struct ftli_stress_record records[CHUNK];
};

/* With the lock. */
static void more_records(struct ftli_stress *run)
{
    struct ftli_stress_chunk *chunk = calloc(1, sizeof *chunk);
    if (chunk == NULL) {
        return;
    }
    chunk->next = run->chunks;
    run->chunks = chunk;
    for (uint32_t i = 0; i < CHUNK; i++) {
        chunk->records[i].next = run->free_records;
        run->free_records = &chunk->records[i];
    }
}

struct ftli_stress_record *ftli_stress_record(struct ftli_stress *run)
{
    pthread_mutex_lock(&run->records);
    if (run->free_records == NULL) {
        more_records(run);
    }
    struct ftli_stress_record *record = run->free_records;
    if (record != NULL) {
        run->free_records = record->next;
    }
    pthread_mutex_unlock(&run->records);
    if (record != NULL) {
        memset(record, 0, sizeof *record);
        record->run = run;
        record->serial = atomic_fetch_add(&run->serial, 1);
        record->seed = record->serial * UINT64_C(0xd6e8feb86659fd93) + run->options.seed;
        atomic_store(&record->holders, 1);
    }
    return record;
}

void ftli_stress_release(struct ftli_stress_record *record)
{
    struct ftli_stress *run = record->run;
    if (atomic_fetch_sub_explicit(&record->holders, 1, memory_order_acq_rel) != 1) {
        return;
    }
    if (record->base != NULL) {
        ftli_stress_release(record->base); /* which is no view */
    }
    pthread_mutex_lock(&run->records);
    record->next = run->free_records;
    run->free_records = record;
    pthread_mutex_unlock(&run->records);
}

void ftli_stress_unlist(struct ftli_stress_record *record)
{
    struct ftli_stress *run = record->run;
    if (!record->finalizer.has) {
        return;
    }
    pthread_mutex_lock(&run->records);
    if (record->previous != NULL) {
        record->previous->next = record->next;
    } else {
        run->finalizing = record->next;
    }
    if (record->next != NULL) {
        record->next->previous = record->previous;
    }
    pthread_mutex_unlock(&run->records);
    ftli_stress_release(record);
}

void ftli_stress_unmake(struct ftli_stress *run)
{
    while (run->chunks != NULL) {
        struct ftli_stress_chunk *next = run->chunks->next;
        free(run->chunks);
        run->chunks = next;
    }
}

/* ---- contents -------------------------------------------------------------------------------------------------------------- */

/* Which bytes are written and read: the first 512, the last 64 whole words' worth and what follows them, and 64 at the beginning of each page. */
enum { HEAD = 512, PAGE = 4096, PAGE_HEAD = 64, TAIL = 64, QUICK = 32 };

static uint64_t word_at(uint64_t seed, uint64_t offset)
{
    return (seed ^ offset) * UINT64_C(0x9e3779b97f4a7c15) | 1; /* never 0 */
}

static uint64_t next_covered(uint64_t offset, uint64_t bytes)
{
    uint64_t words_end = bytes & ~UINT64_C(7), tail = words_end > TAIL ? words_end - TAIL : 0;
    if (offset < HEAD || offset >= tail || offset % PAGE < PAGE_HEAD) {
        return offset;
    }
    uint64_t page = offset / PAGE * PAGE + PAGE;
    return page < tail ? page : tail;
}

void ftli_stress_fill(const struct ftli_stress_record *record, void *address)
{
    unsigned char *at = address;
    uint64_t words_end = record->bytes & ~UINT64_C(7);
    for (uint64_t o = 0; (o = next_covered(o, record->bytes)) < words_end; o += 8) {
        uint64_t word = word_at(record->seed, o);
        memcpy(at + o, &word, 8);
    }
    for (uint64_t o = words_end; o < record->bytes; o++) {
        at[o] = (unsigned char)word_at(record->seed, o);
    }
}

bool ftli_stress_is_zero(const struct ftli_stress_record *record, const void *address)
{
    const unsigned char *at = address;
    uint64_t words_end = record->bytes & ~UINT64_C(7), word = 0;
    for (uint64_t o = 0; word == 0 && (o = next_covered(o, record->bytes)) < words_end; o += 8) {
        memcpy(&word, at + o, 8);
    }
    for (uint64_t o = words_end; word == 0 && o < record->bytes; o++) {
        word = at[o];
    }
    return word == 0;
}

static bool same(uint64_t seed, uint64_t offset, const unsigned char *at)
{
    uint64_t word;
    memcpy(&word, at, 8);
    return word == word_at(seed, offset);
}

bool ftli_stress_intact(uint64_t seed, uint64_t bytes, const void *address, bool quick)
{
    const unsigned char *at = address;
    uint64_t words_end = bytes & ~UINT64_C(7), skip = words_end > TAIL ? words_end - TAIL : 0;
    for (uint64_t o = 0; (o = next_covered(o, bytes)) < words_end; o += 8) {
        if (!same(seed, o, at + o)) {
            return false;
        }
        if (quick && o >= QUICK && o < skip) {
            o = skip - 8;
        }
    }
    for (uint64_t o = words_end; o < bytes; o++) {
        if (at[o] != (unsigned char)word_at(seed, o)) {
            return false;
        }
    }
    return true;
}

/* What a view shows: some words of its base. */
static bool view_is_intact(const struct ftli_stress_record *view, const void *address)
{
    const unsigned char *at = address;
    uint64_t start = view->offset, end = start + view->bytes, base_bytes = view->base->bytes;
    uint64_t words_end = base_bytes & ~UINT64_C(7);
    uint32_t looked = 0;
    for (uint64_t o = (start + 7) & ~UINT64_C(7); looked < 16; o += 8, looked++) {
        o = next_covered(o, base_bytes);
        if (o + 8 > end || o >= words_end) {
            return true;
        }
        if (!same(view->base->seed, o, at + (o - start))) {
            return false;
        }
    }
    return true;
}

void ftli_stress_look(struct ftli_stress_thread *thread, const struct ftli_stress_record *record, const void *address,
                      bool quick, const char *when)
{
    bool intact = record->base != NULL ? view_is_intact(record, address)
                                       : ftli_stress_intact(record->seed, record->bytes, address, quick);
    if (!intact) {
        ftli_stress_broken(thread->run, "tensor %#llx of %llu bytes at %p has other contents than were written: %s",
                           (unsigned long long)record->handle.id, (unsigned long long)record->bytes, address, when);
    }
}

/* ---- death -------------------------------------------------------------------------------------------------------------------- */

static void note_stale(struct ftli_stress_thread *thread, ftl_tensor handle)
{
    if (thread == &thread->run->service) {
        return; /* of several threads */
    }
    thread->stale[thread->stale_next] = handle;
    thread->stale_next = (thread->stale_next + 1) % FTLI_STRESS_STALE;
    if (thread->stale_count < FTLI_STRESS_STALE) {
        thread->stale_count++;
    }
}

static void note_death(struct ftli_stress_thread *thread, struct ftli_stress_record *record)
{
    ftli_stress_count(&thread->counts.dead_bytes, record->base != NULL ? 0 : record->bytes);
    ftli_stress_count(&thread->counts.dead, 1);
    atomic_store_explicit(&record->dead, true, memory_order_release);
    if (atomic_load_explicit(&record->loose, memory_order_relaxed)) {
        return;
    }
    if (ftl_tensor_alive(record->handle) || ftl_tensor_bytes(record->handle) != 0) {
        ftli_stress_broken(thread->run, "tensor %#llx is alive after the drop of its last reference returned",
                           (unsigned long long)record->handle.id);
    }
    ftli_stress_count(&thread->counts.dead_at_once, 1);
    note_stale(thread, record->handle);
}

/* A reference less; if it was the last, the holder that comes with it goes to the list. */
static void leave(struct ftli_stress_record *record, struct ftli_stress_record **dying)
{
    if (atomic_fetch_sub_explicit(&record->references, 1, memory_order_acq_rel) == 1) {
        record->dying = *dying;
        *dying = record;
    } else {
        ftli_stress_release(record);
    }
}

void ftli_stress_given_up(struct ftli_stress_thread *thread, struct ftli_stress_record *record)
{
    struct ftli_stress_record *dying = NULL;
    atomic_fetch_add_explicit(&record->holders, 1, memory_order_relaxed);
    leave(record, &dying);
    while (dying != NULL) {
        struct ftli_stress_record *at = dying;
        dying = at->dying;
        note_death(thread, at);
        for (uint32_t i = 0; i < at->child_count; i++) {
            leave(at->children[i], &dying);
        }
        at->child_count = 0;
        if (at->base != NULL) { /* a view that is dead and still pinned looks into it: so its holder stays */
            atomic_fetch_add_explicit(&at->base->holders, 1, memory_order_relaxed);
            leave(at->base, &dying);
        }
        ftli_stress_release(at);
    }
}

void ftli_stress_drop(struct ftli_stress_thread *thread, struct ftli_stress_record *record)
{
    (void)ftli_stress_good(thread, "ftl_tensor_drop", ftl_tensor_drop(record->handle));
    ftli_stress_count(&thread->counts.drops, 1);
    ftli_stress_given_up(thread, record);
}
