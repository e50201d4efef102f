/* What both forms of a profile begin with: the live tensors, summed up by site and labels. For profile*.c alone. */
#ifndef FTLI_ACTORS_TRACKING_PROFILE_INSIDE_H
#define FTLI_ACTORS_TRACKING_PROFILE_INSIDE_H

#include "actors/tracking/profile.h"
#include "actors/tracking/tally.h"

/* Where tensors were made: key[0] of a row. A text of the program's is its address and this bit; else the number of a site. */
#define FTLI_PROFILE_TEXT (UINT64_C(1) << 63)

/* The other four: key[1]. Numbers of labels, tensor/label.h. */
struct ftli_profile_labels {
    uint32_t device, dtype, scope, label;
};

FTLI_INLINE uint64_t ftli_profile_labels_make(uint32_t device, uint32_t dtype, uint32_t scope, uint32_t label)
{
    return (uint64_t)device << 40 | (uint64_t)dtype << 32 | (uint64_t)scope << 16 | label;
}

FTLI_INLINE struct ftli_profile_labels ftli_profile_labels_of(uint64_t key)
{
    return (struct ftli_profile_labels){
        .device = (uint32_t)(key >> 40) & 0xff,
        .dtype = (uint32_t)(key >> 32) & 0xff,
        .scope = (uint32_t)(key >> 16) & 0xffff,
        .label = (uint32_t)key & 0xffff,
    };
}

/* Sums of fortieths, most bytes first. with_labels: else key[1] is 0 everywhere. FTL_ENOMEM, and *out is empty. */
int ftli_profile_gather(const struct ftli_profile_world *, bool with_labels, struct ftli_tally *out);

FTLI_INLINE uint64_t ftli_profile_whole(uint64_t fortieths)
{
    return (fortieths + FTLI_WEIGHT_ONE / 2) / FTLI_WEIGHT_ONE;
}

/* The function that stands for a site without frames: the program's text (of a long path the end), "(no site)", "(other)". False: it is
 * a stack; *view has it. */
enum { FTLI_PROFILE_NAME_BYTES = 256 };
bool ftli_profile_name(const struct ftli_profile_world *, uint64_t site, char *name, struct ftli_site_view *view);

#endif
