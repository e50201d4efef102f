/* One value of a key: read into its field with the key's bounds, and written back. Pure.
 *
 * Threads     Any. */
#ifndef FTLI_RUNTIME_COMPOSE_SCALAR_H
#define FTLI_RUNTIME_COMPOSE_SCALAR_H

#include "runtime/compose/schema.h"

/* Words that YAML's dialects give a meaning and we do not. */
enum ftli_other_word { FTLI_WORD_OURS, FTLI_WORD_NO, FTLI_WORD_YES };
enum ftli_other_word ftli_other_word(const char *text);

/* True and the field set, or false and `wrong`. Not for maps, lists, processors. */
bool ftli_read_scalar(const struct ftli_key *key, const char *text, void *field, char *wrong, size_t wrong_bytes);
/* One of the words of a key, its index. */
bool ftli_read_choice(const struct ftli_key *key, const char *text, uint32_t *value, char *wrong, size_t wrong_bytes);
/* "any", or "0-3,8". */
bool ftli_read_cpu_list(const char *text, struct ftli_cpus *cpus, char *wrong, size_t wrong_bytes);
/* What a key takes, for "expected ...". */
void ftli_write_expected(const struct ftli_key *key, char *text, size_t text_bytes);
/* A value as a file would write it; any kind but NAMED. base: the struct of the key's offsets. */
void ftli_write_value(const struct ftli_key *key, const void *base, char *text, size_t text_bytes);
/* {key: value, ...} */
void ftli_write_map(const struct ftli_key *keys, const void *base, char *text, size_t text_bytes);

#endif
