/* "tensors" and "breakdown": what is live, one by one and summed up. */
#include <stdio.h>
#include <string.h>

#include "actors/allocation/allocation.h"
#include "actors/port/control_text.h"
#include "tensor/dtype.h"

enum { SCOPES_SAID = 100 };

static int json_or_nothing(const char *word, const char *arguments, bool *json)
{
    *json = strcmp(arguments, "json") == 0;
    return *json || *arguments == '\0'
               ? FTL_OK
               : ftli_fail(FTL_EINVAL, "request: %s: \"%.40s\" means nothing here; json, or nothing", word, arguments);
}

/* ---- one by one ------------------------------------------------------------------------------------------------------ */

struct listing {
    struct ftli_control_text text;
    struct ftl_runtime *runtime;
    uint64_t count, bytes;
};

static const char *device_name(const struct ftl_runtime *runtime, uint32_t device)
{
    return device < runtime->topology->device_count ? runtime->topology->devices[device].name : "?";
}

static void say_shape(struct ftli_control_text *text, const ftl_tensor_row *row)
{
    ftli_control_text_add(text, "[", 1);
    for (uint32_t i = 0; i < row->ndim; i++)
        ftli_control_text_say(text, "%s%lld", i == 0 ? "" : ", ", (long long)row->shape[i]);
    ftli_control_text_add(text, "]", 1);
}

/* bytes of the listing: those that are a tensor's own, as in ftl_stats. */
static void count_row(struct listing *list, const ftl_tensor_row *row)
{
    list->count++;
    list->bytes += (row->flags & FTL_VIEW) != 0 ? 0 : row->bytes;
}

static int say_row(const ftl_tensor_row *row, void *user)
{
    struct listing *list = user;
    struct ftli_control_text *text = &list->text;
    count_row(list, row);
    ftli_control_text_say(text, "0x%016llx  %s ", (unsigned long long)row->tensor.id, ftli_dtype_name(row->dtype));
    say_shape(text, row);
    ftli_control_text_say(text, "  %llu bytes%s  %.3f s  references %u  pins %u  label \"%s\"",
                          (unsigned long long)row->bytes, (row->flags & FTL_VIEW) != 0 ? " of another (a view)" : "",
                          (double)row->age_ns / 1e9, row->references, row->pins, row->label);
    if (row->scope.id != 0)
        ftli_control_text_say(text, "  scope 0x%016llx \"%s\"", (unsigned long long)row->scope.id, row->scope_label);
    if (row->tag != 0)
        ftli_control_text_say(text, "  tag %llu", (unsigned long long)row->tag);
    ftli_control_text_say(text, "  %s\n", row->site);
    return ftli_control_text_stopped(text);
}

static void say_text(struct ftli_control_text *text, const char *key, const char *value)
{
    ftli_control_text_say(text, ", \"%s\": ", key);
    ftli_control_text_quote(text, value);
}

static int say_row_json(const ftl_tensor_row *row, void *user)
{
    struct listing *list = user;
    struct ftli_control_text *text = &list->text;
    ftli_control_text_say(text, "%s\n{\"tensor\": \"0x%016llx\", \"bytes\": %llu, \"view\": %s, \"shape\": ",
                          list->count == 0 ? "" : ",", (unsigned long long)row->tensor.id,
                          (unsigned long long)row->bytes, (row->flags & FTL_VIEW) != 0 ? "true" : "false");
    count_row(list, row);
    say_shape(text, row);
    say_text(text, "dtype", ftli_dtype_name(row->dtype));
    say_text(text, "device", device_name(list->runtime, row->device));
    ftli_control_text_say(text, ", \"age_ms\": %llu, \"references\": %u, \"pins\": %u, \"tag\": %llu",
                          (unsigned long long)row->age_ns / 1000000, row->references, row->pins,
                          (unsigned long long)row->tag);
    say_text(text, "label", row->label);
    ftli_control_text_say(text, ", \"scope\": \"0x%016llx\"", (unsigned long long)row->scope.id);
    say_text(text, "scope_label", row->scope_label);
    say_text(text, "site", row->site);
    ftli_control_text_add(text, "}", 1);
    return ftli_control_text_stopped(text);
}

int ftli_control_tensors(struct ftl_runtime *runtime, const char *arguments, ftl_write_fn write, void *user)
{
    struct listing list = {.runtime = runtime};
    const ftl_list_options all = {0};
    bool json;
    int status = json_or_nothing("tensors", arguments, &json);
    if (status != FTL_OK)
        return status;
    ftli_control_text_begin(&list.text, write, user);
    if (json)
        ftli_control_text_say(&list.text, "{\"tensors\": [");
    struct ftli_list_world world = ftli_runtime_list_world(runtime);
    ftli_list_rows(&world, &all, ftli_runtime_ms(runtime), json ? say_row_json : say_row, &list);
    ftli_control_text_say(&list.text, json ? "\n], \"count\": %llu, \"bytes\": %llu}\n" : "%llu tensors, %llu bytes\n",
                          (unsigned long long)list.count, (unsigned long long)list.bytes);
    (void)ftli_control_text_end(&list.text);
    return FTL_OK;
}

/* ---- summed up ------------------------------------------------------------------------------------------------------- */

struct saying {
    struct ftli_control_text text;
    const char *kind;
    bool json, any;
};

static void begin_kind(struct saying *saying, const char *kind)
{
    saying->kind = kind;
    saying->any = false;
    if (saying->json)
        ftli_control_text_say(&saying->text, ",\n\"%s\": [", kind);
}

static void end_kind(struct saying *saying)
{
    if (saying->json)
        ftli_control_text_say(&saying->text, "]");
}

static void say_sum(struct saying *saying, const char *name, uint64_t count, uint64_t bytes)
{
    if (count == 0)
        return;
    if (saying->json) {
        ftli_control_text_say(&saying->text, "%s\n{\"name\": ", saying->any ? "," : "");
        ftli_control_text_quote(&saying->text, name);
        ftli_control_text_say(&saying->text, ", \"count\": %llu, \"bytes\": %llu}", (unsigned long long)count,
                              (unsigned long long)bytes);
    } else {
        ftli_control_text_say(&saying->text, "%-8s %-52s %12llu tensors %18llu bytes\n", saying->kind, name,
                              (unsigned long long)count, (unsigned long long)bytes);
    }
    saying->any = true;
}

static void say_classes(struct saying *saying, const struct ftli_breakdown *sums)
{
    begin_kind(saying, "class");
    for (unsigned c = 0; c < FTLI_CLASSES; c++) {
        char name[32] = "pages";
        if (c != 0)
            (void)snprintf(name, sizeof name, "%u", (unsigned)ftli_class_bytes(c));
        say_sum(saying, name, sums->classes[c].count, sums->classes[c].bytes);
    }
    end_kind(saying);
}

static void say_scopes(struct saying *saying, const struct ftl_runtime *runtime, const struct ftli_breakdown *sums)
{
    struct ftli_breakdown_sum rest = {0};
    begin_kind(saying, "scope");
    for (size_t i = 0; i < sums->scopes.used; i++) {
        const struct ftli_tally_row *row = &sums->scopes.rows[i];
        char name[80] = "-";
        if (row->key[0] != 0)
            (void)snprintf(name, sizeof name, "0x%016llx %s", (unsigned long long)row->key[0],
                           ftli_label_text(&runtime->labels, (uint32_t)row->mark));
        if (i < SCOPES_SAID) {
            say_sum(saying, name, row->count, row->bytes);
        } else {
            rest.count += row->count;
            rest.bytes += row->bytes;
        }
    }
    say_sum(saying, "(others)", rest.count, rest.bytes);
    end_kind(saying);
}

static void say_breakdown(struct saying *saying, const struct ftl_runtime *runtime, const struct ftli_breakdown *sums)
{
    if (saying->json)
        ftli_control_text_say(&saying->text, "{\"count\": %llu, \"bytes\": %llu", (unsigned long long)sums->all.count,
                              (unsigned long long)sums->all.bytes);
    else
        ftli_control_text_say(&saying->text, "%-8s %-52s %12llu tensors %18llu bytes\n", "all", "",
                              (unsigned long long)sums->all.count, (unsigned long long)sums->all.bytes);
    begin_kind(saying, "device");
    for (uint32_t i = 0; i < FTLI_BREAKDOWN_DEVICES; i++)
        say_sum(saying, device_name(runtime, i), sums->devices[i].count, sums->devices[i].bytes);
    end_kind(saying);
    say_classes(saying, sums);
    begin_kind(saying, "dtype");
    for (uint32_t i = 0; i < FTLI_BREAKDOWN_DTYPES; i++)
        say_sum(saying, ftli_dtype_name(i), sums->dtypes[i].count, sums->dtypes[i].bytes);
    end_kind(saying);
    begin_kind(saying, "label");
    for (uint32_t i = 0; i < FTLI_LABELS_MOST; i++)
        say_sum(saying, i == 0 ? "-" : ftli_label_text(&runtime->labels, i), sums->labels[i].count,
                sums->labels[i].bytes);
    end_kind(saying);
    say_scopes(saying, runtime, sums);
    if (saying->json)
        ftli_control_text_say(&saying->text, "}\n");
}

int ftli_control_breakdown(struct ftl_runtime *runtime, const char *arguments, ftl_write_fn write, void *user)
{
    struct saying saying = {.kind = ""};
    struct ftli_breakdown *sums;
    int status = json_or_nothing("breakdown", arguments, &saying.json);
    if (status != FTL_OK)
        return status;
    struct ftli_list_world world = ftli_runtime_list_world(runtime);
    status = ftli_breakdown_make(&world, &sums);
    if (status != FTL_OK)
        return ftli_fail(status, "no memory for the sums");
    ftli_control_text_begin(&saying.text, write, user);
    say_breakdown(&saying, runtime, sums);
    (void)ftli_control_text_end(&saying.text);
    ftli_breakdown_free(sums);
    return FTL_OK;
}
