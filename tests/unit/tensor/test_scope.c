/* Scopes over a table of headers without memory: a tensor here is a LIVE word whose header names its scope. */
#include <criterion/criterion.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/random.h"
#include "tensor/scope.h"
#include "tensor/scope_cells.h"

enum { RUNTIME = 7, BYTES = 100 };

static struct ftli_table table;
static struct ftli_scopes scopes;

static void open_scopes(void)
{
    cr_assert_eq(ftli_table_open(&table, RUNTIME, 1 << 20), FTL_OK);
    cr_assert_eq(ftli_scopes_init(&scopes, &table), FTL_OK);
}

static void close_scopes(void)
{
    ftli_scopes_fini(&scopes);
    ftli_table_close(&table);
}

TestSuite(scope, .init = open_scopes, .fini = close_scopes);

static uint64_t open_scope(uint64_t parent, uint64_t hard_bytes)
{
    ftl_scope_options options = {.parent = {parent}, .hard_bytes = hard_bytes, .tag = 42};
    uint64_t id = 0;
    cr_assert_eq(ftli_scope_open_slot(&scopes, &options, 3, 1000, &id), FTL_OK);
    return id;
}

static uint64_t word_of(uint64_t id)
{
    return ftli_u64_load_seq_cst(&ftli_scope_find(&scopes, id)->word);
}

static struct ftli_header *header_of(uint64_t tensor)
{
    return ftli_table_header(&table, ftli_handle_slot(tensor));
}

/* A LIVE header of the scope; the caller has joined. */
static uint64_t make(uint64_t scope, uint32_t slot)
{
    struct ftli_header *header = ftli_table_header(&table, slot);
    ftli_u64_store_release(&header->size, ftli_size_make(BYTES, FTL_U8, 1));
    ftli_u64_store_release(&header->record, ftli_record_make(0, 0, 0, FTLI_HEADER_SCOPED));
    ftli_u32_store_release(&header->scope, ftli_handle_slot(scope));
    return ftli_handle_make(RUNTIME, slot, ftli_word_new(&header->word, FTLI_WORD_SLOW));
}

/* What the library's drop does for a member: the word leaves LIVE, the scope counts it out. */
static void drop(void *count, uint64_t tensor)
{
    struct ftli_header *header = header_of(tensor);
    if (ftli_word_drop(&header->word, ftli_handle_generation(tensor), true) != FTLI_WORD_POST)
        return;
    uint32_t scope = ftli_u32_load_acquire(&header->scope);
    if (scope != 0)
        ftli_scope_leave(&scopes, scope & ~FTLI_SCOPE_ENDED, BYTES);
    ftli_word_reclaiming(&header->word);
    (void)ftli_word_reclaim(&header->word);
    if (count != NULL)
        ++*(uint64_t *)count;
}

static uint32_t fresh_slot(void)
{
    uint32_t slot = 0;
    cr_assert_eq(ftli_table_take_fresh(&table, 1, &slot), 1);
    return slot;
}

static uint64_t add(struct ftli_scope_cursor *cursor, uint64_t scope)
{
    cr_assert_eq(ftli_scope_join(&scopes, scope, BYTES), FTL_OK);
    uint64_t tensor = make(scope, fresh_slot());
    cr_assert_eq(ftli_scope_publish(&scopes, cursor, scope, tensor), FTL_OK);
    return tensor;
}

static uint64_t cells_out(void)
{
    return ftli_u64_load_seq_cst(&table.cells_out);
}

Test(scope, ends_what_it_holds)
{
    struct ftli_scope_cursor cursor = {0};
    uint64_t id = open_scope(0, 0), tensors[20], dropped = 0;
    for (unsigned i = 0; i < 20; i++)
        tensors[i] = add(&cursor, id);
    const struct ftli_scope *scope = ftli_scope_find(&scopes, id);
    cr_expect_eq(ftli_scope_members_of(word_of(id)), 20);
    cr_expect_eq(ftli_u64_load_relaxed(&scope->live_bytes), 20 * BYTES);
    cr_expect_eq(ftli_u64_load_relaxed(&scope->tag), 42);
    drop(NULL, tensors[3]); /* a drop before the end: nothing left to give up */
    cr_expect_eq(ftli_scope_end_slot(&scopes, id, 2000, drop, &dropped), 19);
    cr_expect_eq(dropped, 19);
    for (unsigned i = 0; i < 20; i++)
        cr_expect_neq(ftli_word_state(ftli_u64_load_relaxed(&header_of(tensors[i])->word)), FTLI_LIVE);
    cr_expect_eq(ftli_u64_load_relaxed(&scope->peak_bytes), 20 * BYTES);
    cr_expect_eq(ftli_scope_end_slot(&scopes, id, 2000, drop, &dropped), FTL_ESTALE);
    cr_expect_eq(ftli_scope_join(&scopes, id, 1), FTL_ESTALE);
    ftli_scope_cursor_leave(&scopes, &cursor);
    cr_expect_eq(cells_out(), 0);
}

Test(scope, its_slot_returns_in_the_next_generation)
{
    uint64_t a = open_scope(0, 0);
    cr_assert_eq(ftli_scope_end_slot(&scopes, a, 0, drop, NULL), 0);
    uint64_t b = open_scope(0, 0);
    cr_expect_eq(ftli_handle_slot(a), ftli_handle_slot(b));
    cr_expect_eq(ftli_handle_generation(b), ftli_handle_generation(a) + 1);
    cr_expect_eq(ftli_scope_join(&scopes, a, 1), FTL_ESTALE);
    cr_expect_null(ftli_scope_find(&scopes, ftli_handle_make(RUNTIME, 77, 1)));
    cr_expect_null(ftli_scope_find(&scopes, ftli_handle_make(RUNTIME + 1, ftli_handle_slot(b), 2)));
}

Test(scope, generation_0_is_never_used)
{
    uint64_t id = open_scope(0, 0);
    struct ftli_scope *scope = ftli_scope_find(&scopes, id);
    uint64_t last = UINT64_C(0xffffff) << 40 | (uint64_t)FTLI_SCOPE_OPEN << 36;
    ftli_u64_store_relaxed(&scope->word, last);
    cr_assert_eq(ftli_scope_end_slot(&scopes, ftli_handle_make(RUNTIME, ftli_handle_slot(id), 0xffffff), 0, drop, NULL),
                 0);
    cr_expect_eq(ftli_handle_generation(open_scope(0, 0)), 1);
}

Test(scope, a_member_retained_elsewhere_keeps_the_slot)
{
    struct ftli_scope_cursor cursor = {0};
    uint64_t id = open_scope(0, 0), tensor = add(&cursor, id);
    cr_assert_eq(ftli_word_retain(&header_of(tensor)->word, ftli_handle_generation(tensor)), FTLI_WORD_DONE);
    cr_assert_eq(ftli_scope_end_slot(&scopes, id, 2000, drop, NULL), 1);
    cr_expect_eq(ftli_scope_state_of(word_of(id)), FTLI_SCOPE_OVER);
    cr_expect_eq(ftli_scope_members_of(word_of(id)), 1);
    cr_expect_eq(ftli_u32_load_relaxed(&ftli_scope_find(&scopes, id)->ended_ms), 2000);
    cr_expect_neq(ftli_handle_slot(open_scope(0, 0)), ftli_handle_slot(id));
    drop(NULL, tensor);
    cr_expect_eq(ftli_scope_state_of(word_of(id)), FTLI_SCOPE_FREE);
    ftli_scope_cursor_leave(&scopes, &cursor);
    cr_expect_eq(cells_out(), 0);
}

Test(scope, keep_is_before_or_after_end)
{
    struct ftli_scope_cursor cursor = {0};
    uint64_t id = open_scope(0, 0), kept = add(&cursor, id), ended = add(&cursor, id), dropped = 0;
    uint64_t other = open_scope(0, 0);
    cr_expect_eq(ftli_scope_claim_member(&scopes, other, header_of(kept)), FTL_ESTALE, "no member of that one");
    cr_expect_eq(ftli_scope_claim_member(&scopes, id, header_of(kept)), FTL_OK);
    cr_expect_eq(ftli_scope_claim_member(&scopes, id, header_of(kept)), FTL_ESTALE, "once");
    cr_expect_eq(ftli_scope_members_of(word_of(id)), 1);
    cr_assert_eq(ftli_word_retain(&header_of(ended)->word, ftli_handle_generation(ended)), FTLI_WORD_DONE);
    cr_expect_eq(ftli_scope_end_slot(&scopes, id, 0, drop, &dropped), 1);
    cr_expect_eq(ftli_scope_claim_member(&scopes, id, header_of(ended)), FTL_ESTALE, "end was first");
    cr_expect(ftli_word_is_live(ftli_u64_load_relaxed(&header_of(kept)->word), ftli_handle_generation(kept)));
}

/* End looked at an older handle of the slot, then a newer tensor of the same scope was in it when it wrote its claim. */
Test(scope, a_claim_made_under_an_older_handle_counts)
{
    struct ftli_scope_cursor cursor = {0};
    uint64_t id = open_scope(0, 0), tensor = add(&cursor, id), dropped = 0;
    ftli_u32_store_release(&header_of(tensor)->scope, ftli_handle_slot(id) | FTLI_SCOPE_ENDED);
    cr_expect_eq(ftli_scope_end_slot(&scopes, id, 0, drop, &dropped), 1);
    cr_expect_eq(dropped, 1);
}

Test(scope, hard_limit)
{
    uint64_t id = open_scope(0, 250);
    cr_expect_eq(ftli_scope_join(&scopes, id, 100), FTL_OK);
    cr_expect_eq(ftli_scope_join(&scopes, id, 151), FTL_ELIMIT);
    cr_expect_eq(ftli_scope_join(&scopes, id, 150), FTL_OK);
    cr_expect_eq(ftli_scope_members_of(word_of(id)), 2);
    cr_expect_eq(ftli_u64_load_relaxed(&ftli_scope_find(&scopes, id)->live_bytes), 250);
}

Test(scope, children_end_first)
{
    struct ftli_scope_cursor cursor = {0};
    uint64_t top = open_scope(0, 0), chain = top, dropped = 0;
    for (unsigned depth = 0; depth < 50; depth++) {
        (void)add(&cursor, open_scope(chain, 0)); /* a leaf, and */
        chain = open_scope(chain, 0);             /* a child with children */
        (void)add(&cursor, chain);
    }
    uint64_t aside = open_scope(0, 0);
    cr_expect_eq(ftli_scope_end_slot(&scopes, top, 9, drop, &dropped), 100);
    cr_expect_eq(dropped, 100);
    cr_expect_eq(ftli_scope_state_of(word_of(chain)), FTLI_SCOPE_FREE);
    cr_expect_eq(ftli_scope_state_of(word_of(top)), FTLI_SCOPE_FREE);
    cr_expect_eq(ftli_scope_state_of(word_of(aside)), FTLI_SCOPE_OPEN);
    ftl_scope_options options = {.parent = {top}};
    uint64_t id = 5;
    cr_expect_eq(ftli_scope_open_slot(&scopes, &options, 0, 0, &id), FTL_ESTALE);
    cr_expect_eq(id, 5, "untouched");
    ftli_scope_cursor_leave(&scopes, &cursor);
    cr_expect_eq(cells_out(), 0);
}

Test(scope, a_child_may_end_alone)
{
    uint64_t top = open_scope(0, 0), child = open_scope(top, 0);
    cr_expect_eq(ftli_u32_load_relaxed(&ftli_scope_find(&scopes, top)->children), 1);
    cr_expect_eq(ftli_scope_end_slot(&scopes, child, 0, drop, NULL), 0);
    cr_expect_eq(ftli_u32_load_relaxed(&ftli_scope_find(&scopes, top)->children), 0);
    cr_expect_eq(ftli_scope_end_slot(&scopes, top, 0, drop, NULL), 0);
}

Test(scope, stale_handles_are_swept)
{
    struct ftli_scope_cursor cursor = {0};
    uint64_t id = open_scope(0, 0), keep[100];
    for (unsigned i = 0; i < 100; i++)
        keep[i] = add(&cursor, id);
    for (unsigned i = 0; i < 50000; i++)
        drop(NULL, add(&cursor, id));
    cr_expect_lt(cells_out(), 2 * FTLI_SCOPE_SWEEP_LEAST + 2, "%lu cells for 100 members", (unsigned long)cells_out());
    uint64_t dropped = 0;
    cr_expect_eq(ftli_scope_end_slot(&scopes, id, 0, drop, &dropped), 100, "a sweep loses nobody");
    for (unsigned i = 0; i < 100; i++)
        cr_expect_not(
            ftli_word_is_live(ftli_u64_load_relaxed(&header_of(keep[i])->word), ftli_handle_generation(keep[i])));
    ftli_scope_cursor_leave(&scopes, &cursor);
    cr_expect_eq(cells_out(), 0);
}

Test(scope, a_cursor_that_changes_its_scope_leaves_no_cell_behind)
{
    struct ftli_scope_cursor cursor = {0};
    uint64_t a = open_scope(0, 0), b = open_scope(0, 0);
    for (unsigned i = 0; i < 5; i++) {
        (void)add(&cursor, a);
        (void)add(&cursor, b);
    }
    cr_expect_eq(ftli_scope_end_slot(&scopes, b, 0, drop, NULL), 5);
    cr_expect_eq(ftli_scope_end_slot(&scopes, a, 0, drop, NULL), 5);
    cr_expect_eq(cells_out(), 1, "the one that the cursor has begun");
    ftli_scope_cursor_leave(&scopes, &cursor);
    cr_expect_eq(cells_out(), 0);
}

struct seen {
    uint32_t slots, members;
};

static void see(void *user, uint32_t slot, const struct ftli_scope *scope)
{
    struct seen *seen = user;
    (void)slot;
    seen->slots++;
    seen->members += (uint32_t)ftli_scope_members_of(ftli_u64_load_relaxed(&scope->word));
}

Test(scope, walk)
{
    struct ftli_scope_cursor cursor = {0};
    uint64_t a = open_scope(0, 0), b = open_scope(0, 0);
    (void)open_scope(0, 0);
    uint64_t left = add(&cursor, a);
    cr_assert_eq(ftli_word_retain(&header_of(left)->word, ftli_handle_generation(left)), FTLI_WORD_DONE);
    (void)ftli_scope_end_slot(&scopes, a, 0, drop, NULL); /* over, with a member */
    (void)ftli_scope_end_slot(&scopes, b, 0, drop, NULL); /* free */
    struct seen seen = {0};
    ftli_scopes_each(&scopes, see, &seen);
    cr_expect_eq(seen.slots, 2);
    cr_expect_eq(seen.members, 1);
    cr_expect_geq(ftli_scopes_metadata_bytes(&scopes), 4 * sizeof(struct ftli_scope));
}

/* ---- threads: makers publish into scopes that others end at the same time ---------------------------------------------- */

/* Of a round: few, or so many that lists are swept while scopes end. */
enum { MAKERS = 3, ROUNDS = 120, FEW = 40, MANY = 3000, SLOTS = 1024 };

static ftli_atomic_u64 current; /* the scope of the moment */
static ftli_atomic_u64 dropped_by_end, dropped_by_makers, made;

static void drop_by_end(void *user, uint64_t tensor)
{
    uint64_t count = 0;
    (void)user;
    drop(&count, tensor);
    (void)ftli_u64_fetch_add_relaxed(&dropped_by_end, count);
}

static void *make_members(void *user)
{
    struct ftli_scope_cursor cursor = {0};
    ftli_random_state random;
    uint32_t mine[SLOTS], next = 0; /* slots of this thread, used in turn when free */
    ftli_random_seed(&random, (uintptr_t)user);
    for (uint32_t i = 0; i < SLOTS; i++)
        mine[i] = fresh_slot();
    for (uint64_t id; (id = ftli_u64_load_acquire(&current)) != 1;) {
        uint32_t slot = mine[next++ % SLOTS];
        uint64_t word = ftli_u64_load_acquire(&ftli_table_header(&table, slot)->word);
        if (ftli_word_state(word) != FTLI_FREE || ftli_scope_join(&scopes, id, BYTES) != FTL_OK)
            continue;
        uint64_t tensor = make(id, slot), count = 0;
        (void)ftli_u64_fetch_add_relaxed(&made, 1);
        int status = ftli_scope_publish(&scopes, &cursor, id, tensor);
        if (status == FTL_ESTALE || (status == FTL_OK && ftli_random_chance(&random, 0.8)))
            drop(&count, tensor);
        (void)ftli_u64_fetch_add_relaxed(&dropped_by_makers, count);
    }
    ftli_scope_cursor_leave(&scopes, &cursor);
    return NULL;
}

Test(scope, end_and_publish_agree_who_drops, .timeout = 60)
{
    pthread_t threads[MAKERS];
    ftli_u64_store_release(&current, open_scope(0, 0));
    for (uintptr_t t = 0; t < MAKERS; t++)
        cr_assert_eq(pthread_create(&threads[t], NULL, make_members, (void *)(t + 1)), 0);
    for (unsigned round = 0; round < ROUNDS; round++) {
        uint64_t wanted = round % 4 < 2 ? FEW : MANY;
        uint64_t id = ftli_u64_load_acquire(&current), before = ftli_u64_load_relaxed(&made);
        for (unsigned spins = 0; spins < 1000000 && ftli_u64_load_relaxed(&made) < before + wanted; spins++)
            ftli_cpu_relax();
        if (round % 2 == 0)
            ftli_u64_store_release(&current, open_scope(0, 0));
        cr_assert_geq(ftli_scope_end_slot(&scopes, id, 0, drop_by_end, NULL), 0);
        if (round % 2 != 0)
            ftli_u64_store_release(&current, open_scope(0, 0));
    }
    uint64_t last = ftli_u64_load_acquire(&current);
    ftli_u64_store_release(&current, 1);
    for (unsigned t = 0; t < MAKERS; t++)
        (void)pthread_join(threads[t], NULL);
    cr_assert_geq(ftli_scope_end_slot(&scopes, last, 0, drop_by_end, NULL), 0);
    cr_log_info("made %lu, dropped by end %lu, by makers %lu", (unsigned long)ftli_u64_load_relaxed(&made),
                (unsigned long)ftli_u64_load_relaxed(&dropped_by_end),
                (unsigned long)ftli_u64_load_relaxed(&dropped_by_makers));
    cr_expect_gt(ftli_u64_load_relaxed(&dropped_by_end), 0);
    cr_expect_eq(ftli_u64_load_relaxed(&dropped_by_end) + ftli_u64_load_relaxed(&dropped_by_makers),
                 ftli_u64_load_relaxed(&made), "each exactly once");
    cr_expect_eq(cells_out(), 0);
    struct seen seen = {0};
    ftli_scopes_each(&scopes, see, &seen);
    cr_expect_eq(seen.slots, 0, "every slot is free again");
}
