/* A profile summed up: by stack, or by a label. One thread. */
#ifndef FTLI_TOOLS_PROFILE_ROWS_H
#define FTLI_TOOLS_PROFILE_ROWS_H

#include "tools/profile_read.h"

enum ftli_profile_order {
    FTLI_PROFILE_INNER_FIRST, /* "inner < middle < outer", with file and line */
    FTLI_PROFILE_OUTER_FIRST, /* "outer;middle;inner": folded */
};

struct ftli_profile_row {
    char *text;
    int64_t values[FTLI_PROFILE_VALUES];
};

struct ftli_profile_rows {
    struct ftli_profile_row *at;
    size_t count;
    int64_t sums[FTLI_PROFILE_VALUES];
};

/* Rows whose `value` is not 0, the largest first. by: NULL for stacks; else the key of a label, whose rows without it are "-". False: no
 * memory. */
bool ftli_profile_sum(const struct ftli_profile *, const char *by, enum ftli_profile_order, size_t value,
                      struct ftli_profile_rows *out);
void ftli_profile_rows_free(struct ftli_profile_rows *);

#endif
