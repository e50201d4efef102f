/*
 * await.pml - a thread that awaits one tensor, whoever drops it, and the cleanup that wakes it.
 *
 * The tensor is LIVE, with one reference or with none and a pin. Its last user drops it: by the fast way, which looks at
 * nobody and is over at once, if the word has no SLOW; else by the long way: DROPPED, then what is marked in the record is
 * looked at. AWAITED is posted to the cleanup; nothing is finished in place, and nobody is told. The cleanup takes a posted
 * header, completes it, adds to `passes`, and looks for waiters.
 *
 * The waiter announces itself, loads the event's count and looks. A tensor that is LIVE (or DROPPED and pinned) it marks: a
 * pin and SLOW by one compare-and-swap, then AWAITED, then the unpin, which posts if it was the last. It sleeps for
 * good only if AWAITED is set, or the cleanup has the header in hand; else it looks again after a while (here: at once). Its
 * time may be over (TIMES_OUT, the first of two): its mark stays.
 *
 * Not covered: memory orders; `passes` is there for them alone (actors/port/await.c says why it is enough).
 *
 * Properties
 *   A1  no lost wake-up: when nothing can move any more, who awaits has returned, if the tensor is reclaimed
 *   A2  as a promise about time (liveness, every thread scheduled fairly): it returns at last
 *   A3  the tensor is reclaimed once, and its end is counted before who awaited it returns
 *   A4  it returns only when the tensor is reclaimed
 *
 * check: safety -DPINNED=0
 * check: safety -DPINNED=1
 * check: safety -DPINNED=0 -DWAITERS=2
 * check: safety -DPINNED=1 -DWAITERS=2 -DTIMES_OUT
 * check: liveness -DPINNED=1
 * planted: BUG_NO_MARK     safety -DPINNED=0 who waits for a living tensor does not mark it (A1)
 * planted: BUG_NO_MARK     liveness -DPINNED=1 the same, as a promise about time (A2)
 * planted: BUG_NO_SLOW     safety -DPINNED=0 the mark leaves SLOW out (A1)
 * planted: BUG_NO_PIN      safety -DPINNED=0 the mark is made without a pin, after the tensor went (A1)
 * planted: BUG_LATE_TICKET safety -DPINNED=0 the count is loaded after the look (A1)
 * planted: BUG_WAKE_EARLY  safety -DWAITERS=2 -DTIMES_OUT the cleanup looks for waiters before it completes (A1)
 * planted: BUG_WORD_FIRST  safety -DPINNED=1 the word is freed before its end is counted (A3)
 * planted: BUG_UNPIN_POSTS safety -DPINNED=1 the unpin of the mark posts although another pin is there (A3)
 * planted: BUG_DROPPED     safety -DPINNED=1 a stale handle is taken for a reclaimed tensor (A4)
 */

#ifndef PINNED
#define PINNED 0
#endif
#ifndef WAITERS
#define WAITERS 1
#endif

mtype = { LIVE, DROPPED, RECLAIMING, FREE };

mtype state = LIVE;
byte pins = PINNED;
bool slow;    /* in the word */
bool awaited; /* in the record */
byte posted;  /* in the cleanup's mailbox */
byte ended;   /* counted */
byte waiters;
bool moved[WAITERS];  /* the event's count is not what it was when this one loaded it */
bool asleep[WAITERS];
byte returned;

inline reclaim() {
#ifdef BUG_WORD_FIRST
    state = FREE;
    ended++
#else
    ended++;
    state = FREE
#endif
}

/* The header has nobody else any more: by the cleanup if it is marked, else in place. */
inline deliver() {
    if
    :: atomic { awaited -> posted++; assert(posted == 1) } /* A3 */
    :: !awaited -> reclaim() /* in place; or in a shard's mailbox, which is no certainty either */
    fi
}

inline unpin() {
    atomic {
        pins--;
        last = (state == DROPPED && pins == 0);
#ifdef BUG_UNPIN_POSTS
        last = (state == DROPPED);
#endif
    }
    if
    :: last -> last = false; deliver()
    :: else
    fi
}

/* Drops the last reference; with PINNED another thread unpins. */
proctype dropper() {
    bool last;

    if
    :: atomic { !slow && pins == 0 -> state = FREE; ended++ } /* the fast way: one compare-and-swap */
    :: atomic { (slow || pins != 0) && pins == 0 -> state = DROPPED }
       deliver()
    :: atomic { pins != 0 -> state = DROPPED; pins++ } /* guarded */
       unpin()
    fi
}

proctype unpinner() {
    bool last;

    unpin()
}

proctype cleanup() {
    bool seen;

end_mailbox:
    do
    :: atomic { posted > 0 -> posted--; state = RECLAIMING }
#ifdef BUG_WAKE_EARLY
       seen = (waiters > 0);
       reclaim();
#else
       reclaim();
       seen = (waiters > 0); /* after the addition to `passes` */
#endif
       if
       :: atomic { seen -> seen = false; moved[0] = true; asleep[0] = false;
#if WAITERS > 1
              moved[1] = true; asleep[1] = false;
#endif
          }
       :: else
       fi
    od
}

inline mark() {
    if
#ifdef BUG_NO_PIN
    :: atomic { state == LIVE || (state == DROPPED && pins != 0) -> slow = true }
       awaited = true
#else
    :: atomic { state == LIVE || (state == DROPPED && pins != 0) ->
           pins++;
#ifndef BUG_NO_SLOW
           slow = true
#endif
       }
       awaited = true;
       unpin()
#endif
    :: else
    fi
}

inline look() {
    atomic {
        seen = state;
        certain = awaited || seen == RECLAIMING
    }
}

proctype waiter(byte me) {
    mtype seen;
    bool certain, last;

again:
    waiters++;
#ifndef BUG_LATE_TICKET
    moved[me] = false;
#endif
    look();
#ifdef BUG_DROPPED
    if
    :: seen != LIVE -> seen = FREE
    :: else
    fi;
#endif
#ifndef BUG_NO_MARK
    if
    :: seen != FREE && !certain -> mark(); look()
    :: else
    fi;
#else
    certain = true;
#endif
#ifdef BUG_LATE_TICKET
    moved[me] = false;
#endif
    if
    :: seen == FREE -> waiters--; goto over
    :: seen != FREE && !certain -> waiters--; goto again /* a slice */
    :: seen != FREE && certain ->
       atomic {
           if
           :: !moved[me] -> asleep[me] = true
           :: else
           fi
       }
end_asleep:
       if
       :: atomic { !asleep[me] -> waiters--; goto again }
#ifdef TIMES_OUT
       :: me == 0 -> atomic { asleep[me] = false; waiters--; returned++; goto gone }
#endif
       fi
    fi;
over:
    atomic {
        assert(state == FREE); /* A4 */
        assert(ended == 1);    /* A3 */
        returned++
    }
gone:
    skip
}

init {
    atomic {
        run cleanup();
        run dropper();
#if PINNED
        run unpinner();
#endif
        run waiter(0);
#if WAITERS > 1
        run waiter(1)
#endif
    }
#ifndef LIVENESS
    timeout;
    assert(ended == 1);          /* A3 */
    assert(returned == WAITERS)  /* A1 */
#endif
}

#ifdef LIVENESS
/* Time goes on when all others wait: without it spin takes no waiting for ever into account under fairness. */
active proctype idle() {
    bit hand;

    do
    :: hand = 1; hand = 0
    od
}

ltl returns { <> [] (returned == WAITERS) } /* A2 */
#endif
