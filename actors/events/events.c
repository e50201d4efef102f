/* The pool of messages, the post, and the actor. */
#include "actors/events/events.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "actors/events/inside.h"
#include "runtime/base/os.h"

#define PAGE_BYTES 4096

size_t ftli_events_pool_bytes(void)
{
    return (FTLI_EVENTS_MOST * sizeof(struct ftli_event_message) + PAGE_BYTES - 1) / PAGE_BYTES * PAGE_BYTES;
}

int ftli_events_init(struct ftli_events *events, ftli_kernel *kernel, struct ftli_device *device,
                     const char *device_name, const struct ftli_pressure_marks *marks)
{
    memset(events, 0, sizeof *events);
    events->kernel = kernel;
    events->device = device;
    events->device_name = device_name;
    events->marks = *marks;
    events->pool = ftli_os_reserve(ftli_events_pool_bytes(), PAGE_BYTES);
    return events->pool != NULL ? FTL_OK : FTL_ENOMEM;
}

void ftli_events_attach(struct ftli_events *events, ftli_actor *actor)
{
    events->actor = actor;
}

void ftli_events_fini(struct ftli_events *events)
{
    if (events->pool != NULL)
        ftli_os_release(events->pool, ftli_events_pool_bytes());
    events->pool = NULL;
}

/* ---- the pool ---------------------------------------------------------------------------------------------------------- */

static struct ftli_event_message *take_fresh(struct ftli_events *events)
{
    uint32_t n = ftli_u32_load_relaxed(&events->fresh);
    do {
        if (n >= FTLI_EVENTS_MOST)
            return NULL;
    } while (!ftli_u32_cas_acq_rel(&events->fresh, &n, n + 1));
    events->pool[n].index = n + 1;
    return &events->pool[n];
}

static struct ftli_event_message *take(struct ftli_events *events)
{
    uint64_t head = ftli_u64_load_acquire(&events->head), desired; /* pairs: event-pool */
    struct ftli_event_message *message;
    do {
        if (head >> 32 == 0)
            return take_fresh(events);
        message = &events->pool[(head >> 32) - 1];
        desired = (uint64_t)ftli_u32_load_relaxed(&message->next) << 32 | (uint32_t)(head + 1);
    } while (!ftli_u64_cas_acq_rel(&events->head, &head, desired)); /* pairs: event-pool */
    return message;
}

static void give(struct ftli_events *events, struct ftli_event_message *message)
{
    uint64_t head = ftli_u64_load_relaxed(&events->head), desired;
    do {
        ftli_u32_store_relaxed(&message->next, (uint32_t)(head >> 32));
        desired = (uint64_t)message->index << 32 | (uint32_t)(head + 1);
    } while (!ftli_u64_cas_acq_rel(&events->head, &head, desired)); /* pairs: event-pool */
}

/* ---- posting ----------------------------------------------------------------------------------------------------------- */

bool ftli_events_are_wanted(const struct ftli_events *events, uint32_t kind)
{
    return events != NULL && (ftli_u32_load_acquire(&events->wanted) & kind) != 0;
}

uint64_t ftli_events_lost(const struct ftli_events *events)
{
    return ftli_u64_load_acquire(&events->lost);
}

void ftli_events_post(struct ftli_events *events, const struct ftli_event_news *news, const char *format, ...)
{
    if (!ftli_events_are_wanted(events, news->kind))
        return;
    struct ftli_event_message *message = take(events);
    if (message == NULL) {
        (void)ftli_u64_fetch_add_relaxed(&events->lost, 1);
        return;
    }
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(message->text, sizeof message->text, format, arguments);
    va_end(arguments);
    (void)snprintf(message->subject, sizeof message->subject, "%s", news->subject != NULL ? news->subject : "");
    message->event = (ftl_event){
        .kind = news->kind,
        .level = news->level,
        .time_ns = ftli_kernel_now_ns(events->kernel),
        .bytes = news->bytes,
        .count = news->count,
        .tensor = {news->tensor},
        .scope = {news->scope},
        .subject = message->subject,
        .text = message->text,
    };
    ftli_actor_send(events->actor, FTLI_LANE_HIGH, &message->message);
}

/* ---- the actor --------------------------------------------------------------------------------------------------------- */

static void tell_of_losses(struct ftli_events *events, ftli_context *context)
{
    uint64_t lost = ftli_events_lost(events), more = lost - events->lost_told;
    if (more == 0)
        return;
    events->lost_told = lost;
    char text[FTLI_EVENT_TEXT_BYTES];
    (void)snprintf(text, sizeof text, "%llu events were lost: functions that subscribed take longer than events come",
                   (unsigned long long)more);
    ftl_event event = {.kind = FTL_EVENT_LOG, .level = 2, .count = more, .subject = "events", .text = text};
    event.time_ns = ftli_now_ns(context);
    ftli_events_call_all(events, &event);
}

static int on_message(void *state, ftli_context *context, ftli_message *link)
{
    struct ftli_events *events = state;
    struct ftli_event_message *message = (struct ftli_event_message *)(void *)link;
    (void)context;
    ftli_events_call_all(events, &message->event);
    if (ftli_kernel_is_forked(events->kernel))
        return FTL_ENOTSUP;
    give(events, message);
    return FTL_OK;
}

static int on_tick(void *state, ftli_context *context)
{
    struct ftli_events *events = state;
    ftli_events_look_at_pressure(events, ftli_now_ns(context));
    return ftli_kernel_is_forked(events->kernel) ? FTL_ENOTSUP : FTL_OK;
}

static void after_batch(void *state, ftli_context *context)
{
    tell_of_losses(state, context);
}

const ftli_actor_operations ftli_events_operations = {
    .type = "events",
    .on_message = on_message,
    .on_tick = on_tick,
    .after_batch = after_batch,
    .restartable = true,
};
