#include "examples/demo/play.h"
#include "examples/demo/print.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { BATCH = 32, QUEUE = 512, PAGE = 4096 };

/* ---- the queue ------------------------------------------------------------------------------------------ */

struct batch {
    uint32_t count;
    uint64_t bytes;
    struct piece pieces[BATCH];
};

struct play {
    struct memory *memory;
    struct seen *seen;
    uint64_t tensors; /* in all */
    pthread_mutex_t lock;
    pthread_cond_t room, work;
    struct batch *queue; /* lock, and so the rest */
    uint32_t head, count, makers, sleeping_makers;
    bool dropper_sleeps;
    atomic_bool failed;
};

struct maker {
    struct play *play;
    uint64_t first, tensors, random;
    pthread_t thread;
};

static uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

/* Two thirds between 64 B and 8 KiB, one between 32 and 64 KiB. */
static size_t draw_bytes(uint64_t *random)
{
    uint64_t draw = next_random(random);
    if (draw % 3 == 0) {
        return 32 * 1024 + 1 + (size_t)(draw >> 32) % (32 * 1024);
    }
    size_t least = (size_t)64 << (draw >> 8) % 7;
    return least + (size_t)(draw >> 32) % least;
}

static void fail(struct play *play, const char *what)
{
    if (!atomic_exchange(&play->failed, true)) {
        const char *why = play->memory->runtime == NULL ? strerror(errno) : ftl_last_error();
        snprintf(play->seen->why, sizeof play->seen->why, "%s: %s failed: %s", play->memory->name, what, why);
    }
}

/* Sleeps while the queue is full; woken when half of it is free, so that a wake is paid once for many. */
static void put(struct play *play, const struct batch *batch)
{
    pthread_mutex_lock(&play->lock);
    while (play->count == QUEUE) {
        play->sleeping_makers++;
        pthread_cond_wait(&play->room, &play->lock);
        play->sleeping_makers--;
    }
    play->queue[(play->head + play->count++) % QUEUE] = *batch;
    play->seen->live_bytes += batch->bytes;
    if (play->seen->live_bytes > play->seen->peak_live_bytes) {
        play->seen->peak_live_bytes = play->seen->live_bytes;
    }
    bool wake = play->dropper_sleeps && play->count >= QUEUE / 2;
    pthread_mutex_unlock(&play->lock);
    if (wake) {
        pthread_cond_signal(&play->work);
    }
}

/* false: the queue is empty and no maker is left. freed_bytes: of the batch before, which is dropped by now. */
static bool take(struct play *play, uint64_t freed_bytes, struct batch *out)
{
    pthread_mutex_lock(&play->lock);
    play->seen->live_bytes -= freed_bytes;
    while (play->count == 0 && play->makers > 0) {
        play->dropper_sleeps = true;
        pthread_cond_wait(&play->work, &play->lock);
        play->dropper_sleeps = false;
    }
    bool taken = play->count > 0;
    bool wake = false;
    if (taken) {
        *out = play->queue[play->head];
        play->head = (play->head + 1) % QUEUE;
        play->count--;
        wake = play->sleeping_makers > 0 && play->count <= QUEUE / 2;
    }
    pthread_mutex_unlock(&play->lock);
    if (wake) {
        pthread_cond_broadcast(&play->room);
    }
    return taken;
}

static void *maker_main(void *user)
{
    struct maker *maker = user;
    struct play *play = maker->play;
    for (uint64_t made = 0; made < maker->tensors && !atomic_load(&play->failed);) {
        struct batch batch = {.count = 0};
        while (batch.count < BATCH && made < maker->tensors) {
            size_t bytes = draw_bytes(&maker->random);
            void *data;
            if (!play->memory->make(play->memory, maker->first + made, bytes, &batch.pieces[batch.count], &data)) {
                fail(play, "a new tensor");
                break;
            }
            for (size_t i = 0; i < bytes; i += PAGE) {
                ((volatile char *)data)[i] = 1;
            }
            batch.bytes += bytes;
            batch.count++;
            made++;
        }
        put(play, &batch);
    }
    pthread_mutex_lock(&play->lock);
    play->makers--;
    pthread_mutex_unlock(&play->lock);
    pthread_cond_signal(&play->work);
    return NULL;
}

static void *dropper_main(void *user)
{
    struct play *play = user;
    struct batch batch = {.count = 0};
    while (take(play, batch.bytes, &batch)) {
        for (uint32_t i = 0; i < batch.count; i++) {
            if (!play->memory->drop(batch.pieces[i])) {
                fail(play, "a drop");
            }
        }
        atomic_fetch_add_explicit(&play->seen->dropped, batch.count, memory_order_relaxed);
        if (play->memory->look != NULL && !play->memory->look(play->memory, play->seen)) {
            fail(play, "a look between the drops");
        }
    }
    return NULL;
}

/* A figure of /proc/self/status, which is in KiB there. */
static uint64_t status_bytes(const char *key)
{
    char line[256];
    uint64_t kib = 0;
    FILE *status = fopen("/proc/self/status", "re");
    while (status != NULL && fgets(line, sizeof line, status) != NULL) {
        if (strncmp(line, key, strlen(key)) == 0) {
            kib = strtoull(line + strlen(key), NULL, 10);
        }
    }
    if (status != NULL) {
        fclose(status);
    }
    return kib * 1024;
}

static void play_threads(struct play *play)
{
    static struct maker makers[MAKERS];
    pthread_t dropper;
    play->makers = MAKERS;
    if (pthread_create(&dropper, NULL, dropper_main, play) != 0) {
        fail(play, "starting a thread");
        return;
    }
    for (uint64_t i = 0, first = 0; i < MAKERS; first += makers[i++].tensors) {
        makers[i] = (struct maker){.play = play,
                                   .first = first,
                                   .tensors = play->tensors / MAKERS + (i < play->tensors % MAKERS ? 1 : 0),
                                   .random = 0x9e3779b97f4a7c15u * (i + 1)};
        if (pthread_create(&makers[i].thread, NULL, maker_main, &makers[i]) != 0) {
            fail(play, "starting a thread");
            _exit(1);
        }
    }
    for (uint32_t i = 0; i < MAKERS; i++) {
        pthread_join(makers[i].thread, NULL);
    }
    pthread_join(dropper, NULL);
}

static bool play_over(struct memory *memory, uint64_t tensors, struct seen *seen)
{
    static struct batch queue[QUEUE];
    memset(queue, 0, sizeof queue); /* resident before anything is measured */
    struct play play = {.memory = memory, .seen = seen, .tensors = tensors, .queue = queue};
    pthread_mutex_init(&play.lock, NULL);
    pthread_cond_init(&play.room, NULL);
    pthread_cond_init(&play.work, NULL);
    uint64_t before_bytes = status_bytes("VmRSS:");
    if (memory->open != NULL && !memory->open(memory)) {
        snprintf(seen->why, sizeof seen->why, "open: %s", ftl_last_error());
        return false;
    }
    play_threads(&play);
    uint64_t peak_bytes = status_bytes("VmHWM:");
    seen->peak_resident_bytes = peak_bytes > before_bytes ? peak_bytes - before_bytes : 0;
    return !atomic_load(&play.failed) && (memory->close == NULL || memory->close(memory, seen));
}

bool close_runtime(struct memory *memory, struct seen *seen)
{
    if (ftl_runtime_drain(memory->runtime, INT64_C(30000000000)) != FTL_OK ||
        ftl_runtime_stats(memory->runtime, &seen->stats) != FTL_OK ||
        ftl_runtime_close(memory->runtime, NULL) != FTL_OK) {
        snprintf(seen->why, sizeof seen->why, "drain and close: %s", ftl_last_error());
        return false;
    }
    return true;
}

/* ---- the child, and the bar ----------------------------------------------------------------------------- */

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void draw_bar(const char *title, const char *name, uint64_t done, uint64_t total, uint64_t elapsed_ns)
{
    char bar[31];
    double share = (double)done / (double)total, seconds = (double)elapsed_ns / 1e9;
    memset(bar, ' ', sizeof bar - 1);
    memset(bar, '#', (size_t)(share * (double)(sizeof bar - 1)));
    bar[sizeof bar - 1] = '\0';
    printf("\r%s  [%s] %s of %s over %s   %.2f M/s", title, bar, count_text(done).text, count_text(total).text, name,
           (double)done / 1e6 / seconds);
    if (done > 0) {
        printf("   %.1f s left", seconds * (1 - share) / share);
    }
    printf("\033[K");
    fflush(stdout);
}

bool play_in_child(struct memory *memory, const char *title, uint64_t tensors, struct seen *seen)
{
    bool terminal = isatty(STDOUT_FILENO) != 0;
    uint64_t begin_ns = now_ns();
    int status = 0;
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        seen->complete = play_over(memory, tensors, seen);
        _exit(seen->complete ? 0 : 1);
    }
    if (child < 0) {
        snprintf(seen->why, sizeof seen->why, "fork: %s", strerror(errno));
        return false;
    }
    while (waitpid(child, &status, terminal ? WNOHANG : 0) != child) {
        if (terminal) {
            draw_bar(title, memory->name, atomic_load_explicit(&seen->dropped, memory_order_relaxed), tensors,
                     now_ns() - begin_ns);
            nanosleep(&(struct timespec){.tv_nsec = 100 * 1000 * 1000}, NULL);
        }
    }
    if (terminal) {
        printf("\r\033[K");
    }
    if (WIFSIGNALED(status)) {
        snprintf(seen->why, sizeof seen->why, "%s: died of signal %d (%s)", memory->name, WTERMSIG(status),
                 strsignal(WTERMSIG(status)));
    }
    return seen->complete;
}
