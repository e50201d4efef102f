/* Chooses the rates at which tensors are sampled, by what tracking was seen to cost. Pure: it is told what was measured, and knows no
 * clock.
 *
 * What      At each window it compares what tracking spent with what the threads that it watched had. Under `below` of the target all rates rise by
 *           the factor `raise`, above `above` of it they fall by `lower`, between `least` and `most`; over the target itself it says so, and
 *           whoever is told (the route tracking.over_target) has it sample less: target / overhead x 0.8.
 *           A rate that the topology put outside of `least` to `most` moves between there and where it was put; one of 0 stays 0.
 * Threads   One at a time.
 */
#ifndef FTLI_ACTORS_TRACKING_CONTROLLER_H
#define FTLI_ACTORS_TRACKING_CONTROLLER_H

#include "actors/tracking/settings.h"

/* Sums since some beginning; the controller looks at what came since it last decided. */
struct ftli_controller_measure {
    uint64_t events;    /* sampled */
    uint64_t spent_ns;  /* by tracking */
    uint64_t thread_ns; /* that the threads had, tracking's share of it included */
    uint64_t now_ns;
};

enum ftli_verdict {
    FTLI_VERDICT_WAIT, /* too early to say anything */
    FTLI_VERDICT_KEEP,
    FTLI_VERDICT_RAISED,
    FTLI_VERDICT_LOWERED,
    FTLI_VERDICT_OVER, /* over the target: lowered too, if that was possible */
};

struct ftli_controller {
    struct ftli_tracking_adapt adapt;
    double target;
    uint32_t tiers;
    double rates[FTLI_TRACKING_TIERS];
    double first[FTLI_TRACKING_TIERS]; /* as the topology and the level have them */
    struct ftli_controller_measure last;
    bool has_changed;                     /* the last look changed some rate's weight */
    double overhead;                      /* of the last window that said anything */
    double measured[FTLI_TRACKING_TIERS]; /* the rates that it was measured with */
};

enum {
    FTLI_CONTROLLER_LONGEST_NS = 1000 * 1000 * 1000, /* a window with fewer events ends after so long */
    FTLI_CONTROLLER_LEAST_NS =
        50 * 1000 * 1000, /* of threads' time: of less one measured event, which stands for 32, is too much */
};

/* The rates begin where settings and level put them. */
void ftli_controller_init(struct ftli_controller *, const struct ftli_tracking_settings *, uint32_t level);
/* The rates have been in use from here on. */
void ftli_controller_begin(struct ftli_controller *, const struct ftli_controller_measure *);
enum ftli_verdict ftli_controller_look(struct ftli_controller *, const struct ftli_controller_measure *);
/* Over target: target / overhead x 0.8 of the rates it was measured with; else a step down. True: some rate changed. */
bool ftli_controller_sample_less(struct ftli_controller *);

/* What a level may cost: the target, five times it at detailed; no bound at debug, which samples all. */
double ftli_tracking_target_at(double target, uint32_t level);

#endif
