/* The header word (tensor/word.h): what orders a tensor's memory between its lives and its threads.
 *
 * Shipped    ftli_word_new, _retain, _drop, _pin, _unpin, _fix, _reclaiming, _reclaim, all of them inline.
 * Stand-in   The read of header->data between two looks at the word is written here as actors/port/access.c has it; the mover's two
 *            steps are written here as tests/model/word.pml has them (nothing moves tensors yet).
 *
 * Properties
 *   W1  of all that end a tensor exactly one has the header afterwards (MINE or POST)
 *   W2  a drop is counted before its reclaim
 *   W3  memory is written again only after all who used it: no two accesses race; what a life wrote is what its users see
 *   W4  who has a handle of a later life never reads what belongs to an earlier one
 *
 * planted: word_references ftli_word_drop u64_cas_acq_rel acquire : a drop does not release what its thread did with the memory (W3)
 * planted: word_references ftli_word_drop u64_cas_acq_rel release + ftli_word_drop u64_load_acquire relaxed : the last drop does not acquire (W3)
 * planted: word_pins ftli_word_unpin u64_cas_acq_rel acquire : an unpin does not release what was done with the memory (W3)
 * planted: word_pins ftli_word_unpin u64_cas_acq_rel release + ftli_word_unpin u64_load_acquire relaxed : the last unpin does not acquire (W2)
 * planted: word_lives ftli_word_new u64_store_release relaxed : new does not release what it wrote (W3)
 * planted: word_lives ftli_word_pin u64_cas_acq_rel release + ftli_word_pin u64_load_acquire relaxed : a pin does not acquire it (W3)
 * planted: word_lives ftli_word_drop_at_once u64_cas_acq_rel release : the drop in place does not acquire what an unpin released (W3)
 * planted: word_data ftli_word_new u64_store_release relaxed : a reader of the new life sees the old address (W4)
 * planted: word_data data_of u64_load_acquire relaxed : a reader's looks do not hold its read of the address between them (W4)
 * planted: word_move ftli_word_unpin u64_cas_acq_rel acquire : the mover gives a location back under somebody who had it pinned (W3)
 * planted: word_move change u64_cas_acq_rel acquire : a commit does not release the copy (W3)
 * planted: word_retain ftli_word_retain u64_cas_acq_rel release + ftli_word_retain u64_load_acquire relaxed : a retain does not acquire (W3)
 * planted: word_retain ftli_word_reclaim u64_store_release relaxed + ftli_word_new u64_store_release relaxed : reclaim and new release nothing (W3)
 */
#include "tensor/word.h"
#include "tests/relacy/machine.h"

static struct {
    ftli_atomic_u64 word;
    ftli_atomic_u64 data;
} header;
static ftli_atomic_u64 handle; /* how the program hands a generation on: with no order at all */
static uint64_t memory[2];
static uint64_t deferred_drops;
static ftli_atomic_u32 owners, lives;

static uint32_t pass_on(void)
{
    return (uint32_t)ftli_u64_load_relaxed(&handle);
}

static void begin(uint64_t word)
{
    ftli_u64_store_relaxed(&header.word, word);
    ftli_u64_store_relaxed(&header.data, 0);
    ftli_u64_store_relaxed(&handle, 1);
    memory[0] = memory[1] = deferred_drops = 0;
    ftli_u32_store_relaxed(&owners, 0);
    ftli_u32_store_relaxed(&lives, 0);
    relacy_name(&header.word, 8, "word");
    relacy_name(&header.data, 8, "data");
    relacy_name(&handle, 8, "handle");
    relacy_name(memory, sizeof memory, "memory");
    relacy_name(&deferred_drops, 8, "drops");
}

/* The header is the caller's: its memory becomes somebody else's. */
static void own(void)
{
    (void)ftli_u32_fetch_add_relaxed(&owners, 1);
    memory[0] = memory[1] = 99;
}

static void reclaim(void)
{
    ftli_word_reclaiming(&header.word);
    own();
    RELACY_CHECK(ftli_word_reclaim(&header.word));
}

static void one_owner(void)
{
    RELACY_CHECK(ftli_u32_load_relaxed(&owners) == 1);
    RELACY_CHECK(ftli_word_state(ftli_u64_load_relaxed(&header.word)) == FTLI_FREE);
    RELACY_CHECK(ftli_word_generation(ftli_u64_load_relaxed(&header.word)) == 2);
}

/* ---- several references ------------------------------------------------------------------------------------------------ */

static void begin_references(void)
{
    begin(ftli_word_make(1, FTLI_WORD_FIXED | 3 * FTLI_WORD_REFERENCE | FTLI_LIVE));
}

static void use_and_drop(unsigned part, bool in_place)
{
    memory[part] = part + 1;
    enum ftli_word_result result = ftli_word_drop(&header.word, 1, in_place);
    if (result == FTLI_WORD_MINE)
        own();
    else if (result == FTLI_WORD_POST)
        reclaim();
    else
        RELACY_CHECK(result == FTLI_WORD_DONE);
}

static void first_holder(void)
{
    use_and_drop(0, true);
}

static void second_holder(void)
{
    use_and_drop(1, false);
}

static void third_holder(void)
{
    RELACY_CHECK(ftli_word_retain(&header.word, 1) == FTLI_WORD_DONE);
    RELACY_CHECK(ftli_word_drop(&header.word, 1, true) == FTLI_WORD_DONE);
    enum ftli_word_result result = ftli_word_drop(&header.word, 1, true);
    if (result == FTLI_WORD_MINE)
        own();
}

static relacy_test references = {
    "word_references", 3, begin_references, {first_holder, second_holder, third_holder}, one_owner, 6000, 6000, 0};
RELACY_TEST(references)

/* ---- the last drop meets pins --------------------------------------------------------------------------------------------- */

static void begin_pins(void)
{
    begin(ftli_word_make(1, FTLI_WORD_SLOW | FTLI_WORD_REFERENCE | 2 * FTLI_WORD_PIN | FTLI_LIVE));
}

static void posted(void)
{
    RELACY_CHECK(deferred_drops == 1); /* W2 */
    reclaim();
}

static void drop_pinned(void)
{
    memory[0]++;
    enum ftli_word_result result = ftli_word_drop(&header.word, 1, false);
    deferred_drops++;
    if (result == FTLI_WORD_POST)
        reclaim();
    else if (result == FTLI_WORD_GUARDED && ftli_word_unpin(&header.word, 1) == FTLI_WORD_POST)
        posted();
}

static void unpin_first(void)
{
    memory[1] = 5;
    if (ftli_word_unpin(&header.word, 1) == FTLI_WORD_POST)
        posted();
}

static void unpin_second(void)
{
    if (ftli_word_unpin(&header.word, 1) == FTLI_WORD_POST)
        posted();
    else
        RELACY_CHECK(ftli_word_retain(&header.word, 2) == FTLI_WORD_STALE);
}

static relacy_test pins = {"word_pins", 3,    begin_pins, {drop_pinned, unpin_first, unpin_second},
                           one_owner,   6000, 6000,       0};
RELACY_TEST(pins)

/* ---- two lives of one slot ---------------------------------------------------------------------------------------------------- */

static void begin_free(void)
{
    begin(ftli_word_make(1, FTLI_FREE));
}

static void two_lives(void)
{
    for (uint64_t life = 1; life <= 2; life++) {
        memory[0] = 10 * life;
        uint32_t generation = ftli_word_new(&header.word, FTLI_WORD_FIXED);
        ftli_u64_store_relaxed(&handle, generation);
        if (ftli_word_drop_fast(&header.word, generation))
            continue;
        enum ftli_word_result result = ftli_word_drop(&header.word, generation, true);
        if (result == FTLI_WORD_GUARDED)
            result = ftli_word_unpin(&header.word, generation);
        if (result == FTLI_WORD_POST) {
            ftli_word_reclaiming(&header.word);
            memory[0] = 0;
            RELACY_CHECK(ftli_word_reclaim(&header.word));
        }
        if (result == FTLI_WORD_DONE)
            return; /* whoever unpins last has it */
    }
}

static void pin_a_weak_one(void)
{
    for (int times = 0; times < 2; times++) {
        uint32_t generation = pass_on();
        uint64_t word;
        if (ftli_word_pin(&header.word, generation, &word) != FTLI_WORD_DONE)
            continue;
        RELACY_CHECK(memory[0] == 10 * generation);
        if (ftli_word_unpin(&header.word, generation) != FTLI_WORD_POST)
            continue;
        ftli_word_reclaiming(&header.word);
        memory[0] = 0;
        RELACY_CHECK(ftli_word_reclaim(&header.word));
    }
}

static relacy_test word_lives = {"word_lives", 2, begin_free, {two_lives, pin_a_weak_one}, NULL, 10000, 10000, 0};
RELACY_TEST(word_lives)

/* ---- data() of a weak handle ------------------------------------------------------------------------------------------------------- */

static void two_addresses(void)
{
    for (uint64_t life = 1; life <= 2; life++) {
        ftli_u64_store_release(&header.data, 100 * life); /* as actors/allocation/take.c has it */
        uint32_t generation = ftli_word_new(&header.word, FTLI_WORD_FIXED);
        ftli_u64_store_relaxed(&handle, generation);
        RELACY_CHECK(ftli_word_drop_fast(&header.word, generation));
    }
}

/* As actors/port/access.c has it; noinline, so that the weakenings find it. */
static FTLI_NOINLINE uint64_t data_of(uint32_t generation)
{
    if (!ftli_word_is_live(ftli_u64_load_acquire(&header.word), generation))
        return 0;
    uint64_t address = ftli_u64_load_acquire(&header.data);
    if (!ftli_word_is_live(ftli_u64_load_acquire(&header.word), generation))
        return 0;
    return address;
}

static void look_at_addresses(void)
{
    for (int times = 0; times < 2; times++) {
        uint32_t generation = pass_on();
        uint64_t address = data_of(generation);
        RELACY_CHECK(address == 0 || address == 100 * generation);
    }
}

static relacy_test word_data = {"word_data", 2, begin_free, {two_addresses, look_at_addresses}, NULL, 10000, 10000, 0};
RELACY_TEST(word_data)

/* ---- retain of a weak handle, and a slot that a reclaimer hands on -------------------------------------------------------------- */

static void create_and_drop(void)
{
    memory[0] = 10;
    uint32_t generation = ftli_word_new(&header.word, FTLI_WORD_SLOW);
    ftli_u64_store_relaxed(&handle, generation);
    if (ftli_word_drop(&header.word, generation, false) != FTLI_WORD_POST)
        return;
    ftli_word_reclaiming(&header.word);
    memory[0] = 20;
    RELACY_CHECK(ftli_word_reclaim(&header.word));
    (void)ftli_word_new(&header.word, FTLI_WORD_SLOW);
    ftli_u64_store_relaxed(&handle, generation + 1);
}

static void retain_a_weak_one(void)
{
    uint32_t generation = pass_on();
    if (ftli_word_retain(&header.word, generation) != FTLI_WORD_DONE)
        return;
    RELACY_CHECK(memory[0] == 10 * generation);
    if (ftli_word_drop(&header.word, generation, false) == FTLI_WORD_POST)
        memory[0] = 0;
}

static relacy_test word_retain = {"word_retain", 2,    begin_free, {create_and_drop, retain_a_weak_one},
                                  NULL,          8000, 8000,       0};
RELACY_TEST(word_retain)

/* ---- a move ------------------------------------------------------------------------------------------------------------------------- */

/* memory[0] is the first location, memory[1] the second; data says nothing here, SEL names the current one. */
static void own_current(void)
{
    (void)ftli_u32_fetch_add_relaxed(&owners, 1);
    memory[(ftli_u64_load_relaxed(&header.word) & FTLI_WORD_SEL) != 0] = 99;
}

static void begin_movable(void)
{
    begin(ftli_word_make(1, FTLI_WORD_SLOW | FTLI_WORD_REFERENCE | FTLI_LIVE));
    memory[0] = 7;
}

static FTLI_NOINLINE bool change(uint64_t *seen, uint64_t next)
{
    return ftli_u64_cas_acq_rel(&header.word, seen, next);
}

static void move_once(void)
{
    uint64_t seen = ftli_u64_load_acquire(&header.word);
    while (ftli_word_is_live(seen, 1) && (seen & (FTLI_WORD_PINS | FTLI_WORD_FIXED)) == 0)
        if (change(&seen, seen | FTLI_WORD_MOVING)) {
            memory[1] = memory[0];
            seen |= FTLI_WORD_MOVING;
            for (;;) {
                bool commit = (seen & (FTLI_WORD_TOUCHED | FTLI_WORD_FIXED)) == 0 && ftli_word_is_live(seen, 1);
                uint64_t next = (seen & ~(FTLI_WORD_MOVING | FTLI_WORD_TOUCHED)) ^ (commit ? FTLI_WORD_SEL : 0);
                if (!change(&seen, next))
                    continue;
                if (commit)
                    memory[0] = 0; /* given back, and somebody else's */
                if (ftli_word_state(next) == FTLI_DROPPED && (next & FTLI_WORD_PINS) == 0)
                    own_current();
                return;
            }
        }
}

static void pin_while_moving(void)
{
    uint64_t word;
    if (ftli_word_pin(&header.word, 1, &word) != FTLI_WORD_DONE)
        return;
    unsigned at = (word & FTLI_WORD_SEL) != 0;
    RELACY_CHECK(memory[at] == 7);
    if (ftli_word_unpin(&header.word, 1) == FTLI_WORD_POST)
        own_current();
}

static void drop_while_moving(void)
{
    enum ftli_word_result result = ftli_word_drop(&header.word, 1, true);
    if (result == FTLI_WORD_POST || (result == FTLI_WORD_GUARDED && ftli_word_unpin(&header.word, 1) == FTLI_WORD_POST))
        own_current();
}

static void owned_once(void)
{
    RELACY_CHECK(ftli_u32_load_relaxed(&owners) == 1);
}

static relacy_test word_move = {"word_move", 3,    begin_movable, {move_once, pin_while_moving, drop_while_moving},
                                owned_once,  8000, 8000,          0};
RELACY_TEST(word_move)
