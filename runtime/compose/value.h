/* Values as a topology writes them: 64MiB, 250ms, 80%. Text to number and back. Pure.
 *
 * What        Each reader gives true and the value, or false and `wrong`: what is wrong; what was expected; a guess.
 *             A number is digits, perhaps with a point: no sign, no exponent, no locale. A unit must be there.
 * Threads     Any. */
#ifndef FTLI_RUNTIME_COMPOSE_VALUE_H
#define FTLI_RUNTIME_COMPOSE_VALUE_H

#include "runtime/compose/schema.h"

#define FTLI_EXPECTED_SIZE  "a size such as 64MiB (B, KiB, MiB, GiB, TiB)"
#define FTLI_EXPECTED_TIME  "a time such as 100ms (us, ms, s, min, h)"
#define FTLI_EXPECTED_SHARE "a percentage such as 80%"
#define FTLI_EXPECTED_CPUS  "any, or processors such as [0-3, 8]"

/* expected: what else is taken, "auto or " for instance, stands before the sentence's own words; "" for nothing. */
bool ftli_read_size(const char *text, const char *expected, uint64_t *bytes, char *wrong, size_t wrong_bytes);
bool ftli_read_time(const char *text, const char *expected, int64_t *ns, char *wrong, size_t wrong_bytes);
bool ftli_read_share(const char *text, double *share, char *wrong, size_t wrong_bytes);
bool ftli_read_number(const char *text, double *number, char *wrong, size_t wrong_bytes);
bool ftli_read_integer(const char *text, const char *expected, int64_t *integer, char *wrong, size_t wrong_bytes);
/* One item: "8" or "0-3"; adds to the mask. */
bool ftli_read_cpus(const char *item, struct ftli_cpus *cpus, char *wrong, size_t wrong_bytes);

/* The shortest text that reads back as the same value; six digits after the point at most. No number is negative. */
void ftli_write_number(double number, char *text, size_t text_bytes);
void ftli_write_size(uint64_t bytes, char *text, size_t text_bytes);
void ftli_write_time(int64_t ns, char *text, size_t text_bytes);
void ftli_write_share(double share, char *text, size_t text_bytes);
void ftli_write_cpus(const struct ftli_cpus *cpus, char *text, size_t text_bytes);

#endif
