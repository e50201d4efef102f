#include "actors/tracking/list.h"

#include <string.h>

#define NS_PER_MS UINT64_C(1000000)

enum { TEXTS = 64, TEXT_BYTES = 128 };

/* The last texts of stacks that were asked for: to make one means to look for the file that the address is in. */
struct site_text {
    uint32_t site;
    char text[TEXT_BYTES];
};

void ftli_list_walk(const struct ftli_list_world *world, bool with_shape, ftli_list_look_fn fn, void *user)
{
    const struct ftli_table *table = world->table;
    uint32_t end = ftli_table_fresh(table);
    int64_t dimensions[FTL_MAX_DIMS] = {0}, *shape = with_shape ? dimensions : NULL;
    struct ftli_look look;
    for (uint32_t slot = 1; slot < end; slot = ftli_table_next(table, slot, end))
        if (ftli_look_at_live(table, world->scopes, slot, &look, shape) && !fn(user, &look, shape))
            return;
}

struct rows {
    const struct ftli_list_world *world;
    const ftl_list_options *options;
    uint32_t now_ms;
    ftl_list_fn fn;
    void *user;
    ftl_tensor_row row;
    struct site_text texts[TEXTS];
};

static uint32_t flags_of(const struct ftli_look *look)
{
    uint32_t flags = FTL_HOST_VISIBLE;
    flags |= ftli_look_is_view(look) ? FTL_VIEW : 0u;
    flags |= (look->word & FTLI_WORD_FIXED) != 0 ? FTL_IMMOVABLE : 0u;
    flags |= ftli_word_pins(look->word) != 0 ? FTL_PINNED : 0u;
    return flags;
}

static bool is_wanted(const struct rows *rows, const struct ftli_look *look, uint64_t bytes, uint64_t age_ns)
{
    const ftl_list_options *options = rows->options;
    return bytes >= options->least_bytes && age_ns >= (uint64_t)options->least_age_ns &&
           (options->scope.id == 0 || options->scope.id == look->scope) &&
           (options->label == NULL || strcmp(options->label, ftli_label_text(rows->world->labels, look->label)) == 0);
}

static const char *site_of(struct rows *rows, const struct ftli_look *look)
{
    uint32_t site = ftli_record_site(look->record);
    if (look->site != NULL || site == FTLI_SITE_UNKNOWN || rows->world->sites == NULL)
        return look->site != NULL ? look->site : "";
    struct site_text *text = &rows->texts[site % TEXTS];
    if (text->site != site) {
        ftli_site_text(rows->world->sites, site, text->text, sizeof text->text);
        text->site = site;
    }
    return text->text;
}

static bool tell(void *user, const struct ftli_look *look, const int64_t *shape)
{
    struct rows *rows = user;
    ftl_tensor_row *row = &rows->row;
    uint64_t bytes = ftli_size_bytes(look->size);
    uint64_t age_ns = rows->now_ms > look->stamp_ms ? (rows->now_ms - look->stamp_ms) * NS_PER_MS : 0;
    if (!is_wanted(rows, look, bytes, age_ns))
        return true;
    row->tensor.id = look->tensor;
    row->scope.id = look->scope;
    row->base.id = look->base;
    row->bytes = bytes;
    row->age_ns = age_ns;
    row->tag = look->tag;
    row->dtype = ftli_size_dtype(look->size);
    row->ndim = ftli_size_ndim(look->size);
    row->device = ftli_record_device(look->record);
    row->flags = flags_of(look);
    row->references = ftli_word_references(look->word);
    row->pins = ftli_word_pins(look->word);
    for (uint32_t i = 0; i < row->ndim; i++)
        row->shape[i] = shape[i];
    row->label = ftli_label_text(rows->world->labels, look->label);
    row->scope_label = ftli_label_text(rows->world->labels, look->scope_label);
    row->site = site_of(rows, look);
    return rows->fn(row, rows->user) == 0;
}

void ftli_list_rows(const struct ftli_list_world *world, const ftl_list_options *options, uint32_t now_ms,
                    ftl_list_fn fn, void *user)
{
    struct rows rows = {.world = world, .options = options, .now_ms = now_ms, .fn = fn, .user = user};
    ftli_list_walk(world, true, tell, &rows);
}
