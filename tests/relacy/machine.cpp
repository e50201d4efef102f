/* The machine: what the compiler's instrumentation for ThreadSanitizer calls, answered by relacy.
 *
 * What      Code compiled with -fsanitize=thread calls __tsan_atomicN_OPERATION(address, ..., order) for each of its atomic
 *           accesses and __tsan_readN/__tsan_writeN before each plain one. Here an atomic one asks relacy which of the last three
 *           values the thread may see under C11's rules, and is a point where another thread may go on; a plain one asks whether
 *           it races with an earlier one. So the sources that ship are checked as they are, not a transcript of them.
 * Limits    relacy's, of the memory model: a failed compare-and-swap sees the newest value; a load sees one of the last three (of
 *           the last two in the search by order); values out of thin air do not exist. Ours: a plain access to an
 *           address that was accessed atomically before is not looked at.
 * Weakened  --weaken CALL[,CALL...]=ORDER: the atomic accesses at these call instructions have that order instead of their own,
 *           where it is weaker. run.sh finds the addresses.
 */
#include <cstring>
#include <relacy/relacy.hpp>

#include "tests/relacy/machine.h"

namespace
{

typedef unsigned long long word64;

/* ---- the tests, and what the command line asks for ------------------------------------------------------------------- */

relacy_test *tests;
relacy_test *current;
unsigned limit, iterations;

struct weakening {
    uintptr_t call;
    rl::memory_order order;
};
weakening weakenings[256];
unsigned weakening_count;
bool without_membarrier;

/* ---- cells: what is known of an address --------------------------------------------------------------------------------- */

struct cell {
    uintptr_t address;
    rl::atomic_data *atomic;
    rl::var_data *plain;
    word64 values[rl::atomic_history_size];
    word64 newest;
};

const unsigned CELLS = 1u << 14;
cell *table[CELLS]; /* by address, open */
cell cells[CELLS / 2];
unsigned cell_count;
bool running;

void (*begin_atomic)(rl::atomic_data *); /* of the test's number of threads */
void (*park)(rl::atomic_data *);
unsigned (*unpark)(rl::atomic_data *, unsigned);

cell *cell_of(const volatile void *at)
{
    uintptr_t address = (uintptr_t)at;
    unsigned i = (unsigned)((address >> 2) * 2654435761u) % CELLS;
    for (; table[i] != 0; i = (i + 1) % CELLS)
        if (table[i]->address == address)
            return table[i];
    if (cell_count == CELLS / 2) {
        fprintf(stderr, "relacy: too many addresses in one run\n");
        abort();
    }
    cell *c = &cells[cell_count++];
    *c = cell();
    c->address = address;
    table[i] = c;
    return c;
}

void forget_cells(bool release)
{
    for (unsigned i = 0; release && i < cell_count; i++) {
        if (cells[i].atomic != 0)
            rl::ctx().atomic_dtor(cells[i].atomic);
        if (cells[i].plain != 0)
            rl::ctx().var_dtor(cells[i].plain);
    }
    cell_count = 0;
    memset(table, 0, sizeof table);
}

/* What memory holds when it is first accessed was there before the threads were. */
template <rl::thread_id_t N> void begin_atomic_of(rl::atomic_data *data)
{
    rl::atomic_data_impl<N> &d = *static_cast<rl::atomic_data_impl<N> *>(data);
    d.current_index_ = 1;
    typename rl::atomic_data_impl<N>::history_record &record = d.history_[1];
    record.busy_ = true;
    record.seq_cst_ = false;
    record.thread_id_ = 0;
    record.acq_rel_timestamp_ = 0;
    for (rl::thread_id_t i = 0; i != N; i++) {
        record.acq_rel_order_[i] = 0;
        record.first_seen_order_[i] = (rl::timestamp_t)-1;
    }
}

/* Without the order that relacy's own futex would give: nobody may rely on one. */
template <rl::thread_id_t N> void park_of(rl::atomic_data *data)
{
    rl::debug_info info("", "", 0);
    static_cast<rl::atomic_data_impl<N> *>(data)->futex_ws_.park_current(rl::ctx(), false, false, false, info);
}

template <rl::thread_id_t N> unsigned unpark_of(rl::atomic_data *data, unsigned most)
{
    rl::debug_info info("", "", 0);
    unsigned woken = 0;
    while (woken < most && static_cast<rl::atomic_data_impl<N> *>(data)->futex_ws_.unpark_one(rl::ctx(), info))
        woken++;
    return woken;
}

template <typename T> cell *atomic_at(const volatile T *at)
{
    cell *c = cell_of(at);
    if (c->atomic == 0) {
        c->atomic = rl::ctx().atomic_ctor(c);
        begin_atomic(c->atomic);
        c->newest = c->values[1] = (word64)*at;
    }
    return c;
}

/* ---- what belongs to a thread in the sources (__thread) is in this section; see run.sh -------------------------------------- */

extern "C" char __start_relacy_thread_local[] __attribute__((weak));
extern "C" char __stop_relacy_thread_local[] __attribute__((weak));

char locals[RELACY_THREADS_MOST][256];
unsigned local_thread;

void turn_to_thread()
{
    unsigned thread = (unsigned)rl::ctx().current_thread();
    if (thread == local_thread || __start_relacy_thread_local == 0)
        return;
    size_t bytes = (size_t)(__stop_relacy_thread_local - __start_relacy_thread_local);
    memcpy(locals[local_thread], __start_relacy_thread_local, bytes);
    memcpy(__start_relacy_thread_local, locals[thread], bytes);
    local_thread = thread;
}

/* ---- the history of a failure ------------------------------------------------------------------------------------------------- */

struct range {
    uintptr_t at;
    size_t bytes;
    const char *name;
};
range ranges[64];
unsigned range_count;

struct access_event {
    const char *what;
    uintptr_t address;
    word64 value;
    int order;
    uintptr_t call;

    void output(std::ostream &s) const
    {
        static const char *const orders[] = {"relaxed", "consume", "acquire", "release", "acq_rel", "seq_cst", "plain"};
        s << what << " " << orders[order] << " ";
        const range *r = 0;
        for (unsigned i = 0; i < range_count; i++)
            if (address - ranges[i].at < ranges[i].bytes)
                r = &ranges[i];
        if (r != 0)
            s << r->name << "+" << (address - r->at);
        else
            s << "0x" << std::hex << address << std::dec;
        s << " value 0x" << std::hex << value << " call 0x" << call << std::dec;
    }
};

void note(const char *what, const volatile void *at, word64 value, int order, uintptr_t call)
{
    rl::context &c = rl::ctx();
    if (c.collecting_history()) {
        access_event event = {what, (uintptr_t)at, value, order, call};
        c.exec_log(rl::debug_info("", "", 0), event);
    }
}

/* ---- atomic accesses -------------------------------------------------------------------------------------------------------------- */

rl::memory_order order_of(int order)
{
    switch (order) {
    case __ATOMIC_RELAXED:
        return rl::mo_relaxed;
    case __ATOMIC_CONSUME:
    case __ATOMIC_ACQUIRE:
        return rl::mo_acquire;
    case __ATOMIC_RELEASE:
        return rl::mo_release;
    case __ATOMIC_ACQ_REL:
        return rl::mo_acq_rel;
    default:
        return rl::mo_seq_cst;
    }
}

bool acquires(rl::memory_order order)
{
    return order == rl::mo_acquire || order == rl::mo_acq_rel || order == rl::mo_seq_cst;
}

bool releases(rl::memory_order order)
{
    return order == rl::mo_release || order == rl::mo_acq_rel || order == rl::mo_seq_cst;
}

rl::memory_order made_of(bool acquire, bool release)
{
    return acquire ? (release ? rl::mo_acq_rel : rl::mo_acquire) : (release ? rl::mo_release : rl::mo_relaxed);
}

/* The order of an access at this place: its own, or no more than what it is weakened to. */
rl::memory_order ordered(int order, uintptr_t call)
{
    rl::memory_order own = order_of(order);
    for (unsigned i = 0; i < weakening_count; i++)
        if (weakenings[i].call == call && weakenings[i].order != rl::mo_seq_cst)
            own =
                made_of(acquires(own) && acquires(weakenings[i].order), releases(own) && releases(weakenings[i].order));
    return own;
}

/* The call instruction, five bytes on x86-64 and four elsewhere. */
#if defined __x86_64__
#define CALL ((uintptr_t)__builtin_return_address(0) - 5)
#else
#define CALL ((uintptr_t)__builtin_return_address(0) - 4)
#endif

void step()
{
    rl::ctx().sched();
    turn_to_thread();
}

template <typename T> T load(const volatile T *at, int order, uintptr_t call)
{
    if (!running)
        return *at;
    step();
    rl::memory_order mo = ordered(order, call);
    cell *c = atomic_at(at);
    rl::thread_info_base &thread = *rl::ctx().threadx_;
    unsigned i = mo == rl::mo_seq_cst ? thread.atomic_load_seq_cst(c->atomic)
                 : acquires(mo)       ? thread.atomic_load_acquire(c->atomic)
                                      : thread.atomic_load_relaxed(c->atomic);
    note(c->values[i] == c->newest ? "load" : "load of an older value", at, c->values[i], mo, call);
    return (T)c->values[i];
}

template <typename T> void remember(cell *c, volatile T *at, T value, unsigned i)
{
    c->values[i] = c->newest = (word64)value;
    *at = value;
}

template <typename T> void store(volatile T *at, T value, int order, uintptr_t call)
{
    if (!running) {
        *at = value;
        return;
    }
    step();
    rl::memory_order mo = ordered(order, call);
    cell *c = atomic_at(at);
    rl::thread_info_base &thread = *rl::ctx().threadx_;
    unsigned i = mo == rl::mo_seq_cst ? thread.atomic_store_seq_cst(c->atomic)
                 : releases(mo)       ? thread.atomic_store_release(c->atomic)
                                      : thread.atomic_store_relaxed(c->atomic);
    remember(c, at, value, i);
    note("store", at, value, mo, call);
}

unsigned modified(cell *c, rl::memory_order mo)
{
    rl::thread_info_base &thread = *rl::ctx().threadx_;
    bool aba;
    switch (mo) {
    case rl::mo_relaxed:
        return thread.atomic_rmw_relaxed(c->atomic, aba);
    case rl::mo_acquire:
        return thread.atomic_rmw_acquire(c->atomic, aba);
    case rl::mo_release:
        return thread.atomic_rmw_release(c->atomic, aba);
    case rl::mo_acq_rel:
        return thread.atomic_rmw_acq_rel(c->atomic, aba);
    default:
        return thread.atomic_rmw_seq_cst(c->atomic, aba);
    }
}

struct exchange {
    template <typename T> static T of(T, T operand)
    {
        return operand;
    }
};
struct add {
    template <typename T> static T of(T old, T operand)
    {
        return (T)(old + operand);
    }
};
struct subtract {
    template <typename T> static T of(T old, T operand)
    {
        return (T)(old - operand);
    }
};
struct bit_and {
    template <typename T> static T of(T old, T operand)
    {
        return (T)(old & operand);
    }
};
struct bit_or {
    template <typename T> static T of(T old, T operand)
    {
        return (T)(old | operand);
    }
};
struct bit_xor {
    template <typename T> static T of(T old, T operand)
    {
        return (T)(old ^ operand);
    }
};

template <typename operation, typename T> T modify(volatile T *at, T operand, int order, uintptr_t call)
{
    if (!running) {
        T before = *at;
        *at = operation::of(before, operand);
        return before;
    }
    step();
    rl::memory_order mo = ordered(order, call);
    cell *c = atomic_at(at);
    T before = (T)c->newest;
    unsigned i = modified(c, mo);
    remember(c, at, operation::of(before, operand), i);
    note("modify", at, c->newest, mo, call);
    return before;
}

template <typename T>
bool compare_and_swap(volatile T *at, T *expected, T desired, int order, int failure_order, uintptr_t call)
{
    if (!running) {
        bool same = *at == *expected;
        if (same)
            *at = desired;
        else
            *expected = *at;
        return same;
    }
    step();
    rl::memory_order mo = ordered(order, call), failure = ordered(failure_order, call);
    cell *c = atomic_at(at);
    rl::thread_info_base &thread = *rl::ctx().threadx_;
    if ((T)c->newest == *expected) {
        remember(c, at, desired, modified(c, mo));
        note("swap", at, desired, mo, call);
        return true;
    }
    if (failure == rl::mo_seq_cst)
        thread.atomic_load_seq_cst_rmw(c->atomic);
    else if (acquires(failure))
        thread.atomic_load_acquire_rmw(c->atomic);
    else
        thread.atomic_load_relaxed_rmw(c->atomic);
    *expected = (T)c->newest;
    note("failed swap", at, c->newest, failure, call);
    return false;
}

/* ---- plain accesses ---------------------------------------------------------------------------------------------------------------- */

void plain(const volatile void *at, bool is_write, uintptr_t call)
{
    if (!running)
        return;
    turn_to_thread();
    cell *c = cell_of(at);
    if (c->atomic != 0)
        return;
    if (c->plain == 0)
        c->plain = rl::ctx().var_ctor();
    rl::thread_info_base &thread = *rl::ctx().threadx_;
    note(is_write ? "write" : "read", at, 0, 6, call);
    if (!(is_write ? c->plain->store(thread) : c->plain->load(thread)))
        rl::ctx().fail_test("two accesses that nothing orders", rl::test_result_data_race, rl::debug_info("", "", 0));
}

bool is_local(const volatile void *at)
{
    return __start_relacy_thread_local != 0 && (const volatile char *)at >= __start_relacy_thread_local &&
           (const volatile char *)at < __stop_relacy_thread_local;
}

/* ---- running ----------------------------------------------------------------------------------------------------------------------------- */

template <rl::thread_id_t N> struct suite : rl::test_suite<suite<N>, N> {
    void before()
    {
        running = false;
        forget_cells(false);
        memset(locals, 0, sizeof locals);
        if (__start_relacy_thread_local != 0)
            memset(__start_relacy_thread_local, 0, (size_t)(__stop_relacy_thread_local - __start_relacy_thread_local));
        local_thread = 0;
        range_count = 0;
        if (iterations++ == limit) {
            rl::ctx().rl_until("enough", rl::debug_info("", "", 0));
        }
        begin_atomic = begin_atomic_of<N>;
        park = park_of<N>;
        unpark = unpark_of<N>;
        current->before();
        running = true;
    }

    void thread(unsigned i)
    {
        current->thread[i]();
    }

    void after()
    {
        running = false;
        if (current->after != 0)
            current->after();
        forget_cells(true);
    }
};

template <rl::thread_id_t N, typename scheduler> rl::test_result_e run(rl::test_params &params)
{
    rl::ostringstream state;
    rl::test_result_e result = rl::run_test<suite<N>, scheduler>(params, state, false);
    params.final_state = state.str();
    return result;
}

template <rl::thread_id_t N> rl::test_result_e run(rl::test_params &params)
{
    return params.search_type == rl::sched_random ? run<N, rl::random_scheduler<N>>(params)
                                                  : run<N, rl::context_bound_scheduler<N>>(params);
}

rl::test_result_e run(rl::test_params &params)
{
    iterations = 0;
    return current->threads == 2 ? run<2>(params) : run<3>(params);
}

struct nowhere : std::streambuf {
    int overflow(int character)
    {
        return character;
    }
};

/* True: nothing was found. */
bool search(rl::scheduler_type_e type, unsigned switches, unsigned most, bool trace, unsigned *tried,
            const char **found)
{
    static nowhere nothing;
    static std::ostream quiet(&nothing);
    rl::test_params params;
    params.search_type = type;
    params.iteration_count = most;
    params.context_bound = switches;
    params.execution_depth_limit = 20000;
    params.output_stream = &std::cout;
    params.progress_stream = &quiet;
    limit = type == rl::sched_random ? ~0u : most;
    rl::test_result_e result = run(params);
    *tried = iterations;
    if (result == rl::test_result_success)
        return true;
    if (result == rl::test_result_until_condition_hit) {
        *tried = most;
        return true;
    }
    *found = rl::test_result_str(result);
    if (trace) {
        params.initial_state = params.final_state;
        params.collect_history = true;
        (void)run(params);
    }
    return false;
}

int parse_weakening(const char *text)
{
    static const struct {
        const char *name;
        rl::memory_order order;
    } names[] = {{"relaxed", rl::mo_relaxed},
                 {"acquire", rl::mo_acquire},
                 {"release", rl::mo_release},
                 {"acq_rel", rl::mo_acq_rel}};
    const char *equals = strchr(text, '=');
    if (equals == 0)
        return 2;
    for (unsigned n = 0; n < 4; n++) {
        if (strcmp(equals + 1, names[n].name) != 0)
            continue;
        for (const char *at = text; at < equals; at++) {
            char *end;
            uintptr_t call = strtoul(at, &end, 16);
            if (end == at || weakening_count == 256)
                return 2;
            weakening w = {call, names[n].order};
            weakenings[weakening_count++] = w;
            at = end;
        }
        return 0;
    }
    return 2;
}

} // namespace

extern "C" {

void relacy_add(relacy_test *test)
{
    test->next = tests;
    tests = test;
}

void relacy_name(const void *at, size_t bytes, const char *name)
{
    range r = {(uintptr_t)at, bytes, name};
    if (range_count < 64)
        ranges[range_count++] = r;
}

void relacy_checked(bool condition, const char *text, int line)
{
    if (!condition)
        rl::ctx().fail_test(text, rl::test_result_user_assert_failed, rl::debug_info("check", "", (unsigned)line));
}

void relacy_step(void)
{
    step();
}

bool relacy_is_running(void)
{
    return running;
}

void relacy_wait(const void *word, uint32_t expected)
{
    step();
    cell *c = atomic_at((const volatile uint32_t *)word);
    note((uint32_t)c->newest == expected ? "sleep" : "no sleep", word, c->newest, 6, CALL);
    if ((uint32_t)c->newest == expected)
        park(c->atomic);
    turn_to_thread();
}

void relacy_wake(const void *word, uint32_t most)
{
    step();
    cell *c = atomic_at((const volatile uint32_t *)word);
    unsigned woken = unpark(c->atomic, most);
    note("wake", word, woken, 6, CALL);
}

void relacy_membarrier(void)
{
    if (without_membarrier)
        return;
    step();
    note("membarrier", 0, 0, 6, CALL);
    rl::systemwide_fence(rl::debug_info("", "", 0));
}

/* ---- the instrumentation's entries ---------------------------------------------------------------------------------------------------------- */

void __tsan_init(void)
{
}
void __tsan_func_entry(void *)
{
}
void __tsan_func_exit(void)
{
}

#define PLAIN(bytes)                             \
    void __tsan_read##bytes(void *at)            \
    {                                            \
        if (running) {                           \
            turn_to_thread();                    \
            if (!is_local(at))                   \
                plain(at, false, CALL);          \
        }                                        \
    }                                            \
    void __tsan_write##bytes(void *at)           \
    {                                            \
        if (running) {                           \
            turn_to_thread();                    \
            if (!is_local(at))                   \
                plain(at, true, CALL);           \
        }                                        \
    }                                            \
    void __tsan_unaligned_read##bytes(void *at)  \
    {                                            \
        __tsan_read##bytes(at);                  \
    }                                            \
    void __tsan_unaligned_write##bytes(void *at) \
    {                                            \
        __tsan_write##bytes(at);                 \
    }
PLAIN(1)
PLAIN(2)
PLAIN(4)
PLAIN(8)
PLAIN(16)

void __tsan_read_range(void *at, unsigned long bytes)
{
    for (unsigned long i = 0; i < bytes; i += 8)
        plain((char *)at + i, false, CALL);
}
void __tsan_write_range(void *at, unsigned long bytes)
{
    for (unsigned long i = 0; i < bytes; i += 8)
        plain((char *)at + i, true, CALL);
}

#define ATOMIC(bits, T)                                                                                               \
    T __tsan_atomic##bits##_load(const volatile T *at, int order)                                                     \
    {                                                                                                                 \
        return load<T>(at, order, CALL);                                                                              \
    }                                                                                                                 \
    void __tsan_atomic##bits##_store(volatile T *at, T value, int order)                                              \
    {                                                                                                                 \
        store<T>(at, value, order, CALL);                                                                             \
    }                                                                                                                 \
    T __tsan_atomic##bits##_exchange(volatile T *at, T value, int order)                                              \
    {                                                                                                                 \
        return modify<exchange, T>(at, value, order, CALL);                                                           \
    }                                                                                                                 \
    T __tsan_atomic##bits##_fetch_add(volatile T *at, T value, int order)                                             \
    {                                                                                                                 \
        return modify<add, T>(at, value, order, CALL);                                                                \
    }                                                                                                                 \
    T __tsan_atomic##bits##_fetch_sub(volatile T *at, T value, int order)                                             \
    {                                                                                                                 \
        return modify<subtract, T>(at, value, order, CALL);                                                           \
    }                                                                                                                 \
    T __tsan_atomic##bits##_fetch_and(volatile T *at, T value, int order)                                             \
    {                                                                                                                 \
        return modify<bit_and, T>(at, value, order, CALL);                                                            \
    }                                                                                                                 \
    T __tsan_atomic##bits##_fetch_or(volatile T *at, T value, int order)                                              \
    {                                                                                                                 \
        return modify<bit_or, T>(at, value, order, CALL);                                                             \
    }                                                                                                                 \
    T __tsan_atomic##bits##_fetch_xor(volatile T *at, T value, int order)                                             \
    {                                                                                                                 \
        return modify<bit_xor, T>(at, value, order, CALL);                                                            \
    }                                                                                                                 \
    int __tsan_atomic##bits##_compare_exchange_strong(volatile T *at, T *expected, T desired, int order, int failure) \
    {                                                                                                                 \
        return compare_and_swap<T>(at, expected, desired, order, failure, CALL);                                      \
    }                                                                                                                 \
    int __tsan_atomic##bits##_compare_exchange_weak(volatile T *at, T *expected, T desired, int order, int failure)   \
    {                                                                                                                 \
        return compare_and_swap<T>(at, expected, desired, order, failure, CALL);                                      \
    }
ATOMIC(8, uint8_t)
ATOMIC(32, uint32_t)
ATOMIC(64, uint64_t)

} // extern "C"

int main(int argc, char **argv)
{
    const char *only = 0;
    bool trace = false;
    double share = 1;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--trace") == 0)
            trace = true;
        else if (strcmp(argv[i], "--names") == 0) {
            for (const relacy_test *test = tests; test != 0; test = test->next)
                printf("%s\n", test->name);
            return 0;
        } else if (strcmp(argv[i], "--without-membarrier") == 0)
            without_membarrier = true;
        else if (i + 1 < argc && strcmp(argv[i], "--test") == 0)
            only = argv[++i];
        else if (i + 1 < argc && strcmp(argv[i], "--share") == 0)
            share = atof(argv[++i]);
        else if (i + 1 < argc && strcmp(argv[i], "--weaken") == 0 && parse_weakening(argv[i + 1]) == 0)
            i++;
        else {
            fprintf(stderr, "relacy: [--test NAME] [--trace] [--share PART] [--without-membarrier] [--weaken "
                            "CALL[,CALL...]=ORDER]...\n");
            return 2;
        }
    }
    bool ran = false, failed = false;
    for (current = tests; current != 0; current = current->next) {
        if (only != 0 && strcmp(only, current->name) != 0)
            continue;
        ran = true;
        unsigned random = 0, bound = 0;
        const char *found = "no error";
        bool good = search(rl::sched_random, 0, (unsigned)(current->random * share), trace, &random, &found);
        /* All with one switch, then with two, three: as far as the number goes. */
        unsigned left = (unsigned)(current->bound * share);
        for (unsigned switches = 1; good && switches <= 3 && left != 0; switches++) {
            unsigned tried = 0;
            good = search(rl::sched_bound, switches, left, trace, &tried, &found);
            bound += tried;
            left -= tried < left ? tried : left;
        }
        printf("%s|%s|%u|%u|%s\n", current->name, good ? "clean" : "error", random, bound, found);
        fflush(stdout);
        failed = failed || !good;
    }
    return !ran ? 2 : failed;
}
