#include "tools/profile_rows.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- text of a stack ---------------------------------------------------------------------------------------------------- */

static const char *short_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash == NULL ? path : slash + 1;
}

/* In folded stacks ";" ends a frame, and a line is one stack. */
static void put_text(FILE *out, const char *text, bool folded)
{
    for (; *text != '\0'; text++)
        (void)fputc((folded && *text == ';') || (unsigned char)*text < 0x20 ? '_' : *text, out);
}

static void put_address(const struct ftli_profile *profile, const struct ftli_profile_location *location, FILE *out)
{
    if (location->mapping == FTLI_PROFILE_NONE) {
        fprintf(out, "0x%" PRIx64, location->address);
        return;
    }
    const struct ftli_profile_mapping *mapping = &profile->mappings.at[location->mapping];
    put_text(out, short_name(mapping->path), true);
    fprintf(out, "+0x%" PRIx64, location->address - mapping->start + mapping->offset);
}

static void put_line(const struct ftli_profile *profile, const struct ftli_profile_line *line, bool folded, FILE *out)
{
    const struct ftli_profile_function *function = &profile->functions.at[line->function];
    put_text(out, function->name, folded);
    if (!folded && function->file[0] != '\0' && line->line != 0) {
        (void)fputc(' ', out);
        put_text(out, short_name(function->file), false);
        fprintf(out, ":%" PRIu64, line->line);
    }
}

static void put_stack(const struct ftli_profile *profile, const struct ftli_profile_sample *sample, bool folded,
                      FILE *out)
{
    const char *between = "";
    for (size_t i = 0; i < sample->locations; i++) {
        size_t from_inner = folded ? sample->locations - 1 - i : i;
        const struct ftli_profile_location *location =
            &profile->locations.at[profile->stacks.at[sample->first_location + from_inner]];
        if (location->lines == 0) {
            fputs(between, out);
            put_address(profile, location, out);
            between = folded ? ";" : " < ";
        }
        for (size_t k = 0; k < location->lines; k++) {
            size_t inner = folded ? location->lines - 1 - k : k;
            fputs(between, out);
            put_line(profile, &profile->lines.at[location->first_line + inner], folded, out);
            between = folded ? ";" : " < ";
        }
    }
}

static const char *label_of(const struct ftli_profile *profile, const struct ftli_profile_sample *sample,
                            const char *key)
{
    for (size_t i = 0; i < sample->labels; i++) {
        const struct ftli_profile_label *label = &profile->labels.at[sample->first_label + i];
        if (strcmp(label->key, key) == 0 && label->text != NULL)
            return label->text;
    }
    return "-";
}

static char *text_of(const struct ftli_profile *profile, const struct ftli_profile_sample *sample, const char *by,
                     enum ftli_profile_order order)
{
    char *text = NULL;
    size_t bytes = 0;
    FILE *out = open_memstream(&text, &bytes);
    if (out == NULL)
        return NULL;
    if (by != NULL)
        put_text(out, label_of(profile, sample, by), false);
    else
        put_stack(profile, sample, order == FTLI_PROFILE_OUTER_FIRST, out);
    if (fclose(out) == 0)
        return text;
    free(text);
    return NULL;
}

/* ---- sums ------------------------------------------------------------------------------------------------------------------ */

static int by_text(const void *a, const void *b)
{
    const struct ftli_profile_row *x = a, *y = b;
    return strcmp(x->text, y->text);
}

/* The value that counts stands first while they are sorted. */
static int largest_first(const void *a, const void *b)
{
    const struct ftli_profile_row *x = a, *y = b;
    if (x->values[0] != y->values[0])
        return x->values[0] > y->values[0] ? -1 : 1;
    return strcmp(x->text, y->text);
}

static void swap_first(struct ftli_profile_rows *rows, size_t value)
{
    for (size_t i = 0; i < rows->count; i++) {
        int64_t first = rows->at[i].values[0];
        rows->at[i].values[0] = rows->at[i].values[value];
        rows->at[i].values[value] = first;
    }
}

/* Rows with the same text become one. Values are the file's: any numbers, so they are added as such. */
static void merge(struct ftli_profile_rows *rows, unsigned values)
{
    size_t used = 0;
    qsort(rows->at, rows->count, sizeof *rows->at, by_text);
    for (size_t i = 0; i < rows->count; i++) {
        if (used == 0 || strcmp(rows->at[used - 1].text, rows->at[i].text) != 0) {
            rows->at[used++] = rows->at[i];
            continue;
        }
        for (unsigned v = 0; v < values; v++)
            rows->at[used - 1].values[v] =
                (int64_t)((uint64_t)rows->at[used - 1].values[v] + (uint64_t)rows->at[i].values[v]);
        free(rows->at[i].text);
    }
    rows->count = used;
}

static void leave_out_zeros(struct ftli_profile_rows *rows, size_t value)
{
    size_t used = 0;
    for (size_t i = 0; i < rows->count; i++) {
        if (rows->at[i].values[value] != 0)
            rows->at[used++] = rows->at[i];
        else
            free(rows->at[i].text);
    }
    rows->count = used;
}

bool ftli_profile_sum(const struct ftli_profile *profile, const char *by, enum ftli_profile_order order, size_t value,
                      struct ftli_profile_rows *out)
{
    memset(out, 0, sizeof *out);
    out->at = calloc(profile->samples.count + 1, sizeof *out->at);
    for (size_t i = 0; i < profile->samples.count && out->at != NULL; i++) {
        const struct ftli_profile_sample *sample = &profile->samples.at[i];
        struct ftli_profile_row *row = &out->at[out->count];
        row->text = text_of(profile, sample, by, order);
        if (row->text == NULL) {
            ftli_profile_rows_free(out);
            return false;
        }
        memcpy(row->values, sample->values, sizeof row->values);
        for (unsigned v = 0; v < profile->value_count; v++)
            out->sums[v] = (int64_t)((uint64_t)out->sums[v] + (uint64_t)sample->values[v]);
        out->count++;
    }
    if (out->at == NULL)
        return false;
    merge(out, profile->value_count);
    leave_out_zeros(out, value);
    swap_first(out, value);
    qsort(out->at, out->count, sizeof *out->at, largest_first);
    swap_first(out, value);
    return true;
}

void ftli_profile_rows_free(struct ftli_profile_rows *rows)
{
    for (size_t i = 0; i < rows->count; i++)
        free(rows->at[i].text);
    free(rows->at);
    memset(rows, 0, sizeof *rows);
}
