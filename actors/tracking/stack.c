#include "actors/tracking/stack.h"

#include <assert.h>
#include <string.h>
#include <unwind.h>

#include "runtime/base/os.h"

/* The linker makes these of the section's name. */
extern const char __start_fettle_new[] __attribute__((visibility("hidden"))); /* NOLINT(*-reserved-identifier) */
extern const char __stop_fettle_new[] __attribute__((visibility("hidden")));  /* NOLINT(*-reserved-identifier) */

/* Words of a stack may be anybody's: freed locals, or what another thread writes through a pointer. */
#define READS_STACK __attribute__((no_sanitize("address", "thread")))

#define OWN_MOST      20 /* frames of ours below the program's, at most */
#define CAPTURED_MOST (FTLI_SITE_FRAMES_MOST + OWN_MOST)
#define OUTSIDE_MOST  3 /* of a thread's outermost frames, which frame pointers do not show */
#define REFUTED_MOST  8 /* stacks by frame pointers, until a thread asks them no more */
#define OTHER_USES    64

struct capture {
    unsigned count;
    uintptr_t frames[CAPTURED_MOST];
    uintptr_t places[CAPTURED_MOST]; /* where each lies; 0: not known */
};

/* The calling thread. */
static _Thread_local struct {
    uintptr_t low, high; /* of its stack; high 0: not asked yet, 1: not known */
    unsigned refuted;
} own __attribute__((tls_model("initial-exec")));

static bool is_own(uintptr_t address)
{
    return address - (uintptr_t)__start_fettle_new < (uintptr_t)__stop_fettle_new - (uintptr_t)__start_fettle_new;
}

READS_STACK FTLI_NOINLINE static uintptr_t word_at(uintptr_t address)
{
    return *(const uintptr_t *)address;
}

/* ---- two ways to see a stack --------------------------------------------------------------------------------------------- */

/* Without our own innermost ones, and up to FTLI_SITE_FRAMES_MOST. */
static void cut(struct capture *capture)
{
    unsigned first = 0;
    for (unsigned i = 0; i < capture->count && i < OWN_MOST; i++)
        if (is_own(capture->frames[i]))
            first = i + 1;
    capture->count -= first;
    if (capture->count > FTLI_SITE_FRAMES_MOST)
        capture->count = FTLI_SITE_FRAMES_MOST;
    memmove(capture->frames, capture->frames + first, capture->count * sizeof capture->frames[0]);
    memmove(capture->places, capture->places + first, capture->count * sizeof capture->places[0]);
}

/* A frame pointer points to where its caller's lies, with the return address above; each lies further out than the one before. */
READS_STACK FTLI_NOINLINE static void walk(struct capture *capture, uintptr_t frame, uintptr_t low, uintptr_t high)
{
    capture->count = 0;
    while (capture->count < CAPTURED_MOST && frame % sizeof(uintptr_t) == 0 && frame >= low && frame < high &&
           high - frame >= 2 * sizeof(uintptr_t)) {
        const uintptr_t *at = (const uintptr_t *)frame;
        if (at[1] < 4096)
            break;
        capture->frames[capture->count] = at[1];
        capture->places[capture->count++] = frame + sizeof *at;
        if (at[0] <= frame)
            break;
        low = frame;
        frame = at[0];
    }
    cut(capture);
}

struct unwinding {
    struct capture *capture;
    uintptr_t low, high;
};

/* The return address lies below the frame's start, where the stack is the thread's own and it does. */
static _Unwind_Reason_Code note_frame(struct _Unwind_Context *context, void *argument)
{
    const struct unwinding *unwinding = argument;
    struct capture *capture = unwinding->capture;
    uintptr_t address = _Unwind_GetIP(context), place = _Unwind_GetCFA(context) - sizeof(uintptr_t);
    if (address == 0)
        return _URC_END_OF_STACK;
    bool is_there = place % sizeof place == 0 && place >= unwinding->low && place < unwinding->high &&
                    unwinding->high - place >= sizeof place && word_at(place) == address;
    capture->frames[capture->count] = address;
    capture->places[capture->count++] = is_there ? place : 0;
    return capture->count < CAPTURED_MOST ? _URC_NO_REASON : _URC_END_OF_STACK;
}

static void unwind(struct capture *capture, uintptr_t low, uintptr_t high)
{
    struct unwinding unwinding = {capture, low, high};
    capture->count = 0;
    (void)_Unwind_Backtrace(note_frame, &unwinding);
    cut(capture);
}

unsigned ftli_stack_by_pointers(uintptr_t frame, uintptr_t low, uintptr_t high, uintptr_t *frames, unsigned most)
{
    struct capture capture;
    walk(&capture, frame, low, high);
    unsigned count = capture.count < most ? capture.count : most;
    memcpy(frames, capture.frames, count * sizeof *frames);
    return count;
}

FTLI_ON_NEW unsigned ftli_stack_by_unwinder(uintptr_t *frames, unsigned most)
{
    struct capture capture;
    unwind(&capture, 1, 0);
    unsigned count = capture.count < most ? capture.count : most;
    memcpy(frames, capture.frames, count * sizeof *frames);
    return count;
}

void ftli_stacks_prepare(void)
{
    struct capture capture;
    unwind(&capture, 1, 0);
}

/* ---- from a stack to its site -------------------------------------------------------------------------------------------- */

/* The unwinder saw the same, and at most the thread's outermost frames besides. */
static bool agree(const struct capture *pointers, const struct capture *unwound)
{
    return pointers->count >= 2 && pointers->count <= unwound->count &&
           (unwound->count == FTLI_SITE_FRAMES_MOST ? pointers->count == unwound->count
                                                    : unwound->count - pointers->count <= OUTSIDE_MOST) &&
           memcmp(pointers->frames, unwound->frames, pointers->count * sizeof pointers->frames[0]) == 0;
}

/* *capture is what the site is of. */
static uint32_t look_up(struct ftli_sites *sites, struct capture *capture, uintptr_t frame)
{
    bool is_here = frame >= own.low && frame < own.high;
    bool asks_pointers = is_here && own.refuted < REFUTED_MOST;
    capture->count = 0;
    if (asks_pointers)
        walk(capture, frame, own.low, own.high);
    uint32_t site = capture->count < 2 ? 0 : ftli_site_find_stack(sites, capture->frames, capture->count);
    if (site != 0)
        return site;
    struct capture unwound;
    unwind(&unwound, is_here ? own.low : 1, is_here ? own.high : 0);
    if (!agree(capture, &unwound)) {
        own.refuted += asks_pointers;
        memcpy(capture, &unwound, sizeof unwound);
    }
    return ftli_site_of_stack(sites, capture->frames, capture->count);
}

/* If every return address lies where a later call can look for it. */
static void remember(struct ftli_stack_entry *entry, const struct ftli_sites *sites, const struct capture *capture,
                     uint32_t site, uintptr_t frame)
{
    struct ftli_site_view view;
    entry->frame = 0;
    entry->count = 0;
    if (frame < own.low || frame >= own.high || !ftli_site_read(sites, site, &view))
        return;
    for (unsigned i = 0; i < view.count; i++) {
        uintptr_t words = (capture->places[i] - frame) / sizeof(uintptr_t);
        if (capture->places[i] == 0 || words > UINT16_MAX)
            return;
        entry->offsets[i] = (uint16_t)words;
    }
    entry->site = site;
    entry->frames = view.frames;
    entry->count = (uint16_t)view.count;
    entry->uses = OTHER_USES;
    entry->frame = frame;
}

/* The words that the entry speaks of lie on this thread's stack, and are the same as then. */
READS_STACK static inline bool is_same(struct ftli_stack_entry *entry)
{
    const uintptr_t *at = (const uintptr_t *)entry->frame, *frames = entry->frames;
    const uint16_t *offset = entry->offsets, *end = offset + entry->count;
    if (FTLI_UNLIKELY(offset == end))
        return entry->uses != 0 && entry->uses-- != 0;
    if (FTLI_UNLIKELY(entry->frame < own.low || entry->frame >= own.high ||
                      (own.high - entry->frame) / sizeof *at <= end[-1]))
        return false;
    for (; offset != end; offset++, frames++)
        if (at[*offset] != *frames)
            return false;
    return true;
}

static struct ftli_stack_entry *entry_of(struct ftli_stack_memory *memory, uintptr_t frame, uintptr_t caller)
{
    uintptr_t bits = frame / 16 ^ caller;
    return &memory->entries[(bits ^ bits / FTLI_STACK_ENTRIES) % FTLI_STACK_ENTRIES];
}

FTLI_ON_NEW FTLI_NOINLINE static uint32_t capture_site(struct ftli_sites *sites, struct ftli_stack_entry *entry,
                                                       uintptr_t frame)
{
    struct capture capture;
    if (FTLI_UNLIKELY(own.high == 0) && !ftli_os_stack(&own.low, &own.high))
        own.low = own.high = 1;
    uint32_t site = look_up(sites, &capture, frame);
    if (entry != NULL)
        remember(entry, sites, &capture, site, frame);
    return site;
}

READS_STACK FTLI_ON_NEW FTLI_NOINLINE uint32_t ftli_stack_site(struct ftli_sites *sites,
                                                               struct ftli_stack_memory *memory)
{
    uintptr_t frame = (uintptr_t)__builtin_frame_address(0), caller = (uintptr_t)__builtin_return_address(0);
    if (memory == NULL)
        return capture_site(sites, NULL, frame);
    struct ftli_stack_entry *entry = entry_of(memory, frame, caller);
    if (FTLI_LIKELY(entry->frame == frame && entry->caller == caller && is_same(entry)))
        return entry->site;
    uint32_t site = capture_site(sites, entry, frame);
    entry->caller = caller;
    return site;
}
