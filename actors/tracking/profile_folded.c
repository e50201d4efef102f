/* Folded stacks, as flame graphs read them: the outermost frame first, then the bytes in use. */
#include <stdio.h>
#include <string.h>

#include "actors/tracking/modules.h"
#include "actors/tracking/profile_inside.h"

enum { FRAME_BYTES = 300, LINE_BYTES = FTLI_SITE_FRAMES_MOST * FRAME_BYTES };

/* A frame ends at ";", a line at its end. */
static size_t put(char *line, size_t used, const char *frame)
{
    if (used != 0 && used < LINE_BYTES - 1)
        line[used++] = ';';
    for (; *frame != '\0' && used < LINE_BYTES - 1; frame++) {
        bool is_plain = *frame != ';' && (unsigned char)*frame >= 0x20;
        line[used++] = '_';
        if (is_plain)
            line[used - 1] = *frame;
    }
    line[used] = '\0';
    return used;
}

static int write_row(const struct ftli_profile_world *world, const struct ftli_tally_row *row, ftl_write_fn write,
                     void *user)
{
    char line[LINE_BYTES + 32], name[FRAME_BYTES];
    struct ftli_site_view view;
    size_t used = 0;
    if (ftli_profile_name(world, row->key[0], name, &view))
        used = put(line, used, name);
    for (unsigned i = view.count; i-- > 0;) {
        ftli_module_text(view.frames[i], name, sizeof name);
        used = put(line, used, name);
    }
    used += (size_t)snprintf(line + used, 32, " %llu\n", (unsigned long long)ftli_profile_whole(row->bytes));
    return write(line, used, user);
}

int ftli_profile_folded(const struct ftli_profile_world *world, ftl_write_fn write, void *user)
{
    struct ftli_tally rows;
    int status = ftli_profile_gather(world, false, &rows);
    if (status != FTL_OK)
        return status;
    int stopped = 0;
    for (size_t i = 0; i < rows.used && stopped == 0; i++)
        stopped = write_row(world, &rows.rows[i], write, user);
    ftli_tally_free(&rows);
    return FTL_OK;
}
