#include "runtime/kernel/mailbox.h"

#include <fettle/fettle.h>

static const uint32_t DEFAULT_SHARES[FTLI_LANES] = {51, 8, 4, 1};
_Static_assert(51 + 8 + 4 + 1 == FTLI_LANE_ROUND, "the shares are those of one round");

static void begin_round(ftli_mailbox *m)
{
    m->round_left = FTLI_LANE_ROUND;
    for (unsigned i = 0; i < FTLI_LANES; i++)
        m->lanes[i].credit = m->lanes[i].share;
}

int ftli_mailbox_init(ftli_mailbox *m, const uint32_t *shares, uint32_t unordered_lanes, ftli_item_sent_fn item_sent_ns)
{
    if (shares == NULL)
        shares = DEFAULT_SHARES;
    uint32_t sum = 0;
    for (unsigned i = 0; i < FTLI_LANES; i++) {
        if (shares[i] < 1 || shares[i] > FTLI_LANE_ROUND)
            return FTL_EINVAL;
        sum += shares[i];
    }
    if (sum != FTLI_LANE_ROUND)
        return FTL_EINVAL;

    *m = (ftli_mailbox){.item_sent_ns = item_sent_ns};
    for (unsigned i = 0; i < FTLI_LANES; i++) {
        m->lanes[i].share = shares[i];
        m->lanes[i].unordered = (unordered_lanes >> i & 1u) != 0;
    }
    begin_round(m);
    return FTL_OK;
}

/* ---- the senders' side -------------------------------------------------------------------------------------- */

uint64_t ftli_mailbox_unseen(const ftli_mailbox *m, unsigned lane)
{
    const ftli_lane *l = &m->lanes[lane];
    const uint64_t seen = ftli_u64_load_relaxed(&l->seen); /* first: it only ever follows pushed */
    const uint64_t pushed = ftli_u64_load_seq_cst(&l->pushed);
    return pushed > seen ? pushed - seen : 0;
}

bool ftli_mailbox_lane_has_new(const ftli_mailbox *m, unsigned lane)
{
    const ftli_lane *l = &m->lanes[lane];
    /* pairs: actor-word. The list's head is in no total order. Who counted its push before a look at the word that saw us is seen by
     * this load, and with it the push. */
    (void)ftli_u64_load_seq_cst(&l->pushed);
    return !ftli_stack_is_empty(&l->stack);
}

bool ftli_mailbox_is_stamped(const ftli_mailbox *m, unsigned lane)
{
    return ftli_u64_load_relaxed(&m->lanes[lane].since_ns) != 0;
}

uint64_t ftli_mailbox_push(ftli_mailbox *m, unsigned lane, ftli_link *link, uint64_t now_ns)
{
    ftli_lane *l = &m->lanes[lane];
    /* Before the push, and cleared after the take: so the stamp is never older than what waits in the lane. */
    if (now_ns != 0 && ftli_u64_load_relaxed(&l->since_ns) == 0)
        ftli_u64_store_relaxed(&l->since_ns, now_ns);
    const uint64_t seen = ftli_u64_load_relaxed(&l->seen);
    ftli_stack_push(&l->stack, link); /* from here on the link may be gone */
    /* pairs: actor-word. Sequentially consistent, so that the push comes before the sender's look at the word. */
    const uint64_t pushed = ftli_u64_fetch_add_seq_cst(&l->pushed, 1) + 1;
    return pushed > seen ? pushed - seen : 1;
}

/* ---- the receiver's side ------------------------------------------------------------------------------------ */

static void link_to(ftli_link *link, ftli_link *next)
{
    /* Readers of the struct around an item's link may be looking at this word as an atomic of their own. */
    FTLI_TSAN_HIDE_BEGIN();
    *(ftli_link *volatile *)&link->next = next;
    FTLI_TSAN_HIDE_END();
}

/* Turns a batch around, so that its oldest comes first. */
static ftli_link *oldest_first(ftli_link *newest)
{
    ftli_link *done = NULL;
    while (newest != NULL) {
        ftli_link *older = ftli_stack_next(newest);
        link_to(newest, done);
        done = newest;
        newest = older;
    }
    return done;
}

/* The age of a batch goes by what is next in it, where that can be read, else by the batch's first push. */
static void note_oldest(const ftli_mailbox *m, ftli_lane *l)
{
    ftli_link *next = l->first;
    uint64_t oldest = 0;
    if (next != NULL) {
        const bool item = m->foreign || ftli_link_is_item(next);
        if (l->unordered || (item && m->item_sent_ns == NULL))
            oldest = ftli_u64_load_relaxed(&l->oldest_ns);
        else if (item)
            oldest = m->item_sent_ns(next);
        else
            oldest = ftli_link_message(next)->sent_ns;
    }
    ftli_u64_store_relaxed(&l->oldest_ns, oldest);
}

static bool pull(ftli_mailbox *m, ftli_lane *l)
{
    if (ftli_stack_is_empty(&l->stack))
        return false;
    const uint64_t pushed = ftli_u64_load_seq_cst(&l->pushed);
    ftli_link *batch = ftli_stack_take_all(&l->stack);
    ftli_u64_store_relaxed(&l->seen, pushed); /* what was pushed since counts as new */
    ftli_u64_store_relaxed(&l->oldest_ns, ftli_u64_load_relaxed(&l->since_ns));
    ftli_u64_store_relaxed(&l->since_ns, 0);

    const uint64_t waiting = pushed - ftli_u64_load_relaxed(&l->taken);
    if (waiting < UINT64_MAX / 2 && waiting > ftli_u64_load_relaxed(&l->high_water))
        ftli_u64_store_relaxed(&l->high_water, waiting);

    l->first = l->unordered ? batch : oldest_first(batch);
    note_oldest(m, l);
    return true;
}

static bool lane_ready(ftli_mailbox *m, ftli_lane *l)
{
    return l->first != NULL || pull(m, l);
}

/* By priority, but so that what is left of the round suffices for what is owed to the lanes below. */
static unsigned choose(ftli_mailbox *m)
{
    bool ready[FTLI_LANES];
    unsigned highest = FTLI_LANES;
    uint32_t owed_below = 0;
    for (unsigned i = 0; i < FTLI_LANES; i++) {
        ready[i] = lane_ready(m, &m->lanes[i]);
        if (ready[i] && highest == FTLI_LANES)
            highest = i;
        else if (ready[i])
            owed_below += m->lanes[i].credit;
    }
    if (highest == FTLI_LANES || m->round_left > owed_below)
        return highest;
    for (unsigned i = highest + 1; i < FTLI_LANES; i++)
        if (ready[i] && m->lanes[i].credit != 0)
            return i;
    return highest; /* not reached: owed_below is not 0 here */
}

static unsigned choose_in_turn(ftli_mailbox *m)
{
    for (unsigned n = 0; n < FTLI_LANES; n++) {
        const unsigned lane = m->turn;
        m->turn = (m->turn + 1) % FTLI_LANES;
        if (lane_ready(m, &m->lanes[lane]))
            return lane;
    }
    return FTLI_LANES;
}

ftli_link *ftli_mailbox_take(ftli_mailbox *m, unsigned *lane)
{
    const unsigned chosen = m->ignore_priority ? choose_in_turn(m) : choose(m);
    if (chosen == FTLI_LANES)
        return NULL;
    ftli_lane *l = &m->lanes[chosen];
    ftli_link *link = l->first;
    l->first = ftli_stack_next(link);
    __builtin_prefetch(l->first, 1); /* while this one is received; NULL does no harm */
    if (l->credit != 0)
        l->credit--;
    if (--m->round_left == 0)
        begin_round(m);
    ftli_u64_add_owner(&l->taken, 1);
    note_oldest(m, l);
    *lane = chosen;
    return link;
}

void ftli_mailbox_put_back(ftli_mailbox *m, unsigned lane, ftli_link *link)
{
    ftli_lane *l = &m->lanes[lane];
    link_to(link, l->first);
    l->first = link;
    ftli_u64_add_owner(&l->taken, UINT64_MAX); /* minus one */
    note_oldest(m, l);
}

bool ftli_mailbox_has_in_hand(const ftli_mailbox *m)
{
    for (unsigned i = 0; i < FTLI_LANES; i++)
        if (m->lanes[i].first != NULL)
            return true;
    return false;
}

/* ---- figures ------------------------------------------------------------------------------------------------ */

void ftli_mailbox_figures(const ftli_mailbox *m, unsigned lane, ftli_lane_figures *out)
{
    const ftli_lane *l = &m->lanes[lane];
    /* taken first: a message is pushed before it is taken, so the difference is never short of what waited */
    out->taken = ftli_u64_load_acquire(&l->taken);
    out->pushed = ftli_u64_load_acquire(&l->pushed);
    out->depth = out->pushed > out->taken ? out->pushed - out->taken : 0;
    const uint64_t high_water = ftli_u64_load_relaxed(&l->high_water);
    out->high_water = high_water > out->depth ? high_water : out->depth;
    const uint64_t in_hand = ftli_u64_load_relaxed(&l->oldest_ns);
    const uint64_t since = ftli_u64_load_relaxed(&l->since_ns);
    out->oldest_ns = out->depth == 0 ? 0 : in_hand != 0 ? in_hand : since;
}

uint64_t ftli_mailbox_depth(const ftli_mailbox *m)
{
    uint64_t depth = 0;
    for (unsigned i = 0; i < FTLI_LANES; i++) {
        ftli_lane_figures figures;
        ftli_mailbox_figures(m, i, &figures);
        depth += figures.depth;
    }
    return depth;
}
