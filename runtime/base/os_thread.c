/* Threads of ours: named, niced, placed, and deaf to signals. */
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <fettle/fettle.h>

#include "runtime/base/assert.h"
#include "runtime/base/os.h"

struct beginning { /* made by the starter, freed by the thread */
    void (*run)(void *);
    void *argument;
    int nice;
    char name[16];
};

static void *begin(void *argument)
{
    const struct beginning given = *(struct beginning *)argument;
    free(argument);
    if (given.name[0] != '\0')
        (void)pthread_setname_np(pthread_self(), given.name);
    if (given.nice != 0)
        (void)setpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid), given.nice); /* of this thread alone, on Linux */
    given.run(given.argument);
    return NULL;
}

static void place(pthread_t thread, const ftli_os_thread_options *options)
{
    if (options->cpu_count == 0)
        return;
    cpu_set_t set;
    CPU_ZERO(&set);
    for (unsigned i = 0; i < options->cpu_count; i++)
        if (options->cpus[i] < CPU_SETSIZE)
            CPU_SET(options->cpus[i], &set);
    (void)pthread_setaffinity_np(thread, sizeof set, &set);
}

int ftli_os_thread_start(ftli_os_thread *out, const ftli_os_thread_options *options, void (*run)(void *),
                         void *argument)
{
    struct beginning *given = calloc(1, sizeof *given);
    if (given == NULL)
        return FTL_ENOMEM;
    given->run = run;
    given->argument = argument;
    given->nice = options->nice;
    if (options->name != NULL)
        memcpy(given->name, options->name, strnlen(options->name, sizeof given->name - 1));

    sigset_t every, before;
    (void)sigfillset(&every);
    (void)pthread_sigmask(SIG_SETMASK, &every, &before); /* the thread inherits it */
    pthread_t thread;
    const int failed = pthread_create(&thread, NULL, begin, given);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (failed != 0) {
        free(given);
        return FTL_ENOMEM;
    }
    place(thread, options);
    out->id = (uint64_t)thread;
    return FTL_OK;
}

void ftli_os_thread_join(ftli_os_thread thread)
{
    const int failed = pthread_join((pthread_t)thread.id, NULL);
    FTLI_INVARIANT(failed == 0, "pthread_join: %d", failed);
}

bool ftli_os_thread_private_files(void)
{
    if (unshare(CLONE_FS) != 0) {
        return false;
    }
    umask(077);
    return true;
}

bool ftli_os_stack(uintptr_t *low, uintptr_t *high)
{
    pthread_attr_t attributes;
    void *at = NULL;
    size_t bytes = 0;
    if (pthread_getattr_np(pthread_self(), &attributes) != 0)
        return false;
    bool known = pthread_attr_getstack(&attributes, &at, &bytes) == 0 && bytes != 0;
    (void)pthread_attr_destroy(&attributes);
    if (known) {
        *low = (uintptr_t)at;
        *high = (uintptr_t)at + bytes;
    }
    return known;
}
