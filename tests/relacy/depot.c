/* The depot's counted stacks (actors/allocation/depot.[ch]).
 *
 * Shipped    all of depot.c: take_full, take_empty, give, depth and bytes, over its own memory.
 * Stand-in   what lies in a magazine: one number in the place of the handles.
 *
 * Properties
 *   M1  a magazine has one owner at a time: who takes one finds what its giver put into it, whole
 *   M2  none is lost and none is there twice, although a thread may be stopped between its look at the top and its swap (ABA)
 *   M3  depth and sum, which each push writes into the topmost magazine, are right at rest, and never more than there is
 *
 * planted: depot push u64_cas_acq_rel acquire : a push does not release what is in the magazine (M1)
 * planted: depot pop u64_cas_acq_rel release + pop u64_load_acquire relaxed : a pop does not acquire it (M1)
 * planted: depot push u64_cas_acq_rel acquire + push u32_store_release relaxed : nor the one below it, and the stack tears (M1 or M2)
 * planted: depot_sums push u64_cas_acq_rel acquire + push u64_store_release relaxed : a push does not release its sums (M3)
 * planted: depot_sums push u64_load_acquire relaxed + push u64_cas_acq_rel release : a push on top does not acquire those below (M3)
 */
#include "actors/allocation/depot.h"
#include "tests/relacy/machine.h"

enum { CLASS = 1, MAGAZINES = 3, HEADERS = 4 };

static struct ftli_depot depot;
static struct ftli_depot_stack *stack;

static void begin(void)
{
    RELACY_CHECK(ftli_depot_init(&depot, 8) == 0);
    stack = &depot.full[0][CLASS];
    for (unsigned i = 0; i < MAGAZINES; i++) {
        struct ftli_magazine *magazine = ftli_depot_make_empty(&depot);
        RELACY_CHECK(magazine != NULL);
        magazine->size_class = CLASS;
        magazine->entries[0] = i;
        ftli_u32_store_relaxed(&magazine->count, HEADERS);
        ftli_depot_give(&depot, magazine, 0);
    }
    relacy_name(stack, sizeof *stack, "stack");
    relacy_name(&depot.magazines[1], sizeof depot.magazines[1], "magazine 1");
    relacy_name(&depot.magazines[2], sizeof depot.magazines[2], "magazine 2");
    relacy_name(&depot.magazines[3], sizeof depot.magazines[3], "magazine 3");
}

static struct ftli_magazine *take(void)
{
    struct ftli_magazine *magazine = ftli_depot_take_full_from(&depot, CLASS, 0);
    if (magazine != NULL) {
        RELACY_CHECK(magazine->entries[0] < 100); /* M1: nobody has it */
        magazine->entries[0] += 100;
    }
    return magazine;
}

static void give(struct ftli_magazine *magazine)
{
    if (magazine == NULL)
        return;
    magazine->entries[0] -= 100;
    ftli_depot_give(&depot, magazine, 0);
}

static void take_two(void)
{
    struct ftli_magazine *first = take(), *second = take();
    give(first);
    give(second);
}

static void take_one_twice(void)
{
    give(take());
    give(take());
}

static void take_one(void)
{
    give(take());
}

static void all_there(void)
{
    uint32_t seen = 0, count = 0;
    uint64_t head = ftli_u64_load_relaxed(&stack->head);
    for (uint32_t i = (uint32_t)(head >> 32); i != 0; i = ftli_u32_load_relaxed(&depot.magazines[i].next)) {
        RELACY_CHECK((seen & 1u << i) == 0); /* M2 */
        seen |= 1u << i;
        RELACY_CHECK(++count <= MAGAZINES);
        RELACY_CHECK(depot.magazines[i].entries[0] < 100);
    }
    RELACY_CHECK(count == MAGAZINES);                           /* M2 */
    RELACY_CHECK(ftli_depot_depth(&depot, stack) == MAGAZINES); /* M3 */
    RELACY_CHECK(ftli_depot_bytes(&depot) == (uint64_t)MAGAZINES * HEADERS * ftli_class_bytes(CLASS));
    ftli_depot_fini(&depot);
}

static relacy_test of_depot = {"depot", 3, begin, {take_two, take_one_twice, take_one}, all_there, 20000, 20000, 0};
RELACY_TEST(of_depot)

static void look_at_sums(void)
{
    for (int i = 0; i < 2; i++) {
        RELACY_CHECK(ftli_depot_depth(&depot, stack) <= MAGAZINES); /* M3 */
        RELACY_CHECK(ftli_depot_bytes(&depot) <= (uint64_t)MAGAZINES * HEADERS * ftli_class_bytes(CLASS));
    }
}

static relacy_test of_sums = {"depot_sums", 3, begin, {take_two, take_one, look_at_sums}, all_there, 8000, 8000, 0};
RELACY_TEST(of_sums)
