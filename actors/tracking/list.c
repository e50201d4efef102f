#include "actors/tracking/list.h"

#include <string.h>

#define NS_PER_MS UINT64_C(1000000)

enum { TEXTS = 64, TEXT_BYTES = 128 };

/* The last texts of stacks that were asked for: to make one means to look for the file that the address is in. */
struct site_text {
    uint32_t site;
    char text[TEXT_BYTES];
};

enum { AHEAD = 24, AHEAD_NEAR = 12 }; /* slots: a memory access takes as long as some of them */

/* With a callback that is known it becomes one loop. */
FTLI_INLINE void walk(const struct ftli_list_world *world, int64_t *shape, ftli_list_look_fn fn, void *user)
{
    const struct ftli_table *table = world->table;
    uint32_t end = ftli_table_fresh(table);
    struct ftli_look look;
    for (uint32_t slot = 1; slot < end; slot = ftli_table_next(table, slot, end)) {
        if (FTLI_LIKELY(slot + AHEAD < end))
            ftli_look_ahead(table, slot + AHEAD, slot + AHEAD_NEAR);
        if (ftli_look_at_live(table, world->scopes, slot, &look, shape) && !fn(user, &look))
            return;
    }
}

void ftli_list_walk(const struct ftli_list_world *world, ftli_list_look_fn fn, void *user)
{
    walk(world, NULL, fn, user);
}

struct rows {
    const struct ftli_list_world *world;
    const ftl_list_options *options;
    uint32_t now_ms;
    ftl_list_fn fn;
    void *user;
    bool all;                    /* the options ask for everything */
    uint32_t label, scope_label; /* of which the row has the texts */
    ftl_tensor_row row;          /* looks put dimensions in its shape */
    struct site_text texts[TEXTS];
};

FTLI_INLINE uint32_t flags_of(uint64_t word, bool is_view)
{
    uint32_t flags = FTL_HOST_VISIBLE;
    flags |= is_view ? FTL_VIEW : 0u;
    flags |= (word & FTLI_WORD_FIXED) != 0 ? FTL_IMMOVABLE : 0u;
    flags |= ftli_word_pins(word) != 0 ? FTL_PINNED : 0u;
    return flags;
}

/* The row has its labels already. */
static bool is_wanted(const struct rows *rows, uint64_t scope, uint64_t bytes, uint64_t age_ns)
{
    const ftl_list_options *options = rows->options;
    return bytes >= options->least_bytes && age_ns >= (uint64_t)options->least_age_ns &&
           (options->scope.id == 0 || options->scope.id == scope) &&
           (options->label == NULL || strcmp(options->label, rows->row.label) == 0);
}

static FTLI_NOINLINE const char *site_of(struct rows *rows, uint32_t site)
{
    struct site_text *text = &rows->texts[site % TEXTS];
    if (rows->world->sites == NULL)
        return "";
    if (text->site != site) {
        ftli_site_text(rows->world->sites, site, text->text, sizeof text->text);
        text->site = site;
    }
    return text->text;
}

static void put_labels(struct rows *rows, uint32_t label, uint32_t scope_label)
{
    rows->label = label;
    rows->scope_label = scope_label;
    rows->row.label = ftli_label_text(rows->world->labels, label);
    rows->row.scope_label = ftli_label_text(rows->world->labels, scope_label);
}

FTLI_INLINE bool tell(void *user, const struct ftli_look *look)
{
    struct rows *rows = user;
    ftl_tensor_row *row = &rows->row;
    uint64_t bytes = ftli_size_bytes(look->size);
    uint64_t age_ns = rows->now_ms > look->stamp_ms ? (rows->now_ms - look->stamp_ms) * NS_PER_MS : 0;
    if (FTLI_UNLIKELY(look->label != rows->label || look->scope_label != rows->scope_label))
        put_labels(rows, look->label, look->scope_label);
    if (!rows->all && !is_wanted(rows, look->scope, bytes, age_ns))
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
    row->flags = flags_of(look->word, ftli_look_is_view(look));
    row->references = ftli_word_references(look->word);
    row->pins = ftli_word_pins(look->word);
    row->site = look->site != NULL ? look->site : "";
    if (look->site == NULL && FTLI_UNLIKELY(ftli_record_site(look->record) != FTLI_SITE_UNKNOWN))
        row->site = site_of(rows, ftli_record_site(look->record));
    return rows->fn(row, rows->user) == 0;
}

void ftli_list_rows(const struct ftli_list_world *world, const ftl_list_options *options, uint32_t now_ms,
                    ftl_list_fn fn, void *user)
{
    struct rows rows = {.world = world, .options = options, .now_ms = now_ms, .fn = fn, .user = user};
    rows.all =
        options->least_bytes == 0 && options->least_age_ns == 0 && options->scope.id == 0 && options->label == NULL;
    put_labels(&rows, 0, 0);
    walk(world, rows.row.shape, tell, &rows);
}
