/*
 * restart.pml - an actor's failure: what it was receiving and what was in hand come again, and it starts anew; and, with ROUND,
 * several actors that stop and start together (one_for_all, rest_for_one).
 *
 * A run takes what lies in the lane in hand, and receives one message after the other. A receive that fails has changed nothing; its
 * message is put back in hand. Supervision says: once more (retry), or after a stop and a start (restart). The date at which the actor may
 * go on is written, then RUNNING is released and HELD set in one step. While HELD posters only push. Whoever finds that the date
 * has come clears HELD and queues the actor; its next run starts it first, if it is to start, and goes on with what is in hand.
 * Mailbox and hand are the kernel's: a restart does not touch them. How a poster and a runner miss no message: token.pml.
 *
 * ROUND: the actor that fails has stopped; it marks those that its strategy names (STOP), and the turn goes round: the last of
 * them is STOPPING, stops in its own run, WAITS, and hands on; when none is to stop any more the first of them is STARTING, and so on.
 * Round words are written under one token, and under it who waits for its turn writes that it has no date. A failure in the middle takes in those that have started already.
 *
 * Properties
 *   R1  a message has its effect exactly once: nothing is lost and nothing is received again that was received
 *   R2  nobody runs the actor between its failure and the date, or receives before it has started
 *   R3  nothing is left: in the end the lane and the hand are empty and the actor is idle
 *   R4  once failures stop each message has its effect at last (liveness, every thread scheduled fairly)
 *   R5  a round stops the last first, then starts the first first, and starts none before all have stopped
 *   R6  each actor that was up when one failed, and that the strategy names, is stopped and started after it
 *   R7  a round ends: all are up
 *
 * check: safety -DMESSAGES=3
 * check: safety -DFAILURES=3 -DSERVICES=1
 * check: liveness -DSERVICES=1
 * check: safety -DROUND
 * check: safety -DROUND -DREST
 * deep:  safety -DMESSAGES=4 -DFAILURES=3
 * deep:  safety -DROUND -DFAILURES=3
 * planted: BUG_FORGOTTEN    safety the message that failed is not put back (R1)
 * planted: BUG_HAND_LOST    safety a restart forgets what was in hand (R1)
 * planted: BUG_TWICE        safety a restart pushes the batch in hand once more, and keeps it (R1)
 * planted: BUG_EFFECT       safety a receive that fails has had its effect (R1)
 * planted: BUG_HOLD_LATE    safety HELD is set after RUNNING was released (R2)
 * planted: BUG_NO_START     safety after a restart it receives without a start (R2)
 * planted: BUG_NO_QUEUE     safety who ends HELD does not queue the actor (R3)
 * planted: BUG_FORGOTTEN    liveness -DSERVICES=1 the message that failed is not put back (R4)
 * planted: BUG_START_EARLY  safety -DROUND the turn to start is given while one is stopping (R5)
 * planted: BUG_FIRST_FIRST  safety -DROUND the first is stopped first (R5)
 * planted: BUG_NOT_AGAIN    safety -DROUND a failure in the middle leaves those alone that have their turn to start (R6)
 * planted: BUG_START_WINS   safety -DROUND who has started is done with the round although it is to stop again (R6)
 * planted: BUG_NO_TURN      safety -DROUND who has started does not hand the turn on (R7)
 * planted: BUG_NO_WAKE      safety -DROUND who is idle is not woken for its turn to stop (R7)
 * planted: BUG_DATE_OUTSIDE safety -DROUND who waits for its turn writes "no date" without the token (R5 or R7)
 * planted: BUG_DATE_FIRST   safety -DROUND the date is lowered before the turn is written (R7 or R5)
 */

#ifndef MESSAGES
#define MESSAGES 2
#endif
#ifndef FAILURES
#define FAILURES 2
#endif
#ifndef SERVICES
#define SERVICES 2
#endif

#ifndef ROUND

#define RUNNING 1
#define QUEUED 2
#define HELD 4
#define BIT(message) (1 << (message))
#define ALL (BIT(MESSAGES) - 1)

byte word;
byte lane, hand; /* sets of messages */
bool ready;      /* the actor's bit in the ready word */
bool due;        /* the date has been written and may come at any moment from then on */
bool needs_start;
byte failures = FAILURES;

/* What only the properties need. */
byte done;
bool waiting; /* between the failure and the date */
bool started = true;
byte posted;

inline queue() {
    atomic {
        if
        :: word == 0 -> word = QUEUED; ready = true
        :: else
        fi
    }
}

/* Something failed. again: with a restart. */
inline fail(again) {
    waiting = true;
    if
    :: again ->
       started = false;
#ifndef BUG_NO_START
       needs_start = true;
#endif
#ifdef BUG_HAND_LOST
       hand = 0;
#endif
#ifdef BUG_TWICE
       lane = lane | hand;
#endif
       skip
    :: else
    fi;
    hold = true
}

active proctype poster() {
    do
    :: posted < MESSAGES ->
       lane = lane | BIT(posted);
       queue();
       posted++
    :: else -> break
    od
}

inline receive() {
    atomic {
        assert(started); /* R2 */
        if
        :: hand == 0 -> hand = lane; lane = 0
        :: else
        fi;
        message = hand & (-hand);
        hand = hand - message
    }
    atomic {
        if
        :: message == 0 -> more = false
        :: message != 0 ->
           assert((done & message) == 0); /* R1 */
           done = done | message
        :: message != 0 && failures > 0 ->
           failures--;
#ifdef BUG_EFFECT
           done = done | message;
#endif
#ifndef BUG_FORGOTTEN
           hand = hand | message;
#endif
           if
           :: fail(true)
           :: fail(false)
           fi
        fi;
        message = 0
    }
}

active [SERVICES] proctype service() {
    byte message;
    bool hold, more;

end:
    do
    :: atomic {
           ready -> ready = false;
           assert(word & QUEUED);
           if
           :: (word & (RUNNING | HELD)) -> word = word & ~QUEUED; goto next
           :: else -> word = RUNNING; assert(!waiting) /* R2 */
           fi
       }
       atomic {
           if
           :: needs_start -> needs_start = false; started = true
           :: needs_start && failures > 0 -> failures--; fail(true)
           :: failures > 0 -> failures--; fail(true) /* killed between two messages */
           :: !needs_start
           fi;
           more = !hold
       }
       do
       :: more && !hold -> receive()
       :: else -> break
       od;
       more = (hand != 0);
       if
       :: hold -> due = true /* before HELD */
       :: else
       fi;
       atomic {
           word = word & ~RUNNING;
#ifndef BUG_HOLD_LATE
           if
           :: hold -> word = word | HELD
           :: else
           fi
#endif
       }
#ifdef BUG_HOLD_LATE
       if
       :: hold -> word = word | HELD
       :: else
       fi;
#endif
       if
       :: !hold && (more || lane != 0) -> queue()
       :: else
       fi;
       atomic { hold = false; more = false }
next:
       skip
    :: atomic { due && (word & HELD) && !(word & RUNNING) -> due = false; waiting = false }
       word = word & ~HELD;
#ifndef BUG_NO_QUEUE
       queue()
#endif
    od
}

#ifndef LIVENESS
init {
    timeout;
    assert(posted == MESSAGES && done == ALL);               /* R1 */
    assert(lane == 0 && hand == 0 && word == 0 && !waiting)  /* R3 */
}
#else
active proctype idle() {
    bit tick;

    do
    :: tick = 1; tick = 0
    od
}

ltl served { <> [] (posted == MESSAGES && done == ALL) } /* R4 */
#endif

#else /* ROUND */

#define ACTORS 3
#define NONE 0
#define STOP 1
#define STOPPING 2
#define WAITS 3
#define STARTING 4

/* REST: with the one that fails those after it; else all. */
#ifdef REST
#define IS_NAMED(i, failed) ((i) > (failed))
#else
#define IS_NAMED(i, failed) ((i) != (failed))
#endif

byte round[ACTORS];
bool token; /* of the round words */
bool running[ACTORS], queued[ACTORS], held[ACTORS];
bool due[ACTORS];  /* when held: it may go on */
bool woken[ACTORS]; /* its age date is lowered: who leaves it queues it again */
bool needs_start[ACTORS];
byte failures = FAILURES;

/* What only the properties need. */
bool up[ACTORS];
bool is_to_stop[ACTORS]; /* was up when another failed */

inline wake(i) {
    atomic {
        if
        :: running[i] -> woken[i] = true
        :: !running[i] && !held[i] -> queued[i] = true
        :: else
        fi
    }
}

inline give_turn(i, which) {
#ifdef BUG_DATE_FIRST
    due[i] = true;
    round[i] = which;
#else
    round[i] = which;
    due[i] = true;
#endif
#ifndef BUG_NO_WAKE
    if
    :: which == STOPPING -> wake(i)
    :: else
    fi
#endif
}

inline turn_to_start() {
    if
    :: round[0] == STARTING
    :: round[0] == WAITS -> give_turn(0, STARTING)
    :: else ->
       if
       :: round[1] == STARTING
       :: round[1] == WAITS -> give_turn(1, STARTING)
       :: else ->
          if
          :: round[2] == STARTING
          :: round[2] == WAITS -> give_turn(2, STARTING)
          :: else
          fi
       fi
    fi
}

#ifdef BUG_START_EARLY
#define AWAITED false
#else
#define AWAITED true
#endif

/* With the token. */
inline next_turn() {
#ifdef BUG_FIRST_FIRST
    if
    :: round[0] == STOPPING || round[1] == STOPPING || round[2] == STOPPING
    :: else ->
       if
       :: round[0] == STOP -> give_turn(0, STOPPING)
       :: round[0] != STOP && round[1] == STOP -> give_turn(1, STOPPING)
       :: round[0] != STOP && round[1] != STOP && round[2] == STOP -> give_turn(2, STOPPING)
       :: else -> turn_to_start()
       fi
    fi
#else
    if
    :: round[2] == STOPPING && AWAITED
    :: round[2] == STOP -> give_turn(2, STOPPING)
    :: else ->
       if
       :: round[1] == STOPPING && AWAITED
       :: round[1] == STOP -> give_turn(1, STOPPING)
       :: else ->
          if
          :: round[0] == STOPPING && AWAITED
          :: round[0] == STOP -> give_turn(0, STOPPING)
          :: else -> turn_to_start()
          fi
       fi
    fi
#endif
}

inline take_token() {
    atomic { !token -> token = true }
}

inline mark(i) {
    if
#ifdef BUG_NOT_AGAIN
    :: IS_NAMED(i, me) && round[i] == NONE -> round[i] = STOP
#else
    :: IS_NAMED(i, me) && (round[i] == NONE || round[i] == STARTING) -> round[i] = STOP
#endif
    :: else
    fi
}

inline is_in_the_way(i) {
    is_to_stop[i] = is_to_stop[i] || (IS_NAMED(i, me) && up[i])
}

/* R5: those after me that are to stop have stopped. */
#define STOPS_AFTER(i) (me < (i) && (round[i] == STOP || round[i] == STOPPING))
#define IS_TO_STOP(i) (round[i] == STOP || round[i] == STOPPING)

inline run_once() {
    woken[me] = false;
    if
    :: round[me] == STOPPING ->
       atomic {
           assert(!STOPS_AFTER(0) && !STOPS_AFTER(1) && !STOPS_AFTER(2)); /* R5 */
           needs_start[me] = true;
           up[me] = false;
           is_to_stop[me] = false
       }
#ifdef BUG_DATE_OUTSIDE
       due[me] = false;
       take_token();
#else
       take_token();
       due[me] = false;
#endif
       round[me] = WAITS;
       next_turn();
       token = false;
       hold = true
    :: else ->
       if
       :: needs_start[me] ->
          atomic {
              /* R5: unless a second failure is about to stop them again, and this one too */
              assert(token || round[me] != STARTING || (!IS_TO_STOP(0) && !IS_TO_STOP(1) && !IS_TO_STOP(2)));
              assert(round[me] != WAITS);
              needs_start[me] = false;
              up[me] = true
          }
          take_token();
          if
#ifdef BUG_START_WINS
          :: true ->
#else
          :: round[me] == STARTING ->
#endif
             round[me] = NONE;
#ifndef BUG_NO_TURN
             next_turn()
#endif
#ifndef BUG_START_WINS
          :: else
#endif
          fi;
          token = false
       :: else
       fi;
       /* it receives: and may fail */
       if
       :: atomic {
              failures > 0 ->
              failures--;
              needs_start[me] = true;
              up[me] = false;
              is_to_stop[me] = false;
              is_in_the_way(0);
              is_in_the_way(1);
              is_in_the_way(2)
          }
#ifdef BUG_DATE_OUTSIDE
          due[me] = false;
          take_token();
#else
          take_token();
          due[me] = false;
#endif
          mark(0);
          mark(1);
          mark(2);
          round[me] = WAITS;
          next_turn();
          token = false;
          hold = true
       :: true
       fi
    fi
}

/* Each actor is run by a thread of its own group, so one process does for it; the threads of a group take turns (token.pml). */
proctype service(byte me) {
    bool hold;

end:
    do
    :: atomic { queued[me] && !running[me] -> queued[me] = false; if :: held[me] -> goto next :: else -> running[me] = true fi }
       run_once();
       atomic { running[me] = false; held[me] = hold; hold = false }
       atomic {
           if
           :: woken[me] && !held[me] -> woken[me] = false; queued[me] = true
           :: else -> woken[me] = false
           fi
       }
next:
       skip
    :: atomic { due[me] && held[me] && !running[me] -> due[me] = false }
       held[me] = false;
       queued[me] = true
    od
}

/* Work for each of them, once; so that each may be the first to fail. */
proctype work(byte i) {
    queued[i] = true
}

init {
    atomic {
        up[0] = true;
        up[1] = true;
        up[2] = true;
        run service(0);
        run service(1);
        run service(2);
        run work(0);
        run work(1);
        run work(2)
    }
    timeout;
    assert(!token && round[0] == NONE && round[1] == NONE && round[2] == NONE);   /* R7 */
    assert(up[0] && up[1] && up[2] && !held[0] && !held[1] && !held[2]);          /* R7 */
    assert(!is_to_stop[0] && !is_to_stop[1] && !is_to_stop[2])                    /* R6 */
}
#endif
