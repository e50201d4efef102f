/* Where a socket lies: a path of the program's choice, or a name in a directory that is this user's alone.
 *
 * What      A given path: its directory, made if it is not there, and the lock file beside it (PATH.lock), so that nobody takes it away
 *           from who listens there. A home: $XDG_RUNTIME_DIR/fettle, or /tmp/fettle-UID, where each runtime has a socket of its own,
 *           PID-NUMBER-NAME. A home that is not a directory of this user's with mode 0700 is refused, whoever made it so.
 * Owns      The lock, and the directory if it had to make it; give_back returns both. A home stays.
 * Threads   Any, each place one at a time.
 */
#ifndef FTLI_RUNTIME_BRIDGE_PLACE_H
#define FTLI_RUNTIME_BRIDGE_PLACE_H

#include <stdbool.h>
#include <stddef.h>

#include "runtime/bridge/endpoint.h"

struct ftli_place {
    int lock;
    bool made_directory;
    char path[FTLI_ENDPOINT_MAX_PATH + 1];
    char directory[FTLI_ENDPOINT_MAX_PATH + 1];
    char lock_path[FTLI_ENDPOINT_MAX_PATH + 16];
};

/* path as of ftli_endpoint_path. FTL_EINVAL: no such place; FTL_EBUSY: somebody has it; FTL_EDEVICE. Why is in why; nothing is kept then. */
int ftli_place_take(struct ftli_place *, const char *path, char *why, size_t why_size);
/* inherited: in a forked child, whose parent still has the place. */
void ftli_place_give_back(struct ftli_place *, bool inherited);

enum { FTLI_HOMES = 3, FTLI_HOME_BYTES = 96 };
/* Where sockets may lie: first the one that a runtime of this process would take if it can be had, last the one under /tmp. Returns how many. */
unsigned ftli_home_list(char homes[FTLI_HOMES][FTLI_HOME_BYTES]);
/* A descriptor of the directory, which with `make` is made if it is not there; -1, with the reason in why. */
int ftli_home_open(const char *path, bool make, char *why, size_t why_size);

/* A socket of a home, by its name. */
struct ftli_home_name {
    unsigned long process, number;
    char runtime[16];
};
bool ftli_home_read_name(const char *name, struct ftli_home_name *out);
/* The path of a socket there; false: it is too long for one. */
bool ftli_home_path(char path[FTLI_ENDPOINT_MAX_PATH + 1], const char *home_path, const char *name);
/* Removes a socket of a process that is gone, in the home that the descriptor is of. True: it did. */
bool ftli_home_sweep(int home, const char *home_path, const char *name);
/* Of the first few sockets there, those of processes that are gone: each runtime that opens removes some. */
void ftli_home_sweep_some(int home, const char *home_path);

/* Whether somebody listens there: FTL_OK; FTL_ECLOSED: nobody does (any more); FTL_EINVAL: there is no such socket; FTL_EDEVICE: it belongs
 * to another user, or cannot be asked. */
int ftli_place_probe(const char *path, char *why, size_t why_size);

#endif
