/*
 * drain.pml - which deferred drops a drain waits for: epochs by parity.
 *
 * A deferred drop reads the parity, counts itself in posted[parity] of its port, and is posted; the parity travels in the
 * header. The completer counts completed[parity] when it is done with a message; before that it counts what the
 * message cascades to, under the same parity. A pinned header is counted by its drop, and posted later by the unpin.
 * A drain, under a lock, waits for the parity that is not current, until its completed has reached its posted, summing completed first
 * and posted (port by port) after it; then it flips the parity, and waits for the other one in the same way.
 *
 * Why both: a dropper that read the parity just before a flip counts in the old one, perhaps long after that drain has
 * returned. A later drain that began after this drop returned would wait for the other parity only.
 *
 * With OUTBOX (policy message) the drops of port 0 lie in a parcel of their parity, which is posted when it is full; the tick and the
 * drain claim the port, and post what lies there if its owner is not inside (how a claim excludes the owner: port.pml).
 *
 * With HELP its owner, in a new between its drops, posts what lies there and runs the completer itself for one message, if nobody does:
 * the completer's counters have one writer because of the token alone.
 *
 * Properties
 *   D1  a drain returns only when each deferred drop that returned before it began is completed, with its cascade
 *   D2  a drain returns, although drops that began after it keep coming (liveness, every thread scheduled fairly)
 *   D3  nothing hangs, and posted and completed agree at the end
 *
 * check: safety -DDRAINERS=2
 * check: safety -DDRAINS=2 -DPINNED=1
 * check: safety -DDRAINS=2 -DAGAIN=1
 * check: safety -DOUTBOX=1 -DAGAIN=1
 * check: safety -DOUTBOX=1 -DAGAIN=1 -DDRAINS=2
 * check: safety -DOUTBOX=1 -DAGAIN=1 -DHELP=1
 * check: liveness
 * deep:  safety -DDRAINS=3 -DPINNED=1 -DAGAIN=1
 * planted: BUG_ONE_FLIP       safety -DDRAINS=2 a drain waits for the parity only that it has just left (D1)
 * planted: BUG_POSTED_FIRST   safety -DDRAINS=2 -DAGAIN=1 the drain sums posted before completed (D1)
 * planted: BUG_COUNT_LATE     safety -DAGAIN=1 a drop is counted after it is posted (D1)
 * planted: BUG_COUNT_AT_POST  safety -DPINNED=1 a pinned header is counted by the unpin, not by the drop (D1)
 * planted: BUG_CASCADE_LATE   safety a cascade is counted after its parent's completion (D1)
 * planted: BUG_CASCADE_PARITY safety a cascade counts under the parity of the moment, not its parent's (D1)
 * planted: BUG_NO_LOCK        safety -DDRAINERS=2 two drains flip at will (D1)
 * planted: BUG_CLAIM_BUSY     safety -DOUTBOX=1 -DAGAIN=1 a claimer does not look whether the owner is inside (D1 or D3)
 * planted: BUG_ONE_PARCEL     safety -DOUTBOX=1 -DAGAIN=1 a parcel takes drops of both parities, and has that of the first (D1 or D3)
 * planted: BUG_OUTBOX_LEFT    safety -DOUTBOX=1 nobody claims the port: what lies in its parcel stays there (D3)
 * planted: BUG_HELP_NO_TOKEN  safety -DOUTBOX=1 -DAGAIN=1 -DHELP=1 who helps does not look whether the completer runs (D3)
 * planted: BUG_WAIT_NEW       liveness the drain waits for the new parity, into which drops keep coming (D2)
 * planted: BUG_NO_EPOCH       liveness a drain waits until nothing is pending (D2)
 */

#ifndef DRAINERS
#define DRAINERS 1
#endif
#ifndef PINNED
#define PINNED 0 /* 1: message 1 too */
#endif
#ifndef AGAIN
#define AGAIN 0 /* 1: message 4 too */
#endif
#ifndef OUTBOX
#define OUTBOX 0 /* 1: port 0 fills parcels */
#endif
#ifndef HELP
#define HELP 0 /* 1: the owner of port 0 runs the completer between its drops; with OUTBOX and AGAIN */
#endif
#ifndef DRAINS
#define DRAINS 1
#endif
#define PORTS 2

#define BIT(message) (1 << (message))

#ifndef LIVENESS

/*
 * Messages: 0 by port 0, cascades to 2 and that to 3; 1 by port 1, its header is pinned by somebody; 4 by port 0 after 0.
 */
#define MESSAGES 5
#define NEEDED(set) ((set) | (((set) & 1) * (BIT(2) | BIT(3))))

bit parity;
bool locked;
bool running; /* the completer's token */
byte posted[4];    /* by port and parity: the ports' ... */
byte cascaded[2];  /* ... and the completer's own */
byte completed[2];
chan mailbox = [MESSAGES] of { byte, bit }; /* message and the parity in its header */
bool pinned = true;
bit parity_of_pinned;
bool pinned_dropped;

#if OUTBOX
byte outbox[2]; /* the open parcel of each parity: a set of messages */
bool busy, claimed;
#endif

/* What only the properties need. */
byte returned, done;
byte ended;

#define POSTED(port, epoch) posted[(port) * 2 + (epoch)]

inline drop(port, message) {
    my = parity;
#ifdef BUG_COUNT_LATE
    mailbox ! message, my;
    POSTED(port, my)++;
#else
    POSTED(port, my)++;
    mailbox ! message, my;
#endif
    atomic { returned = returned | BIT(message); my = 0 }
}

#if OUTBOX
inline post_parcel(epoch) {
    atomic {
        if
        :: outbox[epoch] & BIT(0) -> mailbox ! 0, epoch
        :: else
        fi;
        if
        :: outbox[epoch] & BIT(4) -> mailbox ! 4, epoch
        :: else
        fi;
        outbox[epoch] = 0
    }
}

/* By the tick and by a drain: what lies in the outbox goes, if the owner is not inside. */
inline claim_and_post() {
    atomic { !claimed -> claimed = true };
    if
#ifndef BUG_CLAIM_BUSY
    :: busy
    :: !busy ->
#else
    :: true ->
#endif
        post_parcel(0);
        post_parcel(1)
    fi;
    claimed = false
}

inline drop_to_outbox(message) {
    busy = true;
    if
    :: claimed ->
        busy = false; /* the way without a port */
        drop(0, message)
    :: else ->
        my = parity;
        POSTED(0, my)++;
#ifdef BUG_ONE_PARCEL
        if
        :: outbox[1 - my] != 0 -> my = 1 - my
        :: else
        fi;
#endif
        found = outbox[my];
        outbox[my] = found | BIT(message);
        if
        :: found != 0 -> post_parcel(my) /* full */
        :: else
        fi;
        atomic { returned = returned | BIT(message); my = 0; found = 0 }
        busy = false
    fi
}

#ifndef BUG_OUTBOX_LEFT
proctype tick() {
end:
    do
    :: atomic { (outbox[0] != 0 || outbox[1] != 0) && !busy && !claimed -> claimed = true };
#ifndef BUG_CLAIM_BUSY
       if
       :: busy
       :: !busy -> post_parcel(0); post_parcel(1)
       fi;
#else
       post_parcel(0);
       post_parcel(1);
#endif
       claimed = false
    od
}
#endif
#endif

inline count_cascade() {
#ifdef BUG_CASCADE_PARITY
    my = parity;
#endif
    if
    :: message == 0 || message == 2 -> cascaded[my]++
    :: else
    fi
}

/* One message, by who holds the token. Whether another could write the counter in between is what HELP looks at. */
inline receive() {
    atomic { mailbox ? message, epoch -> my = epoch }
#ifndef BUG_CASCADE_LATE
    count_cascade();
#endif
#if HELP
    counted = completed[epoch];
    atomic { done = done | BIT(message); completed[epoch] = counted + 1; counted = 0 }
#else
    atomic { done = done | BIT(message); completed[epoch]++ }
#endif
#ifdef BUG_CASCADE_LATE
    count_cascade();
#endif
    atomic {
        if
        :: message == 0 -> mailbox ! 2, my
        :: message == 2 -> mailbox ! 3, my
        :: else
        fi;
        message = 0; epoch = 0; my = 0
    }
}

#if HELP
inline help() {
    busy = true;
    if
    :: claimed
    :: else ->
        post_parcel(0);
        post_parcel(1);
        if
#ifdef BUG_HELP_NO_TOKEN
        :: len(mailbox) > 0 -> receive()
#else
        :: atomic { len(mailbox) > 0 && !running -> running = true };
           if
           :: len(mailbox) > 0 -> receive()
           :: else
           fi;
           running = false
#endif
        :: else
        fi
    fi;
    busy = false
}
#endif

proctype dropper() {
    bit my;
#if HELP
    byte message, counted;
    bit epoch;
#endif
#if OUTBOX
    byte found;

    drop_to_outbox(0);
#if HELP
    help();
#endif
#if AGAIN
    drop_to_outbox(4);
#endif
#else
    drop(0, 0);
#if AGAIN
    drop(0, 4);
#endif
#endif
    ended++
}

/* Drops a header that somebody has pinned. */
proctype dropper_of_pinned() {
    bit my;

    my = parity;
#ifndef BUG_COUNT_AT_POST
    POSTED(1, my)++;
#endif
    atomic { parity_of_pinned = my; pinned_dropped = true; my = 0 }
    atomic { returned = returned | BIT(1); ended++ }
}

proctype pinner() {
    pinned_dropped;
#ifdef BUG_COUNT_AT_POST
    POSTED(1, parity_of_pinned)++;
#endif
    atomic { mailbox ! 1, parity_of_pinned; parity_of_pinned = 0; ended++ }
}

proctype completer() {
    byte message;
    bit epoch, my;
#if HELP
    byte counted;
#endif

end:
    do
    :: atomic { len(mailbox) > 0 && !running -> running = true };
       receive();
       running = false
    od
}

inline sum_posted() {
    sum = POSTED(0, old);
    sum = sum + POSTED(1, old);
    sum = sum + cascaded[old]
}

/* Waits for what was counted under a parity that is not the current one any more. */
inline wait_for_old() {
    do
    ::
#if OUTBOX && !defined(BUG_OUTBOX_LEFT)
       claim_and_post();
#endif
       seen = completed[old];
#ifdef BUG_POSTED_FIRST
       sum_posted();
       seen = completed[old];
#else
       sum_posted();
#endif
       if
       :: seen >= sum -> break
#if OUTBOX
       :: else -> /* woken by the next completion, or after a slice of time */
           atomic { completed[old] != seen || ((outbox[0] != 0 || outbox[1] != 0) && !busy) -> sum = 0; seen = 0 }
#else
       :: else -> atomic { completed[old] != seen -> sum = 0; seen = 0 } /* woken by the next completion */
#endif
       fi
    od;
    atomic { sum = 0; seen = 0; old = 0 }
}

proctype drainer() {
    byte drains, needed, seen, sum;
    bit old;

    do
    :: drains < DRAINS ->
       drains++;
       needed = NEEDED(returned);
#ifndef BUG_NO_LOCK
       atomic { !locked -> locked = true }
#endif
#ifndef BUG_ONE_FLIP
       old = 1 - parity;
       wait_for_old();
#endif
       atomic { old = parity; parity = 1 - old }
       wait_for_old();
       atomic {
           assert((needed & ~done) == 0); /* D1 */
           needed = 0;
           locked = false
       }
    :: else -> break
    od;
    atomic { drains = 0; ended++ }
}

init {
    byte i;

    atomic {
        run dropper();
#if PINNED
        run dropper_of_pinned();
        run pinner();
#endif
        run completer();
#if OUTBOX && !defined(BUG_OUTBOX_LEFT)
        run tick();
#endif
        do
        :: i < DRAINERS -> run drainer(); i++
        :: else -> break
        od
    }
    timeout;
    assert(ended == DRAINERS + 1 + 2 * PINNED && len(mailbox) == 0);                       /* D3 */
    assert(completed[0] == POSTED(0, 0) + POSTED(1, 0) + cascaded[0]);        /* D3 */
    assert(completed[1] == POSTED(0, 1) + POSTED(1, 1) + cascaded[1])         /* D3 */
}

#else

/*
 * For D2 drops never end. Counters would not either, so here only what is posted and not completed is counted, and
 * compared in one step (the order of the two sums is what the other half of this file is for).
 */
#define ROOM 3

bit parity;
byte pending[2];
chan mailbox = [ROOM] of { bit };
bool draining, returned_once;

active proctype dropper() {
    bit my;

    do
    :: my = parity;
       atomic { len(mailbox) < ROOM -> pending[my]++; mailbox ! my }
    od
}

active proctype completer() {
    bit epoch;

    do
    :: mailbox ? epoch;
       pending[epoch]--
    od
}

active proctype drainer() {
    bit old;

    draining = true;
#ifdef BUG_NO_EPOCH
    pending[0] + pending[1] == 0;
#else
#ifdef BUG_WAIT_NEW
    atomic { old = parity; parity = 1 - old }
    pending[1 - old] == 0;
#endif
    old = 1 - parity;
    pending[old] == 0;
    atomic { old = parity; parity = 1 - old }
    pending[old] == 0;
#endif
    draining = false;
    returned_once = true
}

ltl returns { <> returned_once } /* D2 */

#endif
