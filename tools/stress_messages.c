/* An actor of the program's own among the library's, and its mail: each message is received once, those of one sender in
 * one lane in their order, whoever is restarted meanwhile. */
#include "tools/stress.h"

#include <stdlib.h>

struct mail {
    ftl_message message;
    struct ftli_stress *run;
    uint32_t sender, lane;
    uint64_t number; /* of its sender and lane */
    atomic_bool out; /* the runtime's, or the actor's */
};

struct ftli_stress_messages {
    ftl_actor actor;
    _Atomic uint64_t sent, received;
    struct mail *previous; /* the actor's: what it received before has been returned, and is the sender's again */
    uint64_t received_number[FTLI_STRESS_THREADS_MOST][4];            /* the actor's */
    uint64_t sent_number[FTLI_STRESS_THREADS_MOST][4];                /* each thread its own */
    struct mail mail[FTLI_STRESS_THREADS_MOST][FTLI_STRESS_MESSAGES]; /* each thread its own, while not out */
};

struct state {
    uint64_t seen;
};

enum { FAILS_EVERY = 1000 };

/* The restarts of an actor whose receive fails are a fault like any other: only where it was asked for. */
static int receive(void *state, const ftl_context *context, ftl_message *message)
{
    struct state *own = state;
    struct mail *mail = (struct mail *)(void *)message;
    struct ftli_stress *run = mail->run;
    struct ftli_stress_messages *all = run->messages;
    (void)context;
    if (++own->seen % FAILS_EVERY == 0 && (run->options.faults & FTLI_STRESS_RESTART) != 0) {
        return FTL_EBUSY;
    }
    uint64_t *last = &all->received_number[mail->sender][mail->lane];
    if (mail->number != *last + 1) {
        ftli_stress_broken(run, "message %llu of a lane came after %llu", (unsigned long long)mail->number,
                           (unsigned long long)*last);
    }
    *last = mail->number;
    if (all->previous != NULL) {
        atomic_store_explicit(&all->previous->out, false, memory_order_release);
    }
    all->previous = mail;
    atomic_fetch_add(&all->received, 1);
    return FTL_OK;
}

const ftl_actor_type ftli_stress_actor = {.name = "stress", .state_bytes = sizeof(struct state), .receive = receive};

int ftli_stress_messages_create(struct ftli_stress *run)
{
    struct ftli_stress_messages *all = run->messages = calloc(1, sizeof *run->messages);
    if (all == NULL) {
        return FTL_ENOMEM;
    }
    for (uint32_t i = 0; i < FTLI_STRESS_THREADS_MOST; i++) {
        for (uint32_t k = 0; k < FTLI_STRESS_MESSAGES; k++) {
            all->mail[i][k].run = run;
            all->mail[i][k].sender = i;
        }
    }
    return ftl_actor_find(run->runtime, "stress", &all->actor);
}

void ftli_stress_send(struct ftli_stress_thread *thread)
{
    struct ftli_stress_messages *all = thread->run->messages;
    struct mail *mail = &all->mail[thread->index][ftli_stress_below(thread, FTLI_STRESS_MESSAGES)];
    if (atomic_load_explicit(&mail->out, memory_order_acquire)) {
        return;
    }
    mail->lane = (uint32_t)ftli_stress_below(thread, 4);
    mail->number = ++all->sent_number[thread->index][mail->lane];
    atomic_store_explicit(&mail->out, true, memory_order_relaxed);
    atomic_fetch_add(&all->sent, 1);
    (void)ftli_stress_good(thread, "ftl_actor_send", ftl_actor_send(all->actor, mail->lane, &mail->message));
}

uint64_t ftli_stress_messages_sent(const struct ftli_stress *run)
{
    return run->messages == NULL ? 0 : atomic_load(&run->messages->sent);
}

uint64_t ftli_stress_messages_received(const struct ftli_stress *run)
{
    return run->messages == NULL ? 0 : atomic_load(&run->messages->received);
}
