/* A port: its gate, who may go behind it, whose it is when threads and runtimes end. In simulated time. */
#include <pthread.h>
#include <sys/resource.h>

#include "actors/allocation/shard.h"
#include "tests/unit/actors/port/port_support.h"

/* This thread's port, with something in its magazines. */
static struct ftli_port *used_port(ftl_runtime *runtime)
{
    for (unsigned i = 0; i < 20; i++)
        cr_assert_eq(ftl_tensor_drop(new_bytes(runtime, 100, NULL)), FTL_OK);
    struct ftli_port *port = ftli_port_find(runtime->number);
    cr_assert_not_null(port);
    cr_assert_not(ftli_rack_is_empty(&port->rack));
    return port;
}

Test(port, lets_one_call_in_at_a_time)
{
    ftl_runtime *runtime = open_simulated(NULL);
    struct ftli_port *port = used_port(runtime);
    cr_assert(ftli_port_enter(port));
    cr_assert_not(ftli_port_enter(port), "a call inside a call went behind the gate");
    cr_assert_eq(ftli_u32_load_relaxed(&port->busy), 1, "the inner one let the outer one's mark go");
    ftli_port_leave(port);
    ftli_u32_store_relaxed(&port->gate, FTLI_GATE_CLAIMED);
    cr_assert_not(ftli_port_enter(port));
    cr_assert_eq(ftli_u32_load_relaxed(&port->busy), 0, "who is turned away must leave no mark");
    ftli_u32_store_relaxed(&port->gate, FTLI_GATE_OPEN);
    cr_assert(ftli_port_enter(port));
    ftli_port_leave(port);
    cr_assert_eq(ftl_runtime_close(runtime, NULL), FTL_OK);
}

/* A signal handler's call, or a callback's: it works, touches no magazine, and is counted in the shared block. */
Test(port, a_call_inside_a_call_goes_without_it)
{
    ftl_runtime *runtime = open_simulated(NULL);
    struct ftli_port *port = used_port(runtime);
    uint64_t held = ftli_rack_bytes(&port->rack), own = ftli_u64_load_relaxed(&port->counters.created_bytes);
    ftl_tensor outside = new_bytes(runtime, 200, NULL);
    held = ftli_rack_bytes(&port->rack), own = ftli_u64_load_relaxed(&port->counters.created_bytes);
    cr_assert(ftli_port_enter(port));
    ftl_tensor inside = new_bytes(runtime, 300, NULL);
    cr_assert_eq(ftl_tensor_drop(outside), FTL_OK);
    cr_assert_eq(ftl_tensor_drop(inside), FTL_OK);
    cr_assert_eq(ftl_tensor_drop(inside), FTL_ESTALE);
    cr_assert_eq(ftli_rack_bytes(&port->rack), held);
    cr_assert_eq(ftli_u64_load_relaxed(&port->counters.created_bytes), own);
    cr_assert_eq(ftli_u64_load_relaxed(&runtime->shared.created_bytes), 300);
    cr_assert_eq(ftli_u64_load_relaxed(&runtime->shared.deferred[0]), 2, "nothing is done in place without a port");
    ftli_port_leave(port);
    run_for(runtime, SECOND);
    cr_assert_eq(stats_of(runtime).live, 0);
    cr_assert_eq(stats_of(runtime).pending, 0);
    must_agree(runtime);
    cr_assert_eq(ftl_runtime_close(runtime, NULL), FTL_OK);
}

Test(port, gives_up_what_it_holds_when_it_is_idle_but_not_while_its_owner_is_inside)
{
    ftl_runtime *runtime = open_simulated(NULL);
    struct ftli_port *port = used_port(runtime);
    run_for(runtime, 45 * MS);
    cr_assert_not(ftli_rack_is_empty(&port->rack), "claimed before it was idle for 50 ms");
    cr_assert(ftli_port_enter(port));
    run_for(runtime, SECOND);
    cr_assert_not(ftli_rack_is_empty(&port->rack), "claimed under its owner");
    cr_assert_eq(ftli_u32_load_relaxed(&port->gate), FTLI_GATE_OPEN, "the gate was left shut");
    ftli_port_leave(port);
    run_for(runtime, 100 * MS);
    cr_assert(ftli_rack_is_empty(&port->rack));
    cr_assert_eq(stats_of(runtime).held_bytes, 0);
    (void)used_port(runtime); /* and it works on */
    must_agree(runtime);
    cr_assert_eq(ftl_runtime_close(runtime, NULL), FTL_OK);
}

/* ---- threads ----------------------------------------------------------------------------------------------------------- */

struct visit {
    ftl_runtime *runtime;
    struct ftli_port *port;
};

static void *visit(void *argument)
{
    struct visit *v = argument;
    ftl_tensor tensor;
    if (ftl_bytes_new(v->runtime, 100, NULL, &tensor) == FTL_OK && ftl_tensor_drop(tensor) == FTL_OK)
        v->port = ftli_port_find(v->runtime->number);
    return NULL;
}

static struct ftli_port *visit_by_a_thread(ftl_runtime *runtime)
{
    struct visit v = {.runtime = runtime};
    pthread_t thread;
    cr_assert_eq(pthread_create(&thread, NULL, visit, &v), 0);
    cr_assert_eq(pthread_join(thread, NULL), 0);
    cr_assert_not_null(v.port);
    return v.port;
}

Test(port, of_a_dead_thread_serves_the_next_with_its_counters_running_on)
{
    ftl_runtime *runtime = open_simulated(NULL);
    struct ftli_port *first = visit_by_a_thread(runtime);
    cr_assert_eq(ftli_u32_load_relaxed(&first->state), FTLI_PORT_USED, "nobody has looked yet");
    cr_assert_neq(ftli_port_thread_ended_ns(first, runtime), 0, "who asks sees the thread's death at once");
    run_for(runtime, SECOND);
    cr_assert_eq(ftli_u32_load_relaxed(&first->state), FTLI_PORT_VACANT);
    cr_assert(ftli_rack_is_empty(&first->rack));
    cr_assert_neq(ftli_u64_load_relaxed(&first->thread_ended_ns), 0);
    struct ftli_port *second = visit_by_a_thread(runtime);
    cr_assert_eq(second, first);
    cr_assert_eq(ftli_u64_load_relaxed(&second->counters.created_bytes), 200);
    cr_assert_eq(stats_of(runtime).created, 2);
    cr_assert_eq(ftl_runtime_close(runtime, NULL), FTL_OK);
    cr_assert_eq(ftli_u32_load_relaxed(&first->state), FTLI_PORT_FREE);
    cr_assert_eq(ftli_u64_load_relaxed(&first->counters.created_bytes), 0, "zeroed with its runtime");
}

Test(port, of_a_thread_that_lives_on_serves_its_next_runtime)
{
    ftl_runtime *runtime = open_simulated(NULL);
    struct ftli_port *port = used_port(runtime);
    uint32_t number = runtime->number;
    cr_assert_eq(ftl_runtime_close(runtime, NULL), FTL_OK);
    cr_assert_eq(ftli_u32_load_relaxed(&port->state), FTLI_PORT_ORPHAN);
    cr_assert_eq(ftli_u32_load_relaxed(&port->gate), FTLI_GATE_CLOSED);
    cr_assert_null(ftli_port_at(port->index, number));
    runtime = open_simulated(NULL);
    cr_assert_neq(runtime->number, number);
    cr_assert_eq(used_port(runtime), port, "this thread holds it already");
    cr_assert_eq(ftli_port_count(), 1);
    cr_assert_eq(ftl_runtime_close(runtime, NULL), FTL_OK);
}

Test(port, a_thread_has_four_and_goes_without_in_a_fifth_runtime)
{
    ftl_runtime *runtimes[5];
    struct ftli_port *ports[5];
    ftl_tensor tensors[5];
    for (unsigned i = 0; i < 5; i++) {
        runtimes[i] = open_simulated(NULL);
        tensors[i] = new_bytes(runtimes[i], 100 + i, NULL);
        ports[i] = ftli_port_find(runtimes[i]->number);
        for (unsigned k = 0; k < i && i < 4; k++)
            cr_assert_neq(ports[i], ports[k]);
    }
    cr_assert_null(ports[4]);
    cr_assert_eq(ftli_u64_load_relaxed(&runtimes[4]->shared.created_bytes), 104);
    for (unsigned round = 0; round < 3; round++) /* back and forth: each finds its own again */
        for (unsigned i = 0; i < 4; i++) {
            cr_assert_eq(ftl_tensor_drop(new_bytes(runtimes[i], 64, NULL)), FTL_OK);
            cr_assert_eq(ftli_port_find(runtimes[i]->number), ports[i]);
        }
    for (unsigned i = 0; i < 5; i++) {
        cr_assert_eq(ftl_tensor_drop(tensors[i]), FTL_OK);
        cr_assert_eq(ftl_runtime_drain(runtimes[i], -1), FTL_OK);
        cr_assert_eq(stats_of(runtimes[i]).live, 0);
        must_agree(runtimes[i]);
    }
    for (unsigned i = 0; i < 5; i++)
        cr_assert_eq(ftl_runtime_close(runtimes[i], NULL), FTL_OK);
}

/* ---- close ------------------------------------------------------------------------------------------------------------- */

Test(port, close_waits_for_who_is_inside)
{
    ftl_runtime *runtime = open_simulated(NULL);
    struct ftli_port *port = used_port(runtime);
    cr_assert(ftli_port_enter(port));
    cr_assert_not(ftli_port_close_all(runtime, 0), "a call is inside of a port");
    ftli_port_leave(port);
    cr_assert_not(ftli_port_enter(port), "its gate is shut by now");
    cr_assert_eq(ftl_runtime_close(runtime, NULL), FTL_OK);

    runtime = open_simulated(NULL);
    cr_assert(ftli_runtime_enter(runtime));
    cr_assert_not(ftli_port_close_all(runtime, 0), "a call is inside without a port");
    ftli_runtime_leave(runtime);
    cr_assert_eq(ftl_runtime_close(runtime, NULL), FTL_OK);
    cr_assert_not(ftli_runtime_enter(runtime), "a closed runtime let somebody in");
    cr_assert_eq(ftli_u64_load_relaxed(&runtime->bypassing), 0);
}

Test(port, without_address_space_no_runtime_opens)
{
    struct rlimit limit;
    ftl_runtime *runtime = NULL;
    cr_assert_eq(getrlimit(RLIMIT_AS, &limit), 0);
    limit.rlim_cur = 1;
    cr_assert_eq(setrlimit(RLIMIT_AS, &limit), 0);
    cr_assert_eq(ftli_port_prepare(), FTL_ENOMEM);
    cr_assert_eq(ftl_runtime_open(NULL, &runtime), FTL_ENOMEM);
    cr_assert_null(runtime);
    cr_assert_not_null(strstr(ftl_last_error(), "ports"), "%s", ftl_last_error());
}
