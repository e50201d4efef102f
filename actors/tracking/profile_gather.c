#include <string.h>

#include "actors/tracking/profile_inside.h"

enum { MORE_SITES = FTLI_PROFILE_ROWS / 4 };

struct gathering {
    const struct ftli_profile_world *world;
    struct ftli_tally *rows;
    bool with_labels, failed;
};

static uint64_t site_of(const struct ftli_look *look)
{
    return look->site != NULL ? (uint64_t)(uintptr_t)look->site | FTLI_PROFILE_TEXT : ftli_record_site(look->record);
}

/* Fortieths of a tensor that this one stands for. */
static uint64_t weight_of(const struct gathering *gathering, const struct ftli_look *look)
{
    if (look->site != NULL || gathering->world->list.sites == NULL)
        return FTLI_WEIGHT_ONE;
    return ftli_record_weight(look->record);
}

/* First the labels give way, then the site, then the bound. */
static struct ftli_tally_row *row_of(struct ftli_tally *rows, uint64_t site, uint64_t labels)
{
    const uint64_t other = ftli_profile_labels_make(0, 0, FTLI_LABEL_OTHER, FTLI_LABEL_OTHER);
    rows->most = FTLI_PROFILE_ROWS;
    struct ftli_tally_row *row = ftli_tally_at(rows, site, labels);
    rows->most = FTLI_PROFILE_ROWS + MORE_SITES;
    if (row == NULL)
        row = ftli_tally_at(rows, site, other);
    rows->most = 0;
    return row != NULL ? row : ftli_tally_at(rows, FTLI_SITE_OTHER, other);
}

static bool look_at(void *user, const struct ftli_look *look)
{
    struct gathering *gathering = user;
    uint64_t weight = weight_of(gathering, look), labels = 0;
    if (weight == 0 || ftli_look_is_view(look))
        return true;
    if (gathering->with_labels)
        labels = ftli_profile_labels_make(ftli_record_device(look->record), ftli_size_dtype(look->size),
                                          look->scope_label, look->label);
    struct ftli_tally_row *row = row_of(gathering->rows, site_of(look), labels);
    if (row == NULL) {
        gathering->failed = true;
        return false;
    }
    row->count += weight;
    row->bytes += weight * ftli_size_bytes(look->size);
    return true;
}

int ftli_profile_gather(const struct ftli_profile_world *world, bool with_labels, struct ftli_tally *out)
{
    struct gathering gathering = {world, out, with_labels, false};
    memset(out, 0, sizeof *out);
    ftli_list_walk(&world->list, look_at, &gathering);
    if (gathering.failed) {
        ftli_tally_free(out);
        return FTL_ENOMEM;
    }
    ftli_tally_sort(out);
    return FTL_OK;
}

bool ftli_profile_name(const struct ftli_profile_world *world, uint64_t site, char *name, struct ftli_site_view *view)
{
    *view = (struct ftli_site_view){0};
    const char *text = "(no site)";
    if ((site & FTLI_PROFILE_TEXT) != 0)
        text = (const char *)(uintptr_t)(site & ~FTLI_PROFILE_TEXT);
    else if (world->list.sites != NULL && ftli_site_read(world->list.sites, (uint32_t)site, view) && view->count != 0)
        return false;
    else if (view->literal != NULL)
        text = view->literal;
    else if (site == FTLI_SITE_OTHER)
        text = "(other)";
    ftli_site_copy(name, FTLI_PROFILE_NAME_BYTES, text);
    return true;
}
