/* The actor's own walks: after a note, in slices, seldom. */
#include "leak_support.h"

TestSuite(leak_detection, .init = open_leaks, .fini = close_leaks);

static uint64_t walks(void)
{
    return ftli_u64_load_relaxed(&leaks.walks);
}

Test(leak_detection, sleeps_until_something_is_noted)
{
    run_for(3600 * SECOND);
    cr_expect_eq(walks(), 0);
    ftli_leak_detection_note(&leaks);
    run_for(SECOND);
    cr_expect_eq(walks(), 1);
    run_for(3600 * SECOND);
    cr_expect_eq(walks(), 1, "nothing was found: no walk without another note");
}

Test(leak_detection, finds_who_outlived_and_sees_them_go)
{
    uint64_t scope = open_scope("session", FTL_SCOPE_WORK), left[20];
    for (unsigned i = 0; i < 20; i++)
        retain(left[i] = make(10, scope, "kv", NULL));
    (void)end_scope(scope);
    ftli_leak_detection_note(&leaks);
    run_for(SECOND);
    cr_expect_eq(ftli_leak_detection_suspects(&leaks), 20);
    for (unsigned i = 0; i < 20; i++)
        drop(NULL, left[i]);
    run_for(30 * SECOND);
    cr_expect_eq(ftli_leak_detection_suspects(&leaks), 0, "dropped without a note");
    uint64_t before = walks();
    run_for(3600 * SECOND);
    cr_expect_eq(walks(), before);
}

Test(leak_detection, looks_again_after_the_grace)
{
    settings.outlived_scope_ns = 25 * (int64_t)SECOND;
    uint64_t scope = open_scope("session", FTL_SCOPE_WORK);
    retain(make(10, scope, NULL, NULL));
    (void)end_scope(scope);
    ftli_leak_detection_note(&leaks);
    run_for(20 * SECOND);
    cr_expect_eq(ftli_leak_detection_suspects(&leaks), 0);
    run_for(20 * SECOND);
    cr_expect_eq(ftli_leak_detection_suspects(&leaks), 1);
}

Test(leak_detection, a_pinned_drop_becomes_a_suspect)
{
    uint64_t tensor = make(500, 0, "pinned", NULL), after;
    cr_assert_eq(ftli_word_pin(&header_of(tensor)->word, ftli_handle_generation(tensor), &after), FTLI_WORD_DONE);
    drop(NULL, tensor);
    ftli_leak_detection_note(&leaks);
    run_for(5 * SECOND);
    cr_expect_eq(ftli_leak_detection_suspects(&leaks), 0);
    run_for(20 * SECOND);
    cr_expect_eq(ftli_leak_detection_suspects(&leaks), 1);
    (void)ftli_word_unpin(&header_of(tensor)->word, ftli_handle_generation(tensor));
    ftli_word_reclaiming(&header_of(tensor)->word);
    run_for(20 * SECOND);
    cr_expect_eq(ftli_leak_detection_suspects(&leaks), 0);
}

Test(leak_detection, walks_in_slices)
{
    uint32_t first;
    cr_assert_eq(ftli_table_take_fresh(&table, 3 * FTLI_LEAK_SLICE_SLOTS, &first), 3 * FTLI_LEAK_SLICE_SLOTS);
    uint64_t scope = open_scope("session", FTL_SCOPE_WORK);
    retain(make(10, scope, NULL, NULL)); /* in the last slice */
    (void)end_scope(scope);
    ftli_leak_detection_note(&leaks);
    run_for(SECOND);
    ftli_actor_figures figures;
    ftli_actor_read(leaks.actor, &figures);
    cr_expect_eq(figures.ticks, 4);
    cr_expect_eq(walks(), 1);
    cr_expect_eq(ftli_leak_detection_suspects(&leaks), 1);
}

Test(leak_detection, survives_being_killed)
{
    static ftli_message any; /* a kill takes the place of a receive */
    uint64_t scope = open_scope("session", FTL_SCOPE_WORK);
    retain(make(10, scope, NULL, NULL));
    (void)end_scope(scope);
    ftli_leak_detection_note(&leaks);
    ftli_simulation_kill(kernel, leaks.actor);
    ftli_actor_send(leaks.actor, FTLI_LANE_HIGH, &any);
    run_for(SECOND);
    cr_expect_eq(ftli_kernel_restarts(kernel), 1);
    cr_expect_eq(ftli_leak_detection_suspects(&leaks), 1);
}

/* ---- headers that no state machine leads to */

static void damage(uint64_t tensor)
{
    ftli_atomic_u64 *word = &header_of(tensor)->word;
    ftli_u64_store_release(word, ftli_u64_load_acquire(word) & ~FTLI_WORD_REFERENCES);
}

Test(leak_detection, a_live_header_without_a_reference_is_a_fault_once_its_grace_is_over)
{
    uint64_t tensor = make(500, 0, "broken", NULL);
    cr_expect_eq(ftli_unreferenced_walk(&leaks), 0);
    damage(tensor);
    cr_expect_eq(ftli_unreferenced_walk(&leaks), tensor);
    ftli_leak_detection_note(&leaks);
    run_for(SECOND);
    cr_expect_eq(walks(), 1);
    cr_expect_eq(ftli_u64_load_relaxed(&audits_failed), 0, "under grace");
    run_for(30 * SECOND);
    cr_expect_geq(walks(), 3);
    cr_expect_eq(ftli_u64_load_relaxed(&audits_failed), 1, "once");
    cr_expect_eq(ftli_leak_detection_suspects(&leaks), 0, "a fault is no leak");
    retain(tensor);
    run_for(30 * SECOND);
    uint64_t before = walks();
    run_for(3600 * SECOND);
    cr_expect_eq(walks(), before);
}

Test(leak_detection, an_audit_follows_a_thousand_allocations_soon_and_fewer_later)
{
    ftli_leak_detection_audit_within(&leaks, 0);
    run_for(100 * SECOND);
    cr_expect_eq(walks(), 0, "nothing was made");
    ftli_leak_detection_audit_within(&leaks, 999);
    run_for(9 * SECOND);
    cr_expect_eq(walks(), 0);
    run_for(2 * SECOND);
    cr_expect_eq(walks(), 1, "ten seconds");
    for (unsigned i = 0; i < 10; i++) { /* a timer says it again and again */
        ftli_leak_detection_audit_within(&leaks, 1999);
        run_for(SECOND / 20);
    }
    cr_expect_eq(walks(), 1);
    run_for(SECOND);
    cr_expect_eq(walks(), 2, "a second");
    ftli_leak_detection_audit_within(&leaks, 1999);
    run_for(100 * SECOND);
    cr_expect_eq(walks(), 2, "nothing was made since");
}
