/* fettle stress: threads that call all of the interface at random, each answer compared with what a model says it must be,
 * while faults are injected.
 *
 * What      A run: threads that act (stress_act*.c), a model of every tensor (stress_model.c), faults (stress_fault*.c), a watcher
 *           that looks at the sums all the time and stops everybody now and then to look at them exactly (stress_watch.c).
 * Threads   The actors of a run are its acting threads, one watcher (who called ftli_stress_run), and the library's own
 *           threads in finalizers and callbacks. Counters and `loose` are atomic; a tensor's record is read by who holds
 *           it, and written by who made it, or brought its last reference back.
 * Model     A reference of the model is counted off after the call that gave it up returned. So who brings the count to 0
 *           knows that every drop has returned, and that the handle must be stale, unless the record is `loose`: then
 *           somebody may hold a reference that the model does not see (a view or a parent that is not reclaimed
 *           yet, a reader of the board for a moment).
 */
#ifndef FTLI_TOOLS_STRESS_H
#define FTLI_TOOLS_STRESS_H

#include "tools/latency.h"

#include <fettle/actor.h>
#include <fettle/fettle.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum { /* what may go wrong; a mask */
       FTLI_STRESS_FINALIZER = 1,
       FTLI_STRESS_STALL = 2,
       FTLI_STRESS_RESTART = 4,
       FTLI_STRESS_OOM = 8,
       FTLI_STRESS_EXIT = 16,
       FTLI_STRESS_FORK = 32,
       FTLI_STRESS_PIN = 64,
       FTLI_STRESS_PRESSURE = 128,
       FTLI_STRESS_FAULTS = 8, /* how many there are */
};
extern const char *const ftli_stress_fault_names[FTLI_STRESS_FAULTS + 1]; /* by bit; ends with NULL */

enum {
    FTLI_STRESS_THREADS_MOST = 64,
    FTLI_STRESS_ENTRIES = 160, /* of one thread */
    FTLI_STRESS_CHILDREN = 4,  /* links of one parent */
    FTLI_STRESS_SCOPES = 4,    /* open ones of one thread */
    FTLI_STRESS_STALE = 64,    /* handles that are gone, of one thread */
    FTLI_STRESS_EXCHANGE = 32, /* places where tensors change hands */
    FTLI_STRESS_BOARD = 64,    /* weak handles for all to see */
    FTLI_STRESS_CACHE = 256,   /* tensors that a pressure callback drops */
    FTLI_STRESS_BROKEN = 16,   /* sentences about what broke */
    FTLI_STRESS_MESSAGES = 256,
    FTLI_STRESS_CRATE = 64, /* tensors in one */
    FTLI_STRESS_CRATES = 16,
};

struct ftli_stress_options {
    const char *topology; /* NULL: default.yaml, as built in */
    uint32_t threads;
    uint64_t duration_ns;
    uint32_t faults;
    uint64_t seed;
    bool json;
};

struct ftli_stress;

/* ---- the model ------------------------------------------------------------------------------------------------------ */

/* One tensor. */
struct ftli_stress_record {
    struct ftli_stress *run;
    ftl_tensor handle;
    uint64_t seed;  /* of its contents */
    uint64_t bytes; /* by its shape */
    ftl_dtype dtype;
    uint32_t ndim;
    int64_t shape[4];
    uint64_t tag, serial;
    size_t alignment;            /* asked for; 0: none */
    _Atomic uint32_t references; /* of threads, scopes, parents and views */
    _Atomic uint32_t holders;    /* of this record */
    atomic_bool loose, shared, dead;
    struct ftli_stress_record *base; /* of a view: whose memory it is */
    uint64_t offset;
    struct ftli_stress_record *children[FTLI_STRESS_CHILDREN];
    uint32_t child_count;
    struct ftli_stress_record *dying; /* the next one, while it is in a list of those whose death is counted */
    struct ftli_stress_record *next;  /* in the list of those with finalizers, or of the free */
    struct ftli_stress_record *previous;
    struct { /* of the finalizer, if it has one */
        bool has;
        uint32_t fails;    /* so often before it works; UINT32_MAX: always */
        uint64_t stall_ns; /* of its first call */
        _Atomic uint32_t calls, done, inside;
    } finalizer;
};

/* What one thread holds of one tensor. */
struct ftli_stress_entry {
    struct ftli_stress_record *record;
    uint32_t references, pins;
    uint32_t scope; /* 1 + place of the scope that has the creator's reference; 0: none */
    void *address;  /* while pins are held */
};

struct ftli_stress_scope {
    ftl_scope handle; /* {0}: none */
    uint64_t hard_bytes;
    uint32_t parent; /* 1 + place */
};

struct ftli_stress_parcel { /* what changes hands */
    struct ftli_stress_record *record;
    uint32_t references, pins;
    void *address;
};

/* Many small tensors that one thread made and another drops. */
struct ftli_stress_crate {
    uint32_t count;
    uint64_t bytes; /* of each */
    ftl_tensor tensors[FTLI_STRESS_CRATE];
};

/* Written with release, one writer each but those of the library's threads. */
struct ftli_stress_counts {
    _Atomic uint64_t operations, begun, failed, made; /* news: begun = failed + made + under way */
    _Atomic uint64_t dead, made_bytes, dead_bytes;    /* tensors whose last reference the model has seen go */
    _Atomic uint64_t dead_at_once; /* of them, those that nobody else could hold: when the call returned */
    _Atomic uint64_t stale_calls, odd_unpins, refused;
    _Atomic uint64_t
        gone_unpins; /* without a pin, of what is gone: counted as the one or the other, as its drop is done or not */
    _Atomic uint64_t drops; /* calls that gave up a reference */
    _Atomic uint64_t faults[FTLI_STRESS_FAULTS];
};

struct ftli_stress_thread {
    struct ftli_stress *run;
    uint32_t index;
    uint64_t random;
    pthread_t thread;
    bool running;        /* the watcher's: to be joined */
    atomic_bool left;    /* it has exited, and its tensors wait for the next one */
    atomic_bool leaving; /* it exits after this */
    const char *_Atomic doing;
    struct ftli_stress_counts counts;
    uint64_t due_ns[16]; /* when what comes by the clock comes next */
    uint64_t now_ns;     /* looked at now and then */
    uint32_t entry_count, stale_count, stale_next;
    struct ftli_stress_entry entries[FTLI_STRESS_ENTRIES];
    struct ftli_stress_scope scopes[FTLI_STRESS_SCOPES];
    ftl_tensor stale[FTLI_STRESS_STALE];
    ftl_tensor never_pinned; /* gone, too */
};

/* ---- the run --------------------------------------------------------------------------------------------------------- */

struct ftli_stress {
    struct ftli_stress_options options;
    char topology[128];   /* its source */
    char overrides[768];  /* laid over it */
    char cleanup[32];     /* what the topology calls it */
    bool has_threads;     /* the topology */
    bool wide;            /* the address space is a sanitizer's */
    uint64_t limit_bytes; /* of device 0 */
    ftl_runtime *runtime;
    uint64_t begin_ns, end_ns;
    atomic_bool over;

    pthread_mutex_t gate; /* around the next four */
    pthread_cond_t gate_changed;
    uint32_t parked;
    uint32_t round;
    atomic_bool stop_wanted;

    pthread_mutex_t records; /* around the lists */
    struct ftli_stress_record *free_records, *finalizing;
    struct ftli_stress_chunk *chunks;
    _Atomic uint64_t serial;

    struct ftli_stress_parcel *_Atomic exchange[FTLI_STRESS_EXCHANGE];
    struct ftli_stress_crate *_Atomic crates[FTLI_STRESS_CRATES];
    pthread_mutex_t board_lock;
    struct {
        ftl_tensor handle;
        uint64_t seed, bytes;
    } board[FTLI_STRESS_BOARD];

    pthread_mutex_t cache_lock;
    struct ftli_stress_record *cache[FTLI_STRESS_CACHE];
    uint32_t cached;
    _Atomic uint64_t callbacks;

    pthread_mutex_t calamity; /* one at a time: a fork, little address space, a thread that begins */
    _Atomic uint64_t next_fork_ns, next_oom_ns, next_fill_ns, next_stall_ns, hopeless;

    struct ftli_stress_messages *messages; /* out of use once the runtime is closed */

    pthread_mutex_t broken_lock;
    uint32_t broken_count; /* may be more than there is room for */
    char broken[FTLI_STRESS_BROKEN][512];

    struct { /* the watcher's findings */
        uint64_t looks, rests, checks, threads, random;
        uint64_t twice, lost, posted, completed;
        ftl_stats stats; /* the last, at rest */
        ftl_close_report report;
    } found;
    _Atomic uint64_t events[8], twice;

    struct ftli_stress_thread service; /* what the library's threads count */
    struct ftli_stress_thread threads[FTLI_STRESS_THREADS_MOST];
};

/* ---- stress_model.c: records, contents, and what a law is ------------------------------------------------------------- */

uint64_t ftli_stress_random(uint64_t *state);
uint64_t ftli_stress_below(struct ftli_stress_thread *thread, uint64_t most); /* 0 .. most - 1 */
bool ftli_stress_chance(struct ftli_stress_thread *thread, uint32_t one_in);

/* A law is broken: the sentence is kept, and the run ends. */
__attribute__((format(printf, 2, 3))) void ftli_stress_broken(struct ftli_stress *run, const char *format, ...);
/* An answer that must be FTL_OK. */
bool ftli_stress_good(struct ftli_stress_thread *thread, const char *call, int status);
/* Of a call that needs memory: whether it succeeded; FTL_ENOMEM and FTL_ELIMIT are counted, and answers too. */
bool ftli_stress_made(struct ftli_stress_thread *thread, const char *call, int status);
void ftli_stress_count(_Atomic uint64_t *counter, uint64_t n);

struct ftli_stress_record *ftli_stress_record(struct ftli_stress *run); /* NULL: no memory. One holder, no reference */
void ftli_stress_release(struct ftli_stress_record *record);            /* a holder less */
void ftli_stress_unlist(struct ftli_stress_record *record);             /* its finalizer has worked, or never will */
void ftli_stress_unmake(struct ftli_stress *run);                       /* all records, at the end */

void ftli_stress_fill(const struct ftli_stress_record *record, void *address);
bool ftli_stress_is_zero(const struct ftli_stress_record *record, const void *address);
/* Whether the contents are what was written. quick: beginning and end. */
bool ftli_stress_intact(uint64_t seed, uint64_t bytes, const void *address, bool quick);
void ftli_stress_look(struct ftli_stress_thread *thread, const struct ftli_stress_record *record, const void *address,
                      bool quick, const char *when);

/* The call that gives a reference up, and its count. */
void ftli_stress_drop(struct ftli_stress_thread *thread, struct ftli_stress_record *record);
/* The count alone: a scope has given the reference up. */
void ftli_stress_given_up(struct ftli_stress_thread *thread, struct ftli_stress_record *record);

/* ---- stress_entries.c: what a thread holds ------------------------------------------------------------------------------ */

struct ftli_stress_entry *ftli_stress_any(struct ftli_stress_thread *thread); /* NULL: it holds nothing */
/* One that this thread keeps alive. NULL: none was met. */
struct ftli_stress_entry *ftli_stress_any_owned(struct ftli_stress_thread *thread);
bool ftli_stress_owns(const struct ftli_stress_entry *entry);
/* Nobody else has any handle of it but its scope: what it is can be told to the last figure. */
bool ftli_stress_is_mine_alone(const struct ftli_stress_record *record);
void ftli_stress_must(struct ftli_stress_thread *thread, bool holds, const struct ftli_stress_record *record,
                      const char *law);
struct ftli_stress_entry *ftli_stress_entry_add(struct ftli_stress_thread *thread, struct ftli_stress_record *record);
void ftli_stress_entry_tidy(struct ftli_stress_thread *thread,
                            struct ftli_stress_entry *entry); /* away if it is empty */
void ftli_stress_entry_unpin(struct ftli_stress_thread *thread, struct ftli_stress_entry *entry);
void ftli_stress_entry_drop(struct ftli_stress_thread *thread, struct ftli_stress_entry *entry);
/* All of it, but a scope's reference. */
void ftli_stress_entry_empty(struct ftli_stress_thread *thread, struct ftli_stress_entry *entry);
void ftli_stress_make_room(struct ftli_stress_thread *thread);
void ftli_stress_scope_end(struct ftli_stress_thread *thread, uint32_t place);
/* Before everything is looked at exactly: pins on what is dropped go. */
void ftli_stress_let_go_of_the_dead(struct ftli_stress_thread *thread);
void ftli_stress_give_up_all(struct ftli_stress_thread *thread);
/* Puts a parcel (NULL: none) into a place of the exchange and takes what was there in. */
void ftli_stress_trade(struct ftli_stress_thread *thread, uint32_t place, struct ftli_stress_parcel *parcel);

/* ---- stress_make.c, stress_act.c, stress_act_rare.c: what threads do ------------------------------------------------------ */

void ftli_stress_make(struct ftli_stress_thread *thread);
void ftli_stress_make_view(struct ftli_stress_thread *thread);
void ftli_stress_burst(struct ftli_stress_thread *thread);
/* Makes a crate (if make), puts it (or nothing) there, and drops what was there. */
void ftli_stress_crate(struct ftli_stress_thread *thread, uint32_t place, bool make);
/* One tensor, of which the caller has the reference; NULL: refused. */
struct ftli_stress_record *ftli_stress_make_plain(struct ftli_stress_thread *thread, uint64_t bytes);
void ftli_stress_act(struct ftli_stress_thread *thread);
void ftli_stress_act_rarely(struct ftli_stress_thread *thread); /* what comes by the clock */
/* stress_refused.c */
void ftli_stress_use_stale(struct ftli_stress_thread *thread);
void ftli_stress_await(struct ftli_stress_thread *thread);
void ftli_stress_misuse(struct ftli_stress_thread *thread);
void ftli_stress_ask(struct ftli_stress_thread *thread);
/* stress_messages.c: an actor of the program's own, and its mail. */
extern const ftl_actor_type ftli_stress_actor;
int ftli_stress_messages_create(struct ftli_stress *run);
void ftli_stress_send(struct ftli_stress_thread *thread);
uint64_t ftli_stress_messages_sent(const struct ftli_stress *run);
uint64_t ftli_stress_messages_received(const struct ftli_stress *run);

/* ---- stress_fault.c ------------------------------------------------------------------------------------------------------ */

int ftli_stress_finalizer(ftl_tensor tensor, void *data, size_t bytes, void *user);
void ftli_stress_on_event(const ftl_event *event, void *user);
void ftli_stress_on_pressure(const ftl_event *event, void *user);
void ftli_stress_sleep(uint64_t ns);
void ftli_stress_fill_up(struct ftli_stress_thread *thread);
void ftli_stress_starve(struct ftli_stress_thread *thread);
/* stress_fork.c. own_threads: the child's own runtime has threads. */
enum { FTLI_STRESS_CHILD_LOOKS = 0, FTLI_STRESS_CHILD_OPENS = 1, FTLI_STRESS_CHILD_OPENS_WITHOUT_THREADS = 2 };
void ftli_stress_fork(struct ftli_stress_thread *thread, int what);
void ftli_stress_empty_cache(struct ftli_stress_thread *thread, uint32_t keep);

/* ---- stress_watch.c, stress_print.c ---------------------------------------------------------------------------------------- */

void ftli_stress_prepare(struct ftli_stress *run); /* its locks and threads' structs, after the options are set */
/* Opens, runs, closes. 0; -1 and a sentence: it could not begin. */
int ftli_stress_run(struct ftli_stress *run, char *why, size_t why_size);
void *ftli_stress_thread_main(void *thread);
/* stress_sums.c */
uint64_t ftli_stress_sum(const struct ftli_stress *run, size_t offset); /* of a field of counts, over all threads */
#define FTLI_STRESS_SUM(run, field) ftli_stress_sum(run, offsetof(struct ftli_stress_counts, field))
void ftli_stress_compare(struct ftli_stress *run, bool holds, const char *law, uint64_t is, uint64_t than);
void ftli_stress_look_at_sums(struct ftli_stress *run);
void ftli_stress_compare_at_rest(struct ftli_stress *run);
void ftli_stress_check(struct ftli_stress *run); /* the library's audit */
/* stress_print.c */
void ftli_stress_print_head(const struct ftli_stress *run, FILE *out);
void ftli_stress_print(const struct ftli_stress *run, FILE *out);
void ftli_stress_print_json(const struct ftli_stress *run, FILE *out);
/* The options, out of the command line. -1: good; else the exit code. */
struct ftli_arguments;
int ftli_stress_take_options(const struct ftli_arguments *arguments, struct ftli_stress_options *out);

#endif
