/* One writer, one reader, and indices that only grow: a full ring loses the newest event and counts it. */
#include "actors/tracking/tracking.h"

#include <assert.h>

static_assert((FTLI_EVENT_RING & (FTLI_EVENT_RING - 1)) == 0, "the place of an event is its number's low bits");

uint32_t ftli_event_ring_take(struct ftli_event_ring *ring, struct ftli_event_record *out, uint32_t n)
{
    uint32_t read = ftli_u32_load_relaxed(&ring->read);
    uint32_t waiting = ftli_u32_load_acquire(&ring->written) - read; /* pairs: event-ring */
    uint32_t take = n < waiting ? n : waiting;
    for (uint32_t i = 0; i < take; i++)
        out[i] = ring->events[(read + i) % FTLI_EVENT_RING];
    ftli_u32_store_release(&ring->read, read + take); /* pairs: event-ring-space */
    return take;
}
