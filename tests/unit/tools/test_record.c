#include "tools/record_live.h"
#include "tools/record_write.h"
#include "tools/recorder/shared.h"
#include "tools/trace.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

/* ---- the ring ---- */

static struct ftli_record_shared *new_ring(void)
{
    void *pages =
        mmap(NULL, sizeof(struct ftli_record_shared), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    cr_assert_neq(pages, MAP_FAILED);
    return pages;
}

enum { WRITERS = 3, EACH = 60000 }; /* together more than the ring holds */

struct writer {
    struct ftli_record_shared *shared;
    uint32_t number;
};

static void *put_many(void *argument)
{
    const struct writer *writer = argument;
    for (uint64_t i = 0; i < EACH; i++) {
        struct ftli_record_event event = {.time_ns = i,
                                          .address = writer->number * 1000000u + i,
                                          .bytes = i + 1,
                                          .thread = writer->number,
                                          .align_log2 = (uint8_t)(i % 20),
                                          .kind = FTLI_RECORD_ALLOC};
        while (!ftli_record_put(writer->shared, &event)) {
            sched_yield();
        }
    }
    return NULL;
}

Test(record_ring, each_event_once_whole_and_in_its_threads_order)
{
    struct ftli_record_shared *shared = new_ring();
    struct writer writers[WRITERS];
    pthread_t threads[WRITERS];
    uint64_t next[WRITERS] = {0};
    for (uint32_t i = 0; i < WRITERS; i++) {
        writers[i] = (struct writer){shared, i};
        cr_assert_eq(pthread_create(&threads[i], NULL, put_many, &writers[i]), 0);
    }
    for (uint64_t taken = 0; taken < (uint64_t)WRITERS * EACH;) {
        struct ftli_record_event event;
        if (!ftli_record_take(shared, &event)) {
            sched_yield();
            continue;
        }
        uint64_t i = next[event.thread]++;
        cr_assert_eq(event.time_ns, i);
        cr_assert_eq(event.address, event.thread * 1000000u + i);
        cr_assert_eq(event.bytes, i + 1);
        cr_assert_eq(event.align_log2, i % 20);
        cr_assert_eq(event.kind, FTLI_RECORD_ALLOC);
        taken++;
    }
    for (uint32_t i = 0; i < WRITERS; i++) {
        pthread_join(threads[i], NULL);
        cr_assert_eq(next[i], EACH);
    }
    munmap(shared, sizeof *shared);
}

Test(record_ring, full_is_said_and_a_dead_writers_place_is_passed_over)
{
    struct ftli_record_shared *shared = new_ring();
    struct ftli_record_event event = {.time_ns = 1, .address = 16, .kind = FTLI_RECORD_FREE};
    cr_assert_not(ftli_record_skip(shared));
    for (int lap = 0; lap < 2; lap++) {
        for (int i = 0; i < FTLI_RECORD_RING; i++) {
            cr_assert(ftli_record_put(shared, &event));
        }
        cr_assert_not(ftli_record_put(shared, &event));
        for (int i = 0; i < FTLI_RECORD_RING; i++) {
            cr_assert(ftli_record_take(shared, &event));
        }
        cr_assert_not(ftli_record_take(shared, &event));
    }
    atomic_fetch_add(&shared->tail, 1); /* a ticket whose thread died */
    cr_assert(ftli_record_put(shared, &event));
    cr_assert_not(ftli_record_take(shared, &event));
    cr_assert(ftli_record_skip(shared));
    cr_assert(ftli_record_take(shared, &event));
    cr_assert_not(ftli_record_skip(shared));
    munmap(shared, sizeof *shared);
}

/* ---- what is live ---- */

Test(record_live, finds_what_is_in_it_through_growth_and_gaps)
{
    struct ftli_record_live live = {0};
    struct ftli_record_block block;
    enum { COUNT = 20000 };
    cr_assert_not(ftli_record_live_remove(&live, 16, &block));
    for (uint64_t i = 1; i <= COUNT; i++) { /* addresses as neighbours have them */
        cr_assert(ftli_record_live_add(&live, &(struct ftli_record_block){.address = i * 1040, .id = i, .bytes = i}));
        if (i % 3 == 0) {
            cr_assert(ftli_record_live_remove(&live, i / 3 * 1040, &block));
            cr_assert_eq(block.id, i / 3);
        }
    }
    cr_assert_eq(live.count, COUNT - COUNT / 3);
    for (uint64_t i = 1; i <= COUNT; i++) {
        cr_assert_eq(ftli_record_live_remove(&live, i * 1040, &block), i > COUNT / 3);
    }
    for (uint64_t i = 1; i <= 100; i++) {
        cr_assert(ftli_record_live_add(&live, &(struct ftli_record_block){.address = i << 4}));
    }
    size_t from = 0, count = 0;
    while (ftli_record_live_pop(&live, &from, &block)) {
        count++;
    }
    cr_assert_eq(count, 100);
    ftli_record_live_fini(&live);
}

/* ---- the file ---- */

static char path[64], why[1024];

static struct ftli_record_writer *open_writer(void)
{
    snprintf(path, sizeof path, "/tmp/fettle-record-%d.csv.zst", (int)getpid());
    struct ftli_record_writer *writer = ftli_record_writer_open(path, why, sizeof why);
    cr_assert_not_null(writer, "%s", why);
    return writer;
}

static void add(struct ftli_record_writer *writer, enum ftli_record_kind kind, uint32_t thread, uint64_t time_ns,
                uint64_t address, uint64_t bytes)
{
    struct ftli_record_event event = {.time_ns = time_ns,
                                      .address = address,
                                      .bytes = bytes,
                                      .thread = thread,
                                      .align_log2 = 30, /* more than a trace may have */
                                      .kind = (uint8_t)kind};
    cr_assert_eq(ftli_record_writer_add(writer, &event, why, sizeof why), 0, "%s", why);
}

static void load(struct ftli_record_writer *writer, struct ftli_trace *trace)
{
    struct ftli_record_about about = {"made", "two\nlines", "a test", "nowhere"};
    cr_assert_eq(ftli_record_writer_finish(writer, &about, why, sizeof why), 0, "%s", why);
    cr_assert_eq(ftli_trace_load(path, trace, why, sizeof why), 0, "%s", why);
    unlink(path);
}

Test(record_writer, whatever_comes_the_trace_loads)
{
    struct ftli_record_writer *writer = open_writer();
    struct ftli_trace trace;
    add(writer, FTLI_RECORD_START, 0, 500, 0, 0);
    add(writer, FTLI_RECORD_FREE, 0, 900, 64, 0); /* of before the recording */
    add(writer, FTLI_RECORD_ALLOC, 5, 1000, 64, 100);
    add(writer, FTLI_RECORD_ALLOC, 7, 990, 128, 200); /* the clock was read before another's ticket */
    add(writer, FTLI_RECORD_ALLOC, 5, 1100, 64, 300); /* its free was lost */
    add(writer, FTLI_RECORD_FREE, 7, 1200, 64, 0);
    add(writer, FTLI_RECORD_FREE, 7, 1210, 64, 0);
    add(writer, FTLI_RECORD_ALLOC, 7, 1220, 256, 0);
    add(writer, FTLI_RECORD_START, 9, 1300, 0, 0); /* exec: the second and the last are no more */
    add(writer, FTLI_RECORD_ALLOC, 9, 1400, 64, 400);
    const struct ftli_record_sums *sums = ftli_record_writer_sums(writer);
    cr_assert_eq(sums->unknown_frees, 2);
    cr_assert_eq(sums->implied_frees, 3);
    cr_assert_eq(sums->peak_bytes, 500);
    cr_assert_eq(sums->duration_ns, 400);
    load(writer, &trace);
    cr_assert_str_eq(trace.workload, "two lines");
    cr_assert_eq(trace.alloc_count, 5);
    cr_assert_eq(trace.free_count, 4);
    cr_assert_eq(trace.thread_count, 3);
    cr_assert_eq(trace.left_bytes, 400);
    cr_assert_eq(trace.crossing_count, 3); /* the 300 bytes, and what exec ended: 200, and the one of size 0 */
    cr_assert_eq(trace.peak_live_bytes, sums->peak_bytes);
    cr_assert_eq(trace.allocs[0].align_log2, 21);
    ftli_trace_unload(&trace);
    ftli_record_writer_close(writer);
}

Test(record_writer, more_threads_than_a_trace_has_numbers)
{
    struct ftli_record_writer *writer = open_writer();
    struct ftli_trace trace;
    enum { THREADS = 1000 };
    for (uint32_t i = 0; i < THREADS; i++) {
        add(writer, FTLI_RECORD_ALLOC, i, i + 1, (i + 1) * 64, 10);
        add(writer, FTLI_RECORD_FREE, 0, i + 1, (i + 1) * 64, 0); /* the first is heard of all the time */
    }
    cr_assert_eq(ftli_record_writer_sums(writer)->threads, THREADS);
    load(writer, &trace);
    cr_assert_eq(trace.thread_count, FTLI_TRACE_MAX_THREADS);
    cr_assert_eq(trace.crossing_count, THREADS - 1);
    ftli_trace_unload(&trace);
    ftli_record_writer_close(writer);
}

Test(record_writer, long_traces_and_their_sums)
{
    struct ftli_record_writer *writer = open_writer();
    struct ftli_trace trace;
    enum { COUNT = 30000 }; /* more text than the buffer holds, many times */
    for (uint64_t i = 1; i <= COUNT; i++) {
        add(writer, FTLI_RECORD_ALLOC, (uint32_t)(i % 4), i * 1000, i * 2048, i);
        if (i > 100) {
            add(writer, FTLI_RECORD_FREE, (uint32_t)(i % 3), i * 1000, (i - 100) * 2048, 0);
        }
    }
    struct ftli_record_sums sums = *ftli_record_writer_sums(writer);
    load(writer, &trace);
    cr_assert_eq(trace.alloc_count, COUNT);
    cr_assert_eq(trace.free_count, COUNT - 100);
    cr_assert_eq(trace.peak_live_count, sums.peak_count);
    cr_assert_eq(trace.peak_live_bytes, sums.peak_bytes);
    cr_assert_eq(trace.left_bytes, sums.live_bytes);
    cr_assert_eq(trace.total_bytes, sums.total_bytes);
    ftli_trace_unload(&trace);
    ftli_record_writer_close(writer);
}

Test(record_writer, leaves_no_file_without_a_trace_and_says_what_is_wrong)
{
    struct ftli_record_about about = {"n", "w", "p", "r"};
    struct ftli_record_writer *writer = open_writer();
    char part[80];
    snprintf(part, sizeof part, "%s.part", path);
    cr_assert_eq(access(part, F_OK), 0);
    cr_assert_eq(ftli_record_writer_finish(writer, &about, why, sizeof why), -1);
    cr_assert_str_eq(why, "no allocation was recorded");
    ftli_record_writer_close(writer);
    cr_assert_neq(access(part, F_OK), 0);
    cr_assert_neq(access(path, F_OK), 0);
    cr_assert_null(ftli_record_writer_open("/nowhere/at/all.csv.zst", why, sizeof why));
    cr_assert_str_eq(why, "/nowhere/at/all.csv.zst: No such file or directory");
}
