/* Writes JSON to a stream, and checks its own nesting. One thread.
 *
 * Invariants  Commas, quotes and escapes are the writer's care: whatever is passed in, what comes out is JSON. Bytes that
 *             are not UTF-8 become U+FFFD; a number that JSON has no word for (infinite, not a number) becomes null.
 */
#ifndef FTLI_TOOLS_JSON_H
#define FTLI_TOOLS_JSON_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum { FTLI_JSON_MAX_DEPTH = 16 };

struct ftli_json {
    FILE *out;
    uint32_t depth;
    bool any[FTLI_JSON_MAX_DEPTH]; /* something stands already in the object or list of this depth */
};

void ftli_json_begin(struct ftli_json *json, FILE *out);
void ftli_json_end(struct ftli_json *json); /* of the outermost object; ends the line */

/* key: NULL inside a list and at the top. */
void ftli_json_object(struct ftli_json *json, const char *key);
void ftli_json_list(struct ftli_json *json, const char *key);
void ftli_json_close_object(struct ftli_json *json);
void ftli_json_close_list(struct ftli_json *json);
void ftli_json_text(struct ftli_json *json, const char *key, const char *text);
void ftli_json_count(struct ftli_json *json, const char *key, uint64_t count);
void ftli_json_number(struct ftli_json *json, const char *key, double number);
void ftli_json_truth(struct ftli_json *json, const char *key, bool truth);

#endif
