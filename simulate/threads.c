/* The program's threads, played by one: what a thread is to the library is exchanged. */
#include "simulate/world.h"

#include <string.h>

static const struct ftli_thread no_thread = {.port = &ftli_no_port, .fast = &ftli_no_port};

void ftli_world_play(struct ftli_world *world, unsigned thread)
{
    struct ftli_scope_cursor *cursor = ftli_thread_cursor(world->runtime);
    struct ftli_world_thread *now = &world->threads[world->playing];
    if (thread == world->playing)
        return;
    now->thread = ftli_thread;
    now->cursor = *cursor;
    ftli_thread = world->threads[thread].thread;
    *cursor = world->threads[thread].cursor;
    world->playing = thread;
}

static void become_new(struct ftli_world_thread *thread)
{
    memset(thread, 0, sizeof *thread);
    thread->thread = no_thread;
}

/* As the system does it when a thread dies: others find its ports' mutexes free. */
static void release_ports(struct ftli_thread *thread)
{
    for (unsigned i = 0; i < sizeof thread->ports / sizeof *thread->ports; i++)
        if (thread->ports[i] != NULL)
            (void)pthread_mutex_unlock(&thread->ports[i]->life);
}

/* Ports are the process's. That there are as many as any seed may need is seen to before the first, for where ports are made the port
 * of a dead thread is looked for at once: a seed's history would depend on those that ran before it. */
static void make_ports(ftl_runtime *runtime)
{
    struct ftli_thread threads[FTLI_WORLD_PORTS];
    for (unsigned i = 0; i < FTLI_WORLD_PORTS; i++) {
        ftli_thread = no_thread;
        (void)ftli_port_acquire(runtime);
        threads[i] = ftli_thread;
    }
    ftli_thread = no_thread;
    (void)ftl_runtime_close(runtime, NULL);
    for (unsigned i = 0; i < FTLI_WORLD_PORTS; i++)
        release_ports(&threads[i]);
}

int ftli_world_prepare(void)
{
    ftl_open_options options = {.overrides = "devices.cpu.limit: 64MiB\n"};
    ftl_runtime *runtime;
    int status = ftli_runtime_open_as(&options, true, 0, &runtime);
    if (status == FTL_OK)
        make_ports(runtime);
    return status;
}

void ftli_world_begin_threads(struct ftli_world *world)
{
    for (unsigned i = 0; i < FTLI_WORLD_PLAYERS; i++)
        become_new(&world->threads[i]);
    world->playing = 0;
    ftli_thread = no_thread;
    memset(ftli_thread_cursor(world->runtime), 0, sizeof(struct ftli_scope_cursor));
}

/* Another takes its place, with a port of its own. */
void ftli_world_exit_thread(struct ftli_world *world, unsigned thread)
{
    unsigned playing = world->playing;
    ftli_world_play(world, thread == playing ? (thread + 1) % FTLI_WORLD_THREADS : playing);
    release_ports(&world->threads[thread].thread);
    become_new(&world->threads[thread]);
    ftli_world_play(world, playing);
}

void ftli_world_end_threads(struct ftli_world *world)
{
    world->threads[world->playing].thread = ftli_thread;
    for (unsigned i = 0; i < FTLI_WORLD_PLAYERS; i++) {
        release_ports(&world->threads[i].thread);
        become_new(&world->threads[i]);
    }
    ftli_thread = no_thread;
}

unsigned ftli_world_any_thread(struct ftli_world *world)
{
    unsigned nth = ftli_world_below(world, FTLI_WORLD_THREADS - world->silent);
    for (unsigned i = 0; i < FTLI_WORLD_THREADS; i++)
        if (!world->threads[i].silent && nth-- == 0)
            return i;
    return 0;
}
