/* A program with known lifetimes, for check_record.sh. `program threads` prints each as "bytes align fate": freed by the
 * same thread, by another, or never; every size occurs once. The other words do one thing each. */
#define _GNU_SOURCE
#include <malloc.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { THREADS = 4, BLOCKS = 240, EACH = 50000 };

static void *blocks[THREADS][BLOCKS];
static pthread_barrier_t all_made;

static void *make(size_t bytes, int how, size_t align)
{
    void *block = NULL;
    switch (how) {
    case 0:
        return malloc(bytes);
    case 1:
        return calloc(bytes, 1);
    case 2:
        return posix_memalign(&block, align, bytes) == 0 ? block : NULL;
    case 3:
        return memalign(align, bytes);
    case 4:
        return aligned_alloc(align, bytes);
    default: /* grown from another, which was another size of its own */
        block = malloc(bytes + 50000);
        printf("%zu 16 same\n", bytes + 50000);
        return realloc(block, bytes);
    }
}

static void *work(void *argument)
{
    size_t mine = (size_t)argument, next = (mine + 1) % THREADS;
    for (size_t i = 0; i < BLOCKS; i++) {
        size_t bytes = 10000 + mine * 1000 + i, align = (size_t)64 << i % 7;
        int how = (int)(i % 6);
        static const char *const fates[] = {"same", "other", "never", "same"};
        blocks[mine][i] = make(bytes, how, align);
        if (blocks[mine][i] == NULL) {
            abort();
        }
        memset(blocks[mine][i], 1, bytes);
        printf("%zu %zu %s\n", bytes, how >= 2 && how <= 4 ? align : 16, fates[i / 6 % 4]);
        if (i / 6 % 4 == 0) {
            free(blocks[mine][i]);
        }
    }
    pthread_barrier_wait(&all_made);
    for (size_t i = 0; i < BLOCKS; i++) {
        if (i / 6 % 4 == 1) {
            free(blocks[next][i]);
        } else if (i / 6 % 4 == 3) {
            free(blocks[mine][i]);
        }
    }
    return NULL;
}

static void *churn(void *argument)
{
    for (int i = 0; i < EACH; i++) {
        void *volatile block = malloc(2000);
        free(block);
    }
    return argument;
}

static void on_threads(void *(*what)(void *))
{
    pthread_t threads[THREADS];
    pthread_barrier_init(&all_made, NULL, THREADS);
    for (size_t i = 0; i < THREADS; i++) {
        if (pthread_create(&threads[i], NULL, what, (void *)i) != 0) {
            abort();
        }
    }
    for (size_t i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
}

static void *volatile kept;

static void leave(const char *how)
{
    kept = malloc(300001);
    free(malloc(300002));
    if (strcmp(how, "abort") == 0) {
        abort();
    } else if (strcmp(how, "kill") == 0) {
        kill(getpid(), SIGKILL);
    } else if (strcmp(how, "_exit") == 0) {
        _exit(9);
    }
}

int main(int argc, char **argv)
{
    const char *word = argc > 1 ? argv[1] : "";
    if (strcmp(word, "threads") == 0) {
        on_threads(work);
        return 7;
    }
    if (strcmp(word, "churn") == 0) {
        on_threads(churn);
    } else if (strcmp(word, "close") == 0) {
        for (int i = 0; i < 256; i++) {
            close(i);
        }
        kept = malloc(300003);
    } else if (strcmp(word, "fork") == 0) {
        kept = malloc(300004);
        pid_t child = fork();
        if (child == 0) {
            free(kept);
            kept = malloc(300005);
            _exit(0);
        }
        waitpid(child, NULL, 0);
        kept = malloc(300006);
    } else if (strcmp(word, "exec") == 0) {
        kept = malloc(300007);
        execl(argv[0], argv[0], "_exit", (char *)NULL);
    } else if (strcmp(word, "small") == 0) {
        free(malloc(1023));
        free(malloc(1024));
        kept = malloc(700);
    } else {
        leave(word);
    }
    return 0;
}
