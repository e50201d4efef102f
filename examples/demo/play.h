/* The play of both acts: eight threads make tensors, one thread only drops them.
 *
 * What     It runs in a child process, so that neither heap holds what another left; the parent draws a bar meanwhile.
 * Threads  Eight makers, one dropper, and the one that draws the bar. What is made waits in a queue, bounded in number;
 *          nobody spins.
 */
#ifndef FETTLE_EXAMPLES_DEMO_PLAY_H
#define FETTLE_EXAMPLES_DEMO_PLAY_H

#include <fettle/fettle.h>

enum { MAKERS = 8 };

struct piece {
    uint64_t id; /* of a tensor, or a pointer */
};

/* Shared by parent and child: what the child did so far, and in the end what it saw. */
struct seen {
    _Atomic uint64_t dropped; /* so far */
    uint64_t live_bytes, peak_live_bytes, peak_resident_bytes;
    ftl_stats stats;
    uint64_t kills, finalized, never, twice; /* of act 2 */
    char quarantine[256];
    bool complete;
    char why[256];
};

/* Something that makes and drops. make and drop set errno or ftl_last_error when they fail. */
struct memory {
    const char *name;
    bool (*open)(struct memory *self); /* NULL: nothing to open, and nothing to close */
    bool (*make)(struct memory *self, uint64_t number, size_t bytes, struct piece *out, void **data);
    bool (*drop)(struct piece piece);
    bool (*look)(struct memory *self, struct seen *seen);  /* of the dropper, between its batches; NULL: nothing */
    bool (*close)(struct memory *self, struct seen *seen); /* when all are dropped */
    ftl_runtime *runtime;
};

/* false: seen->why says what went wrong. title: of the bar. */
bool play_in_child(struct memory *memory, const char *title, uint64_t tensors, struct seen *seen);

/* Drains, reads the figures into seen, closes. */
bool close_runtime(struct memory *memory, struct seen *seen);

#endif
