/* Stacks: frame pointers that may be anything, the unwinder, and what a port remembers of them. */
#include <criterion/criterion.h>

#include "actors/port/runtime.h"
#include "actors/tracking/modules.h"
#include "actors/tracking/stack.h"
#include "runtime/base/os.h"
#include "runtime/base/random.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>

TestSuite(stack, .timeout = 100);

static struct ftli_sites *sites;
static struct ftli_stack_memory memory;

static void open_sites(void)
{
    ftli_stacks_prepare();
    cr_assert_eq(ftli_sites_open(1000, &sites), 0);
}

static void close_sites(void)
{
    ftli_sites_close(sites);
}

#define NOINLINE __attribute__((noinline, noclone))

static volatile int keep;

static NOINLINE uint32_t capture(void)
{
    uint32_t site = ftli_stack_site(sites, &memory);
    keep++;
    return site;
}

static NOINLINE uint32_t by_one(void)
{
    uint32_t site = capture();
    keep++;
    return site;
}

static NOINLINE uint32_t by_another(void)
{
    uint32_t site = capture();
    keep += 2; /* what is the same is one function to an optimizer */
    return site;
}

static NOINLINE uint32_t deeper(unsigned levels)
{
    uint32_t site = levels == 0 ? capture() : deeper(levels - 1);
    keep++;
    return site;
}

Test(stack, different_callers_are_different_sites, .init = open_sites, .fini = close_sites)
{
    uint32_t first[2] = {0}, seen[2] = {0};
    for (unsigned i = 0; i < 100; i++) {
        seen[0] = by_one(); /* of one line each, so that every round has the same stacks */
        seen[1] = by_another();
        for (unsigned k = 0; k < 2; k++) {
            first[k] = i == 0 ? seen[k] : first[k];
            cr_assert_eq(seen[k], first[k]);
        }
    }
    cr_expect(first[0] >= 2 && first[1] >= 2 && first[0] != first[1], "though the innermost frame is the same");
    struct ftli_site_view one, another;
    cr_assert(ftli_site_read(sites, first[0], &one) && ftli_site_read(sites, first[1], &another));
    cr_expect_eq(one.frames[0], another.frames[0]);
    cr_expect(one.count >= 3 && one.frames[1] != another.frames[1]);
    cr_expect_eq(ftli_sites_end(sites), 4, "two sites");
}

Test(stack, what_is_remembered_is_what_is_there, .init = open_sites, .fini = close_sites)
{
    (void)by_one();
    unsigned remembered = 0;
    for (unsigned i = 0; i < FTLI_STACK_ENTRIES; i++)
        remembered += memory.entries[i].frame != 0 && memory.entries[i].count >= 2;
    cr_expect_eq(remembered, 1, "the return addresses were found where they lie");
    uint32_t end = ftli_sites_end(sites);
    for (unsigned i = 0; i < 1000; i++) {
        uint32_t site = deeper(i % 40), again = deeper(i % 40);
        cr_assert(site >= 2 && again >= 2);
    }
    cr_expect_leq(ftli_sites_end(sites), end + 2 * 40, "a site for each depth and line, and no more");
    struct ftli_site_view view;
    cr_assert(ftli_site_read(sites, deeper(100), &view));
    cr_expect_eq(view.count, FTLI_SITE_FRAMES_MOST);
}

Test(stack, without_memory_it_is_the_same_site, .init = open_sites, .fini = close_sites)
{
    struct ftli_stack_memory *const with[2] = {&memory, NULL};
    uint32_t found[2];
    for (volatile unsigned i = 0; i < 2; i++) /* volatile: one call in the program, too */
        found[i] = ftli_stack_site(sites, with[i]);
    cr_expect(found[0] >= 2 && found[0] == found[1]);
}

/* Never a fault, whatever the frame pointer: only what lies inside the bounds is read. */
Test(stack, a_frame_pointer_may_be_garbage)
{
    enum { WORDS = 4096 };
    uintptr_t *at = aligned_alloc(64, WORDS * sizeof *at), frames[FTLI_SITE_FRAMES_MOST];
    ftli_random_state random;
    ftli_random_seed(&random, 7);
    uintptr_t low = (uintptr_t)at, high = (uintptr_t)(at + WORDS);
    for (unsigned round = 0; round < 2000; round++) {
        for (unsigned i = 0; i < WORDS; i += 1 + round % 7) {
            uint64_t bits = ftli_random_next(&random);
            at[i] = bits % 4 == 0 ? bits : low + bits / 4 % (WORDS * sizeof *at + 64); /* often it points near */
        }
        uintptr_t wild[] = {0,
                            1,
                            low - 8,
                            high,
                            high - 8,
                            high - 15,
                            UINTPTR_MAX,
                            UINTPTR_MAX - 7,
                            low + 3,
                            low,
                            low + ftli_random_next(&random) % (WORDS * sizeof *at)};
        for (unsigned i = 0; i < sizeof wild / sizeof wild[0]; i++)
            cr_assert_leq(ftli_stack_by_pointers(wild[i], low, high, frames, FTLI_SITE_FRAMES_MOST),
                          (unsigned)FTLI_SITE_FRAMES_MOST);
    }
    for (unsigned i = 0; i < WORDS; i += 2) { /* a chain that goes round, and one that goes back */
        at[i] = i % 4 == 0 ? (uintptr_t)&at[i] : low;
        at[i + 1] = 0x400000;
    }
    cr_expect_eq(ftli_stack_by_pointers(low, low, high, frames, FTLI_SITE_FRAMES_MOST), 1);
    free(at);
}

static void *on_thread(void *argument)
{
    uint32_t *site = argument;
    *site = capture();
    return NULL;
}

Test(stack, a_thread_that_has_another_ones_memory_reads_its_own_stack, .init = open_sites, .fini = close_sites)
{
    uint32_t site = 0, mine = capture();
    for (unsigned i = 0; i < 8; i++) {
        pthread_t thread;
        pthread_attr_t attributes;
        cr_assert_eq(pthread_attr_init(&attributes), 0);
        cr_assert_eq(pthread_attr_setstacksize(&attributes, (size_t)(256 << i % 3) << 10), 0);
        cr_assert_eq(pthread_create(&thread, &attributes, on_thread, &site), 0);
        cr_assert_eq(pthread_join(thread, NULL), 0);
        cr_assert_eq(pthread_attr_destroy(&attributes), 0);
        cr_assert(site >= 2 && site != mine);
    }
}

static ucontext_t outside, inside;
static uint32_t of_coroutine;

static void coroutine(void)
{
    of_coroutine = capture();
}

/* Not on the thread's own stack only the unwinder is asked, and nothing is remembered: the memory may be gone the next time. */
Test(stack, on_a_coroutines_stack_nothing_is_remembered, .init = open_sites, .fini = close_sites)
{
    enum { BYTES = 1 << 18 };
    for (unsigned i = 0; i < 3; i++) {
        void *stack = ftli_os_reserve(BYTES, 4096);
        cr_assert_eq(getcontext(&inside), 0);
        inside.uc_stack.ss_sp = stack;
        inside.uc_stack.ss_size = BYTES;
        inside.uc_link = &outside;
        makecontext(&inside, coroutine, 0);
        cr_assert_eq(swapcontext(&outside, &inside), 0);
        cr_assert(of_coroutine >= 2);
        ftli_os_release(stack, BYTES);
        for (unsigned k = 0; k < FTLI_STACK_ENTRIES; k++)
            cr_assert_eq(memory.entries[k].frame, 0);
    }
}

/* ---- modules */

static int count(const struct ftli_module *module, void *user)
{
    cr_assert_gt(module->to, module->from);
    ++*(unsigned *)user;
    return 0;
}

Test(modules, an_address_is_of_the_file_it_was_loaded_from)
{
    struct ftli_module own, c;
    unsigned modules = 0;
    cr_assert(ftli_module_of((uintptr_t)count, &own));
    cr_expect(strstr(own.path, "stack") != NULL, "%s", own.path);
    cr_assert(ftli_module_of((uintptr_t)dlsym(RTLD_DEFAULT, "malloc"), &c));
    cr_expect_str_neq(own.path, c.path);
    cr_expect(own.from <= (uintptr_t)count && (uintptr_t)count < own.to);
    cr_expect_not(ftli_module_of(64, &own));
    cr_expect_not(ftli_module_of(0, &own));
    cr_expect_eq(ftli_modules_each(count, &modules), 0);
    cr_expect_gt(modules, 2);
    cr_assert(ftli_module_of((uintptr_t)dlsym(RTLD_DEFAULT, "fopen"), &c));
    cr_expect_gt(c.build_id_bytes, 0, "the C library of a distribution has one");
}

Test(modules, what_was_unloaded_is_unknown)
{
    struct ftli_module module;
    void *library = dlopen("libthread_db.so.1", RTLD_NOW);
    if (library == NULL)
        cr_skip_test("there is no libthread_db here");
    uintptr_t address = (uintptr_t)dlsym(library, "td_init");
    cr_assert(ftli_module_of(address, &module));
    cr_expect(strstr(module.path, "libthread_db") != NULL);
    cr_assert_eq(dlclose(library), 0);
    if (dlopen("libthread_db.so.1", RTLD_NOW | RTLD_NOLOAD) == NULL)
        cr_expect_not(ftli_module_of(address, &module));
}

/* ---- of tensors */

static NOINLINE ftl_tensor make_bytes(ftl_runtime *runtime, size_t bytes, const ftl_tensor_options *options)
{
    ftl_tensor tensor;
    cr_assert_eq(ftl_bytes_new(runtime, bytes, options, &tensor), FTL_OK);
    keep++;
    return tensor;
}

static NOINLINE ftl_tensor make_shape(ftl_runtime *runtime, uint32_t ndim, const int64_t *shape)
{
    ftl_tensor tensor;
    cr_assert_eq(ftl_tensor_new(runtime, FTL_F32, ndim, shape, NULL, &tensor), FTL_OK);
    keep++;
    return tensor;
}

static uint32_t site_of(const ftl_runtime *runtime, ftl_tensor tensor)
{
    return ftli_header_site(ftli_table_header(&runtime->table, ftli_handle_slot(tensor.id)));
}

static void expect_in(const ftl_runtime *runtime, ftl_tensor tensor, uintptr_t function, const char *what)
{
    struct ftli_site_view view;
    cr_assert(ftli_site_read(runtime->tracking.sites, site_of(runtime, tensor), &view), "%s", what);
    cr_assert(view.literal == NULL && view.count >= 2, "%s", what);
    cr_expect(view.frames[0] - function < 400, "%s: the first frame is the caller of the public function", what);
    cr_expect(ftl_tensor_drop(tensor) == FTL_OK);
}

static void first_frame_is_the_callers(const char *overrides)
{
    ftl_runtime *runtime;
    ftl_open_options options = {.overrides = overrides};
    cr_assert_eq(ftl_runtime_open_with(&options, &runtime), FTL_OK, "%s", ftl_last_error());
    static const int64_t shape[] = {3, 5, 7, 2, 1, 1};
    const ftl_tensor_options zero = {.zero = true};
    for (unsigned i = 0; i < 40; i++) { /* the first call of a thread, refills, and what is remembered */
        expect_in(runtime, make_bytes(runtime, 100, NULL), (uintptr_t)make_bytes, "small");
        expect_in(runtime, make_bytes(runtime, 70000, NULL), (uintptr_t)make_bytes, "middle");
        expect_in(runtime, make_bytes(runtime, 3 << 20, NULL), (uintptr_t)make_bytes, "large");
        expect_in(runtime, make_bytes(runtime, 100, &zero), (uintptr_t)make_bytes, "with options");
        expect_in(runtime, make_shape(runtime, 1, shape), (uintptr_t)make_shape, "one dimension");
        expect_in(runtime, make_shape(runtime, 4, shape), (uintptr_t)make_shape, "four dimensions");
        expect_in(runtime, make_shape(runtime, 6, shape), (uintptr_t)make_shape, "six dimensions");
    }
    const ftl_tensor_options named = {.site = "here.c:1"};
    ftl_tensor tensor = make_bytes(runtime, 100, &named);
    char text[100];
    ftli_site_text(runtime->tracking.sites, site_of(runtime, tensor), text, sizeof text);
    cr_expect_str_eq(text, "here.c:1");
    ftli_u32_store_relaxed(&runtime->tracking.stacks_paused, 1);
    tensor = make_bytes(runtime, 100, NULL);
    bool always = strstr(overrides, "all") != NULL;
    cr_expect_eq(site_of(runtime, tensor) != FTLI_SITE_UNKNOWN, always);
    cr_assert_eq(ftl_runtime_close(runtime, NULL), FTL_OK);
}

Test(stack, the_first_frame_is_the_programs)
{
    first_frame_is_the_callers("actors.tracking.level: debug\n");
}

Test(stack, the_first_frame_is_the_programs_when_each_is_walked)
{
    first_frame_is_the_callers("actors.tracking.level: debug\nactors.tracking.stacks: all\n");
}

Test(stack, none_is_taken_where_none_is_asked_for)
{
    ftl_runtime *runtime;
    ftl_open_options options = {.overrides = "actors.tracking.level: debug\nactors.tracking.stacks: none\n"};
    cr_assert_eq(ftl_runtime_open_with(&options, &runtime), FTL_OK, "%s", ftl_last_error());
    cr_expect_eq(site_of(runtime, make_bytes(runtime, 100, NULL)), FTLI_SITE_UNKNOWN);
    cr_expect_eq(ftli_sites_end(runtime->tracking.sites), 2);
    cr_assert_eq(ftl_runtime_close(runtime, NULL), FTL_OK);
}
