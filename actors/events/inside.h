/* What events' own files share. */
#ifndef FTLI_ACTORS_EVENTS_INSIDE_H
#define FTLI_ACTORS_EVENTS_INSIDE_H

#include "actors/events/events.h"

/* Calls whoever subscribed event->kind before it happened. By the actor. */
void ftli_events_call_all(struct ftli_events *, const ftl_event *event);
/* The level of pressure: calls those who were told another one last. By the actor. */
void ftli_events_call_level(struct ftli_events *, const ftl_event *event);
/* Pressure and the soft mark: looks, calls, and has the device say when they may have changed. By the actor. */
void ftli_events_look_at_pressure(struct ftli_events *, uint64_t now_ns);

#endif
