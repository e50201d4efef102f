#include "actors/leak_detection/cycle_search.h"

#include <string.h>

#include <fettle/fettle.h>

#include "runtime/base/os.h"

#define NONE        FTLI_CYCLE_NONE
#define EDGES_SPARE 65536 /* links that may come while the search runs */

static size_t rounded(size_t bytes)
{
    return (bytes + 63) / 64 * 64;
}

int ftli_cycle_search_begin(struct ftli_cycle_search *search, const struct ftli_table *table)
{
    uint32_t slots = ftli_table_fresh(table);
    uint64_t edges = (uint64_t)ftli_u32_load_acquire(&table->cells_fresh) * FTLI_LINK_CELL_CHILDREN + EDGES_SPARE;
    *search = (struct ftli_cycle_search){
        .table = table,
        .end_slot = slots,
        .nodes_most = slots,
        .edges_most = edges < NONE ? (uint32_t)edges : NONE,
        .current = NONE,
        .stack = NONE,
        .work = NONE,
        .doubtful = NONE,
    };
    size_t nodes_at = rounded((size_t)slots * sizeof *search->places);
    size_t edges_at = nodes_at + rounded((size_t)slots * sizeof *search->nodes);
    size_t page = ftli_os_page_bytes();
    search->memory_bytes = (edges_at + (size_t)search->edges_most * sizeof *search->edges + page - 1) / page * page;
    search->memory = ftli_os_reserve(search->memory_bytes, page);
    if (search->memory == NULL)
        return FTL_ENOMEM;
    unsigned char *memory = search->memory;
    search->places = search->memory;
    search->nodes = (struct ftli_cycle_node *)(void *)(memory + nodes_at);
    search->edges = (uint32_t *)(void *)(memory + edges_at);
    return FTL_OK;
}

void ftli_cycle_search_end(struct ftli_cycle_search *search)
{
    if (search->memory != NULL)
        ftli_os_release(search->memory, search->memory_bytes);
    search->memory = NULL;
    search->count = 0;
}

/* ---- the search ------------------------------------------------------------------------------------------------------ */

static void read_edges(struct ftli_cycle_search *search, struct ftli_cycle_node *node, struct ftli_links_cursor *cursor)
{
    for (uint64_t child; (child = ftli_links_next(cursor)) != 0;) {
        uint32_t slot = ftli_handle_slot(child);
        if (search->edge_count == search->edges_most) {
            search->full = true;
            break;
        }
        if (slot < search->end_slot) { /* they are looked at soon, one after the other */
            __builtin_prefetch(ftli_table_header(search->table, slot));
            __builtin_prefetch(&search->places[slot]);
        }
        search->edges[search->edge_count++] = slot;
    }
    node->end_edge = search->edge_count;
    if (cursor->torn)
        node->flags |= FTLI_CYCLE_HELD;
}

/* The node of a slot, which may be new; NONE if its tensor holds nothing. Slots that are younger than the search are left to the next. */
static uint32_t node_of(struct ftli_cycle_search *search, uint32_t slot)
{
    struct ftli_links_cursor cursor;
    if (slot >= search->end_slot)
        return NONE;
    if (search->places[slot] != 0)
        return search->places[slot] - 1;
    if (!ftli_links_begin(&cursor, search->table, slot))
        return NONE;
    uint32_t number = search->count++;
    struct ftli_cycle_node *node = &search->nodes[number];
    search->places[slot] = number + 1;
    *node = (struct ftli_cycle_node){
        .slot = slot,
        .generation = ftli_word_generation(cursor.word),
        .first_edge = search->edge_count,
        .at = search->edge_count,
        .references = ftli_word_references(cursor.word),
        .flags = ftli_word_pins(cursor.word) != 0 ? FTLI_CYCLE_HELD : 0,
        .low = number,
        .from = NONE,
        .next = search->stack,
        .first = NONE,
    };
    search->stack = number;
    read_edges(search, node, &cursor);
    return number;
}

void ftli_cycle_search_from(struct ftli_cycle_search *search, uint32_t slot)
{
    uint32_t before = search->count;
    uint32_t node = node_of(search, slot);
    if (search->count != before)
        search->current = node;
}

/* The root of a component has all of it above itself on the stack. */
static void pop_component(struct ftli_cycle_search *search, uint32_t root)
{
    struct ftli_cycle_node *it = &search->nodes[root];
    uint32_t first = search->stack;
    search->stack = it->next;
    it->next = NONE; /* so that the list of members ends with their root */
    for (uint32_t member = first; member != NONE; member = search->nodes[member].next) {
        search->nodes[member].low = root;
        search->nodes[member].first = first; /* of all of them: it is no longer on the stack */
        it->members++;
    }
}

static bool is_on_stack(const struct ftli_cycle_node *node)
{
    return node->first == NONE;
}

static void follow(struct ftli_cycle_search *search, struct ftli_cycle_node *node)
{
    uint32_t *edge = &search->edges[node->at++], current = search->current, before = search->count;
    uint32_t child = node_of(search, *edge);
    *edge = child;
    if (child == NONE)
        return;
    search->nodes[child].inside++;
    if (child == current)
        node->flags |= FTLI_CYCLE_SELF;
    if (search->count != before) {
        search->nodes[child].from = current;
        search->current = child;
    } else if (is_on_stack(&search->nodes[child]) && child < node->low) {
        node->low = child;
    }
}

bool ftli_cycle_search_go_on(struct ftli_cycle_search *search, uint32_t *budget)
{
    for (; search->current != NONE && *budget != 0 && !search->full; --*budget) {
        struct ftli_cycle_node *node = &search->nodes[search->current];
        if (node->at < node->end_edge) {
            follow(search, node);
            continue;
        }
        uint32_t low = node->low, back = node->from;
        if (low == search->current)
            pop_component(search, low);
        if (back != NONE && low < search->nodes[back].low)
            search->nodes[back].low = low;
        search->current = back;
    }
    return search->current == NONE || search->full;
}

/* ---- the judgement --------------------------------------------------------------------------------------------------- */

static void hold(struct ftli_cycle_search *search, uint32_t node)
{
    search->nodes[node].flags |= FTLI_CYCLE_HELD;
    search->nodes[node].at = search->work;
    search->work = node;
}

/* All that a held node reaches is held. */
static bool spread(struct ftli_cycle_search *search, uint32_t *budget)
{
    while (search->work != NONE && *budget != 0) {
        const struct ftli_cycle_node *node = &search->nodes[search->work];
        search->work = node->at;
        uint32_t cost = node->end_edge - node->first_edge + 1;
        *budget -= cost < *budget ? cost : *budget;
        for (uint32_t e = node->first_edge; e < node->end_edge; e++) {
            uint32_t child = search->edges[e];
            if (child != NONE && (search->nodes[child].flags & FTLI_CYCLE_HELD) == 0)
                hold(search, child);
        }
    }
    return search->work == NONE;
}

static bool find_held(struct ftli_cycle_search *search, uint32_t *budget)
{
    for (; search->at < search->count && *budget != 0; search->at++, --*budget) {
        const struct ftli_cycle_node *node = &search->nodes[search->at];
        if ((node->flags & FTLI_CYCLE_HELD) != 0 || node->references != node->inside)
            hold(search, search->at);
    }
    return search->at == search->count;
}

static void count_own(struct ftli_cycle_search *search, uint32_t number)
{
    const struct ftli_cycle_node *node = &search->nodes[number];
    if (search->nodes[node->low].members == 1 && (node->flags & FTLI_CYCLE_SELF) == 0)
        return;
    for (uint32_t e = node->first_edge; e < node->end_edge; e++) {
        uint32_t child = search->edges[e];
        if (child != NONE && search->nodes[child].low == node->low)
            search->nodes[child].own++;
    }
}

static bool count(struct ftli_cycle_search *search, uint32_t *budget)
{
    for (; search->at < search->count && *budget != 0; search->at++, --*budget) {
        struct ftli_cycle_node *node = &search->nodes[search->at];
        count_own(search, search->at);
        if ((node->flags & FTLI_CYCLE_HELD) != 0)
            continue;
        node->from = search->doubtful;
        search->doubtful = search->at;
    }
    return search->at == search->count;
}

bool ftli_cycle_search_judge(struct ftli_cycle_search *search, uint32_t *budget)
{
    if (search->phase == FTLI_CYCLE_SEARCHING && find_held(search, budget))
        search->phase = FTLI_CYCLE_JUDGING;
    if (search->phase == FTLI_CYCLE_JUDGING && spread(search, budget)) {
        search->phase = FTLI_CYCLE_COUNTING;
        search->at = 0;
    }
    if (search->phase == FTLI_CYCLE_COUNTING && count(search, budget)) {
        search->phase = FTLI_CYCLE_JUDGED;
        search->at = search->doubtful;
    }
    return search->phase == FTLI_CYCLE_JUDGED;
}

/* Every word and every link that the verdict on it rests on. */
static bool is_as_it_was(const struct ftli_cycle_search *search, const struct ftli_cycle_node *node)
{
    struct ftli_links_cursor cursor;
    uint32_t e = node->first_edge;
    if (!ftli_links_begin(&cursor, search->table, node->slot) ||
        ftli_word_generation(cursor.word) != node->generation ||
        ftli_word_references(cursor.word) != node->references || ftli_word_pins(cursor.word) != 0)
        return false;
    for (uint64_t child; (child = ftli_links_next(&cursor)) != 0; e++)
        if (e == node->end_edge || (search->edges[e] != NONE && ftli_cycle_tensor(search, search->edges[e]) != child))
            return false;
    return e == node->end_edge && !cursor.torn;
}

bool ftli_cycle_search_look_again(struct ftli_cycle_search *search, uint32_t *budget)
{
    for (; search->at != NONE && *budget != 0; --*budget) {
        const struct ftli_cycle_node *node = &search->nodes[search->at];
        if ((node->flags & FTLI_CYCLE_HELD) == 0 && !is_as_it_was(search, node))
            hold(search, search->at);
        search->at = node->from;
    }
    if (search->at != NONE || !spread(search, budget))
        return false;
    search->at = search->doubtful;
    return true;
}

bool ftli_cycle_search_is_lost(const struct ftli_cycle_search *search, uint32_t slot)
{
    if (search->memory == NULL || slot >= search->end_slot || search->places[slot] == 0)
        return false;
    const struct ftli_cycle_node *node = &search->nodes[search->places[slot] - 1];
    return (node->flags & FTLI_CYCLE_HELD) == 0 && ftli_cycle_is_root(search, node->low);
}

/* Breadth first, within the component: the way back to the node. */
uint32_t ftli_cycle_path(struct ftli_cycle_search *search, uint32_t start, uint32_t *path, uint32_t most)
{
    struct ftli_cycle_node *nodes = search->nodes;
    uint32_t last = start, length = 0;
    bool closed = false;
    nodes[start].flags |= FTLI_CYCLE_SEEN;
    nodes[start].from = nodes[start].at = NONE;
    for (uint32_t node = start; node != NONE && !closed; node = nodes[node].at) {
        for (uint32_t e = nodes[node].first_edge; e < nodes[node].end_edge && !closed; e++) {
            uint32_t child = search->edges[e];
            closed = child == start;
            if (closed)
                last = node;
            if (child == NONE || nodes[child].low != nodes[start].low || (nodes[child].flags & FTLI_CYCLE_SEEN) != 0)
                continue;
            nodes[child].flags |= FTLI_CYCLE_SEEN;
            nodes[child].from = node;
            nodes[child].at = NONE;
            nodes[search->work == NONE ? start : search->work].at = child;
            search->work = child;
        }
    }
    search->work = NONE;
    for (uint32_t node = last; node != NONE; node = nodes[node].from)
        length++;
    uint32_t place = length;
    for (uint32_t node = last; node != NONE; node = nodes[node].from)
        if (--place < most)
            path[place] = node;
    return length;
}
