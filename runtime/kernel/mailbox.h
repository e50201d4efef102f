/* A mailbox: four lanes, and what of them is in hand.
 *
 * What      Any thread pushes; the one thread that holds the receiver's run token takes. Of 64 messages each
 * lane gets at least its share (51, 8, 4, 1 by default) while it has any; what a lane leaves, the highest
 * uses. Owns      Every link from push to take, and those put back: a receiver that fails and is restarted
 * finds them all again. Nothing is ever dropped from a mailbox. Threads   push: any, async-signal-safe. take,
 * put_back, empty: the receiver. Figures: any. Order     Messages of one sender in one lane arrive in order,
 * unless the lane is unordered (then newest batch first, without the walk that turns a batch around).
 * Invariant pushed - taken = what waits in the lane, those in hand and put back included (at rest).
 */
#ifndef FTLI_RUNTIME_KERNEL_MAILBOX_H
#define FTLI_RUNTIME_KERNEL_MAILBOX_H

#include "runtime/kernel/stack.h"

enum {
    FTLI_LANE_EMERGENCY = 0,
    FTLI_LANE_HIGH = 1,
    FTLI_LANE_NORMAL = 2,
    FTLI_LANE_BACKGROUND = 3,
    FTLI_LANES = 4,
    FTLI_LANE_ROUND = 64, /* the shares of all lanes sum to this */
};

typedef uint64_t (*ftli_item_sent_fn)(const ftli_link *item); /* when the item was posted, on the kernel's clock */

typedef struct {
    /* written by pushers */
    FTLI_ALIGNED(64) ftli_stack stack;
    ftli_atomic_u64 pushed;   /* counted after the push */
    ftli_atomic_u64 since_ns; /* of the first push after the last take_all; 0: none */
    ftli_atomic_u64 seen;     /* pushed as of the receiver's last take_all: how many are new */
    /* written by the receiver, read by any */
    FTLI_ALIGNED(64) ftli_atomic_u64 taken;
    ftli_atomic_u64 high_water;
    ftli_atomic_u64 oldest_ns; /* of what is in hand; 0: nothing in hand */
    /* the receiver's alone: in hand, the next first */
    ftli_link *first;
    uint32_t credit; /* messages left of the lane's share in this round */
    uint32_t share;
    bool unordered;
} ftli_lane;

typedef struct {
    ftli_lane lanes[FTLI_LANES];
    ftli_item_sent_fn item_sent_ns; /* NULL: the age of a batch of items counts from its first push */
    bool foreign;                   /* no link is an ordinary message's, whatever its address says */
    bool ignore_priority;           /* the receiver's: lanes in turn, one message each */
    uint32_t turn;
    uint32_t round_left; /* messages left of this round */
} ftli_mailbox;

typedef struct {
    uint64_t depth, pushed, taken, high_water;
    uint64_t oldest_ns; /* when the oldest known was posted; 0: empty, or not known yet */
} ftli_lane_figures;

/* shares: FTLI_LANES of them that sum to FTLI_LANE_ROUND, each at least 1; NULL: 51, 8, 4, 1.
 * unordered_lanes: bit per lane. FTL_EINVAL for shares that are not so. */
int ftli_mailbox_init(ftli_mailbox *, const uint32_t *shares, uint32_t unordered_lanes, ftli_item_sent_fn);

bool ftli_mailbox_is_stamped(const ftli_mailbox *, unsigned lane); /* the next push needs no now_ns */
/* now_ns: for the age; may be coarse, and 0 where the lane is stamped. Returns how many of the lane the receiver has not seen yet, this one included. */
uint64_t ftli_mailbox_push(ftli_mailbox *, unsigned lane, ftli_link *, uint64_t now_ns);
uint64_t ftli_mailbox_unseen(const ftli_mailbox *, unsigned lane); /* the same figure, later; any thread */
/* When the oldest known was posted, 0: none; of an empty lane it may be a time that is over. Two loads; any thread. */
FTLI_INLINE uint64_t ftli_mailbox_oldest_ns(const ftli_mailbox *m, unsigned lane)
{
    const uint64_t in_hand_ns = ftli_u64_load_relaxed(&m->lanes[lane].oldest_ns);
    return in_hand_ns != 0 ? in_hand_ns : ftli_u64_load_relaxed(&m->lanes[lane].since_ns);
}
bool ftli_mailbox_lane_has_new(const ftli_mailbox *, unsigned lane); /* posted and not yet in hand; any thread */

/* The next by shares, or NULL when nothing waits; *lane says where it was. */
ftli_link *ftli_mailbox_take(ftli_mailbox *, unsigned *lane);
void ftli_mailbox_put_back(ftli_mailbox *, unsigned lane, ftli_link *); /* it will be the lane's next */
bool ftli_mailbox_has_in_hand(const ftli_mailbox *);                    /* the receiver's */

void ftli_mailbox_figures(const ftli_mailbox *, unsigned lane, ftli_lane_figures *out);
uint64_t ftli_mailbox_depth(const ftli_mailbox *);

#endif
