/* The language of ftl_runtime_control: a word, what it takes, and who answers it. A part adds a line to the table in control.c and a
 * file control_NAME.c of its own.
 *
 * Threads   Whoever asks: the program's threads, and the one that answers the control socket. Several at once.
 */
#ifndef FTLI_ACTORS_PORT_CONTROL_H
#define FTLI_ACTORS_PORT_CONTROL_H

#include "actors/port/runtime.h"

/* Answers, inside the runtime and never in a forked child. arguments: what follows the word and the blanks behind it, "" if nothing
 * does. Text goes out through write until that answers nonzero; what went wrong is said by ftli_fail, whose status is returned. */
typedef int (*ftli_control_fn)(struct ftl_runtime *, const char *arguments, ftl_write_fn write, void *user);

struct ftli_control_word {
    const char *word;
    const char *
        takes; /* "HANDLE", "[json]": as the list of words shows it; NULL: nothing, and with more it is no word of ours */
    ftli_control_fn answer;
};

/* What answers of several lines are said through: after the writer has said no, nothing more goes out. */
struct ftli_control_answer {
    ftl_write_fn write;
    void *user;
    int stopped;
};
/* At most 511 bytes at once; what is longer is cut. */
__attribute__((format(printf, 2, 3))) void ftli_control_say(struct ftli_control_answer *, const char *format, ...);
/* Any number of bytes, as they are. */
void ftli_control_write(struct ftli_control_answer *, const char *bytes, size_t n);

int ftli_control_stats(struct ftl_runtime *, const char *arguments, ftl_write_fn, void *user);
int ftli_control_check(struct ftl_runtime *, const char *arguments, ftl_write_fn, void *user);
int ftli_control_leaks(struct ftl_runtime *, const char *arguments, ftl_write_fn, void *user);
int ftli_control_topology(struct ftl_runtime *, const char *arguments, ftl_write_fn, void *user);
/* FTL_EINVAL: no such key, or no such value; FTL_ENOTSUP: the topology has no such actor. */
int ftli_control_set(struct ftl_runtime *, const char *arguments, ftl_write_fn, void *user);
int ftli_control_kill(struct ftl_runtime *, const char *arguments, ftl_write_fn, void *user);
int ftli_control_reach(struct ftl_runtime *, const char *arguments, ftl_write_fn, void *user);
/* The list; and what a retry answers. FTL_EINVAL: no handle, or it is alive; FTL_ESTALE: there is no such tensor (any more); FTL_EBUSY: it is
 * being reclaimed; FTL_ECLOSED: the runtime closes. */
int ftli_control_quarantine(struct ftl_runtime *, const char *arguments, ftl_write_fn, void *user);
int ftli_control_retry(struct ftl_runtime *, const char *arguments, ftl_write_fn, void *user);
int ftli_control_tensors(struct ftl_runtime *, const char *arguments, ftl_write_fn, void *user);
int ftli_control_breakdown(struct ftl_runtime *, const char *arguments, ftl_write_fn, void *user);
int ftli_control_sites(struct ftl_runtime *, const char *arguments, ftl_write_fn, void *user);
int ftli_control_profile(struct ftl_runtime *, const char *arguments, ftl_write_fn, void *user);

#endif
