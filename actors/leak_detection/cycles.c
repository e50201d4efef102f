#include "actors/leak_detection/cycles.h"

#include <stdlib.h>
#include <string.h>

#include "actors/leak_detection/walk.h"
#include "runtime/base/clock.h"
#include "runtime/base/random.h"

#define NONE        FTLI_CYCLE_NONE
#define SLICE_STEPS 8192
#define PAUSE_MOST  64

void ftli_cycles_init(struct ftli_cycles *cycles)
{
    memset(cycles, 0, sizeof *cycles);
    ftli_link_log_init(&cycles->log);
}

void ftli_cycles_fini(struct ftli_cycles *cycles)
{
    ftli_cycle_search_end(&cycles->search);
    free(cycles->known);
    cycles->known = NULL;
    ftli_link_log_fini(&cycles->log);
}

static int64_t every_ns(const struct ftli_leak_detection *leaks)
{
    return leaks->world.settings != NULL ? leaks->world.settings->cycles_every_ns : FTLI_TIME_NONE;
}

void ftli_leak_detection_note_link(struct ftli_leak_detection *leaks, uint64_t tensor)
{
    struct ftli_cycles *cycles = &leaks->cycles;
    if (ftli_u32_load_relaxed(&cycles->linked) == 0)
        ftli_u32_store_release(&cycles->linked, 1);
    if (leaks->actor == NULL || every_ns(leaks) == FTLI_TIME_NONE)
        return;
    ftli_link_log_put(&cycles->log, tensor);
    if (ftli_u32_load_seq_cst(&cycles->noted) != 0)
        return;
    ftli_u32_store_seq_cst(&cycles->noted, 1); /* pairs: cycles-noted */
    ftli_leak_pass_ask(leaks, FTLI_LEAK_PASS_CYCLES, (uint64_t)every_ns(leaks));
}

/* ---- what is remembered ---------------------------------------------------------------------------------------------- */

static struct ftli_cycle_known known_of(const struct ftli_cycle_node *node, uint32_t own)
{
    return (struct ftli_cycle_known){node->slot, node->generation, own};
}

static bool remember(struct ftli_cycles *cycles, const struct ftli_cycle_node *node)
{
    if (cycles->known_count == cycles->known_most) {
        size_t most = cycles->known_most == 0 ? 64 : 2 * cycles->known_most;
        struct ftli_cycle_known *known = realloc(cycles->known, most * sizeof *known);
        if (known == NULL)
            return false;
        cycles->known = known;
        cycles->known_most = most;
    }
    cycles->known[cycles->known_count++] = known_of(node, NONE);
    return true;
}

/* More refers to it than its own component's links, or it is pinned. */
static bool still_holds(const struct ftli_table *table, const struct ftli_cycle_known *known)
{
    uint64_t word = ftli_u64_load_acquire(&ftli_table_header(table, known->slot)->word);
    return ftli_word_is_live(word, known->generation) && known->own != NONE &&
           (ftli_word_references(word) > known->own || ftli_word_pins(word) != 0);
}

static void fail(struct ftli_leak_detection *leaks, const char *what)
{
    struct ftli_event_news news = {.kind = FTL_EVENT_LOG, .level = 2, .subject = "leak_detection"};
    leaks->cycles.again = true;
    (void)ftli_u64_fetch_add_relaxed(&leaks->cycles.failed, 1);
    ftli_events_post(leaks->world.events, &news, "the look for cycles of links %s; the next one looks at all", what);
}

/* ---- a run ----------------------------------------------------------------------------------------------------------- */

static bool begin(struct ftli_leak_detection *leaks, uint64_t now_ns)
{
    struct ftli_cycles *cycles = &leaks->cycles;
    (void)now_ns;
    ftli_u32_store_seq_cst(&cycles->noted, 0); /* pairs: cycles-noted */
    cycles->log_left = ftli_u64_load_seq_cst(&cycles->log.tail) - ftli_u64_load_relaxed(&cycles->log.head);
    cycles->all = ftli_link_log_lost(&cycles->log) || cycles->again;
    cycles->again = false;
    if (!cycles->all && cycles->log_left == 0 && cycles->known_count == 0)
        return false;
    if (ftli_cycle_search_begin(&cycles->search, leaks->world.table) != FTL_OK) {
        fail(leaks, "had no memory");
        ftli_leak_pass_ask(leaks, FTLI_LEAK_PASS_CYCLES, (uint64_t)every_ns(leaks));
        return false;
    }
    if (cycles->all)
        cycles->known_count = 0;
    cycles->phase = FTLI_CYCLES_KNOWN;
    cycles->known_at = cycles->known_kept = 0;
    cycles->slot = 1;
    cycles->node = 0;
    cycles->looks = 0;
    cycles->found = cycles->found_bytes = cycles->found_new = 0;
    cycles->largest = NONE;
    return true;
}

/* Each of these: true, there is nothing more of its kind to look from. */

static bool from_known(struct ftli_leak_detection *leaks, uint32_t *budget)
{
    struct ftli_cycles *cycles = &leaks->cycles;
    while (ftli_cycle_search_go_on(&cycles->search, budget) && *budget != 0) {
        if (cycles->known_at == cycles->known_count) {
            cycles->known_count = cycles->known_kept;
            return true;
        }
        struct ftli_cycle_known known = cycles->known[cycles->known_at++];
        --*budget;
        if (still_holds(leaks->world.table, &known))
            cycles->known[cycles->known_kept++] = known;
        else
            ftli_cycle_search_from(&cycles->search, known.slot);
    }
    return false;
}

static bool from_log(struct ftli_leak_detection *leaks, uint32_t *budget)
{
    struct ftli_cycles *cycles = &leaks->cycles;
    while (ftli_cycle_search_go_on(&cycles->search, budget) && *budget != 0) {
        uint64_t tensor = cycles->log_left != 0 ? ftli_link_log_take(&cycles->log) : 0;
        if (tensor == 0)
            return true;
        --cycles->log_left;
        --*budget;
        if (!cycles->all) /* else it is for room alone */
            ftli_cycle_search_from(&cycles->search, ftli_handle_slot(tensor));
    }
    return false;
}

static bool from_all(const struct ftli_table *table, struct ftli_cycle_search *search, uint32_t *slot, uint32_t *budget)
{
    while (ftli_cycle_search_go_on(search, budget) && *budget != 0) {
        if (*slot >= search->end_slot)
            return true;
        ftli_cycle_search_from(search, *slot);
        *slot = ftli_table_next(table, *slot, search->end_slot);
        --*budget;
    }
    return false;
}

/* What was looked from is remembered anew. */
static bool forget(struct ftli_cycles *cycles, uint32_t *budget)
{
    for (; cycles->known_at < cycles->known_count && *budget != 0; --*budget) {
        struct ftli_cycle_known known = cycles->known[cycles->known_at++];
        if (known.slot >= cycles->search.end_slot || cycles->search.places[known.slot] == 0)
            cycles->known[cycles->known_kept++] = known;
    }
    if (cycles->known_at < cycles->known_count)
        return false;
    cycles->known_count = cycles->known_kept;
    return true;
}

static void count_leaked(struct ftli_leak_detection *leaks, const struct ftli_cycle_node *node, uint64_t now_ns)
{
    struct ftli_cycles *cycles = &leaks->cycles;
    struct ftli_leak_tensor tensor;
    if (!ftli_leak_look(leaks, node->slot, now_ns, &tensor))
        return;
    cycles->found++;
    cycles->found_bytes += tensor.bytes;
    cycles->found_new += tensor.cause == 0;
}

/* A component's root is the first of its nodes: it is remembered with no witness, until one is met. */
static bool remember_node(struct ftli_leak_detection *leaks, uint32_t number, uint64_t now_ns)
{
    struct ftli_cycles *cycles = &leaks->cycles;
    struct ftli_cycle_node *node = &cycles->search.nodes[number], *root = &cycles->search.nodes[node->low];
    if (!ftli_cycle_is_root(&cycles->search, node->low))
        return true;
    bool leaked = ftli_cycle_is_leaked(&cycles->search, node->low);
    if (node == root) {
        if (!remember(cycles, node))
            return false;
        root->from = (uint32_t)(cycles->known_count - 1);
        if (leaked && (cycles->largest == NONE || root->members > cycles->search.nodes[cycles->largest].members))
            cycles->largest = number;
    }
    struct ftli_cycle_known *known = &cycles->known[root->from];
    if (leaked)
        count_leaked(leaks, node, now_ns);
    else if (known->own == NONE && node->references > node->own)
        *known = known_of(node, node->own);
    return true;
}

static bool remember_found(struct ftli_leak_detection *leaks, uint64_t now_ns, uint32_t *budget)
{
    struct ftli_cycles *cycles = &leaks->cycles;
    for (; cycles->node < cycles->search.count && *budget != 0; cycles->node++, --*budget) {
        if (!remember_node(leaks, cycles->node, now_ns)) {
            fail(leaks, "had no memory to remember what it found");
            return true;
        }
    }
    return cycles->node == cycles->search.count;
}

static bool look_from(struct ftli_leak_detection *leaks, uint32_t *budget)
{
    struct ftli_cycles *cycles = &leaks->cycles;
    if (cycles->phase == FTLI_CYCLES_KNOWN && from_known(leaks, budget))
        cycles->phase = FTLI_CYCLES_CHANGED;
    if (cycles->phase == FTLI_CYCLES_CHANGED && from_log(leaks, budget))
        cycles->phase = cycles->all ? FTLI_CYCLES_ALL : FTLI_CYCLES_JUDGE;
    if (cycles->phase == FTLI_CYCLES_ALL && from_all(leaks->world.table, &cycles->search, &cycles->slot, budget))
        cycles->phase = FTLI_CYCLES_JUDGE;
    return !cycles->search.full;
}

/* True: it is known who is held, and what is not was looked at often enough. A look a slice at most: time passes between them. */
static bool is_sure(struct ftli_cycles *cycles, uint32_t *budget)
{
    if (cycles->phase == FTLI_CYCLES_LOOK_AGAIN)
        cycles->looks += ftli_cycle_search_look_again(&cycles->search, budget);
    else if (cycles->phase == FTLI_CYCLES_JUDGE && ftli_cycle_search_judge(&cycles->search, budget))
        cycles->phase = FTLI_CYCLES_LOOK_AGAIN;
    if (cycles->phase != FTLI_CYCLES_LOOK_AGAIN ||
        (cycles->looks < FTLI_CYCLE_LOOKS && cycles->search.doubtful != NONE))
        return false;
    cycles->known_at = cycles->known_kept = 0;
    cycles->phase = FTLI_CYCLES_FORGET;
    return true;
}

static bool slice(struct ftli_leak_detection *leaks, uint64_t now_ns)
{
    struct ftli_cycles *cycles = &leaks->cycles;
    uint32_t budget = SLICE_STEPS;
    (void)ftli_u64_fetch_add_relaxed(&cycles->steps, SLICE_STEPS);
    if (cycles->phase < FTLI_CYCLES_JUDGE && !look_from(leaks, &budget)) {
        fail(leaks, "met more links than there was room for");
        return false;
    }
    if (cycles->phase < FTLI_CYCLES_FORGET && !is_sure(cycles, &budget))
        return true;
    if (cycles->phase == FTLI_CYCLES_FORGET && forget(cycles, &budget))
        cycles->phase = FTLI_CYCLES_REMEMBER;
    return cycles->phase != FTLI_CYCLES_REMEMBER || !remember_found(leaks, now_ns, &budget);
}

static void tell(struct ftli_leak_detection *leaks)
{
    struct ftli_cycles *cycles = &leaks->cycles;
    char text[FTLI_EVENT_TEXT_BYTES];
    bool more = cycles->found > cycles->told;
    cycles->told = cycles->found;
    if (!more || !ftli_events_are_wanted(leaks->world.events, FTL_EVENT_LEAK) || cycles->largest == NONE)
        return;
    struct ftli_event_news news = {.kind = FTL_EVENT_LEAK,
                                   .bytes = cycles->found_bytes,
                                   .count = cycles->found,
                                   .tensor = ftli_cycle_tensor(&cycles->search, cycles->largest),
                                   .subject = "cycle"};
    ftli_cycle_text(leaks, &cycles->search, cycles->largest, text, sizeof text);
    ftli_events_post(leaks->world.events, &news,
                     "%llu tensors of %llu bytes are held by cycles of links, and by nothing else; the largest %s",
                     (unsigned long long)cycles->found, (unsigned long long)cycles->found_bytes, text);
}

static uint64_t end(struct ftli_leak_detection *leaks, uint64_t now_ns)
{
    struct ftli_cycles *cycles = &leaks->cycles;
    (void)now_ns;
    if (!cycles->again) {
        tell(leaks);
        ftli_u64_store_release(&cycles->leaked, cycles->found);
        ftli_u64_store_release(&cycles->suspects, cycles->found_new);
        (void)ftli_u64_fetch_add_relaxed(&cycles->runs, 1);
    }
    ftli_cycle_search_end(&cycles->search);
    bool more = cycles->again || cycles->known_count != 0 ||
                ftli_u64_load_acquire(&cycles->log.tail) != ftli_u64_load_relaxed(&cycles->log.head);
    return more ? (uint64_t)every_ns(leaks) : FTLI_LEAK_NO_DATE;
}

/* What was taken from the log is lost with the run. */
static void reset(struct ftli_leak_detection *leaks)
{
    ftli_cycle_search_end(&leaks->cycles.search);
    leaks->cycles.again = true;
}

const struct ftli_leak_pass_operations ftli_cycles_pass = {
    .begin = begin,
    .slice = slice,
    .end = end,
    .reset = reset,
};

/* ---- a scan ---------------------------------------------------------------------------------------------------------- */

static bool is_over(const struct ftli_leak_detection *leaks, uint64_t deadline_ns)
{
    return ftli_kernel_now_ns(leaks->world.kernel) > deadline_ns;
}

int ftli_cycles_search_all(struct ftli_leak_detection *leaks, struct ftli_cycle_search *search, uint64_t deadline_ns)
{
    uint32_t slot = 1, budget = SLICE_STEPS;
    memset(search, 0, sizeof *search);
    if (ftli_u32_load_acquire(&leaks->cycles.linked) == 0)
        return FTL_OK;
    if (ftli_cycle_search_begin(search, leaks->world.table) != FTL_OK)
        return FTL_ENOMEM;
    for (; !from_all(leaks->world.table, search, &slot, &budget) && !search->full; budget = SLICE_STEPS)
        if (is_over(leaks, deadline_ns))
            return FTL_ETIMEDOUT;
    if (search->full)
        return FTL_ENOMEM;
    for (; !ftli_cycle_search_judge(search, &budget); budget = SLICE_STEPS)
        if (is_over(leaks, deadline_ns))
            return FTL_ETIMEDOUT;
    uint64_t random = search->count; /* so that nobody's loop keeps step with the looks */
    for (unsigned looks = 0; looks < FTLI_CYCLE_LOOKS && search->doubtful != NONE; budget = SLICE_STEPS) {
        looks += ftli_cycle_search_look_again(search, &budget);
        for (uint64_t pause = ftli_splitmix64(&random) % PAUSE_MOST; pause != 0; pause--)
            ftli_cpu_relax();
        if (is_over(leaks, deadline_ns))
            return FTL_ETIMEDOUT;
    }
    return FTL_OK;
}
