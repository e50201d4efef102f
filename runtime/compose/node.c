#include "runtime/compose/node.h"

#include <fettle/fettle.h>

#include <stdlib.h>
#include <string.h>
#include <yaml.h>

enum { CHUNK_BYTES = 16 * 1024 };

struct ftli_chunk {
    struct ftli_chunk *next;
    size_t used, size;
    _Alignas(16) char bytes[];
};

struct reader {
    struct ftli_document *document;
    struct ftli_report *report;
    struct ftli_place place;
    const char *text;
    size_t text_bytes;
    struct ftli_node *open[FTLI_DEPTH_MOST]; /* maps and lists that have not ended, outermost first */
    size_t depth;
    /* The key of the map on top whose value comes next. */
    bool has_key;
    const char *key, *key_refused;
    uint32_t key_line, key_column;
};

static void *take(struct ftli_document *document, size_t bytes)
{
    bytes = (bytes + 15) & ~(size_t)15;
    struct ftli_chunk *chunk = document->chunks;
    if (chunk == NULL || chunk->size - chunk->used < bytes) {
        size_t size = bytes > CHUNK_BYTES ? bytes : CHUNK_BYTES;
        chunk = malloc(sizeof *chunk + size);
        if (chunk == NULL) {
            return NULL;
        }
        chunk->next = document->chunks;
        chunk->used = 0;
        chunk->size = size;
        document->chunks = chunk;
    }
    void *taken = chunk->bytes + chunk->used;
    chunk->used += bytes;
    return memset(taken, 0, bytes);
}

static const char *copy(struct ftli_document *document, const char *text, size_t bytes)
{
    char *to = take(document, bytes + 1);
    if (to != NULL) {
        memcpy(to, text, bytes);
    }
    return to;
}

void ftli_document_close(struct ftli_document *document)
{
    while (document->chunks != NULL) {
        struct ftli_chunk *next = document->chunks->next;
        free(document->chunks);
        document->chunks = next;
    }
    document->root = NULL;
}

static struct ftli_place place_at(const struct reader *r, size_t line, size_t column)
{
    struct ftli_place place = r->place;
    place.column = (line == 0 ? place.column : 1) + (uint32_t)column;
    place.line += (uint32_t)line;
    return place;
}

static int wrong(struct reader *r, yaml_mark_t mark, const char *what)
{
    return ftli_report(r->report, place_at(r, mark.line, mark.column), "YAML", "%s", what);
}

/* YAML lets a tab stand in some places and not in others; as indentation it stands nowhere here, comments excepted. */
static bool find_tab(const char *text, size_t bytes, size_t *line, size_t *column)
{
    bool indentation = true;
    *line = 0;
    for (size_t i = 0, begin = 0; i < bytes; i++) {
        if (text[i] == '\n') {
            indentation = true;
            begin = i + 1;
            ++*line;
        } else if (text[i] == '\t' && indentation) {
            *column = i - begin;
            return true;
        } else if (text[i] != ' ') {
            indentation = false;
        }
    }
    return false;
}

static int parser_failed(struct reader *r, const yaml_parser_t *parser)
{
    if (parser->error == YAML_MEMORY_ERROR) {
        return ftli_report_memory(r->report);
    }
    if (parser->error == YAML_READER_ERROR) {
        /* It knows the byte, not the line. */
        size_t line = 0, begin = 0;
        for (size_t i = 0; i < parser->problem_offset && i < r->text_bytes; i++) {
            if (r->text[i] == '\n') {
                line++;
                begin = i + 1;
            }
        }
        return ftli_report(r->report, place_at(r, line, parser->problem_offset - begin), "YAML", "%s", parser->problem);
    }
    if (parser->problem_mark.index < r->text_bytes && r->text[parser->problem_mark.index] == '\t') {
        return wrong(r, parser->problem_mark, "a tab; indent with spaces");
    }
    return wrong(r, parser->problem_mark, parser->problem == NULL ? "cannot be read" : parser->problem);
}

/* Hangs a node into the map or list on top. */
static int attach(struct reader *r, struct ftli_node *node)
{
    if (r->depth == 0) {
        r->document->root = node;
        return FTL_OK;
    }
    struct ftli_node *parent = r->open[r->depth - 1];
    if (parent->kind == FTLI_NODE_MAP) {
        node->key = r->key;
        node->key_line = r->key_line;
        node->key_column = r->key_column;
        if (r->key_refused != NULL) {
            node->refused = r->key_refused;
        }
        r->has_key = false;
    }
    if (parent->last == NULL) {
        parent->first = node;
    } else {
        parent->last->next = node;
    }
    parent->last = node;
    return FTL_OK;
}

static bool wants_key(const struct reader *r)
{
    return r->depth != 0 && r->open[r->depth - 1]->kind == FTLI_NODE_MAP && !r->has_key;
}

static int on_key(struct reader *r, const yaml_event_t *event, const char *refused)
{
    const char *text = "";
    size_t bytes = 0;
    if (event->type == YAML_SCALAR_EVENT) {
        text = (const char *)event->data.scalar.value;
        bytes = event->data.scalar.length;
    } else if (event->type != YAML_ALIAS_EVENT) {
        return wrong(r, event->start_mark, "a map or list stands where a key should; expected a word and a colon");
    }
    if (bytes != 0 && memchr(text, '\0', bytes) != NULL) {
        return wrong(r, event->start_mark, "a zero character");
    }
    struct ftli_place place = place_at(r, event->start_mark.line, event->start_mark.column);
    r->key = copy(r->document, text, bytes);
    if (r->key == NULL) {
        return ftli_report_memory(r->report);
    }
    r->key_refused = refused;
    r->key_line = place.line;
    r->key_column = place.column;
    r->has_key = true;
    return FTL_OK;
}

static const char *refused_in(const yaml_event_t *event)
{
    static const char anchors[] = "anchors and aliases are not taken; write the value out";
    static const char tags[] = "tags are not taken; write the value alone";
    switch (event->type) {
    case YAML_ALIAS_EVENT:
        return anchors;
    case YAML_SCALAR_EVENT:
        return event->data.scalar.anchor != NULL ? anchors : event->data.scalar.tag != NULL ? tags : NULL;
    case YAML_MAPPING_START_EVENT:
        return event->data.mapping_start.anchor != NULL ? anchors : event->data.mapping_start.tag != NULL ? tags : NULL;
    case YAML_SEQUENCE_START_EVENT:
        return event->data.sequence_start.anchor != NULL ? anchors
               : event->data.sequence_start.tag != NULL  ? tags
                                                         : NULL;
    default:
        return NULL;
    }
}

static int on_node(struct reader *r, const yaml_event_t *event)
{
    const char *refused = refused_in(event);
    if (wants_key(r)) {
        return on_key(r, event, refused);
    }
    struct ftli_node *node = take(r->document, sizeof *node);
    if (node == NULL) {
        return ftli_report_memory(r->report);
    }
    struct ftli_place place = place_at(r, event->start_mark.line, event->start_mark.column);
    node->line = place.line;
    node->column = place.column;
    node->refused = refused;
    if (event->type == YAML_SCALAR_EVENT) {
        const char *text = (const char *)event->data.scalar.value;
        if (memchr(text, '\0', event->data.scalar.length) != NULL) {
            return wrong(r, event->start_mark, "a zero character");
        }
        node->text = copy(r->document, text, event->data.scalar.length);
    } else {
        node->text = "";
        node->kind = event->type == YAML_MAPPING_START_EVENT    ? FTLI_NODE_MAP
                     : event->type == YAML_SEQUENCE_START_EVENT ? FTLI_NODE_LIST
                                                                : FTLI_NODE_VALUE;
    }
    if (node->text == NULL) {
        return ftli_report_memory(r->report);
    }
    int status = attach(r, node);
    if (status == FTL_OK && node->kind != FTLI_NODE_VALUE) {
        if (r->depth == FTLI_DEPTH_MOST) {
            return ftli_report(r->report, place, "YAML", "nests deeper than %d levels", FTLI_DEPTH_MOST);
        }
        r->open[r->depth++] = node;
    }
    return status;
}

static int on_event(struct reader *r, const yaml_event_t *event)
{
    switch (event->type) {
    case YAML_SCALAR_EVENT:
    case YAML_ALIAS_EVENT:
    case YAML_MAPPING_START_EVENT:
    case YAML_SEQUENCE_START_EVENT:
        return on_node(r, event);
    case YAML_MAPPING_END_EVENT:
    case YAML_SEQUENCE_END_EVENT:
        r->depth--;
        return FTL_OK;
    case YAML_DOCUMENT_START_EVENT:
        if (r->document->root != NULL) {
            return wrong(r, event->start_mark, "a second document begins; expected one");
        }
        return FTL_OK;
    default:
        return FTL_OK;
    }
}

int ftli_document_open(struct ftli_document *document, const char *text, size_t text_bytes, struct ftli_place place,
                       struct ftli_report *report)
{
    *document = (struct ftli_document){0};
    static const char mark[] =
        "\xef\xbb\xbf"; /* of byte order: libyaml counts it as a column, so that no line fits the first */
    if (text_bytes >= sizeof mark - 1 && memcmp(text, mark, sizeof mark - 1) == 0) {
        text += sizeof mark - 1;
        text_bytes -= sizeof mark - 1;
    }
    struct reader r = {.document = document, .report = report, .place = place, .text = text, .text_bytes = text_bytes};
    size_t line = 0, column = 0;
    if (find_tab(text, text_bytes, &line, &column)) {
        return ftli_report(report, place_at(&r, line, column), "YAML", "a tab; indent with spaces");
    }
    yaml_parser_t parser;
    if (yaml_parser_initialize(&parser) == 0) {
        return ftli_report_memory(report);
    }
    yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&parser, (const unsigned char *)text, text_bytes);
    int status = FTL_OK;
    bool ended = false;
    while (status == FTL_OK && !ended) {
        yaml_event_t event;
        if (yaml_parser_parse(&parser, &event) == 0) {
            status = parser_failed(&r, &parser);
            break;
        }
        status = on_event(&r, &event);
        ended = event.type == YAML_STREAM_END_EVENT;
        yaml_event_delete(&event);
    }
    yaml_parser_delete(&parser);
    return status;
}

struct ftli_node *ftli_document_wrap(struct ftli_document *document, struct ftli_node *child, const char *key,
                                     size_t key_bytes, uint32_t line, uint32_t column)
{
    struct ftli_node *map = take(document, sizeof *map);
    const char *name = copy(document, key, key_bytes);
    if (map == NULL || name == NULL) {
        return NULL;
    }
    *map = (struct ftli_node){
        .kind = FTLI_NODE_MAP, .line = line, .column = column, .text = "", .first = child, .last = child};
    child->key = name;
    child->key_line = line;
    child->key_column = column;
    return map;
}
