#include "runtime/base/clock.h"

#if defined __x86_64__
#include <cpuid.h>
#endif

#define ANCHOR_NS    (UINT64_C(25) * FTLI_NS_PER_MS)
#define BASE_NS      (UINT64_C(5) * FTLI_NS_PER_MS) /* shorter stretches say too little about the rate */
#define READS        4
#define READ_CYCLES  10000 /* between the two counters around a reading; more, and it was interrupted */
#define OFF_NS       (UINT64_C(50) * FTLI_NS_PER_US)
#define STRIKES_MOST 3

enum { UNKNOWN = 0, COUNTER = 1, SYSTEM = 2 };

/* The line now = ns + (cycles - cycles_then) * rate / 2^32, good for `most` cycles. One per process, as the counter is.
 * pairs: clock-anchor. version: odd while it is written. All fields are stored with release after it became odd and loaded with
 * acquire before it is loaded again, so a reader that saw it change uses none of them. */
static struct {
    FTLI_ALIGNED(64) ftli_atomic_u32 version;
    ftli_atomic_u32 source;
    ftli_atomic_u64 cycles, ns, rate, most;
    uint32_t strikes; /* the writer's */
} anchor;

static bool counter_is_invariant(void)
{
#if defined __x86_64__
    unsigned a, b, c, d;
    return __get_cpuid(0x80000007u, &a, &b, &c, &d) != 0 && (d >> 8 & 1) != 0;
#else
    return false;
#endif
}

/* Both clocks at one moment; false: it was interrupted each time. */
static bool read_both(uint64_t *cycles, uint64_t *ns)
{
    for (unsigned i = 0; i < READS; i++) {
        uint64_t before = ftli_clock_cycles();
        *ns = ftli_clock_system_ns();
        uint64_t took = ftli_clock_cycles() - before;
        *cycles = before + took / 2;
        if (took < READ_CYCLES)
            return true;
    }
    return false;
}

/* The counter was not where the line said: it stands still in some power state, or differs between processors. */
static bool is_trusted(uint64_t cycles, uint64_t ns)
{
    uint64_t passed = cycles - ftli_u64_load_relaxed(&anchor.cycles), most = ftli_u64_load_relaxed(&anchor.most);
    if (most == 0 || passed > 2 * most)
        return true;
    uint64_t said = ftli_u64_load_relaxed(&anchor.ns) + (passed * ftli_u64_load_relaxed(&anchor.rate) >> 32);
    uint64_t off = said > ns ? said - ns : ns - said;
    anchor.strikes = off > OFF_NS ? anchor.strikes + 1 : 0;
    return anchor.strikes < STRIKES_MOST;
}

static void put(uint64_t cycles, uint64_t ns, uint64_t rate, uint64_t most)
{
    ftli_u64_store_release(&anchor.cycles, cycles);
    ftli_u64_store_release(&anchor.ns, ns);
    ftli_u64_store_release(&anchor.rate, rate);
    ftli_u64_store_release(&anchor.most, most);
}

/* Between the two changes of the version: this thread alone. */
static void move_anchor(void)
{
    uint64_t cycles, ns, then = ftli_u64_load_relaxed(&anchor.cycles), then_ns = ftli_u64_load_relaxed(&anchor.ns);
    if (!read_both(&cycles, &ns))
        return;
    if (then == 0 || cycles <= then || ns <= then_ns || ns - then_ns > FTLI_NS_PER_S) {
        /* the first, or too long ago to be of use: the rate is measured from here, and until then the last one holds */
        put(cycles, ns, ftli_u64_load_relaxed(&anchor.rate), ftli_u64_load_relaxed(&anchor.most));
        return;
    }
    if (ns - then_ns < BASE_NS)
        return;
    if (!is_trusted(cycles, ns)) {
        put(cycles, ns, 0, 0);
        ftli_u32_store_relaxed(&anchor.source, SYSTEM);
        return;
    }
    uint64_t rate = ((ns - then_ns) << 32) / (cycles - then); /* of at most a second: fits */
    if (rate == 0 || rate >> 34 != 0) {
        put(cycles, ns, 0, 0);
        return;
    }
    put(cycles, ns, rate, (ANCHOR_NS << 32) / rate);
}

static FTLI_NOINLINE uint64_t now_slow(void)
{
    uint64_t now_ns = ftli_clock_system_ns();
    uint32_t source = ftli_u32_load_relaxed(&anchor.source);
    if (source == UNKNOWN) {
        source = counter_is_invariant() ? COUNTER : SYSTEM;
        ftli_u32_store_relaxed(&anchor.source, source);
    }
    if (source == SYSTEM)
        return now_ns;
    uint32_t version = ftli_u32_load_relaxed(&anchor.version);
    if ((version & 1) != 0 || !ftli_u32_cas_acq_rel(&anchor.version, &version, version + 1))
        return now_ns; /* somebody moves it: another thread, or this one under a signal handler */
    move_anchor();
    ftli_u32_store_release(&anchor.version, version + 2); /* pairs: clock-anchor */
    return now_ns;
}

uint64_t ftli_clock_now_ns(void)
{
    uint32_t version = ftli_u32_load_acquire(&anchor.version); /* pairs: clock-anchor */
    uint64_t passed = ftli_clock_cycles() - ftli_u64_load_acquire(&anchor.cycles);
    uint64_t ns = ftli_u64_load_acquire(&anchor.ns), rate = ftli_u64_load_acquire(&anchor.rate);
    if (FTLI_UNLIKELY(passed >= ftli_u64_load_acquire(&anchor.most) || (version & 1) != 0 ||
                      ftli_u32_load_relaxed(&anchor.version) != version))
        return now_slow();
    return ns + (passed * rate >> 32);
}
