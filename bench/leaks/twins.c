/* Leaking programs, each of which exists over malloc and over Fettle: twins.c is the same for both.
 *
 * What     A server that answers 2,000 requests a second: some tensors are made, written and dropped, and now and then one is
 *          leaked in the way that the program is named for. It ends as servers do, without cleaning up what it still reaches.
 * Prints   "work CPU_MS", what was leaked, and what the memory itself can say.
 */
#include "bench/leaks/memory.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { REQUESTS_A_SECOND = 2000, AT_ONCE = 20 };
enum { PARTS = 16, LEAK_EVERY = 40, LEAK_BYTES = 12000, KEPT_MOST = 1 << 20 };

static struct piece *kept; /* what a program still reaches */
static unsigned kept_count, leaked;

static void touch(struct piece piece, size_t bytes)
{
    memset(memory_data(piece), 1, bytes);
}

static struct piece make_leaked(size_t bytes)
{
    struct piece piece = memory_make(bytes, BENCH_HERE);
    touch(piece, bytes);
    leaked++;
    return piece;
}

static void lost_handle(void)
{
    (void)make_leaked(LEAK_BYTES);
}

static void double_retain(void)
{
    struct piece piece = make_leaked(LEAK_BYTES);
    memory_retain(piece);
    memory_drop(piece);
}

static void forgotten_unpin(void)
{
    struct piece piece = make_leaked(LEAK_BYTES);
    memory_pin(piece);
    memory_drop(piece);
}

static void cycle(void)
{
    struct piece parent = make_leaked(LEAK_BYTES / 2), child = make_leaked(LEAK_BYTES / 2);
    memory_link(parent, child);
    memory_link(child, parent);
    memory_drop(parent);
    memory_drop(child);
}

static _Thread_local struct piece scratch;

static void *leave_scratch(void *unused)
{
    (void)unused;
    scratch = make_leaked(LEAK_BYTES);
    return NULL;
}

static void thread_exit(void)
{
    pthread_t thread;
    if (pthread_create(&thread, NULL, leave_scratch, NULL) != 0)
        abort();
    pthread_join(thread, NULL);
}

static void growing_map(void)
{
    if (kept_count < KEPT_MOST)
        kept[kept_count++] = make_leaked(LEAK_BYTES);
}

/* Whoever reads it is slower than who writes it, always. */
static void undrained_queue(void)
{
    static unsigned taken;
    if (kept_count + 3 > KEPT_MOST)
        return;
    for (unsigned i = 0; i < 3; i++)
        kept[kept_count++] = make_leaked(LEAK_BYTES / 3);
    memory_drop(kept[taken]);
    kept[taken++] = (struct piece){0};
    leaked--;
}

/* A parent that the program holds gathers a child each time; both twins reach all of it. */
static void gathering_parent(void)
{
    struct piece link = make_leaked(LEAK_BYTES);
    if (kept_count != 0)
        memory_link(link, kept[0]);
    else
        kept_count = 1;
    if (kept[0].id != 0)
        memory_drop(kept[0]);
    kept[0] = link;
}

static void no_leak(void)
{
    struct piece piece = make_leaked(LEAK_BYTES);
    memory_drop(piece);
    leaked--;
}

static const struct {
    const char *name;
    void (*leak)(void);
} programs[] = {
    {"lost-handle", lost_handle},
    {"double-retain", double_retain},
    {"forgotten-unpin", forgotten_unpin},
    {"cycle", cycle},
    {"thread-exit", thread_exit},
    {"growing-map", growing_map},
    {"undrained-queue", undrained_queue},
    {"gathering-parent", gathering_parent},
    {"no-leak", no_leak},
};
enum { PROGRAMS = sizeof programs / sizeof programs[0] };

static void answer_request(void)
{
    struct piece parts[PARTS];
    for (unsigned i = 0; i < PARTS; i++) {
        size_t bytes = (size_t)512 << i % 6;
        parts[i] = memory_make(bytes, BENCH_HERE);
        touch(parts[i], bytes);
    }
    for (unsigned i = 0; i < PARTS; i++)
        memory_drop(parts[i]);
}

static double ms_of(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

/* The next requests come when they come, whoever is slow. */
static void wait_for_requests(struct timespec *due)
{
    due->tv_nsec += 1000000000L / REQUESTS_A_SECOND * AT_ONCE;
    if (due->tv_nsec >= 1000000000L) {
        due->tv_nsec -= 1000000000L;
        due->tv_sec++;
    }
    (void)clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, due, NULL);
}

int main(int argc, char **argv)
{
    unsigned program = 0;
    while (argc == 3 && program < PROGRAMS && strcmp(argv[1], programs[program].name) != 0)
        program++;
    if (argc != 3 || program == PROGRAMS || atoi(argv[2]) <= 0) {
        fprintf(stderr, "usage: %s PROGRAM SECONDS\nprograms:", argv[0]);
        for (unsigned i = 0; i < PROGRAMS; i++)
            fprintf(stderr, " %s", programs[i].name);
        fprintf(stderr, "\n");
        return 2;
    }
    kept = calloc(KEPT_MOST, sizeof *kept);
    if (kept == NULL)
        return 1;
    memory_open();
    struct timespec due;
    clock_gettime(CLOCK_MONOTONIC, &due);
    double cpu_ms = ms_of(CLOCK_PROCESS_CPUTIME_ID);
    for (int request = 0; request < atoi(argv[2]) * REQUESTS_A_SECOND; request++) {
        if (request % AT_ONCE == 0)
            wait_for_requests(&due);
        answer_request();
        if (request % LEAK_EVERY == 0)
            programs[program].leak();
    }
    printf("work %.1f\nleaked %u\n", ms_of(CLOCK_PROCESS_CPUTIME_ID) - cpu_ms, leaked);
    (void)memory_report();
    return fflush(stdout) == 0 ? 0 : 1; /* LeakSanitizer ends the program before it is flushed */
}
