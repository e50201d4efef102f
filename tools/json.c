#include "tools/json.h"

#include <assert.h>
#include <inttypes.h>
#include <math.h>
#include <string.h>

/* Bytes of the UTF-8 sequence at text, 0 if it is none (also overlong ones, surrogates, and over U+10FFFF). */
static uint32_t sequence(const unsigned char *text)
{
    uint32_t more, least, code;
    if (text[0] < 0x80) {
        return 1;
    }
    if ((text[0] & 0xe0) == 0xc0) {
        more = 1, least = 0x80, code = text[0] & 0x1fu;
    } else if ((text[0] & 0xf0) == 0xe0) {
        more = 2, least = 0x800, code = text[0] & 0x0fu;
    } else if ((text[0] & 0xf8) == 0xf0) {
        more = 3, least = 0x10000, code = text[0] & 0x07u;
    } else {
        return 0;
    }
    for (uint32_t i = 1; i <= more; i++) {
        if ((text[i] & 0xc0) != 0x80) {
            return 0;
        }
        code = code << 6 | (text[i] & 0x3fu);
    }
    return code < least || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff) ? 0 : more + 1;
}

static void quoted(FILE *out, const char *text)
{
    const unsigned char *at = (const unsigned char *)text;
    putc('"', out);
    while (*at != '\0') {
        uint32_t length = sequence(at);
        if (length == 0) {
            fputs("\xef\xbf\xbd", out);
            at++;
        } else if (*at == '"' || *at == '\\') {
            putc('\\', out);
            putc(*at++, out);
        } else if (*at < 0x20 || *at == 0x7f) {
            fprintf(out, "\\u%04x", *at++);
        } else {
            fwrite(at, 1, length, out);
            at += length;
        }
    }
    putc('"', out);
}

/* What stands before every value: the comma, the new line with its indent, the key. */
static void before(struct ftli_json *json, const char *key)
{
    if (json->depth > 0) {
        fputs(json->any[json->depth - 1] ? ",\n" : "\n", json->out);
        json->any[json->depth - 1] = true;
        fprintf(json->out, "%*s", (int)json->depth * 2, "");
    }
    if (key != NULL) {
        quoted(json->out, key);
        fputs(": ", json->out);
    }
}

static void open_with(struct ftli_json *json, const char *key, char bracket)
{
    before(json, key);
    putc(bracket, json->out);
    assert(json->depth < FTLI_JSON_MAX_DEPTH);
    json->any[json->depth++] = false;
}

static void close_with(struct ftli_json *json, char bracket)
{
    assert(json->depth > 0);
    json->depth--;
    if (json->any[json->depth]) {
        fprintf(json->out, "\n%*s", (int)json->depth * 2, "");
    }
    putc(bracket, json->out);
}

void ftli_json_begin(struct ftli_json *json, FILE *out)
{
    *json = (struct ftli_json){.out = out};
    open_with(json, NULL, '{');
}

void ftli_json_end(struct ftli_json *json)
{
    assert(json->depth == 1);
    close_with(json, '}');
    putc('\n', json->out);
}

void ftli_json_object(struct ftli_json *json, const char *key)
{
    open_with(json, key, '{');
}

void ftli_json_list(struct ftli_json *json, const char *key)
{
    open_with(json, key, '[');
}

void ftli_json_close_object(struct ftli_json *json)
{
    close_with(json, '}');
}

void ftli_json_close_list(struct ftli_json *json)
{
    close_with(json, ']');
}

void ftli_json_text(struct ftli_json *json, const char *key, const char *text)
{
    before(json, key);
    quoted(json->out, text);
}

void ftli_json_count(struct ftli_json *json, const char *key, uint64_t count)
{
    before(json, key);
    fprintf(json->out, "%" PRIu64, count);
}

void ftli_json_number(struct ftli_json *json, const char *key, double number)
{
    before(json, key);
    if (isfinite(number)) {
        fprintf(json->out, "%.9g", number);
    } else {
        fputs("null", json->out);
    }
}

void ftli_json_truth(struct ftli_json *json, const char *key, bool truth)
{
    before(json, key);
    fputs(truth ? "true" : "false", json->out);
}
