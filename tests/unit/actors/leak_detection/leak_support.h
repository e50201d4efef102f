/* A table of tensors without memory, scopes and labels, in simulated time: what the leak detection looks at. */
#ifndef TEST_LEAK_SUPPORT_H
#define TEST_LEAK_SUPPORT_H

#include <criterion/criterion.h>
#include <string.h>

#include "actors/leak_detection/leak_detection.h"
#include "runtime/kernel/simulation.h"
#include "tensor/extension.h"

#define SECOND UINT64_C(1000000000)

enum { RUNTIME = 11 };

static ftli_kernel *kernel;
static struct ftli_table table;
static struct ftli_scopes scopes;
static struct ftli_labels labels;
static struct ftli_leak_detection_settings settings;
static struct ftli_leak_detection leaks;
static uint64_t opened_ns;
static ftli_atomic_u64 audits_failed;
static struct ftli_scope_cursor cursor;
static uint64_t thread_ended_ns; /* of thread 1; 0: it lives */

static inline enum ftli_thread_fate thread_ended(void *user, uint32_t thread, uint64_t born_ns, uint64_t *ended_ns)
{
    (void)user;
    (void)born_ns;
    *ended_ns = thread_ended_ns;
    return thread == 1 && thread_ended_ns != 0 ? FTLI_THREAD_ENDED : FTLI_THREAD_UNKNOWN;
}

static inline ftli_decision restart(void *self, uint32_t index, bool restartable, int status, uint64_t now_ns)
{
    (void)self, (void)index, (void)restartable, (void)status, (void)now_ns;
    return (ftli_decision){FTLI_DECIDE_RESTART, 1000000};
}

static inline void open_leaks(void)
{
    const ftli_group_options group = {.name = "background", .count = 1};
    const ftli_kernel_options options = {
        .groups = &group, .group_count = 1, .seed = 5, .simulated = true, .supervision = {.decide = restart}};
    ftli_actor *actor;
    settings = (struct ftli_leak_detection_settings){.unreferenced_every = 1000,
                                                     .unreferenced_or_ns = 10 * (int64_t)SECOND,
                                                     .unreferenced_grace_ns = (int64_t)SECOND,
                                                     .outlived_scope_ns = 0,
                                                     .outlived_thread_ns = FTLI_TIME_NONE,
                                                     .cycles_every_ns = 10 * (int64_t)SECOND,
                                                     .growth_every_ns = FTLI_TIME_NONE};
    cr_assert_eq(ftli_kernel_create(&options, &kernel), FTL_OK);
    cr_assert_eq(ftli_table_open(&table, RUNTIME, 1 << 18), FTL_OK);
    cr_assert_eq(ftli_scopes_init(&scopes, &table), FTL_OK);
    cr_assert_eq(ftli_labels_init(&labels), FTL_OK);
    opened_ns = ftli_kernel_now_ns(kernel);
    const struct ftli_leak_detection_world world = {.settings = &settings,
                                                    .table = &table,
                                                    .scopes = &scopes,
                                                    .labels = &labels,
                                                    .kernel = kernel,
                                                    .opened_ns = opened_ns,
                                                    .thread_ended = thread_ended,
                                                    .drop_deadline_ns = 10 * SECOND,
                                                    .audits_failed = &audits_failed};
    cr_assert_eq(ftli_leak_detection_init(&leaks, &world), FTL_OK);
    const ftli_actor_options as = {
        .operations = &ftli_leak_detection_operations, .state = &leaks, .group = "background"};
    cr_assert_eq(ftli_kernel_add_actor(kernel, "leak_detection", &as, &actor), FTL_OK);
    ftli_leak_detection_attach(&leaks, actor);
    cr_assert_eq(ftli_kernel_start(kernel), FTL_OK);
}

static inline void close_leaks(void)
{
    cr_expect_eq(ftli_kernel_stop(kernel, 0), FTL_OK);
    ftli_kernel_destroy(kernel);
    ftli_leak_detection_fini(&leaks);
    ftli_labels_fini(&labels);
    ftli_scopes_fini(&scopes);
    ftli_table_close(&table);
}

static inline uint32_t now_ms(void)
{
    return (uint32_t)((ftli_kernel_now_ns(kernel) - opened_ns) / 1000000);
}

static inline void run_for(uint64_t ns)
{
    cr_assert_eq(ftli_simulation_run_until_idle(kernel, ftli_kernel_now_ns(kernel) + ns, 1000000), FTL_OK);
}

static inline struct ftli_header *header_of(uint64_t tensor)
{
    return ftli_table_header(&table, ftli_handle_slot(tensor));
}

/* A LIVE tensor; with a label or a site it has an extension; with a scope it is a member. */
static inline uint64_t make(uint64_t bytes, uint64_t scope, const char *label, const char *site)
{
    uint32_t slot = 0, cold = 0;
    cr_assert_eq(ftli_table_take_fresh(&table, 1, &slot), 1);
    struct ftli_header *header = ftli_table_header(&table, slot);
    if (label != NULL || site != NULL) {
        cold = ftli_cell_take(&table);
        struct ftli_extension *extension = ftli_extension(&table, cold);
        ftli_u32_store_release(&extension->label, ftli_label_intern(&labels, label));
        ftli_pointer_store_release(&extension->site, (void *)(uintptr_t)site);
        ftli_u64_store_release(&extension->tag, slot);
    }
    if (scope != 0)
        cr_assert_eq(ftli_scope_join(&scopes, scope, bytes), FTL_OK);
    ftli_u64_store_release(&header->size, ftli_size_make(bytes, FTL_U8, 1));
    ftli_u64_store_release(&header->record, ftli_record_make(0, 0, 0, 0));
    ftli_u32_store_release(&header->stamp, now_ms());
    ftli_u32_store_release(&header->cold, cold);
    ftli_u32_store_release(&header->scope, ftli_handle_slot(scope));
    uint64_t tensor = ftli_handle_make(RUNTIME, slot, ftli_word_new(&header->word, FTLI_WORD_SLOW));
    if (scope != 0)
        cr_assert_eq(ftli_scope_publish(&scopes, &cursor, scope, tensor), FTL_OK);
    return tensor;
}

static inline void retain(uint64_t tensor)
{
    cr_assert_eq(ftli_word_retain(&header_of(tensor)->word, ftli_handle_generation(tensor)), FTLI_WORD_DONE);
}

/* One reference less; the last one also takes it out of its scope. */
static inline void drop(void *unused, uint64_t tensor)
{
    struct ftli_header *header = header_of(tensor);
    (void)unused;
    enum ftli_word_result result = ftli_word_drop(&header->word, ftli_handle_generation(tensor), true);
    if (result == FTLI_WORD_GUARDED) {
        cr_assert_eq(ftli_word_unpin(&header->word, ftli_handle_generation(tensor)), FTLI_WORD_DONE);
        return;
    }
    if (result != FTLI_WORD_POST)
        return;
    uint32_t scope = ftli_u32_load_acquire(&header->scope);
    if (scope != 0)
        ftli_scope_leave(&scopes, scope, ftli_size_bytes(ftli_u64_load_acquire(&header->size)));
    ftli_word_reclaiming(&header->word);
    (void)ftli_word_reclaim(&header->word);
}

static inline uint64_t open_scope(const char *label, uint32_t kind)
{
    const ftl_scope_options options = {.kind = kind};
    uint64_t id = 0;
    cr_assert_eq(ftli_scope_open_slot(&scopes, &options, ftli_label_intern(&labels, label), now_ms(), &id), FTL_OK);
    return id;
}

static inline int64_t end_scope(uint64_t id)
{
    return ftli_scope_end_slot(&scopes, id, now_ms(), drop, NULL);
}

#endif
