/* The layers: the built-in default, the user's text over it, the overrides over that. */
#include "runtime/compose/compose.h"
#include "runtime/compose/source.h"

#include <fettle/fettle.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char built_in[] = "default.yaml (built in)";

const struct ftli_topology_actor *ftli_topology_actor(const struct ftli_topology *topology, const char *type)
{
    for (uint32_t i = 0; i < topology->actor_count; i++) {
        if (strcmp(topology->actors[i].type, type) == 0) {
            return &topology->actors[i];
        }
    }
    return NULL;
}

void ftli_compose_free(struct ftli_topology *topology)
{
    if (topology == NULL) {
        return;
    }
    for (uint32_t i = 0; i < topology->actor_count; i++) {
        free(topology->actors[i].settings);
    }
    for (uint32_t i = 0; i < topology->warning_count; i++) {
        free(topology->warnings[i]);
    }
    free(topology->warnings);
    free(topology->differences);
    free(topology->types);
    free(topology);
}

static int bind_root(struct ftli_composer *c, const struct ftli_node *root)
{
    struct ftli_part part = {ftli_topology_keys, c->topology};
    return ftli_bind_map(&c->binder, root, &part, 1, NULL);
}

/* The grammar comes first: what another one says would only be misread. */
static int check_grammar(struct ftli_composer *c, const struct ftli_node *root)
{
    if (root->kind != FTLI_NODE_MAP) {
        bool empty = root->kind == FTLI_NODE_VALUE && root->text[0] == '\0';
        return ftli_report(c->report, ftli_bind_place(&c->binder, root->line, root->column), NULL, "%s",
                           empty ? "nothing is in it; expected at least fettle: 1"
                                 : "is no map; expected keys and values, of them fettle: 1");
    }
    for (const struct ftli_node *node = root->first; node != NULL; node = node->next) {
        if (strcmp(node->key, "fettle") != 0) {
            continue;
        }
        if (node->refused == NULL && node->kind == FTLI_NODE_VALUE && strcmp(node->text, "1") == 0) {
            return FTL_OK;
        }
        return ftli_report(c->report, ftli_bind_place(&c->binder, node->line, node->column), "fettle",
                           "\"%.40s\" is no grammar that this library reads; expected 1", node->text);
    }
    return ftli_report(c->report, ftli_bind_place(&c->binder, root->line, root->column), "fettle",
                       "is missing; expected fettle: 1, the grammar of the file");
}

static int lay_text(struct ftli_composer *c, enum ftli_layer layer, const char *text, size_t text_bytes)
{
    c->binder.layer = layer;
    struct ftli_document document;
    int status = ftli_document_open(&document, text, text_bytes, ftli_bind_place(&c->binder, 1, 1), c->report);
    static const struct ftli_node nothing = {.line = 1, .column = 1, .text = ""};
    const struct ftli_node *root = document.root != NULL ? document.root : &nothing;
    if (status == FTL_OK) {
        status = check_grammar(c, root);
    }
    if (status == FTL_OK) {
        status = bind_root(c, root);
    }
    ftli_document_close(&document);
    return status;
}

/* One line "actors.tracking.level: debug", as the tree it stands for. */
static int lay_override(struct ftli_composer *c, const char *line, size_t length, uint32_t number)
{
    size_t begin = 0;
    while (begin < length && line[begin] == ' ') {
        begin++;
    }
    const char *colon = memchr(line, ':', length);
    if (begin == length || line[begin] == '#') {
        return FTL_OK;
    }
    if (colon == NULL || colon == line + begin) {
        return ftli_report(c->report, ftli_bind_place(&c->binder, number, (uint32_t)begin + 1), NULL,
                           "\"%.*s\" sets nothing; expected a line such as actors.tracking.level: debug",
                           (int)(length - begin > 40 ? 40 : length - begin), line + begin);
    }
    size_t key_end = (size_t)(colon - line), value = key_end + 1;
    struct ftli_document document;
    int status = ftli_document_open(&document, line + value, length - value,
                                    ftli_bind_place(&c->binder, number, (uint32_t)value + 1), c->report);
    struct ftli_node nothing = {.line = number, .column = (uint32_t)value + 1, .text = ""};
    struct ftli_node *node = document.root != NULL ? document.root : &nothing;
    uint32_t depth = 0;
    while (status == FTL_OK && key_end > begin) { /* from the last key outwards */
        size_t key = key_end;
        while (key > begin && line[key - 1] != '.') {
            key--;
        }
        node = ++depth > FTLI_DEPTH_MOST
                   ? NULL
                   : ftli_document_wrap(&document, node, line + key, key_end - key, number, (uint32_t)key + 1);
        if (node == NULL) {
            status = depth > FTLI_DEPTH_MOST
                         ? ftli_report(c->report, ftli_bind_place(&c->binder, number, (uint32_t)begin + 1), NULL,
                                       "nests deeper than %d levels", FTLI_DEPTH_MOST)
                         : ftli_report_memory(c->report);
        }
        key_end = key > begin ? key - 1 : begin;
    }
    if (status == FTL_OK) {
        status = bind_root(c, node);
    }
    ftli_document_close(&document);
    return status;
}

static int lay_overrides(struct ftli_composer *c, const char *lines)
{
    c->binder.layer = FTLI_LAYER_OVERRIDES;
    if (strnlen(lines, FTLI_TEXT_BYTES_MOST + 1) > FTLI_TEXT_BYTES_MOST) {
        return ftli_report(c->report, ftli_bind_place(&c->binder, 0, 0), NULL, "are larger than 256 KiB");
    }
    int status = FTL_OK;
    for (uint32_t number = 1; *lines != '\0' && status == FTL_OK; number++) {
        size_t length = strcspn(lines, "\n");
        status = lay_override(c, lines, length, number);
        lines += length + (lines[length] == '\n');
    }
    return status;
}

static int by_order(const void *a, const void *b)
{
    const struct ftli_topology_actor *left = a, *right = b;
    if (left->schema->order != right->schema->order) {
        return left->schema->order > right->schema->order ? 1 : -1;
    }
    return (left->place > right->place) - (left->place < right->place);
}

/* The default alone; sources and report stand in the composer. */
static int lay_default(struct ftli_composer *c)
{
    c->topology = calloc(1, sizeof *c->topology);
    if (c->topology == NULL) {
        return ftli_report_memory(c->report);
    }
    const char *text = c->input->default_text;
    return lay_text(c, FTLI_LAYER_DEFAULT, text, strlen(text));
}

static void begin(struct ftli_composer *c, const struct ftli_compose_input *input, struct ftli_report *report,
                  const char *source)
{
    *c = (struct ftli_composer){.report = report, .input = input};
    c->binder = (struct ftli_binder){
        .report = report, .sources = {built_in, source, "overrides"}, .bind_named = ftli_bind_entries, .user = c};
}

static int make_standard(const struct ftli_compose_input *input, struct ftli_report *report, struct ftli_topology **out)
{
    struct ftli_composer c;
    begin(&c, input, report, built_in);
    int status = lay_default(&c);
    if (status == FTL_OK) {
        status = ftli_check_complete(&c);
    }
    free(c.binder.origins);
    if (status != FTL_OK) {
        ftli_compose_free(c.topology);
        return status;
    }
    *out = c.topology;
    return FTL_OK;
}

static int lay_all(struct ftli_composer *c, const char *text, size_t text_bytes)
{
    int status = lay_default(c);
    if (status == FTL_OK && text != NULL) {
        status = lay_text(c, FTLI_LAYER_FILE, text, text_bytes);
    }
    if (status == FTL_OK && c->input->overrides != NULL) {
        status = lay_overrides(c, c->input->overrides);
    }
    if (status == FTL_OK) {
        status = ftli_check_topology(c);
    }
    if (status == FTL_OK) {
        status = ftli_find_differences(c);
    }
    return status;
}

int ftli_compose(const struct ftli_compose_input *input, struct ftli_topology **out, char *error, size_t error_bytes)
{
    struct ftli_report report = {.text = error, .text_bytes = error_bytes, .status = FTL_OK};
    struct ftli_topology *standard = NULL;
    char *owned = NULL;
    const char *text = input->text;
    size_t text_bytes = input->text_bytes;
    const char *source = input->path != NULL ? input->path : text != NULL ? "topology" : built_in;
    struct ftli_composer c;
    begin(&c, input, &report, source);
    int status = make_standard(input, &report, &standard);
    if (status == FTL_OK && input->path != NULL) {
        status = ftli_source_read(input->path, &owned, &text_bytes, &report);
        text = owned;
    } else if (status == FTL_OK && text != NULL && text_bytes > FTLI_TEXT_BYTES_MOST) {
        status = ftli_report(&report, (struct ftli_place){source, 0, 0}, NULL, "is larger than 256 KiB");
    }
    if (status == FTL_OK) {
        c.standard = standard;
        status = lay_all(&c, text, text_bytes);
    }
    free(owned);
    free(c.binder.origins);
    ftli_compose_free(standard);
    if (status != FTL_OK) {
        ftli_compose_free(c.topology);
        return status;
    }
    for (uint32_t i = 0; i < c.topology->actor_count; i++) {
        c.topology->actors[i].place = i;
    }
    qsort(c.topology->actors, c.topology->actor_count, sizeof c.topology->actors[0], by_order);
    (void)snprintf(c.topology->source, sizeof c.topology->source, "%s", source);
    *out = c.topology;
    return FTL_OK;
}
