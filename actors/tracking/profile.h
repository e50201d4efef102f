/* Heap profiles: what is live and what was made, by site, in the format of pprof (profile.proto) or as folded stacks.
 *
 * What      Samples with four values: inuse_objects, inuse_space, alloc_objects, alloc_space; labels device, dtype, scope, label. A
 *           site that the program named is a function of that name; a stack is addresses with the files they lie in (build-ids), for
 *           pprof and the command line to symbolise.
 * Exact     inuse of a site that the program named: each of its tensors is in the walk (list.h). Of others an estimate without bias: who was
 *           sampled at a rate r counts for 1 / r. Where nothing is sampled they are one site, "(no site)", exactly.
 *           Views, which have no memory of their own, are left out.
 *           alloc is inuse and what the site's sampled tensors say was dropped: samples of their own, without labels.
 * Bounds    FTLI_PROFILE_ROWS kinds of tensor (site and labels); of further ones the labels are "(other)", then the site too.
 * Threads   Any, beside everything that happens. Memory from malloc for the time of the call.
 */
#ifndef FTLI_ACTORS_TRACKING_PROFILE_H
#define FTLI_ACTORS_TRACKING_PROFILE_H

#include "actors/tracking/list.h"

enum { FTLI_PROFILE_ROWS = 65536 };

struct ftli_profile_world {
    struct ftli_list_world list;
    uint64_t time_ns; /* since 1970; 0: not said */
    const char *(*device_name)(void *user, uint32_t device);
    void *user;
};

/* FTL_ENOMEM, and nothing was written. Nonzero from write stops, and is no error. */
int ftli_profile_heap(const struct ftli_profile_world *, ftl_write_fn write, void *user);
int ftli_profile_folded(const struct ftli_profile_world *, ftl_write_fn write, void *user);

#endif
