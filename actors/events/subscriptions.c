/* Who is called. A call is made without the token, so that it may subscribe and unsubscribe; `calling` says which one runs. */
#include "actors/events/inside.h"

#include "runtime/base/clock.h"

/* Its address names the thread. */
static _Thread_local char own;

/* Token held. */
static void sum_up(struct ftli_events *events)
{
    uint32_t wanted = 0;
    for (unsigned i = 0; i < FTLI_SUBSCRIPTIONS_MOST; i++)
        wanted |= events->subscriptions[i].id != 0 ? events->subscriptions[i].kinds : 0;
    ftli_u32_store_release(&events->wanted, wanted);
}

/* Token held. id 0: a free place. */
static struct ftli_subscription *find(struct ftli_events *events, uint64_t id)
{
    for (unsigned i = 0; i < FTLI_SUBSCRIPTIONS_MOST; i++)
        if (events->subscriptions[i].id == id)
            return &events->subscriptions[i];
    return NULL;
}

int ftli_events_subscribe(struct ftli_events *events, uint32_t kinds, ftl_event_fn call, void *user, uint64_t *out)
{
    if (events->actor != NULL) {
        int status = ftli_kernel_need(events->kernel, events->actor);
        if (status != FTL_OK)
            return status;
    }
    uint64_t since_ns = ftli_kernel_now_ns(events->kernel);
    ftli_token_take(&events->token);
    struct ftli_subscription *place = find(events, 0);
    if (place != NULL) {
        *place = (struct ftli_subscription){++events->last_id, kinds, 0, since_ns, call, user};
        *out = place->id;
        sum_up(events);
    }
    ftli_token_release(&events->token);
    if (place != NULL && events->actor != NULL && (kinds & (FTL_EVENT_PRESSURE | FTL_EVENT_LIMIT)) != 0)
        ftli_actor_run_within(events->actor, 0); /* it is told of a pressure that is there already */
    return place != NULL ? FTL_OK : FTL_ELIMIT;
}

static void wait_for_call(struct ftli_events *events, uint64_t id)
{
    for (;;) {
        uint32_t ticket = ftli_event_prepare(&events->called);
        /* pairs: event-calling. The end of a call is stored before it is signalled. */
        if (ftli_u64_load_seq_cst(&events->calling) != id || ftli_pointer_load_acquire(&events->caller) == &own) {
            ftli_event_cancel(&events->called);
            return;
        }
        (void)ftli_event_wait(&events->called, ticket, FTLI_NEVER_NS);
    }
}

int ftli_events_unsubscribe(struct ftli_events *events, uint64_t id)
{
    if (id == 0)
        return FTL_ESTALE;
    ftli_token_take(&events->token);
    struct ftli_subscription *place = find(events, id);
    if (place != NULL) {
        place->id = 0;
        sum_up(events);
    }
    ftli_token_release(&events->token);
    wait_for_call(events, id); /* also of one that another thread unsubscribed just now */
    return place != NULL ? FTL_OK : FTL_ESTALE;
}

/* Of place i, if it wants the event: it is marked as being called. */
static bool begin_call(struct ftli_events *events, unsigned i, const ftl_event *event, bool level,
                       struct ftli_subscription *out)
{
    ftli_token_take(&events->token);
    struct ftli_subscription *place = &events->subscriptions[i];
    bool wants = place->id != 0 && (place->kinds & event->kind) != 0 &&
                 (level ? place->level != event->level : place->since_ns <= event->time_ns);
    if (wants) {
        if (level)
            place->level = event->level;
        *out = *place;
        ftli_pointer_store_release(&events->caller, &own);
        ftli_u64_store_seq_cst(&events->calling, place->id); /* pairs: event-calling */
    }
    ftli_token_release(&events->token);
    return wants;
}

static void end_call(struct ftli_events *events)
{
    ftli_pointer_store_release(&events->caller, NULL);
    ftli_u64_store_seq_cst(&events->calling, 0); /* pairs: event-calling */
    (void)ftli_event_signal_all(&events->called);
}

static void call_each(struct ftli_events *events, const ftl_event *event, bool level)
{
    struct ftli_subscription subscription;
    if (!ftli_events_are_wanted(events, event->kind))
        return;
    for (unsigned i = 0; i < FTLI_SUBSCRIPTIONS_MOST; i++) {
        if (ftli_kernel_is_forked(events->kernel)) /* by the last call: the token may be held for ever here */
            return;
        if (!begin_call(events, i, event, level, &subscription))
            continue;
        subscription.call(event, subscription.user);
        end_call(events);
    }
}

void ftli_events_call_all(struct ftli_events *events, const ftl_event *event)
{
    call_each(events, event, false);
}

void ftli_events_call_level(struct ftli_events *events, const ftl_event *event)
{
    call_each(events, event, true);
}
