/* Which tensors hold each other in a cycle that nothing outside refers to.
 *
 * What      A picture of a part of the graph of links (a view's hold on its root is a link too): all that can be reached from the
 *           slots that are looked from. Its strongly connected components are found by Tarjan's algorithm (R. Tarjan, "Depth-first
 *           search and linear graph algorithms", SIAM Journal on Computing 1(2), 1972), without recursion: the way back is kept in
 *           the nodes, so that depth costs nothing. A node is held if its word counts more references than links of the picture
 *           point at it, or a pin; so is all that a held one reaches. A component of several nodes, or with a link to itself, none of
 *           which is held, is a cycle that only itself keeps alive.
 * Doubt     The picture is taken beside threads, and words carry no count of their changes. What it takes for leaked is looked at again, FTLI_CYCLE_LOOKS times: every word and
 *           every link of all that the verdict rests on must be as it was. A link from outside the picture counts as a reference from
 *           outside, so a part of the graph can hide a leak, and never makes one.
 * Memory    4 bytes a slot that was ever used, 56 a tensor that holds others, 4 a link; reserved by the call of begin, resident as far as
 *           the search goes, and given back by end.
 * Threads   One a search; any number of searches beside everything else.
 * Slices    Calls take a budget, count it down by nodes and links, and return at 0 to be called again.
 */
#ifndef FTLI_ACTORS_LEAK_DETECTION_CYCLE_SEARCH_H
#define FTLI_ACTORS_LEAK_DETECTION_CYCLE_SEARCH_H

#include "actors/leak_detection/links.h"

#define FTLI_CYCLE_NONE UINT32_MAX
enum { FTLI_CYCLE_LOOKS = 16 };

enum {
    FTLI_CYCLE_HELD = 1,
    FTLI_CYCLE_SELF = 2 /* it links to itself */,
    FTLI_CYCLE_SEEN = 4,
    FTLI_CYCLE_DOUBTFUL = 8
};

/* Numbered in the order in which they are found: a node's number is Tarjan's. */
struct ftli_cycle_node {
    uint32_t slot, generation; /* and not in one, so that a look for handles in memory finds none here */
    uint32_t first_edge, end_edge;
    uint32_t references; /* of its word */
    uint32_t flags;
    uint32_t inside;  /* links of the picture that point at it */
    uint32_t own;     /* of those, from its own component */
    uint32_t low;     /* while it is searched; afterwards the root of its component */
    uint32_t at;      /* while it is searched: its next edge; afterwards a list of the judgement's */
    uint32_t from;    /* while it is searched: the way back; afterwards a list of the judgement's */
    uint32_t next;    /* on Tarjan's stack; afterwards its component's next member */
    uint32_t first;   /* of a root: a member */
    uint32_t members; /* of a root; 0: of a node that is on the stack, or no root */
};

enum ftli_cycle_phase { FTLI_CYCLE_SEARCHING, FTLI_CYCLE_JUDGING, FTLI_CYCLE_COUNTING, FTLI_CYCLE_JUDGED };

struct ftli_cycle_search {
    const struct ftli_table *table;
    void *memory;
    size_t memory_bytes;
    uint32_t end_slot;
    uint32_t *places; /* by slot: its node + 1, or 0 */
    struct ftli_cycle_node *nodes;
    uint32_t *edges; /* slots, and once they are followed nodes; FTLI_CYCLE_NONE: holds nothing, so it is in no cycle */
    uint32_t count, nodes_most, edge_count, edges_most;
    uint32_t current, stack; /* of the search */
    enum ftli_cycle_phase phase;
    uint32_t at, work, doubtful; /* of the judgement */
    bool full;                   /* there were more links than at its beginning: it is void */
};

/* FTL_ENOMEM. */
int ftli_cycle_search_begin(struct ftli_cycle_search *, const struct ftli_table *);
void ftli_cycle_search_end(struct ftli_cycle_search *);
/* From this slot, if it was not found yet; only when nothing is under way. */
void ftli_cycle_search_from(struct ftli_cycle_search *, uint32_t slot);
/* True: all that can be reached is found. */
bool ftli_cycle_search_go_on(struct ftli_cycle_search *, uint32_t *budget);
/* Once everything is found: who is held. True: done. */
bool ftli_cycle_search_judge(struct ftli_cycle_search *, uint32_t *budget);
/* Once that is done, again and again: whatever is taken for leaked is looked at once more. True: one look is done. */
bool ftli_cycle_search_look_again(struct ftli_cycle_search *, uint32_t *budget);

/* Whether this slot's tensor was found, and is now one that nothing outside refers to. */
bool ftli_cycle_search_is_lost(const struct ftli_cycle_search *, uint32_t slot);

FTLI_INLINE uint64_t ftli_cycle_tensor(const struct ftli_cycle_search *search, uint32_t node)
{
    const struct ftli_cycle_node *it = &search->nodes[node];
    return ftli_handle_make(search->table->runtime, it->slot, it->generation);
}

/* The node is the root of a component that is a cycle. */
FTLI_INLINE bool ftli_cycle_is_root(const struct ftli_cycle_search *search, uint32_t node)
{
    const struct ftli_cycle_node *it = &search->nodes[node];
    return it->low == node && (it->members > 1 || (it->flags & FTLI_CYCLE_SELF) != 0);
}

FTLI_INLINE bool ftli_cycle_is_leaked(const struct ftli_cycle_search *search, uint32_t root)
{
    return (search->nodes[root].flags & FTLI_CYCLE_HELD) == 0;
}

/* The shortest cycle through a node of a cycle's component, which is path[0]; returns its length, and the first `most` of it. Once a
 * component. */
uint32_t ftli_cycle_path(struct ftli_cycle_search *, uint32_t node, uint32_t *path, uint32_t most);

#endif
