/*
 * port.pml - who is inside a port's magazines: its owner (enter, leave) or the claimer (the allocation actor's timer).
 *
 * Both run on a machine with store buffers (TSO, as x86-64): a store waits in its thread's buffer, first in first out,
 * until the machine writes it out, which may be late; a thread's loads see its own buffer first. membarrier empties the
 * claimer's buffer and then, at one moment before it returns, the owner's. A signal handler may run in the owner's
 * thread between any two of its steps and calls the library itself: it goes inside, or bypasses.
 *
 * Properties
 *   P1  owner and claimer are never both inside the magazines
 *   P2  what the owner has put in is all there: the claimer's takings and the rest add up (no update lost)
 *   P3  a handler that interrupts its own thread inside does not go inside too
 *
 * check: safety
 * check: safety -DSEQUENTIAL
 * planted: BUG_NO_MEMBARRIER safety the claimer loads busy without the membarrier (P1)
 * planted: BUG_PLAIN_STORES  safety -DSEQUENTIAL neither membarrier nor sequentially consistent stores (P1)
 * planted: BUG_NO_CLAIMED    safety the owner does not look at claimed (P1)
 * planted: BUG_LEAVE_EARLY   safety busy = 0 is stored before the magazine is written: no release (P2)
 * planted: BUG_REENTER       safety enter does not look at busy (P3)
 *
 * -DSEQUENTIAL: where membarrier is refused, busy and claimed are sequentially consistent (each store of them, and with it
 * the buffer, is written out before the thread goes on).
 */

#ifndef CALLS
#define CALLS 2
#endif
#ifndef CLAIMS
#define CLAIMS 2
#endif

#define OWNER 0
#define CLAIMER 1
#define BUSY 0
#define CLAIMED 1
#define MAGAZINE 2
#define ROOM 3

byte memory[3];                          /* busy, claimed, and what the magazine holds */
chan buffer[2] = [ROOM] of { byte, byte };  /* the store buffer of each thread: what, value */
byte newest[6];                          /* by thread and variable: the newest buffered value ... */
byte buffered[6];                        /* ... and how many are buffered */
byte put, taken;
bool owner_inside, claimer_inside;
bool handling;     /* a signal handler has interrupted the owner */
bool thread_ended;
byte ended;

#define AT(who, what) ((who) * 3 + (what))
#define LOAD(who, what) (buffered[AT(who, what)] > 0 -> newest[AT(who, what)] : memory[what])

inline write_out(who) {
    buffer[who] ? what, value;
    memory[what] = value;
    buffered[AT(who, what)]--;
    if
    :: buffered[AT(who, what)] == 0 -> newest[AT(who, what)] = 0
    :: else
    fi;
    what = 0;
    value = 0
}

inline flush(who) {
    d_step {
        do
        :: len(buffer[who]) > 0 -> write_out(who)
        :: else -> break
        od
    }
}

inline store(who, which, new) {
    atomic {
        len(buffer[who]) < ROOM;
        buffer[who] ! which, new;
        newest[AT(who, which)] = new;
        buffered[AT(who, which)]++
    }
}

/* Of busy and claimed. */
inline store_flag(who, which, new) {
    atomic {
        store(who, which, new);
#if defined(SEQUENTIAL) && !defined(BUG_PLAIN_STORES)
        flush(who)
#endif
    }
}

/* The machine writes a buffer out when it likes. */
proctype machine(byte who) {
    byte what, value;

end:
    do
    :: d_step { len(buffer[who]) > 0 -> write_out(who) }
    od
}

/* A step of the owner's thread: of its handler always, of the thread itself only while no handler has interrupted it. */
#define MAY_STEP ((handler || !handling) && len(buffer[OWNER]) < ROOM)

/* One call of the library: in, one block into the magazine, out. */
inline call() {
    atomic {
        MAY_STEP;
#ifndef BUG_REENTER
        if
        :: LOAD(OWNER, BUSY) -> goto done
        :: else
        fi
#endif
    }
    atomic { MAY_STEP; store_flag(OWNER, BUSY, 1) }
    atomic {
        MAY_STEP;
        if
#ifndef BUG_NO_CLAIMED
        :: LOAD(OWNER, CLAIMED) -> goto bypass
#endif
        :: else ->
           assert(!claimer_inside); /* P1 */
           assert(!owner_inside);   /* P3 */
           owner_inside = true
        fi
    }
    atomic { MAY_STEP; held = LOAD(OWNER, MAGAZINE) }
#ifdef BUG_LEAVE_EARLY
    atomic { MAY_STEP; store_flag(OWNER, BUSY, 0) }
    atomic { MAY_STEP; store(OWNER, MAGAZINE, held + 1); put++; held = 0; owner_inside = false; goto done }
#else
    atomic { MAY_STEP; store(OWNER, MAGAZINE, held + 1); put++; held = 0; owner_inside = false }
#endif
bypass:
    atomic { MAY_STEP; store_flag(OWNER, BUSY, 0) }
done:
    skip
}

proctype owner(bool handler) {
    byte calls, held, what, value;

    do
    :: calls < CALLS ->
       calls++;
       if
       :: handler ->
          if
          :: atomic { !thread_ended -> handling = true }
          :: thread_ended -> break /* no signal came */
          fi
       :: else
       fi;
       call();
       if
       :: handler -> handling = false; calls = CALLS
       :: else
       fi
    :: else -> break
    od;
    atomic {
        calls = 0;
        if
        :: handler
        :: else -> MAY_STEP; thread_ended = true
        fi;
        ended++
    }
}

proctype claimer() {
    byte claims, held, what, value;

    do
    :: claims < CLAIMS ->
       claims++;
       store_flag(CLAIMER, CLAIMED, 1);
#if !defined(SEQUENTIAL) && !defined(BUG_NO_MEMBARRIER)
       flush(CLAIMER);
       flush(OWNER);
#endif
       atomic {
           if
           :: LOAD(CLAIMER, BUSY) -> goto leave
           :: else ->
              assert(!owner_inside); /* P1 */
              claimer_inside = true
           fi
       }
       held = LOAD(CLAIMER, MAGAZINE);
       atomic { store(CLAIMER, MAGAZINE, 0); taken = taken + held; held = 0; claimer_inside = false }
leave:
       store_flag(CLAIMER, CLAIMED, 0)
    :: else -> break
    od;
    atomic { claims = 0; ended++ }
}

init {
    atomic {
        run owner(false);
        run owner(true);
        run claimer();
        run machine(OWNER);
        run machine(CLAIMER)
    }
    timeout;
    assert(len(buffer[OWNER]) == 0 && len(buffer[CLAIMER]) == 0);
    assert(taken + memory[MAGAZINE] == put) /* P2 */
}
