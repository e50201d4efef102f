/*
 * word.pml - the header word of a tensor: new, retain, drop, pin, unpin, data, move, reclaim.
 *
 * One slot lives GENERATIONS times. A creator makes it, publishes its handle and drops its own reference; users take
 * the published handle as a weak one (it may be stale at any moment), retain, pin, use, unpin, drop, and try stale
 * handles; one mover moves it between two blocks; one reclaimer receives the posted header. Every change of a shared
 * word is one compare-and-swap on the whole word, every load and every store a step of its own.
 *
 * Properties
 *   W1  a header is posted exactly once in each deferred life, and reclaimed exactly once in every life
 *   W2  reclaimed <= dropped <= created at every moment: a drop is counted before its reclaim can be
 *   W3  a pinned pointer is good until its unpin, a data pointer while the reference lasts: a block is never freed
 *       under them, and what was written through them is what the next reader sees
 *   W4  an operation on a handle beyond the last reference is refused, one of a holder is not
 *   W5  the mover frees the block that is not current, and every block is freed exactly once: none is left at the end
 *   W6  the guard pin always fits: the pins of users stop one below the maximum
 *   W7  the receiver of a post is sole owner: nothing else changes the word until it is free, and a header's link
 *       lies over no location that is still needed
 *
 * check: safety -DUSERS=1 -DUSES=2 -DMOVES=2
 * check: safety -DUSERS=2 -DUSES=1 -DMOVES=1 -DGENERATIONS=1
 * check: safety -DUSERS=2 -DUSES=1 -DMOVES=0
 * check: safety -DUSERS=2 -DUSES=1 -DMOVES=0 -DPINS_MAX=2
 * deep:  safety -DUSERS=2 -DUSES=1 -DMOVES=1
 * deep:  safety -DUSERS=1 -DUSES=3 -DMOVES=1 -DGENERATIONS=3
 * planted: BUG_POST_PINNED     safety  the last drop posts although there are pins            (W1)
 * planted: BUG_UNPIN_SILENT    safety  the last unpin of a dropped header does not post it    (W1)
 * planted: BUG_MOVER_SILENT    safety  the mover leaves a dropped header without posting it   (W1)
 * planted: BUG_MOVER_EAGER     safety  the mover posts a dropped header that is still pinned  (W1)
 * planted: BUG_NO_GUARD        safety  no guard pin: the drop is counted after others can post (W2)
 * planted: BUG_COUNT_LATE      safety  the drop is counted after its own post                 (W2)
 * planted: BUG_COMMIT_TOUCHED  safety  the mover commits although TOUCHED                     (W3)
 * planted: BUG_DATA_UNTOUCHED  safety  data() sets FIXED during a move without TOUCHED        (W3)
 * planted: BUG_NO_GENERATION   safety  the compare-and-swap does not compare the generation   (W4)
 * planted: BUG_SAME_GENERATION safety  a slot becomes FREE without a new generation           (W4)
 * planted: BUG_FREE_CURRENT    safety  a voided move frees the old block                      (W5)
 * planted: BUG_FREE_NOTHING    safety  a voided move does not free the new block              (W5)
 * planted: BUG_PIN_LIMIT       safety -DPINS_MAX=2 users may take the last pin              (W6)
 * planted: BUG_UNSETTLED       safety  the link is written over the current second location   (W7)
 */

#ifndef GENERATIONS
#define GENERATIONS 2
#endif
#ifndef USERS
#define USERS 2
#endif
#ifndef USES
#define USES 1
#endif
#ifndef MOVES
#define MOVES 1
#endif
#ifndef PINS_MAX
#define PINS_MAX 3
#endif
#define BLOCKS 2
#define NO_BLOCK 7
#define LINK 6

/* The word, as in the real header but narrower. */
#define FREE 0
#define LIVE 1
#define DROPPED 2
#define RECLAIMING 3
#define RETIRED 5
#define SEL 8
#define TOUCHED 16
#define MOVING 32
#define FIXED 64
#define SLOW 128
#define PIN 256
#define REF 1024
#define GEN 4096

#define STATE(w) ((w) & 7)
#define SEL_OF(w) (((w) >> 3) & 1)
#define PINS(w) (((w) >> 8) & 3)
#define REFS(w) (((w) >> 10) & 3)
#define GEN_OF(w) ((w) >> 12)
#define FLAGS(w) ((w) & (SEL | TOUCHED | MOVING | FIXED | SLOW))
#define SET(w, bit) ((w) | (bit))
#define UNSET(w, bit) ((w) & ~(bit))
#define IS_LIVE(w, h) (GEN_OF(w) == (h) && STATE(w) == LIVE)
#define AT_ZERO(w) (STATE(w) == DROPPED && REFS(w) == 0 && PINS(w) == 0 && ((w) & MOVING) == 0)

#ifdef BUG_PIN_LIMIT
#define PINS_OF_USERS PINS_MAX
#else
#define PINS_OF_USERS (PINS_MAX - 1)
#endif

/* What a drop found. */
#define LESS 0
#define IMMEDIATE 1
#define POSTS 2
#define GUARDED 3

/* The header: its word and two locations, of which the second holds the link when the slot is not LIVE. */
short word = GEN + FREE;
byte location[2];
bool in_magazine = true;
bool in_mailbox;
byte published; /* the generation in the handle that users copy; 0: null */

/* Blocks of memory and who counts on them. */
bool used[BLOCKS];
byte leaned_on[BLOCKS]; /* pinned pointers, data pointers and a copy in progress */
bit content[BLOCKS];
bit truth; /* what the tensor's content should be */

/* Counters of the library. */
byte created, dropped, reclaimed;

/* What only the properties need. */
byte dead; /* generations up to this one have no reference left */
bool posted[GENERATIONS + 2];
bool finished[GENERATIONS + 2];
byte ended; /* processes that have ended */

/*
 * Each atomic { } below is one access to shared memory and the thread's own thoughts about it. What the owner of a header
 * does to fields that nobody else may read (the blocks, the locations, the link) is joined to its next visible step.
 */
inline cas() {
    if
#ifdef BUG_NO_GENERATION
    :: (word & (GEN - 1)) == (old & (GEN - 1)) -> word = (word & ~(GEN - 1)) | (new & (GEN - 1)); ok = true
#else
    :: word == old -> word = new; ok = true
#endif
    :: else -> ok = false; new = 0
    fi;
    old = 0
}

/* A compare-and-swap that a handle asked for: the handle must still have a reference at that very moment. */
inline cas_for(h) {
    cas();
    assert(!ok || h > dead) /* W4 */
}

inline take_block(which) {
    if
    :: !used[0] -> which = 0
    :: else -> assert(!used[1]); which = 1
    fi;
    used[which] = true;
    content[which] = 0
}

inline free_block(which) {
    assert(which < BLOCKS);
    assert(used[which]);           /* W5: freed once */
    assert(leaned_on[which] == 0); /* W3 */
    used[which] = false
}

/* The owner of a header at (0, 0, 0) puts it into the one mailbox. The link lies over the second location. */
inline post() {
    atomic {
        assert(!posted[GEN_OF(word)]); /* W1 */
        posted[GEN_OF(word)] = true;
        assert(AT_ZERO(word)); /* W7 */
#ifndef BUG_UNSETTLED
        if
        :: (word & SEL) -> location[0] = location[1]; word = UNSET(word, SEL)
        :: else
        fi;
#endif
        location[1] = LINK;
        assert(!in_mailbox && !in_magazine); /* W7 */
        in_mailbox = true
    }
}

inline count_drop() {
    dropped++;
    assert(dropped <= created) /* W2 */
}

inline count_reclaim(gone) {
    reclaimed++;
    assert(reclaimed <= dropped); /* W2 */
    assert(!finished[gone]);      /* W1 */
    finished[gone] = true
}

/* ok: a reference was added. */
inline retain(h) {
    do
    :: atomic {
           old = word;
           if
           :: IS_LIVE(old, h) && REFS(old) < 3 -> new = old + REF
           :: else -> ok = false; old = 0; break
           fi
       }
       atomic {
           cas_for(h);
           if
           :: ok -> new = 0; break
           :: else
           fi
       }
    od
}

/* ok: block is pinned. */
inline pin(h) {
    do
    :: atomic {
           old = word;
           if
           :: IS_LIVE(old, h) && PINS(old) < PINS_OF_USERS && (old & MOVING) -> new = SET(old + PIN, TOUCHED)
           :: IS_LIVE(old, h) && PINS(old) < PINS_OF_USERS && !(old & MOVING) -> new = old + PIN
           :: else -> ok = false; old = 0; break
           fi
       }
       atomic {
           cas_for(h);
           if
           :: ok -> new = SEL_OF(new); break
           :: else
           fi
       }
    od;
    atomic {
        if
        :: ok ->
           block = location[new];
           assert(block < BLOCKS && used[block]); /* W3 */
           leaned_on[block]++;
           new = 0
        :: else
        fi
    }
}

/* ok: a pin was given back. The caller has let go of its pointer before. */
inline unpin(h) {
    do
    :: atomic {
           old = word;
           if
           :: GEN_OF(old) == h && (STATE(old) == LIVE || STATE(old) == DROPPED) && PINS(old) > 0 -> new = old - PIN
           :: else -> ok = false; old = 0; break
           fi
       }
       atomic {
           cas();
           if
           :: ok -> break
           :: else
           fi
       }
    od;
#ifdef BUG_UNPIN_SILENT
    new = 0
#else
    if
    :: ok && AT_ZERO(new) -> new = 0; post()
    :: else -> new = 0
    fi
#endif
}

/* Called with a reference: never refused. */
inline data(h) {
    do
    :: atomic {
           old = word;
           assert(IS_LIVE(old, h)); /* W4 */
           if
           :: (old & FIXED) -> ok = true; new = SEL_OF(old); old = 0
#ifndef BUG_DATA_UNTOUCHED
           :: !(old & FIXED) && (old & MOVING) -> ok = false; new = SET(SET(old, FIXED), TOUCHED)
#endif
           :: else -> ok = false; new = SET(old, FIXED)
           fi
       }
       atomic {
           if
           :: ok
           :: else ->
              cas_for(h);
              if
              :: ok -> new = SEL_OF(new)
              :: else
              fi
           fi
       }
       if
       :: ok ->
          block = location[new];
          atomic {
              if
              :: IS_LIVE(word, h) && SEL_OF(word) == new ->
                 assert(block < BLOCKS && used[block]); /* W3 */
                 leaned_on[block]++;
                 new = 0;
                 break
              :: else -> block = NO_BLOCK
              fi
          }
       :: else
       fi
    od
}

/* ok: a reference was given up. */
inline drop(h) {
    do
    :: atomic {
           old = word;
           if
           :: !IS_LIVE(old, h) -> ok = false; old = 0; break
           :: else
           fi;
           if
           :: REFS(old) > 1 -> path = LESS; new = old - REF
           :: REFS(old) == 1 && UNSET(FLAGS(old), FIXED) == 0 && PINS(old) == 0 ->
              path = IMMEDIATE;
#ifdef BUG_SAME_GENERATION
              new = GEN * h + FREE
#else
              new = GEN * (h + 1) + FREE
#endif
           :: else ->
              new = old - REF - LIVE + DROPPED;
              if
#ifdef BUG_POST_PINNED
              :: path = POSTS
#else
              :: PINS(old) == 0 && !(old & MOVING) -> path = POSTS
              :: else ->
                 path = GUARDED;
#ifndef BUG_NO_GUARD
                 assert(PINS(new) < PINS_MAX); /* W6 */
                 new = new + PIN
#endif
#endif
              fi
           fi
       }
       atomic {
           cas_for(h);
           if
           :: ok && path == LESS -> new = 0; break
           :: ok && path != LESS -> new = 0; dead = h; break
           :: else
           fi
       }
    od;
    if
    :: ok && path == IMMEDIATE ->
       atomic { count_drop() }
       atomic {
           free_block(location[0]);
           count_reclaim(h);
           in_magazine = true
       }
#ifdef BUG_COUNT_LATE
    :: ok && path == POSTS -> post(); atomic { count_drop() }
#else
    :: ok && path == POSTS -> atomic { count_drop() } post()
#endif
#ifdef BUG_NO_GUARD
    :: ok && path == GUARDED -> atomic { count_drop() }
#else
    :: ok && path == GUARDED -> atomic { count_drop() } unpin(h)
#endif
    :: else
    fi;
    path = LESS
}

inline write_and_let_go() {
    atomic {
        assert(used[block]);             /* W3 */
        assert(content[block] == truth); /* W3: what was written before is there */
        truth = 1 - truth;
        content[block] = truth;
        leaned_on[block]--;
        block = NO_BLOCK
    }
}

proctype creator() {
    short old, new;
    byte h, path = LESS, block = NO_BLOCK;
    bool ok;

    do
    :: atomic {
           in_magazine -> in_magazine = false;
           assert(STATE(word) == FREE); /* W7 */
           h = GEN_OF(word);
           take_block(block);
           location[0] = block;
           block = NO_BLOCK;
           truth = 0;
           created++
       }
       atomic {
           if
           :: word = GEN * h + REF + SLOW + LIVE
           :: h < GENERATIONS -> word = GEN * h + REF + LIVE
           fi;
           published = h
       }
       drop(h);
       assert(ok); /* W4: a holder is not refused */
       if
       :: h == GENERATIONS -> break
       :: else
       fi
    od;
    atomic { h = 0; ok = false; ended++ }
}

proctype user() {
    short old, new;
    byte h, uses, path = LESS, block = NO_BLOCK;
    bool ok;

    do
    :: uses < USES ->
       atomic { published > 0 -> h = published; uses++ }
       if
       :: retain(h);
          if
          :: ok ->
             if
             :: data(h); write_and_let_go()
             :: skip
             fi;
             drop(h);
             assert(ok) /* W4 */
          :: else
          fi
       :: pin(h);
          if
          :: ok ->
             write_and_let_go();
             unpin(h);
             assert(ok) /* W4 */
          :: else
          fi
       :: h <= dead -> drop(h); assert(!ok)          /* W4 */
       :: h < GEN_OF(word) -> unpin(h); assert(!ok)  /* W4 */
       fi;
       atomic { h = 0; ok = false }
    :: else -> break
    od;
    atomic { uses = 0; ended++ }
}

proctype mover() {
    short old, new;
    byte h, moves, current = NO_BLOCK, fresh = NO_BLOCK;
    bool ok;

    do
    :: moves < MOVES ->
       atomic {
           moves++;
           old = word;
           if
           :: STATE(old) == LIVE && PINS(old) == 0 && !(old & FIXED) -> new = UNSET(SET(old, MOVING), TOUCHED)
           :: else -> old = 0; goto next
           fi
       }
       atomic {
           cas();
           if
           :: !ok -> goto next
           :: else
           fi;
           h = GEN_OF(new);
           current = location[SEL_OF(new)];
           assert(current < BLOCKS && used[current]);
           leaned_on[current]++;
           take_block(fresh);
           location[1 - SEL_OF(new)] = fresh;
           new = 0
       }
       atomic {
           content[fresh] = content[current];
           leaned_on[current]--
       }
       do
       :: atomic {
              old = word;
              assert(GEN_OF(old) == h && (old & MOVING)); /* W7 */
              if
#ifdef BUG_COMMIT_TOUCHED
              :: STATE(old) == LIVE && PINS(old) == 0 -> new = UNSET(UNSET(old, MOVING), TOUCHED) ^ SEL
#else
              :: STATE(old) == LIVE && PINS(old) == 0 && !(old & TOUCHED) -> new = UNSET(old, MOVING) ^ SEL
#endif
              :: else -> new = UNSET(UNSET(old, MOVING), TOUCHED); h = 0
              fi
          }
          atomic {
              cas();
              if
              :: ok && h > 0 -> free_block(current); break
              :: ok && h == 0 ->
#ifdef BUG_FREE_CURRENT
                 free_block(current);
#else
#ifndef BUG_FREE_NOTHING
                 free_block(fresh);
#endif
#endif
                 break
              :: else -> h = GEN_OF(word)
              fi
          }
       od;
#ifndef BUG_MOVER_SILENT
       if
#ifdef BUG_MOVER_EAGER
       :: STATE(new) == DROPPED -> new = 0; post()
#else
       :: AT_ZERO(new) -> new = 0; post()
#endif
       :: else
       fi;
#endif
next:
       atomic { h = 0; old = 0; new = 0; ok = false; current = NO_BLOCK; fresh = NO_BLOCK }
    :: break
    od;
    atomic { moves = 0; ended++ }
}

proctype reclaimer() {
    byte h;

end:
    do
    :: atomic {
           in_mailbox -> in_mailbox = false;
           assert(AT_ZERO(word)); /* W7 */
           h = GEN_OF(word);
           word = GEN * h + RECLAIMING
       }
       atomic {
           assert(word == GEN * h + RECLAIMING); /* W7 */
           free_block(location[0]);
           if
           :: h == GENERATIONS -> word = GEN * (h + 1) + RETIRED
#ifdef BUG_SAME_GENERATION
           :: else -> word = GEN * h + FREE
#else
           :: else -> word = GEN * (h + 1) + FREE
#endif
           fi
       }
       atomic {
           count_reclaim(h);
           in_magazine = (h < GENERATIONS);
           h = 0
       }
    od
}

init {
    byte i;

    atomic {
        run creator();
        do
        :: i < USERS -> run user(); i++
        :: else -> break
        od;
        i = 0;
        run mover();
        run reclaimer()
    }
    timeout;
    assert(ended == USERS + 2);                                  /* W1: nobody waits for a header for ever */
    assert(created == GENERATIONS && dropped == created);        /* W2 */
    assert(reclaimed == dropped && STATE(word) == RETIRED);      /* W1 */
    assert(!used[0] && !used[1] && !in_mailbox && !in_magazine)  /* W5 */
}
