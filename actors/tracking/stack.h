/* Stacks: which site the calling thread stands at.
 *
 * What      The innermost 16 return addresses outside of Fettle. Found by frame pointers where library and program are built with
 *           them, else by the unwinder (what backtrace() calls). Frame pointers are not believed: a stack that they find and
 *           the table does not have is looked at by the unwinder too, and theirs counts only if the two agree; a thread on which
 *           they do not stops asking them.
 * Remembers A thread keeps where on its stack the return addresses of its last captures lay. Called from the same place at the same
 *           depth it compares the words that lie there now; if all are the same, so is the stack, and nothing is unwound.
 * Threads   The calling one's stack; the memory is its port's. Nothing is allocated. Not from a signal handler.
 * Safety    Only words between the caller's frame and the upper end of the thread's own stack are read. On another stack (a coroutine's)
 *           only the unwinder is asked, and nothing remembered.
 */
#ifndef FTLI_ACTORS_TRACKING_STACK_H
#define FTLI_ACTORS_TRACKING_STACK_H

#include "actors/tracking/site.h"

/* Every function that may be on the stack when one is captured, from the public call on, so that they can be left out of it. */
#define FTLI_ON_NEW __attribute__((section("fettle_new")))

enum { FTLI_STACK_ENTRIES = 32 };

struct ftli_stack_entry {
    uintptr_t frame, caller; /* the capture's own */
    const uintptr_t *frames; /* the site's */
    uint32_t site;
    uint16_t count;
    uint16_t uses;                           /* left, of "(other)": which stacks are that may change */
    uint16_t offsets[FTLI_SITE_FRAMES_MOST]; /* words from `frame` to where each return address lies */
};

struct ftli_stack_memory {
    struct ftli_stack_entry entries[FTLI_STACK_ENTRIES];
};

/* Once, before the first capture: what the unwinder makes at its first call is made. */
void ftli_stacks_prepare(void);
/* memory NULL: each stack is walked anew. */
uint32_t ftli_stack_site(struct ftli_sites *, struct ftli_stack_memory *);

/* For tests: a stack by one of the two ways, without our own frames. From where and up to where words are read; `frame` may be
 * anything. */
unsigned ftli_stack_by_pointers(uintptr_t frame, uintptr_t low, uintptr_t high, uintptr_t *frames, unsigned most);
unsigned ftli_stack_by_unwinder(uintptr_t *frames, unsigned most);

#endif
