/* The gate of a port: its owner enters and leaves, the allocation actor's tick claims it (actors/port/port.[ch]).
 *
 * Shipped    ftli_port_enter (both ways: with membarrier, where that is refused) and ftli_port_leave, inline; claim() of port.c, which
 *            is included here as it is.
 * Stand-in   the magazines behind the gate: one plain number; ftli_rack_flush takes it. The membarrier orders all threads at one
 *            moment, as the system's does.
 *
 * Properties
 *   P1  owner and claimer are never both behind the gate: their plain accesses never race, and nothing that the owner put in is lost
 *   P2  who is refused goes another way: the claimer leaves the gate open again
 *
 * planted: port_fast claim membarrier none : the claimer looks at busy without the membarrier (P1)
 * planted: port_strict ftli_port_enter u32_store_seq_cst release : busy is not in the one order of all (P1)
 * planted: port_strict ftli_port_enter u32_load_seq_cst acquire : the owner's look at the gate is not in it (P1)
 * planted: port_strict shut_for_claim u32_cas_seq_cst acq_rel : the claimer's shutting of the gate is not in it (P1)
 * planted: port_strict claim u32_load_seq_cst relaxed : the claimer's look at busy is not, and does not acquire (P1)
 * planted: port_fast ftli_port_leave u32_store_release relaxed : the owner's leaving does not release (P1)
 * planted: port_fast open_after_claim u32_cas_seq_cst acquire : the claimer's leaving does not release (P1)
 * planted: port_fast ftli_port_enter_fast u32_load_acquire relaxed : the owner's entering does not acquire (P1)
 */
#include "actors/port/port.c"
#include "tests/relacy/machine.h"
#include "tests/relacy/system.h"

static struct ftli_port port;
static uint64_t put, taken, magazine;

uint64_t ftli_rack_flush(struct ftli_rack *rack, struct ftli_device *device)
{
    (void)rack;
    (void)device;
    taken += magazine;
    magazine = 0;
    return 0;
}

static void begin(bool strict)
{
    asymmetric = !strict;
    system_refuses_membarrier = strict;
    ftli_u32_store_relaxed(&port.busy, 0);
    ftli_u32_store_relaxed(&port.gate, FTLI_GATE_OPEN);
    port.strict = strict;
    put = taken = magazine = 0;
    relacy_name(&port.busy, 4, "busy");
    relacy_name(&port.gate, 4, "gate");
    relacy_name(&magazine, 8, "magazine");
}

static void begin_fast(void)
{
    begin(false);
}

static void begin_strict(void)
{
    begin(true);
}

static void owner(void)
{
    for (int i = 0; i < 3; i++)
        if (ftli_port_enter(&port)) {
            relacy_step();
            magazine++;
            put++;
            ftli_port_leave(&port);
        }
}

static void claimer(void)
{
    struct ftli_port *idle[] = {&port};
    claim(idle, 1, NULL);
    claim(idle, 1, NULL);
}

static void nothing_lost(void)
{
    RELACY_CHECK(taken + magazine == put);                             /* P1 */
    RELACY_CHECK(ftli_u32_load_relaxed(&port.gate) == FTLI_GATE_OPEN); /* P2 */
    RELACY_CHECK(ftli_u32_load_relaxed(&port.busy) == 0);
}

static relacy_test fast = {"port_fast", 2, begin_fast, {owner, claimer}, nothing_lost, 10000, 10000, 0};
RELACY_TEST(fast)
static relacy_test strict_test = {"port_strict", 2, begin_strict, {owner, claimer}, nothing_lost, 10000, 10000, 0};
RELACY_TEST(strict_test)
