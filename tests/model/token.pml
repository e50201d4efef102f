/*
 * token.pml - an actor's mailbox of two lanes, its run token, the run queue and the sleep of the service threads.
 *
 * A post pushes a message into a lane, loads the actor's word, and if it has neither RUNNING nor QUEUED sets QUEUED by
 * compare-and-swap, puts the actor into the run queue and wakes a sleeper. A service thread that pops the actor clears
 * QUEUED and takes RUNNING; if a helper is running it, it clears QUEUED only. A helper takes RUNNING and leaves QUEUED
 * alone. A run handles at most one message here (BATCH in the code); whoever releases RUNNING looks at the lanes again,
 * and signals as a poster does. A poster may be stopped for ever after its push and before its look at the word. A
 * service thread with an empty run queue sleeps on an event count: it announces itself, reads the count, looks at the
 * queue again, and waits while the count is what it read.
 *
 * Not covered: a poster stopped between its compare-and-swap and the wake holds QUEUED and delays the actor until it is
 * scheduled again (the exception "unless one is stopped inside a call" of the promise about completion).
 *
 * Properties
 *   T1  no message is stranded: when nothing can move any more, each message whose post returned has been received
 *   T2  the same as a promise about time (liveness, every thread scheduled fairly): each is received at last
 *   T3  never two runners of one actor
 *   T4  an actor is in the run queue at most once (its link is in the actor)
 *   T5  no lost wake-up: nobody sleeps for ever while the run queue has something
 *
 * check: safety -DPOSTERS=2 -DSERVICES=2 -DHELPS=0
 * check: safety -DPOSTERS=2 -DSERVICES=1 -DHELPS=1
 * check: safety -DPOSTERS=1 -DPOSTS=2 -DSERVICES=2 -DHELPS=1
 * check: liveness -DPOSTERS=2 -DSERVICES=1 -DHELPS=0
 * deep:  safety -DPOSTERS=3 -DSERVICES=1 -DHELPS=1
 * deep:  safety -DPOSTERS=2 -DSERVICES=2 -DHELPS=1
 * planted: BUG_SIGNAL_EMPTY safety -DPOSTERS=3 -DSERVICES=1 -DHELPS=0 a post signals only when its lane was empty (T1)
 * planted: BUG_NO_LOOK      safety the runner does not look again after releasing RUNNING (T1)
 * planted: BUG_LOOK_EARLY   safety the runner looks at the lanes before it releases RUNNING (T1)
 * planted: BUG_NO_LOOK      liveness -DSERVICES=1 -DHELPS=0 the same (T2)
 * planted: BUG_TWO_RUNNERS  safety -DSERVICES=1 a service thread takes RUNNING although a helper has it (T3)
 * planted: BUG_CLEAR_QUEUED safety -DSERVICES=1 the helper clears QUEUED (T4)
 * planted: BUG_NO_RECHECK   safety the sleeper does not look again after announcing its sleep (T5)
 * planted: BUG_KEY_LATE     safety the sleeper reads the event count after its second look (T5)
 * planted: BUG_WAKE_EARLY   safety the poster looks for sleepers before it enqueues (T5)
 */

#ifndef POSTERS
#define POSTERS 2
#endif
#ifndef POSTS
#define POSTS 1
#endif
#ifndef SERVICES
#define SERVICES 2
#endif
#ifndef HELPS
#define HELPS 1
#endif

#define RUNNING 1
#define QUEUED 2
#define BIT(message) (1 << (message))

byte lane[2];        /* messages as bits */
byte actor;          /* RUNNING and QUEUED */
byte run_queue;      /* 1: the actor is in it */
bool count_moved[2]; /* the event count is no longer what this service thread read; it never comes back to it */
byte waiters;        /* announced */
bool asleep[2];      /* in the futex, by service thread */

/* What only the properties need. */
byte runners;
byte returned; /* messages whose post returned */
byte received;
byte running_posters = POSTERS;
byte ended;

/* One sleeper is woken, any of those in the futex. */
inline futex_wake() {
    atomic {
        if
        :: asleep[0] -> asleep[0] = false
#if SERVICES > 1
        :: asleep[1] -> asleep[1] = false
#endif
        :: else
        fi
    }
}

/* The second half of a post, and what a runner does after its release when it saw a message. */
inline signal() {
    atomic {
        seen = actor;
        if
        :: (seen & (RUNNING | QUEUED)) -> seen = 0; goto signalled
        :: else
        fi
    }
    atomic {
        if
        :: actor == seen -> actor = seen | QUEUED; seen = 0
        :: else -> seen = 0; goto signalled /* somebody else is at it, and it looked after our push */
        fi
    }
#ifdef BUG_WAKE_EARLY
    seen = (waiters > 0);
#endif
    atomic {
        assert(run_queue == 0); /* T4 */
        run_queue = 1
    }
    atomic { count_moved[0] = true; count_moved[1] = true }
#ifndef BUG_WAKE_EARLY
    seen = (waiters > 0);
#endif
    atomic {
        if
        :: seen > 0 -> seen = 0; futex_wake()
        :: else
        fi
    }
signalled:
    skip
}

/* One run by the holder of RUNNING: at most one message, then the release and the second look. */
inline run_actor() {
    atomic {
        assert(runners == 1); /* T3 */
        if
        :: lane[0] != 0 -> seen = lane[0] & (-lane[0]); lane[0] = lane[0] - seen; received = received | seen
        :: lane[0] == 0 && lane[1] != 0 -> seen = lane[1] & (-lane[1]); lane[1] = lane[1] - seen; received = received | seen
        :: else
        fi;
        seen = 0
    }
#ifdef BUG_LOOK_EARLY
    seen = ((lane[0] | lane[1]) != 0);
#endif
    atomic {
        runners--;
        actor = actor & ~RUNNING
    }
#ifndef BUG_LOOK_EARLY
    seen = ((lane[0] | lane[1]) != 0);
#endif
#ifndef BUG_NO_LOOK
    if
    :: seen != 0 -> signal()
    :: else
    fi;
#endif
    seen = 0
}

proctype poster(byte first) {
    byte posts, seen;

    do
    :: posts < POSTS ->
       atomic {
           seen = (lane[(first + posts) & 1] == 0);
           lane[(first + posts) & 1] = lane[(first + posts) & 1] | BIT(first + posts)
       }
       if
       :: first == 0 -> goto stopped /* for ever: its message may stay, those of others may not */
       :: skip
       fi;
#ifdef BUG_SIGNAL_EMPTY
       if
       :: seen -> signal()
       :: else
       fi;
#else
       signal();
#endif
       atomic {
           returned = returned | BIT(first + posts);
           seen = 0;
           posts++
       }
    :: else -> break
    od;
stopped:
    atomic { posts = 0; seen = 0; running_posters-- }
}

proctype service(byte me) {
    byte seen;

    do
#ifdef BUG_NO_RECHECK
    :: atomic {
           seen = run_queue;
           run_queue = 0;
           if
           :: seen == 1 -> goto popped
           :: else
           fi
       }
       waiters++;
       count_moved[me] = false;
#else
    :: waiters++;
#ifndef BUG_KEY_LATE
       count_moved[me] = false;
#endif
       atomic {
           seen = run_queue;
           run_queue = 0;
           if
           :: seen == 1 -> waiters--; goto popped
           :: else
           fi
       }
#ifdef BUG_KEY_LATE
       count_moved[me] = false;
#endif
#endif
       atomic {
           if
           :: !count_moved[me] -> asleep[me] = true
           :: else
           fi
       }
end_asleep:
       atomic { !asleep[me] -> waiters--; goto next }
popped:
       /* QUEUED goes; RUNNING comes unless a helper has it. */
       seen = actor;
       atomic {
           assert(seen & QUEUED); /* T4 */
           if
           :: actor == seen ->
              actor = RUNNING;
#ifdef BUG_TWO_RUNNERS
              seen = 0;
#else
              seen = seen & RUNNING;
#endif
              runners = runners + 1 - seen
           :: else -> goto popped
           fi
       }
       if
       :: seen == 0 -> run_actor()
       :: else -> seen = 0 /* the helper looks at the lanes when it has released RUNNING */
       fi;
next:
       skip
    od
}

/* An application thread that runs the actor for a moment: it takes RUNNING if it is free, and never waits for it. */
proctype helper() {
    byte seen, helps;

    do
    :: helps < HELPS ->
       atomic {
           helps++;
           seen = actor;
           if
           :: (seen & RUNNING) -> seen = 0; goto next
           :: else
           fi
       }
       atomic {
           if
#ifdef BUG_CLEAR_QUEUED
           :: actor == seen -> actor = RUNNING; seen = 0; runners++
#else
           :: actor == seen -> actor = seen | RUNNING; seen = 0; runners++
#endif
           :: else -> seen = 0; goto next
           fi
       }
       run_actor();
next:
       skip
    :: break
    od;
    atomic { helps = 0; ended++ }
}

init {
    byte i;

    atomic {
        do
        :: i < POSTERS -> run poster(i * POSTS); i++
        :: else -> break
        od;
        i = 0;
        do
        :: i < SERVICES -> run service(i); i++
        :: else -> break
        od;
        i = 0;
        run helper()
    }
#ifndef LIVENESS
    timeout;
    assert(run_queue == 0);                         /* T5 */
    assert(running_posters == 0 && ended == 1);     /* nobody hangs in a call */
    assert((returned & ~received) == 0)             /* T1 */
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

ltl served { <> [] (running_posters == 0 && (returned & ~received) == 0) } /* T2 */
#endif
