/* Text of JSON, as it grows. Pure. What is not UTF-8 becomes U+FFFD. Whatever the program's locale, numbers have a point; what JSON has
 * no word for is null. */
#ifndef FTLI_ACTORS_TELEMETRY_JSON_TEXT_H
#define FTLI_ACTORS_TELEMETRY_JSON_TEXT_H

#include <inttypes.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "runtime/base/utf8.h"

/* Text that grows until it does not fit. */
struct ftli_json_text {
    char *at, *end;
    bool full;
};

static inline void ftli_json_put(struct ftli_json_text *text, const char *from, size_t n)
{
    if (text->full || (size_t)(text->end - text->at) <= n) {
        text->full = true;
        return;
    }
    memcpy(text->at, from, n);
    text->at += n;
}

static inline void ftli_json_put_count(struct ftli_json_text *text, uint64_t count)
{
    char digits[24];
    ftli_json_put(text, digits, (size_t)snprintf(digits, sizeof digits, "%" PRIu64, count));
}

/* Nine digits behind the point, by integers: printf would take the locale's comma. */
static inline void ftli_json_put_share(struct ftli_json_text *text, double share)
{
    char digits[40];
    if (!isfinite(share) || fabs(share) >= 1e9) {
        ftli_json_put(text, "null", 4);
        return;
    }
    uint64_t billionths = (uint64_t)(fabs(share) * 1e9 + 0.5);
    ftli_json_put(text, "-", share < 0 && billionths != 0);
    ftli_json_put(text, digits,
                  (size_t)snprintf(digits, sizeof digits, "%" PRIu64 ".%09" PRIu64, billionths / 1000000000,
                                   billionths % 1000000000));
}

static inline void ftli_json_put_text(struct ftli_json_text *text, const char *value)
{
    ftli_json_put(text, "\"", 1);
    while (*value != '\0') {
        char escaped[8];
        size_t n = ftli_utf8_bytes(value);
        if (n == 0)
            ftli_json_put(text, "\\ufffd", 6);
        else if ((unsigned char)*value < 0x20 || *value == '"' || *value == '\\' || *value == 0x7f)
            ftli_json_put(text, escaped,
                          (size_t)snprintf(escaped, sizeof escaped, "\\u%04x", (unsigned)(unsigned char)*value));
        else
            ftli_json_put(text, value, n);
        value += n != 0 ? n : 1;
    }
    ftli_json_put(text, "\"", 1);
}

static inline void ftli_json_put_key(struct ftli_json_text *text, const char *key)
{
    ftli_json_put(text, ",\"", 2);
    ftli_json_put(text, key, strlen(key));
    ftli_json_put(text, "\":", 2);
}

static inline void ftli_json_put_number(struct ftli_json_text *text, const char *key, uint64_t count)
{
    ftli_json_put_key(text, key);
    ftli_json_put_count(text, count);
}

/* A new member, of text. */
static inline void ftli_json_put_words(struct ftli_json_text *text, const char *key, const char *value)
{
    ftli_json_put_key(text, key);
    ftli_json_put_text(text, value);
}

/* The bytes that were put, behind which a zero is set; 0: it did not fit. */
static inline size_t ftli_json_put_end(struct ftli_json_text *text, const char *out)
{
    if (text->full)
        return 0;
    *text->at = '\0';
    return (size_t)(text->at - out);
}

#endif
