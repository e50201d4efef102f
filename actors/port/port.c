#include "actors/port/port.h"

#include <errno.h>
#include <string.h>

#include "actors/port/outbox.h"
#include "runtime/base/clock.h"
#include "runtime/base/os.h"
#include "tensor/registry.h"

#define IDLE_NS     (UINT64_C(50) * 1000 * 1000)
#define CLAIMS_MOST 64
#define PORTS_LEAST 64
#define CALL_LOOKS  500
#define OLD_NS      (UINT64_C(25) * 1000 * 1000) /* of a parcel: then the tick posts it */

struct ftli_port ftli_no_port;
_Thread_local struct ftli_thread ftli_thread
    __attribute__((tls_model("initial-exec"))) = {.port = &ftli_no_port, .fast = &ftli_no_port};

/* Process-wide, made by the first open and never unmapped. */
static struct ftli_port *ports;
static uint32_t ports_most;
static ftli_atomic_u32 port_count; /* ports ever used; grows only */
static ftli_atomic_u32 *process_mark;
static bool asymmetric;        /* membarrier works here */
static uint32_t process_epoch; /* advances when a forked child opens a runtime of its own */

static void on_fork_child(void)
{
    ftli_thread = (struct ftli_thread){.port = &ftli_no_port, .fast = &ftli_no_port};
}

void ftli_thread_turn(struct ftli_thread *thread)
{
    struct ftl_runtime *runtime = thread->runtime != 0 ? thread->port->owner : NULL;
    bool fast = runtime != NULL && thread->scope == 0 && thread->port->strict == 0;
    thread->fast = fast ? (const void *)runtime : &ftli_no_port;
}

void ftli_port_learn(struct ftli_port *port)
{
    const struct ftli_registry_entry *entry = &ftli_registry[port->owner->number];
    uint64_t slots = ftli_u32_load_acquire(&entry->committed); /* pairs: committed */
    ftli_u32_store_relaxed(&port->stamp_ms, ftli_u32_load_relaxed(&port->owner->stamp_ms));
    uint64_t bytes = port->strict != 0 ? 0 : slots * sizeof(struct ftli_header);
    ftli_u64_store_relaxed(&port->known_bytes, bytes);
    ftli_u64_store_relaxed(&port->in_place_bytes, port->owner->cleanup.every_drop_is_a_message ? 0 : bytes);
}

/* Nothing is left of a try that failed: the next open tries again. Without the wipe a forked child would take its parent's ports
 * for its own. */
static bool reserve_ports(void)
{
    uint32_t most = FTLI_PORTS_MOST;
    uint64_t room = ftli_os_address_limit_bytes(); /* under such a limit: fewer, and threads beyond them go without */
    while (most > PORTS_LEAST && room / 16 < (uint64_t)most * sizeof(struct ftli_port))
        most /= 2;
    size_t bytes = ((size_t)most * sizeof(struct ftli_port) + 4095) / 4096 * 4096;
    struct ftli_port *memory = ftli_os_reserve(bytes, 4096);
    ftli_atomic_u32 *mark = ftli_os_reserve(4096, 4096);
    if (memory == NULL || mark == NULL || !ftli_os_advise_wipe_on_fork(memory, bytes) ||
        !ftli_os_advise_wipe_on_fork(mark, 4096) || pthread_atfork(NULL, NULL, on_fork_child) != 0) {
        if (memory != NULL)
            ftli_os_release(memory, bytes);
        if (mark != NULL)
            ftli_os_release(mark, 4096);
        return false;
    }
    ftli_u32_store_relaxed(mark, 1);
    asymmetric = ftli_os_membarrier_supported();
    process_mark = mark;
    ports_most = most;
    ports = memory;
    return true;
}

int ftli_port_prepare(void)
{
    static pthread_mutex_t preparing = PTHREAD_MUTEX_INITIALIZER;
    (void)pthread_mutex_lock(&preparing);
    bool there = ports != NULL || reserve_ports();
    (void)pthread_mutex_unlock(&preparing);
    if (!there)
        return FTL_ENOMEM;
    if (ftli_u32_load_relaxed(process_mark) == 0) { /* a child opens a runtime of its own: its ports are zeros, FREE */
        process_epoch++;
        ftli_u32_store_release(process_mark, 1);
    }
    return FTL_OK;
}

bool ftli_port_is_inherited(const struct ftl_runtime *runtime)
{
    return ftli_u32_load_relaxed(process_mark) == 0 || runtime->process_epoch != process_epoch;
}

uint32_t ftli_port_process_epoch(void)
{
    return process_epoch;
}

uint32_t ftli_port_count(void)
{
    return ftli_u32_load_acquire(&port_count);
}

struct ftli_port *ftli_port_at(uint32_t index, uint32_t runtime)
{
    return ftli_u32_load_acquire(&ports[index].runtime) == runtime ? &ports[index] : NULL;
}

size_t ftli_port_metadata_bytes(uint32_t runtime)
{
    size_t bytes = 0;
    for (uint32_t i = 0; i < ftli_port_count(); i++)
        if (ftli_port_at(i, runtime) != NULL)
            bytes += sizeof(struct ftli_port);
    return bytes;
}

/* ---- taking one ---------------------------------------------------------------------------------------------------- */

static bool take_in_state(struct ftli_port *port, enum ftli_port_state from)
{
    uint32_t expected = (uint32_t)from;
    return ftli_u32_load_relaxed(&port->state) == (uint32_t)from &&
           ftli_u32_cas_acq_rel(&port->state, &expected, FTLI_PORT_TAKING);
}

/* The mutex is locked by the thread until it dies; robust, so that its death is told to the next who tries. */
static bool hold_life(struct ftli_port *port)
{
    if (!port->life_ready) {
        pthread_mutexattr_t attributes;
        if (pthread_mutexattr_init(&attributes) != 0)
            return false;
        (void)pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
        bool made = pthread_mutex_init(&port->life, &attributes) == 0;
        (void)pthread_mutexattr_destroy(&attributes);
        if (!made)
            return false;
        port->life_ready = true;
    }
    int status = pthread_mutex_trylock(&port->life);
    if (status == EOWNERDEAD)
        status = pthread_mutex_consistent(&port->life);
    return status == 0;
}

/* This thread's list of ports, and the system's list of the robust mutexes that it holds, are between two good states: a signal handler
 * that comes meanwhile leaves them alone, and goes without a port. False: this is it. */
static bool begin_with_ports(void)
{
    if (ftli_thread.with_ports)
        return false;
    ftli_thread.with_ports = true;
    FTLI_COMPILER_BARRIER();
    return true;
}

static void end_with_ports(void)
{
    FTLI_COMPILER_BARRIER();
    ftli_thread.with_ports = false;
}

/* True: the thread that held it is dead, and the mutex is free again. */
static bool is_dead(struct ftli_port *port)
{
    bool outermost = begin_with_ports();
    int status = pthread_mutex_trylock(&port->life);
    if (status == EOWNERDEAD)
        (void)pthread_mutex_consistent(&port->life);
    if (status != EBUSY)
        (void)pthread_mutex_unlock(&port->life);
    if (outermost)
        end_with_ports();
    return status != EBUSY;
}

static void bind(struct ftli_port *port, struct ftl_runtime *runtime)
{
    port->owner = runtime;
    port->strict = !asymmetric;
    ftli_u64_store_relaxed(&port->born_word,
                           FTLI_WORD_FIXED | FTLI_WORD_REFERENCE | FTLI_LIVE |
                               (runtime->cleanup.every_drop_is_a_message ? (uint64_t)FTLI_WORD_SLOW : 0));
    uint64_t base = ((uint64_t)runtime->number << FTLI_SLOT_BITS) * sizeof(struct ftli_header);
    ftli_u64_store_relaxed(&port->handle_base, base);
    ftli_pointer_store_relaxed(&port->headers, runtime->table.headers);
    ftli_u64_store_relaxed(&port->handle_origin, (uint64_t)(uintptr_t)runtime->table.headers - base);
    ftli_port_learn(port);
    port->home = 0;
    port->index = (uint32_t)(port - ports); /* the mapping may have been wiped by a fork */
    uint64_t number = port->index < FTLI_HEADER_PORTS_MOST ? port->index + 1 : 0;
    ftli_u64_store_relaxed(&port->born_scope, number << (32 + FTLI_HEADER_PORT_SHIFT));
    ftli_u64_store_relaxed(&port->thread_ended_ns, 0);
    port->seen_activity = 0; /* what the last runtime's tick saw is of another clock, maybe */
    port->seen_ns = ftli_kernel_now_ns(runtime->kernel);
    port->random = (uint64_t)(port->index + 1) * UINT64_C(0x9e3779b97f4a7c15);
    ftli_port_draw(port);
    ftli_rack_init(&port->rack, runtime->device);
    port->rack.lane = port->index;
    memset(&port->stacks, 0, sizeof port->stacks); /* numbers of another runtime's sites */
    ftli_pointer_store_relaxed(&port->parcels[0], NULL);
    ftli_pointer_store_relaxed(&port->parcels[1], NULL);
    ftli_u64_store_relaxed(&port->time.before_ns, 0);
    ftli_port_time_begin(port);
    ftli_u32_store_release(&port->runtime, runtime->number);
    ftli_u32_store_release(&port->gate, FTLI_GATE_OPEN);
}

/* The gate is the claimer's: nobody else is behind it but the owner, if it is inside. */
static bool shut_for_claim(struct ftli_port *port)
{
    uint32_t open = FTLI_GATE_OPEN;                                     /* a closed gate stays closed */
    return ftli_u32_cas_seq_cst(&port->gate, &open, FTLI_GATE_CLAIMED); /* pairs: port-claim */
}

/* Unless close has shut it meanwhile. */
static void open_after_claim(struct ftli_port *port)
{
    uint32_t claimed = FTLI_GATE_CLAIMED;
    (void)ftli_u32_cas_seq_cst(&port->gate, &claimed, FTLI_GATE_OPEN);
}

/* A dead thread's port waits for the next thread. Its busy word may have been left set, by a thread that was ended inside a
 * call; nobody is inside any more. What lies in its outbox stays there, for the next thread or the tick: this may be a drop, which makes
 * one system call at most. */
static void vacate(struct ftli_port *port, struct ftl_runtime *runtime, uint64_t now_ns)
{
    if (!take_in_state(port, FTLI_PORT_USED))
        return;
    if (!is_dead(port) || !shut_for_claim(port)) {
        ftli_u32_store_release(&port->state, FTLI_PORT_USED);
        return;
    }
    (void)ftli_u32_load_acquire(&port->busy); /* pairs: port-busy; the last leave: all that the thread wrote is seen */
    ftli_u32_store_relaxed(&port->busy, 0);
    (void)ftli_rack_flush(&port->rack, runtime->device);
    ftli_port_time_end(port);
    ftli_u64_store_release(&port->thread_ended_ns, now_ns);
    open_after_claim(port);
    ftli_u32_store_release(&port->state, FTLI_PORT_VACANT);
    ftli_leak_detection_note(&runtime->leak_detection);
}

/* Before the number of ports grows: those whose threads are gone and that the tick has not come to yet. So there are no more
 * ports than threads at once, however fast threads come and go. */
static void vacate_dead(struct ftl_runtime *runtime)
{
    uint64_t now_ns = ftli_kernel_now_ns(runtime->kernel);
    uint32_t count = ftli_port_count();
    for (uint32_t i = 0; i < count; i++) {
        struct ftli_port *port = ftli_port_at(i, runtime->number);
        if (port != NULL && ftli_u32_load_relaxed(&port->state) == FTLI_PORT_USED)
            vacate(port, runtime, now_ns);
    }
}

static struct ftli_port *take_vacant(struct ftl_runtime *runtime)
{
    uint32_t count = ftli_port_count();
    for (uint32_t i = 0; i < count; i++) {
        struct ftli_port *port = &ports[i];
        if (ftli_u32_load_relaxed(&port->runtime) == runtime->number && take_in_state(port, FTLI_PORT_VACANT)) {
            if (ftli_u32_load_relaxed(&port->runtime) == runtime->number && hold_life(port)) {
                ftli_port_time_begin(port);
                return port;
            }
            ftli_u32_store_release(&port->state, FTLI_PORT_VACANT);
        }
    }
    return NULL;
}

static struct ftli_port *take_free(struct ftl_runtime *runtime)
{
    uint32_t count = ftli_port_count();
    for (uint32_t i = 0; i < count; i++) {
        struct ftli_port *port = &ports[i];
        if (take_in_state(port, FTLI_PORT_FREE)) {
            if (hold_life(port))
                return bind(port, runtime), port;
            ftli_u32_store_release(&port->state, FTLI_PORT_FREE);
        }
        if (take_in_state(port, FTLI_PORT_ORPHAN)) {
            if (is_dead(port) && hold_life(port))
                return bind(port, runtime), port;
            ftli_u32_store_release(&port->state, FTLI_PORT_ORPHAN);
        }
    }
    return NULL;
}

/* One that was never used. */
static struct ftli_port *take_fresh(struct ftl_runtime *runtime)
{
    uint32_t count = ftli_port_count();
    while (count < ports_most) {
        if (!ftli_u32_cas_acq_rel(&port_count, &count, count + 1))
            continue;
        struct ftli_port *port = &ports[count];
        if (take_in_state(port, FTLI_PORT_FREE) && hold_life(port))
            return bind(port, runtime), port;
        return NULL;
    }
    return NULL;
}

static void remember(struct ftli_thread *thread, struct ftli_port *port, uint32_t runtime)
{
    unsigned last = 3;
    for (unsigned i = 0; i < 3; i++)
        if (thread->ports[i] == port || thread->ports[i] == NULL) {
            last = i;
            break;
        }
    for (unsigned i = last; i > 0; i--)
        thread->ports[i] = thread->ports[i - 1];
    thread->ports[0] = port;
    thread->port = port;
    thread->runtime = runtime;
    thread->slow_news = 0; /* so that in simulation one seed is one history */
    ftli_thread_turn(thread);
}

/* A port of this thread whose runtime is gone serves the new one: the thread holds it already. */
static struct ftli_port *take_own(struct ftli_thread *thread, struct ftl_runtime *runtime)
{
    for (unsigned i = 0; i < 4; i++) {
        struct ftli_port *port = thread->ports[i];
        if (port != NULL && take_in_state(port, FTLI_PORT_ORPHAN))
            return bind(port, runtime), port;
    }
    return NULL;
}

static struct ftli_port *take_any(struct ftli_thread *thread, struct ftl_runtime *runtime)
{
    struct ftli_port *port = take_own(thread, runtime);
    if (port != NULL || thread->ports[3] != NULL)
        return port; /* more runtimes at once than entries: such a thread bypasses in the later ones */
    port = take_vacant(runtime);
    if (port == NULL)
        port = take_free(runtime);
    if (port == NULL) {
        vacate_dead(runtime);
        port = take_vacant(runtime);
    }
    return port != NULL ? port : take_fresh(runtime);
}

static struct ftli_port *find_or_take(struct ftli_thread *thread, struct ftl_runtime *runtime)
{
    for (unsigned i = 0; i < 4; i++) {
        struct ftli_port *port = thread->ports[i];
        if (port != NULL &&
            ftli_u32_load_acquire(&port->runtime) == runtime->number) { /* nobody takes it while we live */
            remember(thread, port, runtime->number);
            return port;
        }
    }
    /* Inside the runtime, so that close either waits for the gate that is opened here and shuts it, or is seen by this call. */
    if (ftli_port_is_inherited(runtime) || !ftli_runtime_enter(runtime))
        return NULL;
    struct ftli_port *port = ftli_runtime_is_open(runtime) ? take_any(thread, runtime) : NULL;
    if (port != NULL) {
        ftli_u32_store_release(&port->state, FTLI_PORT_USED);
        remember(thread, port, runtime->number);
    }
    ftli_runtime_leave(runtime);
    return port;
}

struct ftli_port *ftli_port_acquire(struct ftl_runtime *runtime)
{
    if (!begin_with_ports())
        return NULL;
    struct ftli_port *port = find_or_take(&ftli_thread, runtime);
    end_with_ports();
    return port;
}

/* ---- claiming ------------------------------------------------------------------------------------------------------ */

static uint64_t activity_of(const struct ftli_port *port)
{
    uint64_t sum =
        ftli_u64_load_relaxed(&port->counters.created_bytes) + ftli_u64_load_relaxed(&port->counters.immediate_bytes);
    for (unsigned c = 0; c < 3; c++)
        sum += ftli_u64_load_relaxed(&port->counters.created[c]) + ftli_u64_load_relaxed(&port->counters.immediate[c]);
    sum += ftli_u64_load_relaxed(&port->counters.deferred[0]) + ftli_u64_load_relaxed(&port->counters.deferred[1]);
    return sum;
}

/* Shuts the gates of up to CLAIMS_MOST ports; ONE membarrier; opens what their owners are not inside of. */
static void claim(struct ftli_port *const *idle, uint32_t n, struct ftli_device *device)
{
    struct ftli_port *claimed[CLAIMS_MOST];
    uint32_t count = 0;
    for (uint32_t i = 0; i < n; i++)
        if (shut_for_claim(idle[i]))
            claimed[count++] = idle[i];
    if (count == 0)
        return;
    if (asymmetric)
        (void)ftli_os_membarrier();
    for (uint32_t i = 0; i < count; i++) {
        struct ftli_port *port = claimed[i];
        if (ftli_u32_load_seq_cst(&port->busy) == 0)
            (void)ftli_rack_flush(&port->rack, device);
        open_after_claim(port);
    }
}

/* A call that is inside is short: it is waited for, unless its thread lost the processor. The gate is shut meanwhile. */
static bool is_left_soon(const struct ftli_port *port)
{
    for (unsigned i = 0; i < CALL_LOOKS; i++) {
        if (ftli_u32_load_seq_cst(&port->busy) == 0) /* pairs: port-busy */
            return true;
        ftli_cpu_relax();
    }
    return false;
}

/* Of the ports whose gate this call has shut, or close for ever. Returns how many a thread is inside of. */
static uint32_t post_outboxes(struct ftl_runtime *runtime, struct ftli_port *const *shut, uint32_t n)
{
    uint32_t left = 0;
    bool any = false;
    if (n != 0 && asymmetric)
        (void)ftli_os_membarrier();
    for (uint32_t i = 0; i < n; i++) {
        if (is_left_soon(shut[i]))
            any |= ftli_outbox_post(shut[i]);
        else
            left++;
        open_after_claim(shut[i]);
    }
    if (any) /* at once: they have waited */
        ftli_actor_wake(runtime->cleanup.actor);
    return left;
}

uint32_t ftli_port_visit(struct ftl_runtime *runtime, bool (*wanted)(const struct ftli_port *),
                         void (*visit)(struct ftli_port *))
{
    struct ftli_port *shut[CLAIMS_MOST];
    uint32_t n = 0, left = 0;
    uint32_t count = ftli_port_count();
    for (uint32_t i = 0; i < count; i++) {
        struct ftli_port *port = ftli_port_at(i, runtime->number);
        if (port == NULL || !wanted(port) || ftli_u32_load_relaxed(&port->gate) == FTLI_GATE_CLOSED)
            continue;
        if (n < CLAIMS_MOST && shut_for_claim(port))
            shut[n++] = port;
        else
            left++;
    }
    if (n != 0 && asymmetric)
        (void)ftli_os_membarrier();
    for (uint32_t i = 0; i < n; i++) {
        if (is_left_soon(shut[i]))
            visit(shut[i]);
        else
            left++;
        open_after_claim(shut[i]);
    }
    return left;
}

uint32_t ftli_port_post_outboxes(struct ftl_runtime *runtime, uint64_t until_ns)
{
    struct ftli_port *shut[CLAIMS_MOST];
    uint32_t n = 0, left = 0;
    uint32_t count = ftli_port_count();
    for (uint32_t i = 0; i < count; i++) {
        struct ftli_port *port = ftli_port_at(i, runtime->number);
        uint64_t since_ns = port != NULL ? ftli_outbox_since_ns(port) : 0;
        if (since_ns == 0)
            continue;
        if (since_ns <= until_ns && n < CLAIMS_MOST &&
            (shut_for_claim(port) || ftli_u32_load_seq_cst(&port->gate) == FTLI_GATE_CLOSED))
            shut[n++] = port;
        else
            left++; /* too young, or another has claimed it */
    }
    return left + post_outboxes(runtime, shut, n);
}

/* A thread that ended while its port held nothing is not seen by the tick, which rests then: so who asks looks, and has the
 * tick come to vacate the port. */
uint64_t ftli_port_thread_ended_ns(struct ftli_port *port, struct ftl_runtime *runtime)
{
    if (ftli_u32_load_acquire(&port->state) != FTLI_PORT_USED || !is_dead(port))
        return ftli_u64_load_acquire(&port->thread_ended_ns);
    ftli_allocation_need_tick(runtime->device);
    return ftli_kernel_now_ns(runtime->kernel);
}

uint64_t ftli_port_claim_idle(void *user, uint64_t now_ns)
{
    struct ftl_runtime *runtime = user;
    struct ftli_port *idle[CLAIMS_MOST];
    uint32_t n = 0;
    uint64_t working = 0;
    uint32_t count = ftli_port_count();
    uint32_t stamp_ms = ftli_stamp_raise(runtime, (uint32_t)((now_ns - runtime->opened_ns) / 1000000));
    for (uint32_t i = 0; i < count; i++) {
        struct ftli_port *port = ftli_port_at(i, runtime->number);
        if (port == NULL || ftli_u32_load_acquire(&port->state) != FTLI_PORT_USED)
            continue;
        ftli_u32_store_relaxed(&port->stamp_ms, stamp_ms);
        uint64_t activity = activity_of(port);
        if (activity != port->seen_activity) {
            port->seen_activity = activity;
            port->seen_ns = now_ns;
            working++;
            continue;
        }
        if (now_ns - port->seen_ns < IDLE_NS) {
            working++;
            continue;
        }
        vacate(port, runtime, now_ns);
        if (ftli_u32_load_acquire(&port->state) != FTLI_PORT_USED || ftli_rack_is_empty(&port->rack))
            continue;
        if (n < CLAIMS_MOST)
            idle[n++] = port;
        else
            working++;
    }
    claim(idle, n, runtime->device);
    for (uint32_t i = 0; i < n; i++)
        working += !ftli_rack_is_empty(&idle[i]->rack);
    if (runtime->cleanup.every_drop_is_a_message)
        working += ftli_port_post_outboxes(runtime, now_ns > OLD_NS ? now_ns - OLD_NS : 0);
    return working;
}

/* ---- close --------------------------------------------------------------------------------------------------------- */

void ftli_port_shut_all(struct ftl_runtime *runtime)
{
    uint32_t count = ftli_port_count();
    for (uint32_t i = 0; i < count; i++) {
        struct ftli_port *port = ftli_port_at(i, runtime->number);
        if (port != NULL)
            ftli_u32_store_seq_cst(&port->gate, FTLI_GATE_CLOSED); /* pairs: port-claim */
    }
}

/* The call that is inside of a port ends, or its thread is dead. */
static bool wait_for_call(struct ftli_port *port, uint64_t deadline_ns)
{
    while (ftli_u32_load_seq_cst(&port->busy) != 0) {
        if (is_dead(port)) {
            ftli_u32_store_relaxed(&port->busy, 0);
            break;
        }
        if (ftli_clock_now_ns() > deadline_ns)
            return false;
        /* Leaving is a plain store, one instruction of each drop, and wakes nobody: so this sleeps for a tenth of a millisecond at a
         * time. */
        (void)ftli_os_wait(&port->busy, 1, ftli_deadline_ns(ftli_clock_now_ns(), 100000));
    }
    return true;
}

/* Who leaves last sees that the runtime is shut, and signals; or this sees that nobody is inside. */
static bool wait_for_bypassing(struct ftl_runtime *runtime, uint64_t deadline_ns)
{
    bool in_time = true;
    for (;;) {
        uint32_t ticket = ftli_event_prepare(&runtime->left);
        bool empty = ftli_u64_load_seq_cst(&runtime->bypassing) == 0; /* pairs: close-bypass */
        if (empty || !in_time) {
            ftli_event_cancel(&runtime->left);
            return empty;
        }
        in_time = ftli_event_wait(&runtime->left, ticket, deadline_ns);
    }
}

/* First the way without a port: when it is shut and empty nobody can be opening a gate any more. Then the gates. */
bool ftli_port_close_all(struct ftl_runtime *runtime, uint64_t wait_ns)
{
    uint64_t deadline_ns = ftli_deadline_ns(ftli_clock_now_ns(), wait_ns);
    ftli_u32_store_seq_cst(&runtime->state, FTLI_RUNTIME_SHUT); /* pairs: close-bypass */
    bool over = wait_for_bypassing(runtime, deadline_ns);
    ftli_port_shut_all(runtime);
    if (asymmetric)
        (void)ftli_os_membarrier();
    uint32_t count = ftli_port_count();
    for (uint32_t i = 0; i < count && over; i++) {
        struct ftli_port *port = ftli_port_at(i, runtime->number);
        over = port == NULL || wait_for_call(port, deadline_ns);
    }
    if (!over)
        ftli_u32_store_seq_cst(&runtime->state, FTLI_RUNTIME_CLOSING);
    return over;
}

void ftli_port_release_all(struct ftl_runtime *runtime)
{
    uint32_t count = ftli_port_count();
    for (uint32_t i = 0; i < count; i++) {
        struct ftli_port *port = ftli_port_at(i, runtime->number);
        if (port == NULL)
            continue;
        bool held = ftli_u32_load_acquire(&port->state) == FTLI_PORT_USED && !is_dead(port);
        memset(&port->counters, 0, sizeof port->counters);
        memset(&port->ring, 0, sizeof port->ring);
        port->owner = NULL;
        ftli_u32_store_release(&port->runtime, 0);
        ftli_u32_store_release(&port->state, held ? FTLI_PORT_ORPHAN : FTLI_PORT_FREE);
    }
    if (ftli_thread.runtime == runtime->number) {
        ftli_thread.runtime = 0;
        ftli_thread_turn(&ftli_thread);
    }
}
