/* Long answers of ftl_runtime_control: many short pieces, gathered, so that the writer is called for kilobytes and not for words. */
#ifndef FTLI_ACTORS_PORT_CONTROL_TEXT_H
#define FTLI_ACTORS_PORT_CONTROL_TEXT_H

#include "actors/port/control.h"

struct ftli_control_text {
    struct ftli_control_answer answer;
    size_t used;
    char bytes[8192];
};

void ftli_control_text_begin(struct ftli_control_text *, ftl_write_fn write, void *user);
/* At most 511 bytes at once; what is longer is cut. */
__attribute__((format(printf, 2, 3))) void ftli_control_text_say(struct ftli_control_text *, const char *format, ...);
/* A JSON string, with its quotes. What is not UTF-8 becomes U+FFFD. */
void ftli_control_text_quote(struct ftli_control_text *, const char *text);
/* Any bytes. */
void ftli_control_text_add(struct ftli_control_text *, const void *bytes, size_t n);
/* The rest goes out. Whether the writer has said no: of both calls. */
bool ftli_control_text_end(struct ftli_control_text *);
bool ftli_control_text_stopped(const struct ftli_control_text *);

#endif
