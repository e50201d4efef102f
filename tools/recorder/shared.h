/* What a recorded program and `fettle record` share: one ring of events in memory that both have mapped.
 *
 * What     The program's threads put an event each time they allocate or free something of at least `least_bytes`; the
 *          one reader takes them out. The order of the ring is the order of the events: who allocates puts after it got the
 *          memory, who frees puts before it gives it back, so of one address the free always stands before the next
 *          allocation, whichever threads they were.
 * Owns     A memfd of the reader. A program may close all its descriptors, end by a signal or _exit: what it put is there.
 * Threads  ftli_record_put: any thread of the program, lock-free, and it does not wait (a full ring is the caller's). It
 *          makes no allocation and no call. ftli_record_take: the reader's one thread.
 * Invariants
 *          - ticket t goes into place t % RING. Its turn is 2 x (t / RING) while it is free for t, one more when t is
 *            written, two more once t was read: an empty ring is a page of zeros.
 *          - the reader's next ticket `head` <= `tail`, and they are at most RING apart.
 */
#ifndef FTLI_TOOLS_RECORDER_SHARED_H
#define FTLI_TOOLS_RECORDER_SHARED_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define FTLI_RECORD_MAGIC    UINT64_C(0x3130636572747466) /* "fttrec01": the two sides are of one version */
#define FTLI_RECORD_VARIABLE "FETTLE_RECORDER"            /* the environment's word for where the ring is */

enum {
    FTLI_RECORD_RING = 1 << 17,  /* 4 MiB: what a program can do while the reader sleeps */
    FTLI_RECORD_NAME_BYTES = 64, /* of a program's name */
};

enum ftli_record_kind {
    FTLI_RECORD_ALLOC = 1,
    FTLI_RECORD_FREE,
    FTLI_RECORD_START, /* a program was loaded, maybe in place of another: nothing of that one is alive */
};

struct ftli_record_event {
    uint64_t time_ns; /* CLOCK_MONOTONIC */
    uint64_t address;
    uint64_t bytes; /* asked for; of ALLOC */
    uint32_t thread;
    uint8_t align_log2; /* asked for; of ALLOC */
    uint8_t kind;
};

/* An event as it lies in the ring: two in a line. */
struct ftli_record_place {
    _Atomic uint64_t turn;
    uint64_t time_ns;
    uint64_t who;  /* address 48 | thread 16 */
    uint64_t what; /* bytes 48 | align_log2 8 | kind 8 */
};
_Static_assert(sizeof(struct ftli_record_place) == 32, "two places in a cache line");

struct ftli_record_shared {
    uint64_t magic;       /* written by the reader before the program starts, as are the next four */
    uint64_t reader;      /* its process */
    uint64_t least_bytes; /* of what is recorded */
    char program
        [FTLI_RECORD_NAME_BYTES];  /* "": the process of `owner`; else the first that runs a program of this name */
    _Atomic uint64_t owner;        /* the process that is recorded; 0: none yet */
    _Atomic uint64_t starts;       /* programs that were loaded in it; more than one: it called exec */
    _Atomic uint64_t start_ticket; /* no ticket before this one will still be written */
    _Atomic uint64_t passed_over;  /* other processes that the recorder was loaded into */
    _Atomic uint64_t threads;      /* numbers given out */
    _Atomic uint64_t lost;         /* events that found the ring full, and no reader */
    _Atomic uint64_t waits;        /* events that found it full and waited for the reader */
    _Atomic uint64_t stop;         /* not 0: nothing more is to be recorded */
    _Alignas(128) _Atomic uint64_t tail; /* the next ticket to be given out */
    _Alignas(128) _Atomic uint64_t head; /* the next to be read */
    _Alignas(128) struct ftli_record_place ring[FTLI_RECORD_RING];
};

/* False: the ring is full. */
static inline bool ftli_record_put(struct ftli_record_shared *shared, const struct ftli_record_event *event)
{
    uint64_t ticket = atomic_load_explicit(&shared->tail, memory_order_relaxed);
    struct ftli_record_place *place;
    for (;;) {
        place = &shared->ring[ticket % FTLI_RECORD_RING];
        uint64_t turn = atomic_load_explicit(&place->turn, memory_order_acquire); /* pairs: record-read */
        uint64_t mine = ticket / FTLI_RECORD_RING * 2;
        if (turn == mine) {
            if (atomic_compare_exchange_weak_explicit(&shared->tail, &ticket, ticket + 1, memory_order_relaxed,
                                                      memory_order_relaxed)) {
                break;
            }
        } else if (turn < mine) {
            return false;
        } else {
            ticket = atomic_load_explicit(&shared->tail, memory_order_relaxed);
        }
    }
    place->time_ns = event->time_ns;
    place->who = event->address << 16 | (event->thread & UINT16_MAX);
    place->what = event->bytes << 16 | (uint64_t)event->align_log2 << 8 | event->kind;
    atomic_store_explicit(&place->turn, ticket / FTLI_RECORD_RING * 2 + 1,
                          memory_order_release); /* pairs: record-put */
    return true;
}

/* False: the next event is not there yet; it may be in the writing, see ftli_record_skip. */
static inline bool ftli_record_take(struct ftli_record_shared *shared, struct ftli_record_event *event)
{
    uint64_t head = atomic_load_explicit(&shared->head, memory_order_relaxed);
    struct ftli_record_place *place = &shared->ring[head % FTLI_RECORD_RING];
    uint64_t mine = head / FTLI_RECORD_RING * 2;
    if (atomic_load_explicit(&place->turn, memory_order_acquire) != mine + 1) { /* pairs: record-put */
        return false;
    }
    *event = (struct ftli_record_event){.time_ns = place->time_ns,
                                        .address = place->who >> 16,
                                        .thread = place->who & UINT16_MAX,
                                        .bytes = place->what >> 16,
                                        .align_log2 = (place->what >> 8) & UINT8_MAX,
                                        .kind = place->what & UINT8_MAX};
    atomic_store_explicit(&place->turn, mine + 2, memory_order_release); /* pairs: record-read */
    atomic_store_explicit(&shared->head, head + 1, memory_order_relaxed);
    return true;
}

/* Gives up the next ticket, whose writer is known to be gone. False: there is none. */
static inline bool ftli_record_skip(struct ftli_record_shared *shared)
{
    uint64_t head = atomic_load_explicit(&shared->head, memory_order_relaxed);
    if (head == atomic_load_explicit(&shared->tail, memory_order_relaxed)) {
        return false;
    }
    atomic_store_explicit(&shared->ring[head % FTLI_RECORD_RING].turn, head / FTLI_RECORD_RING * 2 + 2,
                          memory_order_release); /* pairs: record-read */
    atomic_store_explicit(&shared->head, head + 1, memory_order_relaxed);
    return true;
}

#endif
