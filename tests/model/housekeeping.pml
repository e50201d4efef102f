/*
 * housekeeping.pml - the tick of the allocation actor, which stops while there is nothing to do.
 *
 * A poster pushes to a shard, then loads `ticking`; if it is 0 it sets it to 1 by compare-and-swap and wakes the actor, which
 * starts the tick's timer. A port's owner that puts something into its magazines does the same, but its store into the
 * magazine is a plain one and may wait in its store buffer (TSO, as x86-64) while it loads `ticking`. The tick handles what it
 * finds. When it finds nothing pending and nothing held it stores ticking = 0 (a store that nothing passes: an exchange),
 * issues a membarrier, which writes out the owners' buffers, and looks again; if something came it sets ticking back by
 * compare-and-swap and goes on, unless a poster was faster and has woken it.
 *
 * Properties
 *   H1  nothing stays pending while ticking is 0 for ever
 *   H2  nothing stays held in a port while ticking is 0 for ever
 *   H3  the timer is started once: never twice at a time, and never left stopped while ticking is 1
 *
 * check: safety
 * check: safety -DPOSTS=3 -DHOLDS=1
 * planted: BUG_NO_SECOND_LOOK safety -DHOLDS=0 the tick does not look again after ticking = 0 (H1)
 * planted: BUG_LOOK_FIRST     safety -DHOLDS=0 the tick looks a second time, but before ticking = 0 (H1)
 * planted: BUG_PLAIN_STORE    safety -DHOLDS=0 ticking = 0 is a plain (release) store: the second look may pass it (H1)
 * planted: BUG_LOAD_FIRST     safety -DHOLDS=0 the poster loads ticking before it pushes (H1)
 * planted: BUG_NO_MEMBARRIER  safety -DPOSTS=0 no membarrier before the second look at the ports (H2)
 * planted: BUG_STORE_BACK     safety the tick sets ticking back by a store, not a compare-and-swap (H3)
 * planted: BUG_NO_SWAP        safety a poster sets ticking by a store and wakes the actor (H3)
 */

#ifndef POSTS
#define POSTS 2
#endif
#ifndef HOLDS
#define HOLDS 2
#endif

bool ticking;
byte pending;        /* in the shards */
bool held;           /* in a port's magazines */
bool held_buffered;  /* the owner's store that makes it so is still in its buffer */
bool zero_buffered;  /* only with BUG_PLAIN_STORE: the tick's ticking = 0 is still in its buffer */
byte wakes;          /* messages to the actor: start the timer */
bool timer;

/* A poster's and an owner's second half. A compare-and-swap writes out the buffer of the thread that does it. */
inline start_ticking() {
#ifndef BUG_LOAD_FIRST
    seen = ticking;
#endif
    if
    :: seen
    :: else ->
       atomic {
#ifdef BUG_NO_SWAP
           ticking = true;
           seen = true
#else
           if
           :: !ticking -> ticking = true; seen = true
           :: else
           fi
#endif
       }
       if
       :: seen -> wakes++
       :: else
       fi
    fi;
    seen = false
}

proctype poster() {
    byte posts;
    bool seen;

    do
    :: posts < POSTS ->
#ifdef BUG_LOAD_FIRST
       seen = ticking;
#endif
       atomic { posts++; pending++ }
       start_ticking()
    :: else -> break
    od;
    posts = 0
}

/* Something goes into a magazine; the claim that takes it out is port.pml's matter. */
proctype owner() {
    byte holds;
    bool seen;

    do
    :: holds < HOLDS -> atomic { !held_buffered -> holds++; held_buffered = true }
#ifdef BUG_LOAD_FIRST
       seen = ticking;
#endif
       start_ticking()
    :: else -> break
    od;
    holds = 0
}

/* The machine writes a buffer out when it likes. */
proctype machine() {
end:
    do
    :: atomic { held_buffered -> held_buffered = false; held = true }
    :: atomic { zero_buffered -> zero_buffered = false; ticking = false }
    od
}

proctype tick() {
    bool seen;

end:
    do
    :: atomic { wakes > 0 -> wakes--; assert(!timer); timer = true } /* H3 */
    :: timer ->
       atomic { seen = (pending > 0); pending = 0 }
       atomic { seen = seen | held; held = false }
       if
       :: seen -> seen = false /* the timer goes on */
       :: else ->
#ifdef BUG_LOOK_FIRST
          seen = (pending > 0);
          seen = seen | held;
          if
          :: seen -> goto busy
          :: else
          fi;
#endif
          timer = false; /* the actor's own: it is not fired before it is started again */
#ifdef BUG_PLAIN_STORE
          zero_buffered = true;
#else
          ticking = false;
#endif
#if !defined(BUG_NO_SECOND_LOOK) && !defined(BUG_LOOK_FIRST)
#ifndef BUG_NO_MEMBARRIER
          atomic {
              if
              :: held_buffered -> held_buffered = false; held = true
              :: else
              fi
          }
#endif
          seen = (pending > 0);
          seen = seen | held;
          if
          :: seen ->
             atomic {
#ifdef BUG_STORE_BACK
                 ticking = true;
                 timer = true
#else
                 /* this thread's buffer first */
                 if
                 :: zero_buffered -> zero_buffered = false; ticking = false
                 :: else
                 fi;
                 if
                 :: !ticking -> ticking = true; timer = true
                 :: else /* somebody was faster, and its wake is coming */
                 fi
#endif
             }
          :: else
          fi;
#endif
#ifdef BUG_LOOK_FIRST
busy:
#endif
          seen = false
       fi
    od
}

init {
    atomic {
        run poster();
        run owner();
        run machine();
        run tick()
    }
    timeout;
    assert(pending == 0);            /* H1 */
    assert(!held && !held_buffered); /* H2 */
    assert(!ticking && !timer)       /* H3 */
}
