/* Act 1 of script/demo: eight threads make two million tensors, one thread only drops them.
 *
 * What     Twice, each time in a process of its own: over aligned_alloc and free first, then over Fettle. Afterwards the
 *          sums are checked and what was seen is printed, as four lines.
 * Threads  Eight makers, one dropper, and the one that draws the bar. What is made waits in a queue, bounded in number;
 *          nobody spins.
 * Exit     0 every sum is exact, 1 one is broken or the run failed, 2 wrong arguments. A time bound that was missed is
 *          printed as missed, and is no failure: the machine may have been busy.
 */
#include <fettle/fettle.h>

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { MAKERS = 8, BATCH = 32, QUEUE = 512, PAGE = 4096, HEADER = 64 };
static const uint64_t bound_ns = 100 * 1000 * 1000; /* from a drop to its memory being back */

/* ---- what is compared: something that makes and drops ---------------------------------------------------- */

struct piece {
    uint64_t id; /* of a tensor, or a pointer */
};
struct memory {
    const char *name;
    bool (*make)(void *self, size_t bytes, struct piece *out, void **data);
    bool (*drop)(struct piece piece);
    void *self;
};

static bool fettle_make(void *self, size_t bytes, struct piece *out, void **data)
{
    ftl_tensor tensor;
    if (ftl_bytes_new(self, bytes, NULL, &tensor) != FTL_OK) {
        return false;
    }
    out->id = tensor.id;
    *data = ftl_tensor_data(tensor);
    return *data != NULL;
}

static bool fettle_drop(struct piece piece)
{
    return ftl_tensor_drop((ftl_tensor){piece.id}) == FTL_OK;
}

/* A tensor as one would write it over malloc: one block, its header before the data. */
static bool malloc_make(void *self, size_t bytes, struct piece *out, void **data)
{
    (void)self;
    char *block = aligned_alloc(HEADER, (bytes + 2 * HEADER - 1) / HEADER * HEADER);
    if (block == NULL) {
        return false;
    }
    memcpy(block, &bytes, sizeof bytes);
    out->id = (uint64_t)(uintptr_t)block;
    *data = block + HEADER;
    return true;
}

static bool malloc_drop(struct piece piece)
{
    free((void *)(uintptr_t)piece.id);
    return true;
}

/* ---- the play, in a child ------------------------------------------------------------------------------- */

struct batch {
    uint32_t count;
    uint64_t bytes;
    struct piece pieces[BATCH];
};

/* Shared by parent and child: what the child did so far, and in the end what it saw. */
struct seen {
    _Atomic uint64_t dropped; /* so far */
    uint64_t live_bytes, peak_live_bytes, peak_resident_bytes;
    ftl_stats stats;
    bool complete;
    char why[256];
};

struct play {
    const struct memory *memory;
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
    uint64_t tensors, random;
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
        const char *why = play->memory->self == NULL ? strerror(errno) : ftl_last_error();
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
            if (!play->memory->make(play->memory->self, bytes, &batch.pieces[batch.count], &data)) {
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
    for (uint32_t i = 0; i < MAKERS; i++) {
        makers[i] = (struct maker){.play = play,
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
    ftl_runtime *runtime = NULL;
    if (memory->make == fettle_make) {
        if (ftl_runtime_open(NULL, &runtime) != FTL_OK) {
            snprintf(seen->why, sizeof seen->why, "open: %s", ftl_last_error());
            return false;
        }
        memory->self = runtime;
    }
    play_threads(&play);
    uint64_t peak_bytes = status_bytes("VmHWM:");
    seen->peak_resident_bytes = peak_bytes > before_bytes ? peak_bytes - before_bytes : 0;
    if (runtime == NULL || atomic_load(&play.failed)) {
        return !atomic_load(&play.failed);
    }
    if (ftl_runtime_drain(runtime, INT64_C(30000000000)) != FTL_OK ||
        ftl_runtime_stats(runtime, &seen->stats) != FTL_OK || ftl_runtime_close(runtime, NULL) != FTL_OK) {
        snprintf(seen->why, sizeof seen->why, "drain and close: %s", ftl_last_error());
        return false;
    }
    return true;
}

/* ---- what a person sees --------------------------------------------------------------------------------- */

struct text {
    char text[32];
};

static struct text count_text(uint64_t count)
{
    struct text digits, out;
    int length = snprintf(digits.text, sizeof digits.text, "%" PRIu64, count), at = 0;
    for (int i = 0; i < length; i++) {
        if (i > 0 && (length - i) % 3 == 0) {
            out.text[at++] = ',';
        }
        out.text[at++] = digits.text[i];
    }
    out.text[at] = '\0';
    return out;
}

static struct text time_text(uint64_t time_ns)
{
    struct text out;
    double value = (double)time_ns;
    const char *unit = time_ns < 1000 ? "ns" : time_ns < 1000000 ? "us" : time_ns < 1000000000 ? "ms" : "s";
    value /= time_ns < 1000 ? 1 : time_ns < 1000000 ? 1e3 : time_ns < 1000000000 ? 1e6 : 1e9;
    snprintf(out.text, sizeof out.text, "%.*f %s", time_ns < 1000 || value >= 100 ? 0 : 1, value, unit);
    return out;
}

static struct text mib_text(uint64_t bytes)
{
    struct text out, mib = count_text((bytes + 512 * 1024) / (1024 * 1024));
    snprintf(out.text, sizeof out.text, "%.26s MiB", mib.text);
    return out;
}

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void draw_bar(const char *name, uint64_t done, uint64_t total, uint64_t elapsed_ns)
{
    char bar[31];
    double share = (double)done / (double)total, seconds = (double)elapsed_ns / 1e9;
    memset(bar, ' ', sizeof bar - 1);
    memset(bar, '#', (size_t)(share * (double)(sizeof bar - 1)));
    bar[sizeof bar - 1] = '\0';
    printf("\r1 drops  [%s] %s of %s over %s   %.2f M/s", bar, count_text(done).text, count_text(total).text, name,
           (double)done / 1e6 / seconds);
    if (done > 0) {
        printf("   %.1f s left", seconds * (1 - share) / share);
    }
    printf("\033[K");
    fflush(stdout);
}

/* Plays in a child, so that neither heap holds what the other left, and draws the bar meanwhile. */
static bool play_in_child(struct memory *memory, uint64_t tensors, struct seen *seen)
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
            draw_bar(memory->name, atomic_load_explicit(&seen->dropped, memory_order_relaxed), tensors,
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

/* A line with its verdict at the end: red, on a terminal, when it is not the one hoped for. */
static void print_line(const char *line, bool good, const char *when_good, const char *when_not)
{
    bool paint = isatty(STDOUT_FILENO) && getenv("NO_COLOR") == NULL && !good;
    printf("%-95s %s%s%s\n", line, paint ? "\033[31m" : "", good ? when_good : when_not, paint ? "\033[0m" : "");
}

static bool report(uint64_t tensors, const struct seen *fettle, const struct seen *plain)
{
    const ftl_stats *stats = &fettle->stats;
    char line[512];
    uint64_t sum = stats->live + stats->pending + stats->reclaimed + stats->quarantined;
    bool made_exact = stats->created == sum && stats->created == tensors && stats->live == 0;
    bool dropped_exact = stats->immediate + stats->deferred == tensors;
    snprintf(line, sizeof line, "1 drops  %d threads make %s tensors, one thread only drops them", MAKERS,
             count_text(tensors).text);
    puts(line);
    snprintf(line, sizeof line, "         created %s = live %s + pending %s + reclaimed %s + quarantined %s",
             count_text(stats->created).text, count_text(stats->live).text, count_text(stats->pending).text,
             count_text(stats->reclaimed).text, count_text(stats->quarantined).text);
    print_line(line, made_exact, "exact", "BROKEN");
    snprintf(line, sizeof line, "         dropped %s = at once %s + by message %s", count_text(tensors).text,
             count_text(stats->immediate).text, count_text(stats->deferred).text);
    print_line(line, dropped_exact, "exact", "BROKEN");
    if (stats->deferred == 0) /* nothing was posted, so no time was taken */
        snprintf(line, sizeof line, "         from drop to reclaimed   each in the drop itself   (bound %s)",
                 time_text(bound_ns).text);
    else
        snprintf(line, sizeof line, "         from drop to reclaimed   p50 %s   p99 %s   worst %s   (bound %s)",
                 time_text(stats->reclaim_p50_ns).text, time_text(stats->reclaim_p99_ns).text,
                 time_text(stats->reclaim_max_ns).text, time_text(bound_ns).text);
    print_line(line, stats->reclaim_max_ns <= bound_ns, "kept", "missed");
    printf("         resident at the peak     live %s   Fettle %s   malloc %s\n",
           mib_text(fettle->peak_live_bytes).text, mib_text(fettle->peak_resident_bytes).text,
           mib_text(plain->peak_resident_bytes).text);
    return made_exact && dropped_exact;
}

static void usage(FILE *out)
{
    fputs("usage: demo [--tensors N]\n"
          "\n"
          "Eight threads make N tensors (2,000,000), one thread only drops them: over malloc, then over Fettle.\n"
          "Exit: 0 every sum is exact, 1 one is broken, 2 wrong arguments.\n",
          out);
}

int main(int count, char **words)
{
    uint64_t tensors = 2000000;
    char *end = NULL;
    if (count == 2 && strcmp(words[1], "--help") == 0) {
        usage(stdout);
        return 0;
    }
    if (count == 3 && strcmp(words[1], "--tensors") == 0 && words[2][0] != '-') {
        tensors = strtoull(words[2], &end, 10);
    }
    if ((count != 1 && (end == NULL || end == words[2] || *end != '\0')) || tensors == 0 || tensors > 1000000000) {
        usage(stderr);
        return 2;
    }
    struct seen *seen = mmap(NULL, 2 * sizeof *seen, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    struct memory plain = {.name = "malloc", .make = malloc_make, .drop = malloc_drop};
    struct memory fettle = {.name = "Fettle", .make = fettle_make, .drop = fettle_drop};
    if (seen == MAP_FAILED) {
        perror("mmap");
        return 1;
    }
    bool played = play_in_child(&plain, tensors, &seen[0]) && play_in_child(&fettle, tensors, &seen[1]);
    if (!played) {
        printf("1 drops  %s%s\n", seen[0].why, seen[1].why);
        return 1;
    }
    return report(tensors, &seen[1], &seen[0]) ? 0 : 1;
}
