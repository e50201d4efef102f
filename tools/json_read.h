/* Reads one JSON object: strictly, without memory of its own, to a bounded depth.
 *
 * What     Calls back for each member of the outermost object. What is nested deeper is checked, and passed over or told.
 * Threads  One.
 */
#ifndef FTLI_TOOLS_JSON_READ_H
#define FTLI_TOOLS_JSON_READ_H

#include <stdbool.h>
#include <stddef.h>

enum ftli_json_kind { FTLI_JSON_TEXT, FTLI_JSON_NUMBER, FTLI_JSON_TRUTH, FTLI_JSON_NULL, FTLI_JSON_NESTED };

/* key and value: as written, without quotes, escapes left in; ended by zeros, cut after 1199 bytes. False: stop. */
typedef bool (*ftli_json_member_fn)(void *user, const char *key, enum ftli_json_kind kind, const char *value);

/* False: it is not JSON, not an object, or the callback stopped. *where: the offset at which that was seen. */
bool ftli_json_read(const char *text, ftli_json_member_fn member, void *user, size_t *where);

/* The same, and what is nested is told as well, each value under its path: "actors.0.name". A path longer than 1199 bytes is passed over. */
bool ftli_json_walk(const char *text, ftli_json_member_fn member, void *user, size_t *where);

#endif
