#include "actors/port/control_text.h"

#include "runtime/base/utf8.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void ftli_control_text_begin(struct ftli_control_text *text, ftl_write_fn write, void *user)
{
    text->answer = (struct ftli_control_answer){write, user, 0};
    text->used = 0;
}

static void flush(struct ftli_control_text *text)
{
    ftli_control_write(&text->answer, text->bytes, text->used);
    text->used = 0;
}

void ftli_control_text_add(struct ftli_control_text *text, const void *bytes, size_t n)
{
    const char *from = bytes;
    while (n != 0) {
        size_t room = sizeof text->bytes - text->used, part = n < room ? n : room;
        memcpy(text->bytes + text->used, from, part);
        text->used += part;
        from += part;
        n -= part;
        if (text->used == sizeof text->bytes)
            flush(text);
    }
}

void ftli_control_text_say(struct ftli_control_text *text, const char *format, ...)
{
    char piece[512];
    va_list arguments;
    va_start(arguments, format);
    int n = vsnprintf(piece, sizeof piece, format, arguments);
    va_end(arguments);
    if (n > 0)
        ftli_control_text_add(text, piece, (size_t)n < sizeof piece ? (size_t)n : sizeof piece - 1);
}

void ftli_control_text_quote(struct ftli_control_text *text, const char *string)
{
    const unsigned char *at = (const unsigned char *)string;
    ftli_control_text_add(text, "\"", 1);
    while (*at != '\0') {
        size_t n = ftli_utf8_bytes((const char *)at);
        if (n == 0)
            ftli_control_text_add(text, "\\ufffd", 6);
        else if (*at < 0x20 || *at == 0x7f)
            ftli_control_text_say(text, "\\u%04x", *at);
        else if (*at == '"' || *at == '\\')
            ftli_control_text_say(text, "\\%c", *at);
        else
            ftli_control_text_add(text, at, n);
        at += n != 0 ? n : 1;
    }
    ftli_control_text_add(text, "\"", 1);
}

bool ftli_control_text_stopped(const struct ftli_control_text *text)
{
    return text->answer.stopped != 0;
}

bool ftli_control_text_end(struct ftli_control_text *text)
{
    flush(text);
    return ftli_control_text_stopped(text);
}
